"""Files that are either the old one or the whole new one, folders that they go to, and zips."""

from __future__ import annotations

import io
import os
import tempfile
import zipfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from autograder.errors import AutograderError

UNFINISHED = ".unfinished"
"""How the name of a file ends until it is whole; one that stays is of a process that was killed."""

Stamp = tuple[int, int, int, int, int, int]
"""Year, month, day, hour, minute and second of a file in a zip."""
FIRST_STAMP: Stamp = (1980, 1, 1, 0, 0, 0)
"""The first moment that a zip can express: for the same bytes whenever it is made."""

_UNIX = 3
_PLAIN, _RUNNABLE = 0o100644 << 16, 0o100755 << 16


def write(path: Path, content: str | bytes, mode: int = 0o644, *, durable: bool = False) -> None:
    """Write bytes, or a text as UTF-8 with its line ends; OSError leaves what was there.

    With `durable`, the file survives a loss of power from the moment this returns.
    """
    descriptor, name = tempfile.mkstemp(UNFINISHED, f".{path.name[:40]}.", path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content.encode("utf-8") if isinstance(content, str) else content)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        Path(name).chmod(mode)
        Path(name).replace(path)
        if durable:
            _sync_folder(path.parent)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def remove_unfinished(folder: Path) -> None:
    """Remove what writers that were killed left in a folder to which nobody writes now."""
    for path in folder.glob(f".*{UNFINISHED}"):
        path.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Make a renaming durable, where the system can open folders."""
    if hasattr(os, "O_DIRECTORY"):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def check_writable(folder: Path) -> None:
    """AutograderError in one line if nothing can be written to a folder, made yet or not."""
    with _in_one_line(folder):
        path = folder.absolute()
        there = next(parent for parent in (path, *path.parents) if parent.exists())
        with tempfile.TemporaryFile(dir=there):
            pass


def writable_folder(folder: Path) -> Path:
    """The folder, made if need be; AutograderError in one line if nothing can be written there."""
    check_writable(folder)
    with _in_one_line(folder):
        folder.mkdir(parents=True, exist_ok=True)
    return folder


def write_output(path: Path, content: str | bytes, *, durable: bool = False) -> None:
    """`write` what somebody has asked for; AutograderError in one line if it cannot be."""
    with _in_one_line(path):
        write(path, content, durable=durable)


@contextmanager
def _in_one_line(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise AutograderError(f"{path}: cannot be written to ({error.strerror})") from None


def zip_bytes(
    files: Mapping[str, bytes],
    *,
    stamp: Stamp = FIRST_STAMP,
    runnable: Collection[str] = (),
    stored: bool = False,
) -> bytes:
    """A zip of contents by relative POSIX path: the same bytes for the same files, on any system.

    Files named in `runnable` may be executed once unpacked; `stored` does without compression.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in sorted(files.items()):
            member = zipfile.ZipInfo(name, stamp)
            member.create_system = _UNIX  # on Windows the modes would be lost
            member.external_attr = _RUNNABLE if name in runnable else _PLAIN
            member.compress_type = zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED
            archive.writestr(member, content)
    return buffer.getvalue()
