"""Opening what lies in a folder of submissions without being led elsewhere.

Such a folder may still belong to a student (nbgrader's exchange, a shared home), so every
step is made relative to an open folder and refuses links, where the system can do so.
"""

from __future__ import annotations

import os
import stat

from autograder.errors import SubmissionError

Folder = int | str
"""An open descriptor where the system can open relative to one, else a path (Windows)."""

_RELATIVE = os.open in os.supports_dir_fd and os.scandir in os.supports_fd
_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)
# A FIFO would block on opening; O_NONBLOCK does nothing to a regular file.
_READ = os.O_RDONLY | _NO_FOLLOW | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


def refused_kind(mode: int) -> str:
    """Why an entry that is neither a file nor a folder is not read; empty for those two."""
    if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
        return ""
    return "is a symbolic link" if stat.S_ISLNK(mode) else "is a device or another special file"


def open_folder(name: str, parent: Folder | None = None) -> Folder:
    """Open a folder that is not a link; close it with `close_folder`. OSError as usual."""
    if not _RELATIVE:
        path = name if parent is None else os.path.join(str(parent), name)  # noqa: PTH118
        if not stat.S_ISDIR(os.lstat(path).st_mode):
            raise NotADirectoryError(f"{path} is not a folder")
        return path
    flags = os.O_RDONLY | os.O_DIRECTORY | _NO_FOLLOW
    return os.open(name, flags, dir_fd=parent if isinstance(parent, int) else None)


def close_folder(folder: Folder) -> None:
    """Close what `open_folder` gave."""
    if isinstance(folder, int):
        os.close(folder)


def read_file(name: str, limit: int, parent: Folder | None = None) -> bytes:
    """All bytes of a regular file that is not a link.

    SubmissionError (text without the name) if it is something else or larger than `limit` bytes,
    OSError as usual.
    """
    if isinstance(parent, str):
        name, parent = os.path.join(parent, name), None  # noqa: PTH118
    before = os.stat(name, dir_fd=parent, follow_symlinks=False)
    if reason := refused_kind(before.st_mode):
        raise SubmissionError(reason)
    descriptor = os.open(name, _READ, dir_fd=parent)
    with open(descriptor, "rb") as file:  # noqa: PTH123 - a descriptor has no path
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or not os.path.samestat(before, status):
            raise SubmissionError("is not a regular file")
        data = file.read(min(limit, status.st_size) + 1)
    if len(data) > limit:
        raise SubmissionError(f"is larger than {limit:,} bytes")
    if len(data) > status.st_size:
        raise SubmissionError("grew while it was read")
    return data
