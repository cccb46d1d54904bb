"""temporary adapter"""

from __future__ import annotations
import os, resource
from pathlib import Path
from collections.abc import Sequence
from autograder.engine.control import WorkerLimits
from autograder.records import Isolation


def prepare(withhold: Sequence[str]) -> None:
    pass


def confine(scratch: Path, limits: WorkerLimits, channel: int) -> Isolation:
    os.setsid() if os.getpid() != os.getsid(0) else None
    return Isolation()
