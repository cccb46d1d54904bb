"""Where the sandbox is put around a worker: what it may read, and which user it becomes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import autograder
import shared
from autograder.engine import sandbox
from autograder.engine.control import WorkerLimits
from autograder.records import Isolation


def prepare(withhold: Sequence[str], without: Sequence[str] = ()) -> sandbox.Prepared:
    """Open what workers of a session may read: libraries and `shared`, less what is withheld.

    `withhold` are module names of `shared`; `without` switches mechanisms off, for tests.
    """
    library = _folder(shared)
    hidden = [_folder(autograder), *(library / f"{name}.py" for name in withhold)]
    return sandbox.prepare([library], hidden, without)


def confine(
    prepared: sandbox.Prepared, scratch: Path, limits: WorkerLimits, channel: int, slot: int
) -> Isolation:
    """Confine this process, keeping `channel` open; returns what is in force."""
    limit = sandbox.Limits(
        cpu_seconds=limits.cpu_seconds,
        memory_bytes=limits.memory_bytes,
        file_bytes=limits.file_bytes,
        open_files=limits.open_files,
    )
    user = sandbox.worker_user(slot)
    return sandbox.confine(prepared, scratch, limit, keep=(channel,), user=user)


def _folder(package: object) -> Path:
    return Path(str(package.__file__)).parent  # type: ignore[attr-defined]
