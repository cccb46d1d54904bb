"""Decompression in bounded steps: one chunk of output is held at a time, for any input."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from autograder.errors import SubmissionError
from autograder.submissions.members import CHUNK, UnsafeArchive


def plain(data: memoryview) -> Iterator[bytes]:
    """`data` itself in chunks."""
    for start in range(0, len(data), CHUNK):
        yield bytes(data[start : start + CHUNK])


def inflated(data: memoryview, name: str) -> Iterator[bytes]:
    """Decompress one raw deflate stream (RFC 1951).

    SubmissionError calls the stream `name` if it is damaged, cut off or followed by more data.
    """
    engine = zlib.decompressobj(-zlib.MAX_WBITS)
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
