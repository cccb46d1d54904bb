"""What an attack on the channel needs: the worker's own object, and frames made by hand."""

import json
import struct
import sys
import time


def worker():
    frame = sys._getframe()
    while type(frame.f_locals.get("self")).__name__ != "WorkerServer":
        frame = frame.f_back
    return frame.f_locals["self"]


def pack(header, *buffers, announced=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    size = sum(map(len, buffers)) if announced is None else announced
    return b"".join([struct.pack("<4sIQ", b"AGF1", len(text), size), text, *buffers])


def message(op, *buffers, **fields):
    header = {"op": op, "id": worker()._current, "buffers": [len(b) for b in buffers], **fields}
    return pack(header, *buffers)


def send(data):
    worker()._sock.sendall(data)


def answer(node, *buffers):
    """Answer in the runtime's place; the real answer then never comes."""
    send(message("value", *buffers, value=node))
    time.sleep(60)


def ask(number, *arguments):
    """Call a function of the judge by hand; its reply is left unread."""
    send(message("callback", callback=number, args=[list(arguments), {"$": "dict", "v": []}]))
