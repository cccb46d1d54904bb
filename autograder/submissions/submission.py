"""Folders and archives become `Submission` records: the session's files, and notes on the rest.

Only the listed files are ever looked into. Nothing is compiled or imported here, and the original
is never written. Whatever is wrong with one submission becomes a line of its record; only a path
that holds no submissions at all is an error.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from autograder.course import ArchiveLimits, Session
from autograder.errors import SubmissionError
from autograder.submissions import identity
from autograder.submissions.archive import archive_suffix, read_archive
from autograder.submissions.files import refused_kind
from autograder.submissions.flagged_files import flag
from autograder.submissions.flagged_lines import mentions
from autograder.submissions.folder import read_folder
from autograder.submissions.identity import quoted
from autograder.submissions.manifest import MANIFEST_NAME, verify_manifest
from autograder.submissions.members import MAX_SOURCE_BYTES, Member, UnsafeArchive, is_hidden
from autograder.submissions.source import is_source, normalize

_SHOWN = 20
LEFT_BY_TOOLS = frozenset(
    {
        *(".git", ".github", ".gitignore", ".gitattributes", ".hg", ".svn"),
        *("__MACOSX", ".DS_Store", ".Trash", ".Trashes", ".Spotlight-V100", ".fseventsd"),
        *(".ipynb_checkpoints", ".venv", ".vscode", ".idea", ".cache"),
        *(".mypy_cache", ".pytest_cache", ".ruff_cache", ".directory"),
    }
)
"""Hidden names that no student chose, in a folder of submissions."""


@dataclass(frozen=True)
class Submission:
    """What one student submitted for one session.

    `student` is safe to show, `slug` is a file name and unique to the student. `files` are the
    listed files that could be read, in the session's order: modules (`.py`) as UTF-8 without
    byte-order mark or carriage returns, others byte for byte. `sha256` covers the names and bytes
    of all listed files. `problems` are for the student; for the teaching assistant are `incidents`,
    things that happened, and `notes` on names in the source that honest work rarely needs.
    `ignored` names the first other files. `submitted_at` (ISO 8601) comes from the platform,
    never from the student.
    """

    student: str
    slug: str
    sha256: str
    files: tuple[tuple[str, bytes], ...] = ()
    problems: tuple[str, ...] = ()
    incidents: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    submitted_at: str | None = None


@dataclass(frozen=True)
class Collected:
    """All submissions under a path, by name; `errors` are lines on what cannot be graded."""

    submissions: tuple[Submission, ...]
    errors: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Candidate:
    """A folder or file that may be a submission; `raw` is the student's name as it stands there."""

    path: Path
    raw: str
    shown: str


def collect(path: Path, session: Session, limits: ArchiveLimits) -> Collected:
    """Read every submission under `path`.

    `path` is a folder with one sub-folder or archive per student, or a single submission.
    `limits.max_bytes` holds for an archive, for what it unpacks to and for a listed file that is
    no module. What may be the same student's (a folder and an archive of one name, names that
    differ in case only) is not graded: each gets a record whose problem names them all.
    SubmissionError if there is nothing to read.
    """
    root = Path(os.path.realpath(path))
    try:
        mode = root.stat().st_mode
        names = sorted(os.listdir(root)) if stat.S_ISDIR(mode) else []  # noqa: PTH208
    except OSError as error:
        raise SubmissionError(f"cannot read {path}: {error.strerror}") from None
    if not stat.S_ISDIR(mode):
        if not archive_suffix(root.name):
            raise SubmissionError(f"{path} is neither a folder nor an archive")
        return Collected((read_submission(root, session, limits),))
    visible = [name for name in names if not is_hidden(name)]
    own = [name for name in visible if name in session.required_files or name == session.folder]
    others = [name for name in visible if name not in own and _may_be_one(root / name, session)]
    if own and not others:
        return Collected((read_submission(root, session, limits),))
    if session.folder in own or set(session.required_files) <= set(own):
        raise SubmissionError(
            f"{path} holds both a submission ({quoted(own[0])}) "
            f"and submissions ({quoted(others[0])}); keep them apart"
        )
    candidates, errors = _list_candidates(root, visible, session)
    errors += _skipped(names)
    if not candidates:
        raise SubmissionError(
            f"no submissions in {path}: expected one folder or archive per student"
        )
    return _read_candidates(candidates, errors, session, limits)


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
    raw = student if student is not None else _student_of(path.name, session)
    try:
        mode = path.lstat().st_mode
        if reason := refused_kind(mode):
            raise UnsafeArchive(f"{reason}, which is not followed")
        read = read_folder if stat.S_ISDIR(mode) else read_archive
        members = read(str(path), limits, _max_sizes(session, limits))
    except (SubmissionError, OSError) as error:
        text = f"cannot be read ({error.strerror})" if isinstance(error, OSError) else str(error)
        line = f"{quoted(path.name)}: {text}"
        incidents = (line,) if isinstance(error, UnsafeArchive) else ()
        return _record(raw, (line,), incidents, submitted_at=submitted_at)
    return _assess(raw, [m for m in members if not m.is_hidden], session, submitted_at)


