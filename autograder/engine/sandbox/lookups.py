"""Counts how often a worker looks up a name, so that what it can learn by that has a bound.

The kernel keeps the names that were looked up, also those of files that do not exist, and answers
for them in a third of the time. One worker can thus mark names for a later one, anywhere on the
machine, and no call can be refused for it: libraries look for their files. So a second filter
beside that of `seccomp` has whoever holds its listener asked before each call that takes a path.
The answer is always "go on"; only the number counts (Linux 5.5, seccomp_unotify(2)).
"""

from __future__ import annotations

import os
import socket
import struct
import sys
from contextlib import suppress

from autograder.engine.sandbox import bpf, kernel

if sys.platform != "win32":
    import fcntl

CALLS = """
    open openat creat stat lstat newfstatat statx access faccessat faccessat2 readlink readlinkat
    chdir mkdir mkdirat rmdir unlink unlinkat rename renameat renameat2 link linkat symlink
    symlinkat truncate
"""
"""The calls with a path among those that `seccomp` lets through."""

_ASK = 0x7FC00000  # SECCOMP_RET_USER_NOTIF
_NEW_LISTENER, _CONTINUE = 8, 1
_RECEIVE, _SEND = 0xC0502100, 0xC0182101  # SECCOMP_IOCTL_NOTIF_RECV, _SEND
_REQUEST_BYTES = 80


def program(machine: str) -> bytes:
    """The filter for `machine`; other calling conventions are left to `seccomp`, which kills."""
    known = kernel.numbers(machine)
    asked = sorted(known[name] for name in CALLS.split() if name in known)
    # Each test jumps over those behind it and over the first verdict.
    tests = [bpf.equal(number, len(asked) - index, 0) for index, number in enumerate(asked)]
    return bpf.pack((bpf.load(bpf.NUMBER), *tests, *bpf.verdict(bpf.ALLOW), *bpf.verdict(_ASK)))


def hand_over(channel: int, wanted: bool = True) -> None:
    """Have this process's lookups counted by who is at the other end of the socket `channel`.

    That one gets one byte with the listener's descriptor, or without where the kernel has none
    (or `wanted` is false). From here on a call with a path waits until it is counted.
    """
    with socket.socket(fileno=os.dup(channel)) as sock:
        listener = _install() if wanted else None
        if listener is None:
            sock.sendall(b"-")
            return
        rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack("=i", listener))
        sock.sendmsg([b"+"], [rights])
        os.close(listener)  # whoever holds it answers


def _install() -> int | None:
    host = kernel.machine()
    if host is None:
        return None
    try:
        return bpf.install(program(host), _NEW_LISTENER)
    except OSError:  # before Linux 5.0, or a container's runtime listens already
        return None


class Counter:
    """The other end: `answer` whenever the descriptor `listener` can be read."""

    def __init__(self, listener: int) -> None:
        self.listener = listener
        self.seen = 0

    @classmethod
    def received(cls, sock: socket.socket, seconds: float) -> Counter | None:
        """The counter that a worker hands over within `seconds`; None if there is none."""
        before = sock.gettimeout()
        sock.settimeout(seconds)
        try:
            _, descriptors, _, _ = socket.recv_fds(sock, 1, 1)
        except OSError:  # it does not even start
            descriptors = []
        finally:
            sock.settimeout(before)
        return cls(descriptors[0]) if descriptors else None

    def answer(self) -> None:
        """Count one call that waits and let it go on; harmless if nobody waits any more."""
        request = bytearray(_REQUEST_BYTES)
        with suppress(OSError):  # it was interrupted, or its process is gone
            fcntl.ioctl(self.listener, _RECEIVE, request)
            self.seen += 1
            (number,) = struct.unpack_from("=Q", request)
            answer = bytearray(struct.pack("=QqiI", number, 0, 0, _CONTINUE))
            fcntl.ioctl(self.listener, _SEND, answer)

    def close(self) -> None:
        """Let go of the listener; calls that wait fail then."""
        os.close(self.listener)
