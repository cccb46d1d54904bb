"""Landlock: which files a worker may open, decided by the kernel for an ordinary user.

Source: Linux `Documentation/userspace-api/landlock.rst` and `include/uapi/linux/landlock.h`. Every
right that the kernel's ABI knows is handled, so what no rule grants is denied. Landlock does not
decide on metadata (`stat`, `chmod`, `utime`, extended attributes): that is left to seccomp.
"""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from autograder.engine.sandbox import kernel

WRITE_FILE = 1 << 1
READ_FILE = 1 << 2
READ_DIR = 1 << 3
REMOVE_DIR = 1 << 4
REMOVE_FILE = 1 << 5
MAKE_DIR = 1 << 7
MAKE_REG = 1 << 8
REFER = 1 << 13
TRUNCATE = 1 << 14

READ = READ_FILE | READ_DIR
LIST = READ_DIR
DEVICE = READ_FILE | WRITE_FILE | TRUNCATE
# No links, pipes, sockets or device nodes: nothing in the scratch folder points out of it.
SCRATCH = READ | WRITE_FILE | REMOVE_DIR | REMOVE_FILE | MAKE_DIR | MAKE_REG | REFER | TRUNCATE

_FILE_RIGHTS = 1 | WRITE_FILE | READ_FILE | TRUNCATE | 1 << 15
_NEWEST = 7


class Grant(NamedTuple):
    """Rights on everything beneath one open descriptor."""

    descriptor: int
    rights: int


class Handled(NamedTuple):
    """Rights over files and TCP, and scopes, that one ABI can restrict."""

    files: int
    tcp: int
    scopes: int


def handled(abi: int) -> Handled:
    """Everything that the ABI version `abi` (1 or more) can restrict."""
    # Rights came in blocks: 13 with ABI 1, then REFER (2), TRUNCATE (3), IOCTL_DEV (5).
    count = 13 + (abi >= 2) + (abi >= 3) + (abi >= 5)
    tcp = 0b11 if abi >= 4 else 0  # bind, connect
    scopes = 0b11 if abi >= 6 else 0  # abstract Unix sockets, signals
    return Handled((1 << count) - 1, tcp, scopes)


def abi() -> int:
    """ABI version of the running kernel, at most the newest known here; raises OSError."""
    return min(kernel.call("landlock_create_ruleset", 0, 0, 1), _NEWEST)


def available() -> str:
    """Empty if the kernel has Landlock, else the reason why not."""
    if kernel.machine() is None:
        return "needs Linux on x86-64 or aarch64"
    try:
        abi()
    except OSError as error:
        return f"the kernel does not support it, or it is disabled ({error.strerror})"
    return ""


def grant(path: Path, rights: int) -> Grant:
    """Open `path` for a rule, symbolic links followed; raises OSError."""
    descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    is_folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
    return Grant(descriptor, rights if is_folder else rights & _FILE_RIGHTS)


def restrict(version: int, grants: Iterable[Grant]) -> None:
    """Confine this process (one thread, no_new_privs) to `grants` for good; raises OSError."""
    scope = handled(version)
    size = 8 if version < 4 else 16 if version < 6 else 24
    ruleset = kernel.call("landlock_create_ruleset", struct.pack("=QQQ", *scope), size, 0)
    try:
        for descriptor, rights in grants:
            rule = struct.pack("=Qi", rights & scope.files, descriptor)
            kernel.call("landlock_add_rule", ruleset, 1, rule, 0)
        # From ABI 7 denials are logged; a student must not be able to fill the machine's log.
        kernel.call("landlock_restrict_self", ruleset, 1 if version >= 7 else 0)
    finally:
        os.close(ruleset)
