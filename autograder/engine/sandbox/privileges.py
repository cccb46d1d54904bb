"""What a worker may do as a process: whose rights it has, what it inherits, when it dies."""

from __future__ import annotations

import contextlib
import os
import struct
import sys
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple

from autograder.engine.sandbox import kernel

CAP_CHOWN, CAP_DAC_READ_SEARCH, CAP_SETGID, CAP_SETUID, CAP_SETPCAP = 0, 2, 6, 7, 8

_PR_SET_PDEATHSIG, _PR_GET_DUMPABLE, _PR_SET_DUMPABLE, _PR_SET_KEEPCAPS = 1, 3, 4, 8
_PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS = 24, 38
_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL = 47, 4
_CLONE_NEWNS, _CLONE_NEWUSER, _CLONE_NEWNET = 0x20000, 0x10000000, 0x40000000
_AT_FDCWD, _AT_RECURSIVE = -100, 0x8000
_MOUNT_NOATIME, _MOUNT_ALL_ATIME, _MS_SLAVE = 0x10, 0x70, 1 << 19
_CAPABILITY_HEADER = struct.pack("=Ii", 0x20080522, 0)  # version 3, this process
_SIGKILL = 9
_MOST_DESCRIPTORS = 1 << 16  # the limit in force may be lower than what is open

# Ranges that systemd's list of user ids leaves unassigned; the second one for containers that map
# only the first 65,536 ids.
_ID_RANGES = ((1_900_000_000, 1 << 23), (60_578, 606))


class User(NamedTuple):
    """An unprivileged user and group that belong to one worker at a time."""

    uid: int
    gid: int


def worker_user(slot: int) -> User:
    """The user of the worker number `slot` (0 or more), from ids that no account uses.

    Two workers alive at the same time must have different slots; the worker's process id is a
    good one, as the range is wider than that of process ids.
    """
    mapped = _mapped_ids()
    for base, count in _ID_RANGES:
        if any(low <= base and base + count <= low + size for low, size in mapped):
            return User(base + slot % count, base + slot % count)
    low, size = mapped[-1]
    return User(low + size - 1 - slot % size, low + size - 1 - slot % size)


def _mapped_ids() -> list[tuple[int, int]]:
    """(first id, count) of the user ids that exist in this user namespace."""
    try:
        lines = Path("/proc/self/uid_map").read_text(encoding="ascii").splitlines()
    except OSError:
        return [(0, 2**32 - 1)]
    return [(int(line.split()[0]), int(line.split()[2])) for line in lines]


def capabilities() -> int:
    """Effective capabilities of this process as a bit set (Linux)."""
    low, high = struct.unpack("=I8xI8x", kernel.capget(_CAPABILITY_HEADER, 24))
    return int(low | high << 32)


def keep_capabilities(kept: int) -> None:
    """Reduce the effective and permitted sets to `kept`, the inheritable one to none."""
    low, high = kept & 0xFFFFFFFF, kept >> 32
    kernel.capset(_CAPABILITY_HEADER, struct.pack("=6I", low, low, 0, high, high, 0))


def drop_bounding_set() -> None:
    """Empty the sets that a later program could regain capabilities from; needs CAP_SETPCAP."""
    with contextlib.suppress(OSError):  # EINVAL: beyond the last capability of this kernel
        for number in range(64):
            kernel.prctl(_PR_CAPBSET_DROP, number)
    with contextlib.suppress(OSError):  # before Linux 4.3 there is no ambient set
        kernel.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL)


def become(user: User, kept: int = 0) -> None:
    """Change from root to `user` for good, keeping only the capabilities `kept`."""
    if kept:
        kernel.prctl(_PR_SET_KEEPCAPS, 1)
    os.setgroups([])
    os.setresgid(user.gid, user.gid, user.gid)
    os.setresuid(user.uid, user.uid, user.uid)


def forbid_new_privileges() -> None:
    """Set no_new_privs: no program can give this process more rights; raises OSError."""
    kernel.prctl(_PR_SET_NO_NEW_PRIVS, 1)


def hide_memory() -> None:
    """Close this process's memory, environment and descriptors in `/proc` to other processes.

    Also for the judge and the zygote; there is no core dump either. Does nothing outside Linux.
    """
    if sys.platform == "linux":
        kernel.prctl(_PR_SET_DUMPABLE, 0)


@contextlib.contextmanager
def hidden_memory() -> Iterator[None]:
    """`hide_memory` for as long as others run that must not look, then as it was before."""
    before = kernel.prctl(_PR_GET_DUMPABLE) if sys.platform == "linux" else 0
    hide_memory()
    try:
        yield
    finally:
        if before == 1:  # other values cannot be set
            kernel.prctl(_PR_SET_DUMPABLE, 1)


def freeze_access_times() -> bool:
    """Let no reading change the access time of a file, for this process and its children.

    A worker could else leave marks on files that it may only read. In a mount namespace of its own,
    so the machine goes on as before. Returns whether it is in force: it needs root with
    CAP_SYS_ADMIN and Linux 5.12.
    """
    settings = struct.pack("=QQQQ", _MOUNT_NOATIME, _MOUNT_ALL_ATIME, _MS_SLAVE, 0)
    arguments = (_AT_FDCWD, b"/", _AT_RECURSIVE, settings, len(settings))
    try:
        kernel.unshare(_CLONE_NEWNS)
        kernel.call("mount_setattr", *arguments)
    except (OSError, AttributeError):  # AttributeError: not Linux
        return False
    return True


def die_with_parent() -> None:
    """Have the kernel kill this process when the thread that forked it ends.

    Set it after the last change of user, which clears it, and check the parent afterwards.
    """
    kernel.prctl(_PR_SET_PDEATHSIG, _SIGKILL)


def leave_network() -> None:
    """Move to a network namespace of its own, with no interface that is up; raises OSError."""
    try:
        kernel.unshare(_CLONE_NEWNET)
    except OSError:
        kernel.unshare(_CLONE_NEWUSER | _CLONE_NEWNET)


def new_session() -> None:
    """Become leader of a new session and process group, unless it is one already."""
    if os.getsid(0) != os.getpid():
        os.setsid()


def close_all_but(kept: Collection[int]) -> None:
    """Close every descriptor that is not in `kept`."""
    for first, last in _gaps(kept):
        _close_range(first, last)


def _gaps(kept: Collection[int]) -> Iterator[tuple[int, int]]:
    start = 0
    for descriptor in sorted(kept):
        if descriptor > start:
            yield start, descriptor - 1
        start = descriptor + 1
    yield start, 2**31 - 1


def _close_range(first: int, last: int) -> None:
    try:
        kernel.call("close_range", first, last, 0)
    except OSError:  # before Linux 5.9, or not Linux
        os.closerange(first, min(last + 1, _MOST_DESCRIPTORS))
