"""All of solutions/ against course.yaml: the files that assignments/ must hold."""

from __future__ import annotations

import io
import tokenize
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

from autograder.course import Course
from autograder.course.consistency import did_you_mean
from autograder.errors import ReleaseError
from autograder.release.notebook import LAB, LAB_SOURCE, lab_notebook
from autograder.release.regions import find_regions, strip_source
from autograder.release.text import decode, notice, read, refuse

_COMMENT_FORM = {
    ".py": "# {}",
    ".toml": "# {}",
    ".yaml": "# {}",
    ".yml": "# {}",
    ".md": "<!-- {} -->",
}


def build_release(course: Course, solutions_dir: Path) -> dict[str, bytes]:
    """Return what assignments/ must hold: relative POSIX path -> bytes, in order of the paths.

    Reads `solutions_dir` and nothing else. Raises `ReleaseError` for what `find_regions` and
    `lab_notebook` refuse, for ids that course.yaml does not know, that are missing from the file
    of their module or stand in another, for folders that are no session, links, and files that are
    not UTF-8.
    """
    sources = _sources(solutions_dir)
    root = solutions_dir.resolve().name
    _check_folders(course, sources, root)
    built: dict[str, bytes] = {}
    for name, path in sources.items():
        target, data = _convert(name, read(path, f"{root}/{name}"), f"{root}/{name}")
        if target in built or (target != name and target in sources):
            raise refuse(f"{root}/{name}", 1, f"{target} would be written twice")
        built[target] = data
    _check_ids(course, sources, root)
    return dict(sorted(built.items()))


LECTURER_ONLY = "reference"
"""A folder of this name is the lecturer's: a finished project, say. It is never released."""


def _is_course_file(name: str) -> bool:
    skipped = ("__pycache__", LECTURER_ONLY)
    return not name.startswith(".") and name not in skipped and not name.endswith(".pyc")


def walk(folder: Path) -> Iterator[Path]:
    """Yield files and links below a folder in a fixed order, without hidden files and caches."""
    for entry in sorted(folder.iterdir()):
        if not _is_course_file(entry.name):
            continue
        if entry.is_dir() and not entry.is_symlink():
            yield from walk(entry)
        else:
            yield entry


def _sources(solutions_dir: Path) -> dict[str, Path]:
    if not solutions_dir.is_dir():
        raise ReleaseError(f"{solutions_dir}: no such folder; expected the course's solutions/")
    sources = {}
    for path in walk(solutions_dir):
        name = path.relative_to(solutions_dir).as_posix()
        if path.is_symlink() or not path.is_file():
            raise refuse(f"{solutions_dir.name}/{name}", 1, "not a plain file")
        sources[name] = path
    return sources


def _check_folders(course: Course, sources: Mapping[str, Path], root: str) -> None:
    present = {PurePosixPath(name).parts[0] for name in sources if "/" in name}
    expected = {session.folder for session in course.sessions}
    for folder in sorted(present - expected):
        raise ReleaseError(f"{root}/{folder}: no session of course.yaml has this folder")
    for session in course.sessions:
        if session.folder not in present:
            raise ReleaseError(f"{root}/{session.folder}: missing or empty; course.yaml lists it")
        for module in session.modules:
            if f"{session.folder}/{module.file}" not in sources:
                message = f"missing; course.yaml lists it in {session.id}"
                raise ReleaseError(f"{root}/{session.folder}/{module.file}: {message}")


def _convert(name: str, data: bytes, where: str) -> tuple[str, bytes]:
    """Return the path and the bytes that students get for one file of solutions/."""
    path = PurePosixPath(name)
    if path.name == LAB_SOURCE:
        return path.with_name(LAB).as_posix(), lab_notebook(decode(data, where), where)
    form = _COMMENT_FORM.get(path.suffix)
    if form is None:
        return name, data
    text = decode(data, where)
    if path.suffix == ".py":
        _check_encoding(data, where)
        text = strip_source(text, where)
    return name, f"{form.format(notice(where))}\n{text}".encode()


def _check_encoding(data: bytes, where: str) -> None:
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
    except SyntaxError as error:
        raise refuse(where, 1, f"not Python: {error.msg}") from None
    if encoding not in ("utf-8", "utf-8-sig"):
        raise refuse(where, 1, f"declares {encoding}; expected UTF-8")


def _check_ids(course: Course, sources: Mapping[str, Path], root: str) -> None:
    home = {
        exercise.id: f"{session.folder}/{module.file}"
        for session in course.sessions
        for module in session.modules
        for exercise in module.exercises
    }
    seen: set[str] = set()
    for name, path in sources.items():
        if not name.endswith(".py") or PurePosixPath(name).name == LAB_SOURCE:
            continue
        where = f"{root}/{name}"
        for region in find_regions(decode(read(path, where), where), where):
            message = None
            if region.id not in home:
                message = f"unknown exercise id {region.id!r}{did_you_mean(region.id, home)}"
            elif home[region.id] != name:
                message = f"course.yaml lists {region.id} in {home[region.id]}, not here"
            if message:
                raise refuse(where, region.begin, message)
            seen.add(region.id)
    for exercise_id, name in home.items():
        if exercise_id not in seen:
            raise refuse(f"{root}/{name}", 1, f"no region for {exercise_id}")
