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


def writable_folder(folder: Path) -> Path:
    """The folder, made if need be; AutograderError in one line if nothing can be written there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise AutograderError(f"{folder}: cannot be written to ({error.strerror})") from None
    return folder
