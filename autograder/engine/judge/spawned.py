"""Entry of a judge that was started as a new interpreter, where nothing can be forked."""

from __future__ import annotations

import importlib
import sys

from autograder.engine import spawning
from autograder.engine.messages import Messages


def main() -> None:
    """Import the judge's module, say so, and become the judge."""
    settings, sock = spawning.received()
    messages = Messages(sock)
    if sys.platform == "linux":
        from autograder.engine import sandbox

        sandbox.hide_memory()
    judge = importlib.import_module(settings["module"])
    messages.send(("started",))
    judge.main(messages, None)
