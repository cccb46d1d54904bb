"""Entry of a worker that was started as a new interpreter; its settings come on standard input."""

from __future__ import annotations

import importlib
import json
import os
import socket
import sys
from pathlib import Path


def main() -> None:
    """Read the settings, confine this process and serve."""
    settings = json.loads(sys.stdin.buffer.read())
    if "share" in settings and sys.platform == "win32":
        channel = socket.fromshare(bytes.fromhex(settings["share"]))
    else:
        channel = socket.socket(fileno=settings["channel"])

    from autograder.engine.zygote.server import WARM

    for name in (*WARM, *settings["preload"]):
        importlib.import_module(name)
    from autograder.engine.channel.frames import FrameLimits
    from autograder.engine.control import WorkerLimits
    from autograder.engine.sandbox import policy
    from autograder.engine.worker import server

    limits = WorkerLimits(**settings["limits"])
    scratch = Path(settings["scratch"])
    prepared = policy.prepare(settings["withhold"], settings["without"])
    isolation = policy.confine(prepared, scratch, limits, channel.fileno(), os.getpid())
    server.run(channel, FrameLimits(body_bytes=limits.reply_bytes), isolation)
