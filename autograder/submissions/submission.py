"""One folder or archive becomes a `Submission`: the session's files, and notes on the rest.

Only the listed files are ever looked into. Nothing is compiled or imported here, and the original
is never written. Whatever is wrong with one submission becomes a line of its record.
"""

from __future__ import annotations

import hashlib
import re
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType

from autograder.course import ArchiveLimits, Session
from autograder.errors import SubmissionError
from autograder.records import Identity
from autograder.submissions import identity
from autograder.submissions.archive import archive_suffix, read_archive
from autograder.submissions.chosen_folder import choose
from autograder.submissions.files import refused_kind
from autograder.submissions.flagged_files import flag
from autograder.submissions.flagged_lines import mentions
from autograder.submissions.folder import read_folder
from autograder.submissions.identity import quoted
from autograder.submissions.left_out import left_out
from autograder.submissions.manifest import MANIFEST_NAME, verify_manifest
from autograder.submissions.members import ANY_ZIP, MAX_SOURCE_BYTES, Member, UnsafeArchive
from autograder.submissions.near_names import hint
from autograder.submissions.nested import Opened, open_archives
from autograder.submissions.source import is_source, normalize

_SHOWN = 20


@dataclass(frozen=True)
class Submission:
    """What one student submitted for one session.

    `student` is safe to show, `slug` is a file name and unique to the student. `files` are the
    listed files that could be read, in the session's order: modules (`.py`) as UTF-8 without
    byte-order mark or carriage returns, others byte for byte. `sha256` covers the names and bytes
    of all listed files. `problems` are for the student, and so are `remarks`, which say nothing
    against it; for the teaching assistant are `incidents`, things that happened, and `notes` on
    names in the source that honest work rarely needs, and on what was not read. `ignored` names the
    first other files. `submitted_at` (ISO 8601) comes from the platform, never from the student,
    and so does `identity`. What has the same `group` and hash is one piece of work of several
    students.
    """

    student: str
    slug: str
    sha256: str
    files: tuple[tuple[str, bytes], ...] = ()
    problems: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    incidents: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    submitted_at: str | None = None
    identity: Identity = field(default_factory=Identity)
    group: str = ""

    @property
    def told(self) -> tuple[str, ...]:
        """All lines for the student."""
        return (*self.problems, *self.remarks)


def read_submission(
    path: Path,
    session: Session,
    limits: ArchiveLimits,
    *,
    student: str | None = None,
    submitted_at: str | None = None,
) -> Submission:
    """Read one folder or archive, which must not be a link; never raises for what it holds.

    `student` is the name that the platform gives; without it, the name of the folder or archive
    counts (less its suffix and `_<session id>`, which `submit` appends).
    """
    raw = student if student is not None else student_of(path.name, session)
    try:
        mode = path.lstat().st_mode
        if reason := refused_kind(mode):
            raise UnsafeArchive(f"{reason}, which is not followed")
        read = read_folder if stat.S_ISDIR(mode) else read_archive
        members = read(str(path), limits, max_sizes(session, limits))
    except (SubmissionError, OSError) as error:
        submission = unreadable(raw, quoted(path.name), error)
    else:
        submission = assess(raw, members, session, limits)
    return replace(submission, submitted_at=submitted_at)


def student_of(file_name: str, session: Session) -> str:
    """The student's raw name from the name of a folder or archive.

    Browsers number a second archive of one name: `ada_s1 (1).zip` is ada's as well.
    """
    suffix = archive_suffix(file_name)
    stem = file_name[: len(file_name) - len(suffix)]
    packed = re.fullmatch(rf"(.+)_{session.id}(?: ?\(\d+\)|-\d+)?", stem, re.I | re.S)
    return packed[1] if suffix and packed else stem


def content_hash(contents: Mapping[str, bytes]) -> str:
    """SHA-256 over names and bytes in the order of the names, each preceded by its length."""
    digest = hashlib.sha256()
    for name, data in sorted(contents.items()):
        for part in (name.encode(), data):
            digest.update(len(part).to_bytes(8, "big"))
            digest.update(part)
    return digest.hexdigest()


def max_sizes(session: Session, limits: ArchiveLimits) -> dict[str, int]:
    """The files that are picked up, and how many bytes each may have (`members.is_kept`)."""
    sizes = {
        name: MAX_SOURCE_BYTES if is_source(name) else limits.max_bytes
        for name in session.required_files
    }
    return {**sizes, MANIFEST_NAME: MAX_SOURCE_BYTES, ANY_ZIP: limits.max_bytes}


