"""Entry of a worker that was started as a new interpreter, where nothing can be forked."""

from __future__ import annotations

import os
from pathlib import Path

from autograder.engine import spawning


def main() -> None:
    """Import what a zygote would have imported, confine this process and serve."""
    settings, channel = spawning.received()

    from autograder.engine.control import import_early

    import_early(settings["preload"])
    from autograder.engine import compiler, sandbox
    from autograder.engine.channel.frames import FrameLimits
    from autograder.engine.sandbox import WorkerLimits, policy
    from autograder.engine.worker import server

    limits = WorkerLimits(**settings["limits"])
    scratch = Path(settings["scratch"])
    compiler.leave_out()
    sandbox.freeze_access_times()
    prepared = policy.prepare(settings["withhold"], settings["disabled_mechanisms"])
    isolation = policy.confine(
        prepared, scratch, limits, channel.fileno(), os.getpid(), settings["counted"]
    )
    server.run(channel, FrameLimits(body_bytes=limits.reply_bytes), isolation)
