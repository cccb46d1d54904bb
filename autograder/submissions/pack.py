"""Packs a student's own files into one submission: the listed files and a hash manifest."""

from __future__ import annotations

import ast
import warnings
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from autograder import KIT
from autograder.course import Session
from autograder.errors import SubmissionError
from autograder.files import FIRST_STAMP, Stamp, write, zip_bytes
from autograder.submissions.advice import advice
from autograder.submissions.identity import file_name_for
from autograder.submissions.manifest import MANIFEST_NAME, write_manifest
from autograder.submissions.source import is_source, normalize


@dataclass(frozen=True)
class Packed:
    """The archive that was written, and what the student should know before submitting it."""

    path: Path
    warnings: tuple[str, ...] = ()


def pack(
    session: Session, folder: Path, out_dir: Path, student: str, now: datetime | None = None
) -> Packed:
    """Write `<student>_<session>.zip` with the session's files from `folder`.

    An earlier archive of that name is replaced. What may cost points where it is graded gives
    warnings (see `advice`).
    The bytes depend on the files, the session, the kit's version and `now` only (an aware
    datetime, by default the present). SubmissionError if a file is missing, a module does not
    compile (naming the line), or the archive cannot be written.
    """
    stem = file_name_for(student)
    if not stem:
        raise SubmissionError("the student's name is empty; give it with --student")
    created_at = now if now is not None else datetime.now(UTC)
    files = {name: _read(folder / name) for name in session.required_files}
    trees = {name: _parse(name, data) for name, data in files.items() if is_source(name)}
    manifest = write_manifest(session.id, _kit_version(), files, created_at)
    path = out_dir / f"{stem}_{session.id}.zip"
    try:
        out_dir.mkdir(parents=True, exist_ok=True)
        packed = {**files, MANIFEST_NAME: manifest}
        write(path, zip_bytes(packed, stamp=_stamp(created_at), stored=True), mode=0o600)
    except OSError as error:
        raise SubmissionError(f"cannot write {path}: {error.strerror}") from None
    return Packed(path, advice(session, trees))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise SubmissionError(f"{path.name} is missing in {path.parent}") from None
    except OSError as error:
        raise SubmissionError(f"cannot read {path}: {error.strerror}") from None


def _parse(name: str, data: bytes) -> ast.Module:
    """The syntax tree of a file that the grader will accept and Python compiles."""
    try:
        text = normalize(data).decode("utf-8")
    except SubmissionError as error:
        raise SubmissionError(f"{name} {error}") from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text, name)
            compile(tree, name, "exec", dont_inherit=True)
    except SyntaxError as error:
        raise SubmissionError(f"{name}, line {error.lineno}: {error.msg}") from None
    except (MemoryError, RecursionError):
        raise SubmissionError(f"{name} cannot be compiled: it is nested too deeply") from None
    return tree


def _stamp(moment: datetime) -> Stamp:
    """The moment in UTC, as a zip can express it."""
    utc = moment.astimezone(UTC)
    year = max(utc.year, FIRST_STAMP[0])
    return (year, utc.month, utc.day, utc.hour, utc.minute, utc.second)


def _kit_version() -> str:
    try:
        return metadata.version(KIT)
    except metadata.PackageNotFoundError:
        return "unknown"
