"""The private folder of one worker: made, watched from outside, and removed afterwards.

Its contents were written by student code. Nothing here follows a symbolic link, opens a file, or
descends by a path that could be exchanged under it; every step is relative to an open folder
(except on Windows, which cannot do that).
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import stat
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from autograder.errors import EngineError

_FOLDER = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0)
_WITH_DESCRIPTORS = os.open in os.supports_dir_fd and os.scandir in os.supports_fd  # not Windows
_MAX_DEPTH = 32
_BLOCK = 512  # unit of st_blocks


@dataclass(frozen=True)
class Usage:
    """What a scratch folder holds: allocated bytes, entries, and the file system's free bytes.

    `exceeded` says that counting stopped at a limit, or that folders are nested too deeply. Files
    that are deleted while still open appear only as a loss of `free_bytes`.
    """

    bytes: int
    entries: int
    free_bytes: int
    exceeded: bool


def make_base(parent: Path) -> Path:
    """A new folder in `parent` for scratch folders: others can pass through it, not list it."""
    base = Path(tempfile.mkdtemp(prefix="autograder-", dir=parent))
    base.chmod(0o711)
    return base


def make(base: Path) -> Path:
    """A new private folder in `base`."""
    return Path(tempfile.mkdtemp(prefix="worker-", dir=base))


def measure(scratch: Path, max_bytes: int, max_entries: int) -> Usage:
    """Count what lies in `scratch` while its worker may still be writing; raises EngineError."""
    try:
        free = shutil.disk_usage(scratch).free
        if not _WITH_DESCRIPTORS:
            return _measure_by_path(scratch, max_bytes, max_entries, free)
        top = _enter_top(scratch)
    except OSError as error:
        raise _failure("look into", scratch, error) from error
    count = _Count(max_bytes, max_entries)
    open_folders, listings = [top], [_names(top)]
    try:
        while listings and not count.exceeded:
            name = next(listings[-1], None)
            if name is None:
                listings.pop()
                os.close(open_folders.pop())
                continue
            with contextlib.suppress(OSError):  # it vanished, or was exchanged
                status = os.stat(name, dir_fd=open_folders[-1], follow_symlinks=False)
                count.add(status)
                if stat.S_ISDIR(status.st_mode):
                    count.exceeded |= len(listings) >= _MAX_DEPTH
                    open_folders.append(_enter(name, open_folders[-1], status))
                    listings.append(_names(open_folders[-1]))
    finally:
        for descriptor in open_folders:
            os.close(descriptor)
    return Usage(count.bytes, count.entries, free, count.exceeded)


class _Count:
    """Running totals of a walk; a file with several names counts once."""

    def __init__(self, max_bytes: int, max_entries: int) -> None:
        self.bytes = self.entries = 0
        self.exceeded = False
        self._limits = (max_bytes, max_entries)
        self._linked: set[int] = set()

    def add(self, status: os.stat_result) -> None:
        self.entries += 1
        if status.st_ino not in self._linked:
            blocks: int | None = getattr(status, "st_blocks", None)
            self.bytes += status.st_size if blocks is None else blocks * _BLOCK
        if status.st_nlink > 1 and not stat.S_ISDIR(status.st_mode):
            self._linked.add(status.st_ino)
        self.exceeded |= self.bytes > self._limits[0] or self.entries > self._limits[1]


def _enter_top(scratch: Path) -> int:
    parent = os.open(scratch.parent, _FOLDER)
    try:
        return _enter(scratch.name, parent, os.lstat(scratch))
    finally:
        os.close(parent)


def _enter(name: str, parent: int, status: os.stat_result) -> int:
    if status.st_mode & stat.S_IRWXU != stat.S_IRWXU:
        _open_up(name, parent)
    return os.open(name, _FOLDER, dir_fd=parent)


def remove(scratch: Path) -> None:
    """Remove `scratch` with everything in it, after its worker's process group is dead.

    Every folder found is first moved to the top level, so two open folders suffice for any
    nesting. Raises EngineError with what could not be removed.
    """
    try:
        if not os.path.lexists(scratch):
            return
        if not _WITH_DESCRIPTORS:
            shutil.rmtree(scratch)
            return
        top = _enter_top(scratch)
        try:
            while names := list(_names(top)):
                for name in names:
                    _discard(name, top, top)
        finally:
            os.close(top)
        scratch.rmdir()
    except OSError as error:
        raise _failure("remove", scratch, error) from error


def _discard(name: str, parent: int, top: int) -> None:
    """Remove one entry of `parent`; a folder deeper than `top` is moved there instead."""
    status = os.stat(name, dir_fd=parent, follow_symlinks=False)
    if not stat.S_ISDIR(status.st_mode):
        os.unlink(name, dir_fd=parent)
    elif parent != top:
        _open_up(name, parent)  # to move a folder is to write to it
        os.rename(name, secrets.token_hex(16), src_dir_fd=parent, dst_dir_fd=top)
    else:
        folder = _enter(name, top, status)
        try:
            for inner in list(_names(folder)):
                _discard(inner, folder, top)
        finally:
            os.close(folder)
        os.rmdir(name, dir_fd=top)


def _names(folder: int) -> Iterator[str]:
    with contextlib.suppress(OSError), os.scandir(folder) as listing:
        for entry in listing:
            yield entry.name


def _open_up(name: str, parent: int) -> None:
    """Give the owner every right on a folder; a symbolic link in its place is refused."""
    if os.chmod in os.supports_follow_symlinks:  # not Linux
        os.chmod(name, 0o700, dir_fd=parent, follow_symlinks=False)
        return
    folder = os.open(name, _FOLDER | os.O_PATH, dir_fd=parent)
    try:
        Path(f"/proc/self/fd/{folder}").chmod(0o700)
    finally:
        os.close(folder)


def _failure(task: str, scratch: Path, error: OSError) -> EngineError:
    return EngineError(f"cannot {task} the scratch folder {scratch}: {error.strerror or error}")


def _measure_by_path(scratch: Path, max_bytes: int, max_entries: int, free: int) -> Usage:
    count = _Count(max_bytes, max_entries)
    for folder, folders, files in os.walk(scratch):
        for name in (*folders, *files):
            with contextlib.suppress(OSError):
                count.add(os.lstat(Path(folder, name)))
            if count.exceeded:
                return Usage(count.bytes, count.entries, free, True)
    return Usage(count.bytes, count.entries, free, False)
