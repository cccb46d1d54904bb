"""Length-prefixed frames over a stream socket.

    magic 4 bytes "AGF1" | header length uint32 | body length uint64     (little-endian)
    header: one JSON object; its key "buffers" lists the lengths of the raw buffers
    body:   the buffers, back to back

`FrameError` means that the other side broke the protocol; after it the stream is unusable.
"""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

MAGIC = b"AGF1"
PREFIX = struct.Struct("<4sIQ")
MAX_DIGITS = 400  # of an integer; more is no number that an exercise deals in
MAX_BUFFERS = 20_000
CHUNK = 1 << 20

Wait = Callable[[], None]
"""Blocks until the socket can be read, or raises (deadline, dead worker)."""


class FrameError(Exception):
    """The bytes on the stream are not a frame within the limits."""


class Closed(Exception):
    """The other side closed the stream."""


@dataclass(frozen=True)
class FrameLimits:
    """Caps of one frame, in bytes."""

    header_bytes: int = 4 << 20
    body_bytes: int = 256 << 20


@dataclass(frozen=True)
class Frame:
    """One message: `header` without its buffer list, `buffers` as writable byte strings.

    `size` is what a received one took on the wire, in bytes.
    """

    header: dict[str, Any]
    buffers: Sequence[bytearray | memoryview]
    size: int = 0


def pack(frame: Frame, limits: FrameLimits) -> list[bytes | bytearray | memoryview]:
    """Return the pieces of `frame` ready to be sent; raise FrameError where a cap is passed."""
    sizes = [memoryview(buffer).nbytes for buffer in frame.buffers]
    header = json.dumps(
        {**frame.header, "buffers": sizes}, separators=(",", ":"), allow_nan=False
    ).encode()
    body = sum(sizes)
    if len(header) > limits.header_bytes or body > limits.body_bytes or len(sizes) > MAX_BUFFERS:
        raise FrameError(f"a message of {len(header) + body} bytes is larger than allowed")
    return [PREFIX.pack(MAGIC, len(header), body) + header, *frame.buffers]


def send(sock: socket.socket, frame: Frame, limits: FrameLimits) -> None:
    """Send one frame; raise FrameError if it is too large, Closed if nobody listens."""
    try:
        for piece in pack(frame, limits):
            sock.sendall(piece)
    except (BrokenPipeError, ConnectionResetError) as error:
        raise Closed from error


def receive(sock: socket.socket, limits: FrameLimits, wait: Wait | None = None) -> Frame:
    """Read one frame; with `wait` the socket is non-blocking and `wait` is called between reads."""
    prefix = _read(sock, PREFIX.size, wait)
    magic, header_bytes, body_bytes = PREFIX.unpack(prefix)
    if magic != MAGIC:
        raise FrameError("the bytes on the channel are not a message")
    if header_bytes > limits.header_bytes or body_bytes > limits.body_bytes:
        raise FrameError(f"a message announces {header_bytes + body_bytes} bytes, too many")
    header = parse_header(bytes(_read(sock, header_bytes, wait)))
    sizes = header.pop("buffers", None)
    if not (isinstance(sizes, list) and len(sizes) <= MAX_BUFFERS) or any(
        type(size) is not int or size < 0 for size in sizes
    ):
        raise FrameError("a message lists its buffers wrongly")
    if sum(sizes) != body_bytes:
        raise FrameError("the buffers of a message do not add up to its length")
    buffers = [_read(sock, size, wait) for size in sizes]
    return Frame(header, buffers, PREFIX.size + header_bytes + body_bytes)


def parse_header(text: bytes) -> dict[str, Any]:
    """Parse strict JSON: an object, no duplicate keys, no NaN, no endless integers."""
    try:
        header = json.loads(
            text.decode("utf-8"),
            object_pairs_hook=_unique,
            parse_constant=_no_constant,
            parse_int=_short_int,
        )
    except RecursionError:
        raise FrameError("a message is nested too deeply") from None
    except ValueError as error:
        raise FrameError(f"a message is not valid JSON ({type(error).__name__})") from None
    if not isinstance(header, dict):
        raise FrameError("a message is not an object")
    return header


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise FrameError("a message repeats a key")
    return result


def _no_constant(name: str) -> NoReturn:
    raise FrameError(f"a message holds {name}")


def _short_int(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise FrameError("a message holds an integer with too many digits")
    return int(text)


def _read(sock: socket.socket, size: int, wait: Wait | None) -> bytearray:
    """Read exactly `size` bytes; memory grows with what really arrives, not with the claim."""
    data = bytearray(min(size, CHUNK))
    filled = 0
    while filled < size:
        if filled == len(data):
            data.extend(bytes(min(size - filled, max(CHUNK, filled))))
        view = memoryview(data)
        try:
            count = sock.recv_into(view[filled:])
        except (BlockingIOError, InterruptedError):
            count = -1
        except ConnectionResetError:
            count = 0
        finally:
            view.release()
        if count == 0:
            raise Closed
        if count < 0:
            if wait is None:
                raise FrameError("the channel would block")
            wait()
            continue
        filled += count
    return data
