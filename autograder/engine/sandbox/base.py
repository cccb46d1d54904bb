"""The folder that holds a batch's scratch folders, and what is left of batches that were killed.

A lock on a file in it tells whether its batch is alive: the kernel lets go of the lock when the
process that holds it is gone, however it went. A batch makes and removes its folder while it holds
a lock on the folder around it, so that one without a lock is never one that is just being made.
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
from autograder.errors import EngineError

if sys.platform != "win32":
    import fcntl

_LOCK = "alive"
_YOUNG = 60.0  # seconds: where there is no lock around it, a folder may have been made just now
_WAIT = 5.0  # seconds for others who make or remove theirs


@contextmanager
def base_folder() -> Iterator[Path]:
    """A new base folder, removed afterwards; those of batches that were killed go as well."""
    parent = Path(tempfile.gettempdir())
    with scratch.only_one(parent, _WAIT) as alone:
        remove_stale(parent, alone)
        base = scratch.make_base(parent)
        lock = os.open(base / _LOCK, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        if sys.platform != "win32":
            fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        yield base
    finally:
        with scratch.only_one(parent, _WAIT):
            os.close(lock)
            scratch.remove(base)


def remove_stale(parent: Path, alone: bool) -> None:
    """Remove base folders of ours in `parent` whose batch is gone; `alone`: nobody makes one."""
    if sys.platform == "win32":
        return
    for path in parent.glob(f"{scratch.BASE_PREFIX}*"):
        with suppress(OSError, EngineError):  # it may stay, and stops nobody
            if _is_ours(path) and _is_dead(path, alone):
                scratch.remove(path)


def _is_ours(path: Path) -> bool:
    status = path.lstat()
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid()


def _is_dead(path: Path, alone: bool) -> bool:
    if sys.platform == "win32":
        return False
    try:
        lock = os.open(path / _LOCK, os.O_RDWR | os.O_NOFOLLOW)
    except FileNotFoundError:
        return alone or time.time() - path.lstat().st_mtime > _YOUNG
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(lock)
    return True
