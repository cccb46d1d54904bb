"""Files that are either the old one or the whole new one, and folders that they go to."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from autograder.errors import AutograderError

UNFINISHED = ".unfinished"
"""How the name of a file ends until it is whole; one that stays is of a process that was killed."""


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


@contextmanager
def _in_one_line(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise AutograderError(f"{folder}: cannot be written to ({error.strerror})") from None
