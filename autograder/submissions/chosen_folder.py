"""Which folder of a submission counts, where the session's files may lie anywhere in it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from autograder.submissions.identity import KEEP_ONE, quoted
from autograder.submissions.members import Member

Contents = Mapping[str, Member]


@dataclass(frozen=True)
class ChosenFolder:
    """The folder that counts (None: there is no telling) with its listed files by name.

    `problem` is a line on why there is no telling.
    """

    folder: str | None
    files: Contents
    problem: str = ""


def choose(members: Iterable[Member], required: Sequence[str], own_folder: str) -> ChosenFolder:
    """The place of the `required` files among the members of a submission.

    One with all of them wins over one with some, then the nearest to the top, then the session's
    `own_folder`, then the one with more of them. If several are left, they have to agree byte for
    byte: else there is no telling which one is meant. Never the library in a copy of the kit.
    """
    members = list(members)
    kits = libraries(members)
    found: dict[str, dict[str, Member]] = defaultdict(dict)
    for member in members:
        if member.name in required and not f"{member.parent}/".startswith(kits):
            found[member.parent][member.name] = member
    if not found:
        return ChosenFolder(None, {})

    def rank(folder: str) -> tuple[bool, int, bool, int]:
        readable = sum(member.data is not None for member in found[folder].values())
        depth = folder.count("/") + 1 if folder else 0
        is_own = folder.rpartition("/")[2] == own_folder
        return readable == len(required), -depth, is_own, readable

    best = max(map(rank, found))
    equal = sorted(folder for folder in found if rank(folder) == best)
    if any(_bytes(found[folder]) != _bytes(found[equal[0]]) for folder in equal):
        shown = listed(equal)
        problem = f"the session's files lie in more than one place ({shown}); {KEEP_ONE}"
        return ChosenFolder(None, {}, problem=problem)
    return ChosenFolder(equal[0], found[equal[0]])


def libraries(members: Sequence[Member]) -> tuple[str, ...]:
    """The folders of shared/ and autograder/ beside a course.yaml, each with a slash at its end."""
    paths = {member.path for member in members}
    above = (f"{m.parent}/" if m.parent else "" for m in members if m.name == "course.yaml")
    kits = [folder for folder in above if f"{folder}autograder/__init__.py" in paths]
    return tuple(f"{folder}{name}/" for folder in kits for name in ("shared", "autograder"))


def _bytes(files: Contents) -> dict[str, bytes | None]:
    return {name: member.data for name, member in files.items()}


def listed(folders: Iterable[str]) -> str:
    """Folders of a submission, for a message."""
    return " and ".join(quoted(folder) if folder else "the top" for folder in folders)
