"""Files that are either the old one or the whole new one, and folders that they go to."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from autograder.errors import AutograderError


def write(path: Path, content: str | bytes, mode: int = 0o644) -> None:
    """Write bytes, or a text as UTF-8 with its line ends; OSError leaves what was there."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:40]}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content.encode("utf-8") if isinstance(content, str) else content)
        Path(name).chmod(mode)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def check_writable(folder: Path) -> None:
    """AutograderError in one line if nothing can be written to a folder, made yet or not."""
    with _in_one_line(folder):
        place = folder.absolute()
        there = next(each for each in (place, *place.parents) if each.exists())
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
