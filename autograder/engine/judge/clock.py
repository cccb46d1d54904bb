"""How long the workers of one test may take."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from autograder.engine.job import PATIENCE
from autograder.engine.judge.processes import (
    Cause,
    Deadline,
    WorkerFailure,
    WorkerProcess,
    cpu_seconds,
)


@dataclass
class Clock:
    """The deadlines of one test; requests to, and seconds spent waiting for, a worker.

    `seconds` is the test's limit, `latest` the end of its exercise or submission, whose limit
    `outer` names; if the machine is slow the test may take `patience` times its limit by the clock.
    """

    seconds: float
    latest: float
    outer: str = "the time of the whole submission"
    patience: float = PATIENCE
    started: float = field(default_factory=time.monotonic)
    waited: float = 0.0
    requests: int = 0
    _used_before: dict[int, float] = field(default_factory=dict)  # by process id

    @property
    def limit(self) -> str:
        """The limit that ends the test, as in "did not finish within 10 s"."""
        if self.started + self.seconds <= self.latest:
            return f"{self.seconds:g} s"
        return self.outer

    def extend(self, seconds: float) -> None:
        """Add time that was ours: starting a worker."""
        self.started += seconds
        self.latest += seconds

    def deadline(self, worker: WorkerProcess) -> Deadline:
        """Until when the worker's answer is awaited; WorkerFailure if that is past."""
        pid = worker.process.pid
        before = self._used_before.setdefault(pid, cpu_seconds(pid))
        hard = min(self.started + self.patience * self.seconds, self.latest)
        if time.monotonic() >= hard:
            raise WorkerFailure(Cause.TIMED_OUT)
        soft = min(self.started + self.seconds, hard)
        return Deadline(soft, hard, before + self.seconds)