def content_hash(contents: Mapping[str, bytes]) -> str:
    """SHA-256 over names and bytes in the order of the names, each preceded by its length."""
    digest = hashlib.sha256()
    for name, data in sorted(contents.items()):
        for part in (name.encode(), data):
            digest.update(len(part).to_bytes(8, "big"))
            digest.update(part)
    return digest.hexdigest()


def _list_candidates(
    root: Path, names: Iterable[str], session: Session
) -> tuple[list[_Candidate], list[str]]:
    """The folders and archives among `names`, and a line for each other file."""
    candidates: list[_Candidate] = []
    errors: list[str] = []
    for name in names:
        path = root / name
        try:
            mode = path.lstat().st_mode
        except OSError:
            mode = 0  # gone since it was listed: reading it will say so
        if stat.S_ISREG(mode) and not archive_suffix(name):
            errors.append(f"{quoted(name)} is neither a folder nor an archive and was skipped")
            continue
        is_folder = stat.S_ISDIR(mode)
        raw = name if is_folder else _student_of(name, session)
        candidates.append(_Candidate(path, raw, quoted(f"{name}/" if is_folder else name)))
    return candidates, errors


def _may_be_one(path: Path, session: Session) -> bool:
    """Whether this is an archive, or a folder with a listed file at its top or one level below."""
    if not path.is_dir() or path.is_symlink():
        return bool(archive_suffix(path.name))
    wanted = session.required_files
    return any(
        (folder / name).exists() for folder in (path, path / session.folder) for name in wanted
    )


def _skipped(names: Iterable[str]) -> Iterator[str]:
    """A line for each name that begins with a dot and may be a student's."""
    for name in names:
        if is_hidden(name) and name not in LEFT_BY_TOOLS:
            yield f"{quoted(name)} was skipped: its name begins with a dot"


def _read_candidates(
    candidates: Sequence[_Candidate], errors: list[str], session: Session, limits: ArchiveLimits
) -> Collected:
    slugs = identity.slugs(candidate.raw for candidate in candidates)
    by_student: dict[str, list[_Candidate]] = defaultdict(list)
    for candidate in candidates:
        by_student[identity.same_student_key(candidate.raw)].append(candidate)
    submissions: list[Submission] = []
    for group in by_student.values():
        line = _ambiguity(group)
        if line:
            errors.append(line)
        for slug, candidate in {slugs[candidate.raw]: candidate for candidate in group}.items():
            if line:
                submission = _record(candidate.raw, (line,))
            else:
                submission = read_submission(candidate.path, session, limits, student=candidate.raw)
            submissions.append(replace(submission, slug=slug))
    errors += _longer_slugs(candidates, slugs)
    return Collected(tuple(sorted(submissions, key=lambda s: (s.student, s.slug))), tuple(errors))


