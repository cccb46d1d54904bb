"""The folder that holds a batch's scratch folders, and what is left of batches that were killed.

A lock on a file in it tells whether its batch is alive: the kernel lets go of the lock when the
process that holds it is gone, however it went.
"""

from __future__ import annotations

import os
import stat
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from autograder.engine.sandbox import scratch

if sys.platform != "win32":
    import fcntl

_LOCK = "alive"
_YOUNG = 60.0  # seconds: a folder without a lock may have been made just now


@contextmanager
def base_folder() -> Iterator[Path]:
    """A new base folder, removed afterwards; those of batches that were killed go as well."""
    parent = Path(tempfile.gettempdir())
    remove_stale(parent)
    base = scratch.make_base(parent)
    lock = os.open(base / _LOCK, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        if sys.platform != "win32":
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield base
    finally:
        os.close(lock)
        scratch.remove(base)


def remove_stale(parent: Path) -> None:
    """Remove base folders of ours in `parent` whose batch is gone."""
    if sys.platform == "win32":
        return
    for path in parent.glob(f"{scratch.BASE_PREFIX}*"):
        with suppress(OSError):
            if _is_ours(path) and _is_dead(path):
                scratch.remove(path)


def _is_ours(path: Path) -> bool:
    status = path.lstat()
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid()


def _is_dead(path: Path) -> bool:
    if sys.platform == "win32":
        return False
    try:
        lock = os.open(path / _LOCK, os.O_RDWR | os.O_NOFOLLOW)
    except FileNotFoundError:
        return time.time() - path.lstat().st_mtime > _YOUNG
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(lock)
    return True
