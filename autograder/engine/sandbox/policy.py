"""Where the sandbox is put around a worker: what it may read, and which user it becomes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import autograder
import shared
from autograder.engine import sandbox
from autograder.engine.sandbox import Prepared, WorkerLimits
from autograder.records import Isolation


def prepare(withhold: Sequence[str], disabled_mechanisms: Sequence[str] = ()) -> Prepared:
    """Open what workers of a session may read: libraries and `shared`, less what is withheld.

    `withhold` are module names of `shared`; `disabled_mechanisms` are done without, for tests.
    """
    library = _folder(shared)
    hidden = [_folder(autograder), *(library / f"{name}.py" for name in withhold)]
    return sandbox.prepare([library], hidden, disabled_mechanisms)


def confine(
    prepared: Prepared,
    scratch: Path,
    limits: WorkerLimits,
    channel: int,
    slot: int,
    counted: bool = False,
) -> Isolation:
    """Confine this process, keeping `channel` open; returns what is in force.

    `counted`: whoever is at the other end of `channel` counts its lookups.
    """
    user = sandbox.worker_user(slot)
    counted_at = channel if counted else None
    return sandbox.confine(
        prepared, scratch, limits, keep=(channel,), user=user, counted_at=counted_at
    )


def _folder(package: object) -> Path:
    return Path(str(package.__file__)).parent  # type: ignore[attr-defined]