def _ambiguity(group: Sequence[_Candidate]) -> str:
    """One line on candidates that may be the same student's; empty for a single one."""
    if len(group) == 1:
        return ""
    shown = " and ".join(candidate.shown for candidate in group)
    return f"{shown} may be the same student's; none was graded, keep one"


def _longer_slugs(candidates: Iterable[_Candidate], slugs: Mapping[str, str]) -> list[str]:
    """One line for each set of different names that would share the name of a results file."""
    shared: dict[str, list[str]] = defaultdict(list)
    for candidate in candidates:
        short = identity.slug(candidate.raw)
        if slugs[candidate.raw] != short:
            shared[short].append(candidate.shown)
    return [
        f"{' and '.join(names)} would share one results file; theirs have longer names"
        for names in shared.values()
    ]


def _student_of(file_name: str, session: Session) -> str:
    """The student's raw name from the name of a folder or archive."""
    suffix = archive_suffix(file_name)
    stem = file_name[: len(file_name) - len(suffix)]
    return (stem.removesuffix(f"_{session.id}") if suffix else stem) or stem


def _max_sizes(session: Session, limits: ArchiveLimits) -> dict[str, int]:
    """The files that are picked up, and how many bytes each may have."""
    sizes = {
        name: MAX_SOURCE_BYTES if is_source(name) else limits.max_bytes
        for name in session.required_files
    }
    return {**sizes, MANIFEST_NAME: MAX_SOURCE_BYTES}


def _assess(
    raw: str, members: Sequence[Member], session: Session, submitted_at: str | None
) -> Submission:
    """Pick the session's files out of a submission's visible members and check each."""
    folders = sorted(
        {m.parent for m in members if m.name in session.required_files and "/" not in m.parent}
    )
    folder = _folder(folders, session)
    here = {m.name: m for m in members if m.parent == folder} if folder is not None else {}
    used = {*session.required_files, MANIFEST_NAME}
    others = [m for m in members if m.parent != folder or m.name not in used]
    contents: dict[str, bytes] = {}
    files: list[tuple[str, bytes]] = []
    problems: list[str] = []
    if folder is None and folders:
        shown = " and ".join(quoted(name) if name else "the top" for name in folders)
        problems.append(f"the session's files lie in more than one place ({shown}); keep one")
    else:
        for name in session.required_files:
            try:
                contents[name] = _content(name, here.get(name), others)
                if is_source(name):
                    contents[name] = normalize(contents[name])
                files.append((name, contents[name]))
            except SubmissionError as error:
                problems.append(f"{name} {error}")
        problems += _manifest_problems(here, session)
    odd = [*others, *(m for m in here.values() if m.reason and m.name in used)]
    incidents = [line for m in odd if (line := flag(m, folder or ""))]
    notes = [
        line
        for name, data in files
        if is_source(name)
        for line in mentions(name, data.decode("utf-8"))
    ]
    ignored = [identity.display_name(m.path) for m in others]
    record = _record(raw, problems, incidents, ignored, contents, files, submitted_at)
    return replace(record, notes=_capped(notes))


def _folder(folders: Sequence[str], session: Session) -> str | None:
    """The one folder with the session's files; the session's own folder wins over others."""
    if session.folder in folders and "" not in folders:
        return session.folder
    return folders[0] if len(folders) == 1 else None


def _content(name: str, member: Member | None, others: Iterable[Member]) -> bytes:
    """The raw bytes of a listed file; SubmissionError (text without the name) if it has none."""
    if member is None:
        folded = name.casefold()
        near = next((m.path for m in others if m.name.casefold() == folded), None)
        raise SubmissionError("is missing" + (f"; {quoted(near)} was ignored" if near else ""))
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
    submitted_at: str | None = None,
) -> Submission:
    return Submission(
        student=identity.display_name(raw),
        slug=identity.slug(raw),
        sha256=content_hash(contents),
        files=tuple(files),
        problems=_capped(problems),
        incidents=_capped(incidents),
        ignored=_capped(ignored),
        submitted_at=submitted_at,
    )
