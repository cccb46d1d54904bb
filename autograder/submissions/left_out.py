"""What lies in a submission beside the files that count and may be another version of them.

Nothing is wrong with such a submission. But the student may have meant the other version, so both
the student and the teaching assistant are told which one was graded.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from autograder.course import Session
from autograder.errors import SubmissionError
from autograder.submissions.archive import packs_one_file
from autograder.submissions.chosen_folder import ChosenFolder, libraries, listed
from autograder.submissions.identity import quoted, some_of
from autograder.submissions.members import Member
from autograder.submissions.source import is_source, normalize

_SHOWN = 3
_SESSION_FOLDER = re.compile(r"(s[1-9]\d*)(?:_.*)?")


@dataclass(frozen=True)
class LeftOut:
    """`notes` for the teaching assistant, and `remarks` for the student: one line, or none."""

    notes: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


def left_out(
    members: Sequence[Member],
    chosen: ChosenFolder,
    session: Session,
    unopened: Mapping[str, str] | None = None,
) -> LeftOut:
    """Files named like the `chosen` ones with other contents, and archives that were not opened.

    `members` are those of opened archives too, `unopened` says of the paths of others why not.
    Copies of the kit's library and other sessions are left out of account: what bears the same
    names there is no version of these files.
    """
    if chosen.folder is None:
        return LeftOut()
    strangers = _Strangers(members, session)
    own = [m for m in members if m.name in session.required_files and m.parent not in strangers]
    complete, files = _different(own, chosen, len(session.required_files))
    closed = {
        path: reason
        for path, reason in (unopened or {}).items()
        if path.rpartition("/")[0] not in strangers and not packs_one_file(path)
    }
    place = listed([chosen.folder])
    notes = []
    if complete:
        others = listed(complete)
        notes.append(f"other complete files were not graded ({others}), those of {place} were")
    if files:
        notes.append(f"other versions were not graded ({_some(files)}), those of {place} were")
    notes += [f"{quoted(path)} was not opened: {reason}" for path, reason in closed.items()]
    if not notes:
        return LeftOut()
    names = _some([*complete, *files, *closed])
    remark = f"graded: the files of {place}; not graded: {names}. If those count, submit them alone"
    return LeftOut(tuple(notes), (remark,))


def _different(
    own: Iterable[Member], chosen: ChosenFolder, required: int
) -> tuple[list[str], list[str]]:
    """Folders with another version of all files, and the files that differ in other folders."""
    readable: dict[str, int] = defaultdict(int)
    different: dict[str, list[str]] = defaultdict(list)
    for member in own:
        readable[member.parent] += member.data is not None
        graded = chosen.files.get(member.name)
        if graded is not None and not _same(member, graded):
            different[member.parent].append(member.path)
    complete = sorted(folder for folder in different if readable[folder] == required)
    others = sorted(different.keys() - set(complete))
    return complete, [path for folder in others for path in different[folder]]


def _same(one: Member, other: Member) -> bool:
    """Whether both would be graded alike: the same bytes, but for line ends in a module."""
    if one.data is None or other.data is None or one.data == other.data:
        return one.data is not None and one.data == other.data
    try:
        return is_source(one.name) and normalize(one.data) == normalize(other.data)
    except SubmissionError:
        return False


class _Strangers:
    """The folders of the kit's library and of other sessions."""

    def __init__(self, members: Sequence[Member], session: Session) -> None:
        paths = {member.path for member in members}
        packages = {
            path.removesuffix("__init__.py") for path in paths if path.endswith("__init__.py")
        }
        self._libraries = (*libraries(members), *(p for p in packages if p.endswith("shared/")))
        self._session = session

    def __contains__(self, folder: object) -> bool:
        path = f"{folder}/"
        return path.startswith(self._libraries) or any(map(self._is_other, path.split("/")))

    def _is_other(self, part: str) -> bool:
        found = _SESSION_FOLDER.fullmatch(part)
        return found is not None and found[1] != self._session.id


def _some(paths: Iterable[str]) -> str:
    return some_of([*map(quoted, paths)], _SHOWN)
