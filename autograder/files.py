"""Files that are either the old one or the whole new one."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from autograder.errors import AutograderError


def write(path: Path, text: str, mode: int = 0o644) -> None:
    """Write a text as UTF-8, line ends as given; OSError leaves what was there."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:40]}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
            file.write(text)
        Path(name).chmod(mode)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def check_writable(folder: Path) -> None:
    """AutograderError in one line if nothing can be written to a folder, made yet or not."""
    there = next(each for each in (folder.absolute(), *folder.absolute().parents) if each.exists())
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        raise AutograderError(f"{folder}: cannot be written to ({error.strerror})") from None


def writable_folder(folder: Path) -> Path:
    """The folder, made if need be; AutograderError in one line if nothing can be written there."""
    check_writable(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise AutograderError(f"{folder}: cannot be written to ({error.strerror})") from None
    return folder
