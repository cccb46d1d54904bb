"""The frame decoder against everything that a worker could write."""

import json
import socket
import struct
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autograder.engine.channel.frames import (
    MAGIC,
    PREFIX,
    Closed,
    Frame,
    FrameError,
    FrameLimits,
    pack,
    parse_header,
    receive,
    send,
)

LIMITS = FrameLimits(header_bytes=1 << 16, body_bytes=1 << 20)


def read(data: bytes, limits: FrameLimits = LIMITS) -> Frame:
    """Receive one frame from a peer that sends `data` and closes."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        writer = threading.Thread(target=lambda: (theirs.sendall(data), theirs.close()))
        writer.start()
        try:
            return receive(ours, limits)
        finally:
            ours.close()
            writer.join()


def raw(header: bytes, body: bytes = b"", /, **lie: int) -> bytes:
    """A frame whose announced lengths may lie."""
    sizes = {"header": len(header), "body": len(body)} | lie
    return PREFIX.pack(MAGIC, sizes["header"], sizes["body"]) + header + body


@given(
    st.dictionaries(st.text().filter(lambda key: key != "buffers"), st.integers(-(10**9), 10**9)),
    st.lists(st.binary(max_size=200), max_size=5),
)
def test_what_is_sent_is_received(header: dict[str, int], buffers: list[bytes]) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        send(theirs, Frame(header, [memoryview(b) for b in buffers]), LIMITS)
        frame = receive(ours, LIMITS)
    assert frame.header == header
    assert [bytes(buffer) for buffer in frame.buffers] == buffers


@pytest.mark.parametrize(
    "data",
    [
        b"junk that is long enough to be a prefix",
        raw(b"[]"),
        raw(b"{}"),
        raw(b'{"buffers": [3]}', b"xx"),
        raw(b'{"buffers": [-1, 1]}'),
        raw(b'{"buffers": [true]}', b"x"),
        raw(b'{"buffers": "x"}', b"x"),
        raw(b'{"buffers": [], "a": 1, "a": 2}'),
        raw(b'{"buffers": [], "a": NaN}'),
        raw(b'{"buffers": [], "a": Infinity}'),
        raw(b'{"buffers": [], "a": ' + b"9" * 500 + b"}"),
        raw(b'{"buffers": [], "a": ' + b"[" * 50_000 + b"]" * 5 + b"}"),
        raw(b'{"buffers": []', b""),
        raw(b"\xff\xfe{}"),
        raw(b"{}", header=1 << 31),
        raw(b"{}", body=1 << 60),
        raw(json.dumps({"buffers": [0] * 30_000}).encode()),
    ],
)
def test_what_is_no_frame_is_refused(data: bytes) -> None:
    with pytest.raises(FrameError):
        read(data, FrameLimits(header_bytes=1 << 20, body_bytes=1 << 20))


@pytest.mark.parametrize("cut", [0, 3, 16, 20])
def test_a_stream_that_ends_early_is_closed(cut: int) -> None:
    whole = b"".join(bytes(p) for p in pack(Frame({"a": 1}, [memoryview(b"abc")]), LIMITS))
    with pytest.raises(Closed):
        read(whole[:cut])


@settings(max_examples=300)
@given(st.binary(max_size=300))
def test_any_bytes_end_in_a_frame_or_a_refusal(data: bytes) -> None:
    for stream in (data, MAGIC + data, raw(data), raw(b'{"buffers":[]}' + data)):
        try:
            read(stream)
        except (FrameError, Closed):
            continue


@settings(max_examples=300)
@given(st.text(max_size=200))
def test_any_text_is_an_object_or_refused(text: str) -> None:
    try:
        assert isinstance(parse_header(text.encode()), dict)
    except FrameError:
        return


def test_a_lying_length_costs_no_memory() -> None:
    import tracemalloc

    limits = FrameLimits(header_bytes=1 << 20, body_bytes=1 << 40)
    lie = raw(b'{"buffers": [%d]}' % (1 << 39), body=1 << 39)
    tracemalloc.start()
    with pytest.raises(Closed):
        read(lie, limits)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 << 20


def test_too_large_a_message_is_not_sent() -> None:
    with pytest.raises(FrameError, match="larger than allowed"):
        pack(Frame({}, [memoryview(bytes(LIMITS.body_bytes + 1))]), LIMITS)


def test_the_prefix_is_little_endian() -> None:
    assert PREFIX.pack(MAGIC, 1, 2) == b"AGF1" + struct.pack("<IQ", 1, 2)
