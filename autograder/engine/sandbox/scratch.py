"""The private folder of one worker: made, watched from outside, and removed afterwards.

Its contents were written by student code. Nothing here follows a symbolic link, opens a file, or
descends by a path that could be exchanged under it; every step is relative to an open folder
(except on Windows, which cannot do that).
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
import stat
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from autograder.errors import EngineError

if sys.platform != "win32":
    import fcntl

BASE_PREFIX = "autograder-"
_FOLDER = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0)
_WITH_DESCRIPTORS = os.open in os.supports_dir_fd and os.scandir in os.supports_fd  # not Windows
_MAX_DEPTH = 32
_BLOCK = 512  # unit of st_blocks
_FULL = {errno.ENOSPC, errno.EDQUOT}
MIN_FREE_BYTES = 64 << 20  # what stays free for judges, results and the rest of the machine
FULL_SECONDS = 30.0  # how long a new folder waits for room


@dataclass(frozen=True)
class DiskUsage:
    """What a scratch folder holds: allocated bytes, entries, and the file system's free bytes.

    `exceeded` says that counting stopped at a limit, or that folders are nested too deeply. Files
    that are deleted while still open appear only as a loss of `free_bytes`, see `unnamed_bytes`.
    """

    bytes: int
    entries: int
    free_bytes: int
    exceeded: bool


def make_base(parent: Path) -> Path:
    """A new folder in `parent` for scratch folders: others can pass through it, not list it."""
    base = Path(tempfile.mkdtemp(prefix=BASE_PREFIX, dir=parent))
    base.chmod(0o711)
    return base


def free_bytes(folder: Path) -> int:
    """Bytes that an ordinary user may still write where `folder` lies."""
    return shutil.disk_usage(folder).free


def check_room(base: Path, workers: int, bytes_each: int) -> None:
    """EngineError unless `workers` at a time, each filling its folder in `base`, leave a reserve.

    A student's code would else be blamed for a full disk that it did not fill.
    """
    free = free_bytes(base)
    needed = workers * bytes_each + MIN_FREE_BYTES
    if free < needed:
        raise EngineError(
            f"the folder for temporary files, {base.parent}, has {free >> 20} MB free and "
            f"{needed >> 20} MB are needed: make room, use fewer --jobs, or set TMPDIR to a folder "
            "on a larger disk"
        )


def make(base: Path) -> Path:
    """A new private folder in `base`; waits a while for a full disk. EngineError if none can be.

    Others may fill the disk for as long as their judges need to notice.
    """
    last = time.monotonic() + FULL_SECONDS
    while True:
        try:
            return Path(tempfile.mkdtemp(prefix="worker-", dir=base))
        except OSError as error:
            if error.errno not in _FULL or time.monotonic() > last:
                raise _failure("make", base / "worker-…", error) from error
            time.sleep(0.1)


def is_memory(folder: Path) -> bool:
    """Whether what lies in `folder` takes memory (tmpfs, ramfs), as far as the system tells."""
    try:
        lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace")
        device = folder.stat().st_dev
    except OSError:
        return False
    number = f"{os.major(device)}:{os.minor(device)}"
    fields = (line.split() for line in lines.splitlines())
    kinds = {line[line.index("-") + 1] for line in fields if line[2] == number}
    return bool(kinds & {"tmpfs", "ramfs"})


def unnamed_bytes(pid: int, scratch: Path) -> int | None:
    """Bytes of deleted files in `scratch` that the process `pid` keeps open or mapped.

    None where they cannot be looked at: outside Linux, and for a judge without root's rights over
    other processes, as workers hide their memory. A file counts once.
    """
    try:
        device = scratch.stat().st_dev
        found: dict[int, int] = {}
        for path in _descriptors_and_deleted_maps(pid):
            with contextlib.suppress(FileNotFoundError):  # closed meanwhile
                status = os.stat(path)  # noqa: PTH116 - hundreds of times, Path costs as much again
                if stat.S_ISREG(status.st_mode) and status.st_dev == device:
                    found[status.st_ino] = 0 if status.st_nlink else _allocated(status)
    except OSError:
        return None
    return sum(found.values())


def _descriptors_and_deleted_maps(pid: int) -> Iterator[str]:
    """Paths in /proc of what a process has open, and of each deleted file that it has mapped.

    The kernel says of a mapping whether the name by which its file was opened is gone; libraries,
    of which there are hundreds, keep theirs. It escapes a line feed in a name, and nothing else.
    """
    yield from (f"/proc/{pid}/fd/{name}" for name in os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH208
    for line in Path(f"/proc/{pid}/maps").read_bytes().split(b"\n"):
        if line.endswith(b" (deleted)"):
            start, end = (int(number, 16) for number in line.split(maxsplit=1)[0].split(b"-"))
            yield f"/proc/{pid}/map_files/{start:x}-{end:x}"


@contextlib.contextmanager
def only_one(base: Path, wait: float = 0.0) -> Iterator[bool]:
    """Whether nobody else who works in `base` is in this block now; waits so many seconds for it.

    Without file locks (Windows) always true; false where `base` cannot be read or locked.
    """
    if sys.platform == "win32":
        yield True
        return
    try:
        folder = os.open(base, _FOLDER)
    except OSError:
        yield False
        return
    try:
        yield _is_locked(folder, time.monotonic() + wait)
    finally:
        os.close(folder)


def _is_locked(folder: int, last: float) -> bool:
    """Lock an open folder, at the moment `last` at the latest."""
    if sys.platform == "win32":
        return True
    while True:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= last:
                return False
            time.sleep(0.02)
        except OSError:  # a file system without locks
            return False
        else:
            return True


def _allocated(status: os.stat_result) -> int:
    blocks: int | None = getattr(status, "st_blocks", None)
    return status.st_size if blocks is None else blocks * _BLOCK


def measure(scratch: Path, max_bytes: int, max_entries: int) -> DiskUsage:
    """Count what lies in `scratch` while its worker may still be writing; raises EngineError."""
    try:
        free = free_bytes(scratch)
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
    return DiskUsage(count.bytes, count.entries, free, count.exceeded)


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
            self.bytes += _allocated(status)
        if status.st_nlink > 1 and not stat.S_ISDIR(status.st_mode):
            self._linked.add(status.st_ino)
        self.exceeded |= self.bytes > self._limits[0] or self.entries > self._limits[1]


def _enter_top(scratch: Path) -> int:
    # The folder around it need not be readable: O_PATH is enough to go through.
    parent = os.open(scratch.parent, _FOLDER | getattr(os, "O_PATH", 0))
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


def _measure_by_path(scratch: Path, max_bytes: int, max_entries: int, free: int) -> DiskUsage:
    count = _Count(max_bytes, max_entries)
    for folder, folders, files in os.walk(scratch):
        for name in (*folders, *files):
            with contextlib.suppress(OSError):
                count.add(os.lstat(Path(folder, name)))
            if count.exceeded:
                return DiskUsage(count.bytes, count.entries, free, True)
    return DiskUsage(count.bytes, count.entries, free, False)
