"""New interpreters that inherit one socket: for platforms without fork. Imports nothing heavy."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from autograder.engine.control import clean_environment


def start(
    main: str,
    settings: Mapping[str, object],
    inherited: socket.socket,
    scratch: Path,
    output: int | IO[bytes] | None = None,
) -> subprocess.Popen[bytes]:
    """Start an isolated interpreter that runs `main` ("module:function", without arguments).

    There `received` gives the settings, which must be JSON values, and the socket. `scratch` is
    for what is temporary, `output` replaces standard output and standard error. On POSIX systems
    the process leads a session of its own: Ctrl-C is for the command line.
    """
    module, _, function = main.partition(":")
    options: dict[str, Any] = {}
    told = dict(settings)
    if sys.platform != "win32":
        told["descriptor"] = inherited.fileno()
        options = {"pass_fds": (inherited.fileno(),), "start_new_session": True}
    process = subprocess.Popen(
        [sys.executable, "-I", "-c", f"from {module} import {function}; {function}()"],
        stdin=subprocess.PIPE,
        stdout=output,
        stderr=output,
        env=clean_environment(scratch),
        **options,
    )
    if sys.platform == "win32":
        told["shared"] = inherited.share(process.pid).hex()
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError):  # whoever waits for its first words sees it dead
        process.stdin.write(json.dumps(told).encode())
        process.stdin.close()
    return process


def received() -> tuple[dict[str, Any], socket.socket]:
    """In the new interpreter: the settings and the socket that it was started with."""
    settings = json.loads(sys.stdin.buffer.read())
    if sys.platform == "win32":
        return settings, socket.fromshare(bytes.fromhex(settings.pop("shared")))
    return settings, socket.socket(fileno=settings.pop("descriptor"))
