"""Control sockets between command line, zygote and judges: JSON lines and open descriptors.

Trusted on both ends: no student code ever holds one. Imports nothing heavy.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import socket
from collections.abc import Iterable
from pathlib import Path
from typing import Any

MAX_REQUEST = 1 << 16
MAX_FDS = 4

PRELOADED = (
    "autograder.engine.worker.server",
    "shared.models",
    "shared.probes",
    "shared.spaces",
    "shared.data",
    "encodings.ascii",  # confine() reads /proc
    "numpy.random",  # is its generator as it was?
)
"""Modules that every worker has before it is confined: what the work of any session may use."""


def import_early(names: Iterable[str]) -> None:
    """Import `PRELOADED`, and of `names` those that can be imported here.

    Not every machine has all that a session may use; who needs it says what is missing.
    """
    for name in PRELOADED:
        importlib.import_module(name)
    for name in names:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)


class Control:
    """One end of a control socket: JSON lines, descriptors riding on them."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._text = b""
        self._fds: list[int] = []

    def send(self, message: dict[str, Any], fds: tuple[int, ...] = ()) -> None:
        """Send one message; the other side gets duplicates of `fds`."""
        line = json.dumps(message).encode() + b"\n"
        sent = socket.send_fds(self.sock, [line], fds) if fds else self.sock.send(line)
        if sent < len(line):
            self.sock.sendall(line[sent:])

    def receive(self) -> dict[str, Any]:
        """Wait for one message; raise EOFError when the other side is gone."""
        while b"\n" not in self._text:
            data, fds, _, _ = socket.recv_fds(self.sock, MAX_REQUEST, MAX_FDS)
            self._fds.extend(fds)
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


def clean_environment(scratch: Path) -> dict[str, str]:
    """The environment of zygotes, judges and workers: no secrets, one thread per library.

    What a library keeps in a temporary folder goes to `scratch`, and away with it.
    """
    kept = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT") if name in os.environ}
    threads = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    temporary = dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(scratch))
    return {
        **kept,
        **temporary,
        **dict.fromkeys(threads, "1"),
        "LOGNAME": "autograder",  # torch asks for a name, which a container's user may not have
        "LANG": "C.UTF-8",
        "ORT_DISABLE_TELEMETRY": "1",
        "LC_ALL": "C.UTF-8",
    }
