"""Control sockets between command line, zygote and judges: JSON lines and open descriptors.

Trusted on both ends: no student code ever holds one. Imports nothing heavy.
"""

from __future__ import annotations

import array
import json
import os
import socket
from dataclasses import dataclass
from typing import Any

MAX_REQUEST = 1 << 16
MAX_FDS = 4


@dataclass(frozen=True)
class WorkerLimits:
    """What one worker may use; the judge holds the clock, the kernel the rest."""

    memory_bytes: int
    cpu_seconds: int
    file_bytes: int = 32 << 20
    scratch_bytes: int = 256 << 20
    reply_bytes: int = 256 << 20
    open_files: int = 128
    output_bytes: int = 64 << 10


class Control:
    """One end of a control socket: JSON lines, descriptors riding on them."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._text = b""
        self._fds: list[int] = []

    def send(self, message: dict[str, Any], fds: tuple[int, ...] = ()) -> None:
        """Send one message; the other side gets duplicates of `fds`."""
        line = json.dumps(message).encode() + b"\n"
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        sent = self.sock.sendmsg([line], rights)
        if sent < len(line):
            self.sock.sendall(line[sent:])

    def receive(self) -> dict[str, Any]:
        """Wait for one message; raise EOFError when the other side is gone."""
        while b"\n" not in self._text:
            space = socket.CMSG_SPACE(MAX_FDS * array.array("i").itemsize)
            data, ancillary, _, _ = self.sock.recvmsg(MAX_REQUEST, space)
            for level, kind, payload in ancillary:
                if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                    numbers = array.array("i")
                    numbers.frombytes(
                        payload[: len(payload) // numbers.itemsize * numbers.itemsize]
                    )
                    self._fds.extend(numbers)
            if not data:
                raise EOFError
            self._text += data
        line, _, self._text = self._text.partition(b"\n")
        message: dict[str, Any] = json.loads(line)
        return message

    @property
    def pending(self) -> bool:
        """Whether a whole message has already been read from the socket."""
        return b"\n" in self._text

    def fds(self, count: int) -> list[int]:
        """Take the descriptors that came with the last message."""
        taken, self._fds = self._fds[:count], self._fds[count:]
        if len(taken) != count:
            raise EOFError
        return taken


def clean_environment() -> dict[str, str]:
    """The environment of zygotes and workers: no secrets, one thread a library."""
    kept = {
        name: os.environ[name] for name in ("PATH", "SYSTEMROOT", "TMPDIR") if name in os.environ
    }
    threads = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    return {**kept, **dict.fromkeys(threads, "1"), "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8"}
