"""Messages between processes of ours: pickles over a socket, each with its length before it.

Trusted on both ends, never used where a student's code could write. Unlike
`multiprocessing.connection` it needs no more than a socket, which Windows can share as well.
Imports nothing heavy.
"""

from __future__ import annotations

import pickle
import select
import socket
import struct
from typing import Any

_LENGTH = struct.Struct("<Q")


class Messages:
    """One end of such a socket."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    def send(self, message: object) -> None:
        """Send one message; OSError if the other side is gone."""
        data = pickle.dumps(message)
        self._sock.sendall(_LENGTH.pack(len(data)) + data)

    def receive(self) -> Any:
        """Wait for one message; EOFError or another OSError if the other side is gone."""
        (length,) = _LENGTH.unpack(self._read(_LENGTH.size))
        return pickle.loads(self._read(length))

    def wait(self, seconds: float) -> bool:
        """Whether something can be read, the end included, before `seconds` have passed."""
        return bool(select.select([self._sock], [], [], seconds)[0])

    def fileno(self) -> int:
        """The descriptor, for selectors."""
        return self._sock.fileno()

    def close(self) -> None:
        """Close this end."""
        self._sock.close()

    def _read(self, size: int) -> bytearray:
        data = bytearray(size)
        view = memoryview(data)
        while view:
            count = self._sock.recv_into(view)
            if count == 0:
                raise EOFError("the other process is gone")
            view = view[count:]
        return data
