"""What runs in a Dask worker: judges of one batch, which stay up between its submissions.

Nothing here raises for a reason that has to do with a batch: Dask would log it. Answers are plain.
The process hides its memory from the moment that it knows a key, and forgets a batch that the
command line closes or does not come back to.
"""

from __future__ import annotations

import asyncio
import atexit
import platform
import threading
import time

from autograder.engine import sandbox
from autograder.engine.host.service import Service
from autograder.errors import AutograderError
from autograder.grading.cluster.terms import Sealed, Terms
from autograder.grading.results import present_versions
from autograder.records import Report
from autograder.submissions import Submission

IDLE_SECONDS = 120.0  # a batch whose command line was killed ends by itself
LOOK_SECONDS = 5.0
HOST = "host"

NOT_OPEN = "not open"
FAILED = "failed"
Answer = Report | tuple[str, str]
"""The report, or why there is none: NOT_OPEN, or FAILED with a line."""


class _Batch:
    """The judges of a batch in this process, and since when nothing has asked them."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.busy = 0
        self.last = time.monotonic()


_batches: dict[str, _Batch] = {}
_lock = threading.Lock()


def hello() -> dict[str, str]:
    """Versions here, and the name of the host."""
    return {**present_versions(), HOST: platform.node()}


async def open_batch(token: str, terms: Sealed[Terms], jobs: int) -> str:
    """Make ready for a batch; "" or, in one line, why this worker cannot grade it."""
    return await asyncio.to_thread(_open, token, terms, jobs)


async def close_batch(token: str) -> None:
    """End a batch's judges, also those at work; harmless if it is not open."""
    await asyncio.to_thread(_close, token)


def _open(token: str, terms: Sealed[Terms], jobs: int) -> str:
    try:
        sandbox.hide_memory()
        if others := terms.value.other_exercises():
            more = " …" if len(others) > 3 else ""
            return f"its graders or limits are others than here ({', '.join(others[:3])}{more})"
        batch = _Batch(Service(terms.value.job(), jobs, terms.value.spawn))
    except (AutograderError, OSError) as error:
        return str(error)
    with _lock:
        before = _batches.pop(token, None)
        _batches[token] = batch
    if before is not None:
        before.service.close()
    watch = threading.Thread(target=_close_when_idle, args=(token, batch), daemon=True)
    watch.start()
    return ""


def grade(token: str, submission: Sealed[Submission]) -> Sealed[Answer]:
    """The report of a submission, or why there is none."""
    with _lock:
        batch = _batches.get(token)
        if batch is None:
            return Sealed((NOT_OPEN, ""))
        batch.busy += 1
    try:
        return Sealed(batch.service.grade(submission.value))
    except AutograderError as error:
        return Sealed((FAILED, str(error)))
    finally:
        with _lock:
            batch.busy -= 1
            batch.last = time.monotonic()


def _close(token: str) -> None:
    with _lock:
        batch = _batches.pop(token, None)
    if batch is not None:
        batch.service.close()


def _close_when_idle(token: str, batch: _Batch) -> None:
    while _batches.get(token) is batch:
        time.sleep(LOOK_SECONDS)
        with _lock:
            idle = not batch.busy and time.monotonic() - batch.last > IDLE_SECONDS
        if idle and _batches.get(token) is batch:
            _close(token)


@atexit.register
def _close_all() -> None:
    for token in list(_batches):
        _close(token)