def unreadable(raw: str, shown: str, error: SubmissionError | OSError) -> Submission:
    """The record of what could not be read at all; `shown` is what it is called in messages."""
    text = f"cannot be read ({error.strerror})" if isinstance(error, OSError) else str(error)
    line = f"{shown}: {text}"
    return ungraded(raw, line, incident=isinstance(error, UnsafeArchive))


def ungraded(raw: str, problem: str, *, incident: bool = False) -> Submission:
    """A record without files, whose one problem says why."""
    return _record(raw, (problem,), (problem,) if incident else ())


def assess(
    raw: str, members: Sequence[Member], session: Session, limits: ArchiveLimits
) -> Submission:
    """Pick the session's files out of a submission's members, and check each."""
    required = session.required_files
    everything = open_archives(members, limits, max_sizes(session, limits))
    # Nothing in an archive wins over all files at the top: then it is only compared with them.
    opened = Opened(tuple(members)) if _lie_at_top(required, members) else everything
    chosen = choose(opened.members, required, session.folder)
    folder, here = chosen.folder, _files_in(opened.members, chosen.folder)
    used = {*required, MANIFEST_NAME}
    others = [m for m in opened.members if m.parent != folder or m.name not in used]
    contents: dict[str, bytes] = {}
    files: list[tuple[str, bytes]] = []
    problems = [chosen.problem] if chosen.problem else []
    for name in required if not chosen.problem else ():
        try:
            contents[name] = _content(name, here.get(name), others)
            if is_source(name):
                contents[name] = normalize(contents[name])
            files.append((name, contents[name]))
        except SubmissionError as error:
            problems.append(f"{name} {error}")
    problems += _manifest_problems(here, session)
    complete = len(files) == len(required)
    odd = [*others, *(m for m in here.values() if m.reason and m.name in used)]
    record = _record(
        raw,
        problems if complete else [*_lines(opened.failures), *problems],
        [*opened.unsafe, *(line for m in odd if (line := flag(m, folder or "")))],
        [identity.display_name(m.path) for m in others],
        contents,
        files,
    )
    beside = left_out(everything.members, chosen, session, everything.failures if complete else {})
    return replace(record, notes=_notes(files, beside.notes), remarks=beside.remarks)


def _lie_at_top(required: Iterable[str], members: Iterable[Member]) -> bool:
    return set(required) <= {m.name for m in members if not m.parent and m.data is not None}


def _lines(failures: Mapping[str, str]) -> Iterator[str]:
    return (f"{quoted(path)}: {reason}" for path, reason in failures.items())


def _files_in(members: Iterable[Member], folder: str | None) -> dict[str, Member]:
    return {m.name: m for m in members if m.parent == folder} if folder is not None else {}


def _notes(files: Sequence[tuple[str, bytes]], beside: Sequence[str]) -> tuple[str, ...]:
    lines = list(beside)
    for name, data in files:
        if is_source(name):
            lines += mentions(name, data.decode("utf-8"))
    return _capped(lines)


def _content(name: str, member: Member | None, others: Iterable[Member]) -> bytes:
    """The raw bytes of a listed file; SubmissionError (text without the name) if it has none."""
    if member is None:
        raise SubmissionError(f"is missing{hint(name, others)}")
    if member.reason:
        raise SubmissionError(member.reason)
    if member.data is None:
        raise SubmissionError(f"is too large ({member.size:,} bytes)")
    return member.data


def _manifest_problems(here: Mapping[str, Member], session: Session) -> tuple[str, ...]:
    """What the manifest, if there is one, says differently."""
    manifest = here.get(MANIFEST_NAME)
    if manifest is None:
        return ()
    if manifest.data is None:
        return (f"{MANIFEST_NAME} is not readable",)
    files = {n: m.data for n in session.required_files if (m := here.get(n)) and m.data is not None}
    return verify_manifest(manifest.data, session.id, files)


def _capped(lines: Iterable[str]) -> tuple[str, ...]:
    """The first lines, and how many more there are."""
    unique = tuple(dict.fromkeys(lines))
    if len(unique) <= _SHOWN:
        return unique
    return (*unique[:_SHOWN], f"and {len(unique) - _SHOWN:,} more")


def _record(
    raw: str,
    problems: Iterable[str],
    incidents: Iterable[str] = (),
    ignored: Iterable[str] = (),
    contents: Mapping[str, bytes] = MappingProxyType({}),
    files: Iterable[tuple[str, bytes]] = (),
) -> Submission:
    return Submission(
        student=identity.display_name(raw),
        slug=identity.slug(raw),
        sha256=content_hash(contents),
        files=tuple(files),
        problems=_capped(problems),
        incidents=_capped(incidents),
        ignored=_capped(ignored),
    )
