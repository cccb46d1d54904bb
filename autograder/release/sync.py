"""Writes the generated files into a folder, or says how the folder differs from them."""

from __future__ import annotations

import difflib
import itertools
import shutil
import tempfile
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from autograder.errors import ReleaseError
from autograder.release.build import walk
from autograder.release.text import COMMAND, decode, refuse

MANIFEST = "GENERATED.txt"
_STAGING = ".release-"

Files = Mapping[str, bytes]


def write_release(files: Files, assignments_dir: Path) -> None:
    """Make `assignments_dir` hold exactly the generated `files`, and remove stale generated ones.

    `GENERATED.txt` in the folder lists what is generated; anything else is left alone. All
    files are written aside first and then moved to their paths, so a full disk changes nothing and
    an interrupted run can be repeated. Raises `ReleaseError` for a folder with content but
    without that list, for a file in the way that was not generated, and for links, which could
    lead outside.
    """
    expected = _with_manifest(files)
    try:
        known = _generated_files(assignments_dir)
        _check_target(expected, known, assignments_dir)
        assignments_dir.mkdir(parents=True, exist_ok=True)
        with _staging(assignments_dir) as staging:
            for name, data in expected.items():
                _write(staging / "new" / name, data)
            _write(staging / MANIFEST, _manifest(known | set(files)))
            (staging / MANIFEST).replace(assignments_dir / MANIFEST)
            for name in sorted(known - set(files)):
                _remove(assignments_dir, name)
            for name in expected:
                (assignments_dir / name).parent.mkdir(parents=True, exist_ok=True)
                if name != MANIFEST:
                    (staging / "new" / name).replace(assignments_dir / name)
            (staging / "new" / MANIFEST).replace(assignments_dir / MANIFEST)
    except OSError as error:
        path = error.filename or assignments_dir
        raise ReleaseError(f"{path}: {error.strerror or type(error).__name__}") from None


def check_release(files: Files, assignments_dir: Path) -> list[str]:
    """Return unified diff lines from `assignments_dir` to `files`; empty means in sync.

    Missing and stale files are diffs against /dev/null; a file that nobody generated is one
    line. Raises `ReleaseError` where the folder's list of generated files is unusable.
    """
    expected = _with_manifest(files)
    try:
        present = {}
        if assignments_dir.is_dir():
            paths = [path for path in walk(assignments_dir) if path.is_file()]
            present = {path.relative_to(assignments_dir).as_posix(): path for path in paths}
        known = _generated_files(assignments_dir) if MANIFEST in present else set()
        lines: list[str] = []
        for name in sorted(expected.keys() | present.keys()):
            label = (assignments_dir / name).as_posix()
            if name not in expected and name not in known:
                lines.append(f"{label}: not generated; move it to solutions/ or delete it")
                continue
            old = present[name].read_bytes() if name in present else None
            lines += _diff(label, old, expected.get(name))
    except OSError as error:
        path = error.filename or assignments_dir
        raise ReleaseError(f"{path}: {error.strerror or type(error).__name__}") from None
    return lines


def _diff(name: str, old: bytes | None, new: bytes | None) -> list[str]:
    if old == new:
        return []
    try:
        before = old.decode().split("\n") if old is not None else []
        after = new.decode().split("\n") if new is not None else []
    except UnicodeDecodeError:
        return [f"Binary files {name} differ"]
    labels = ("/dev/null" if old is None else name, "/dev/null" if new is None else name)
    return list(difflib.unified_diff(before, after, *labels, lineterm=""))


def _manifest(names: Iterable[str]) -> bytes:
    head = f"Generated from solutions/ by `{COMMAND}`: change it there. What is generated:"
    return "\n".join([head, "", *sorted(names), ""]).encode()


def _with_manifest(files: Files) -> dict[str, bytes]:
    for name in files:
        if not _is_relative(name) or name == MANIFEST:
            raise ReleaseError(f"{name!r} is not a relative path in the target folder")
    return {**files, MANIFEST: _manifest(files)}


def _is_relative(name: str) -> bool:
    path = PurePosixPath(name)
    parts = path.parts
    return bool(parts) and not path.is_absolute() and ".." not in parts and "\\" not in name


def _generated_files(target: Path) -> set[str]:
    """Return what the folder's list names; the empty set for a folder that is new or empty."""
    if not target.exists():
        return set()
    if not target.is_dir():
        raise ReleaseError(f"{target}: not a folder")
    manifest = target / MANIFEST
    if not manifest.is_file():
        if any(not entry.name.startswith(_STAGING) for entry in target.iterdir()):
            message = f"holds files but no {MANIFEST}; choose a new folder or one of a release"
            raise ReleaseError(f"{target}: {message}")
        return set()
    names = decode(manifest.read_bytes(), str(manifest)).split("\n")[2:]
    for line, name in enumerate(names, start=3):
        if name and not _is_relative(name):
            raise refuse(str(manifest), line, f"{name!r} is not a relative path in the folder")
    return {name for name in names if name}


def _check_target(expected: Files, known: Collection[str], target: Path) -> None:
    for name in sorted({*expected, *known}):
        parents = [
            target.joinpath(*PurePosixPath(name).parts[: n + 1]) for n in range(name.count("/"))
        ]
        for path in (*parents, target / name):
            if path.is_symlink():
                raise ReleaseError(f"{path}: a link, which a release does not follow")
    for name in sorted(expected.keys() - {MANIFEST} - set(known)):
        path = target / name
        if path.is_file() and path.read_bytes() != expected[name]:
            raise ReleaseError(f"{path}: in the way, and not generated; move it elsewhere")


@contextmanager
def _staging(target: Path) -> Iterator[Path]:
    for leftover in target.glob(f"{_STAGING}*"):
        shutil.rmtree(leftover)
    staging = Path(tempfile.mkdtemp(prefix=_STAGING, dir=target))
    try:
        yield staging
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def _remove(target: Path, name: str) -> None:
    """Remove a generated file, and the folders that it leaves empty."""
    path = target / name
    path.unlink(missing_ok=True)
    for folder in itertools.takewhile(lambda parent: parent != target, path.parents):
        if not folder.is_dir() or any(folder.iterdir()):
            break
        folder.rmdir()
