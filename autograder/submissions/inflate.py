"""Decompression in bounded steps: whatever the input, one chunk of output is held at a time."""

from __future__ import annotations

import lzma
import zlib
from collections.abc import Iterator

from autograder.errors import SubmissionError
from autograder.submissions.members import CHUNK, UnsafeArchive

_LZMA_MEMORY = 128 << 20  # `xz -9` needs 65 MiB to decompress


def plain(data: memoryview) -> Iterator[bytes]:
    """`data` itself in chunks."""
    for start in range(0, len(data), CHUNK):
        yield bytes(data[start : start + CHUNK])


def inflated(data: memoryview, window_bits: int, name: str) -> Iterator[bytes]:
    """Decompress one zlib stream (RFC 1951 for negative `window_bits`, gzip for 31).

    SubmissionError calls the stream `name` if it is damaged, cut off or followed by more data.
    """
    engine = zlib.decompressobj(window_bits)
    position = 0
    pending = b""
    while not engine.eof:
        if not pending:
            pending = bytes(data[position : position + CHUNK])
            position += len(pending)
        try:
            chunk = engine.decompress(pending, CHUNK)
        except zlib.error:
            raise SubmissionError(f"{name} is damaged") from None
        if not chunk and not pending and not engine.eof:
            raise SubmissionError(f"{name} is cut off")
        pending = engine.unconsumed_tail
        if chunk:
            yield chunk
    if engine.unused_data or position < len(data):
        raise UnsafeArchive(f"{name} is followed by data that belongs to no member")


def unxz(data: memoryview, name: str) -> Iterator[bytes]:
    """Decompress one xz stream; errors as in `inflated`."""
    engine = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_LZMA_MEMORY)
    position = 0
    while not engine.eof:
        piece = b""
        if engine.needs_input:
            piece = bytes(data[position : position + CHUNK])
            position += len(piece)
            if not piece:
                raise SubmissionError(f"{name} is cut off")
        try:
            chunk = engine.decompress(piece, CHUNK)
        except lzma.LZMAError:
            raise SubmissionError(f"{name} is damaged or needs too much memory") from None
        if chunk:
            yield chunk
    if engine.unused_data or position < len(data):
        raise UnsafeArchive(f"{name} is followed by data that belongs to no member")
