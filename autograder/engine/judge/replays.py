"""Runs an exercise's checks on its known mistakes, one after the other in the same worker.

They are the course's own code, so that one need not be kept from the next, and most of the time
went into starting workers. A mistake that ends or harms its worker costs the next one a fresh one.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Protocol

import pytest

from autograder.engine.job import GradingJob
from autograder.engine.judge.diagnosis import Attempt, Transcript
from autograder.engine.judge.exercise_run import ExerciseRun
from autograder.engine.judge.mistakes import Mistake
from autograder.engine.judge.processes import WorkerProcess, cpu_seconds


class Checks(Protocol):
    """What runs a check: the judge's plugin."""

    job: GradingJob

    def try_again(
        self, exercise_run: ExerciseRun, item: pytest.Item, like: Transcript | None
    ) -> Attempt:
        """Run a check, with the same draws, on the modules of another run of the submission."""

    def new_run(
        self, of: ExerciseRun, sources: Mapping[str, bytes], used: WorkerProcess | None
    ) -> ExerciseRun:
        """A run of the same exercise on other modules, in a worker that was used if that is one."""


class Replays:
    """The attempts of the known mistakes at an exercise's checks, made when they are asked for."""

    def __init__(
        self,
        checks: Checks,
        of: ExerciseRun,
        items: Sequence[pytest.Item],
    ) -> None:
        self._checks = checks
        self._of = of
        self._items = items
        self._run: tuple[Mistake, ExerciseRun] | None = None
        self._ends = time.monotonic() + checks.job.diagnosis_seconds
        self._enough_seconds = checks.job.worker_limits.cpu_seconds / 4

    def __call__(self, mistake: Mistake, index: int, like: Transcript | None) -> Attempt | None:
        """The attempt at check number `index`, while it is `like` another; None without time."""
        if time.monotonic() > self._ends:
            return None
        if self._run is None or self._run[0] is not mistake:
            used = self._worker()
            solution = self._checks.job.solution
            sources = {PurePath(name).stem: text for name, text in solution.items()}
            module = self._of.exercise.module
            sources[module] = mistake.module(sources[module].decode()).encode()
            self._run = mistake, self._checks.new_run(self._of, sources, used)
        return self._checks.try_again(self._run[1], self._items[index], like)

    def _worker(self) -> WorkerProcess | None:
        """The worker of the last mistake, unless it has used much of its processor time."""
        worker = self._run[1].handed_over() if self._run is not None else None
        if worker is None or cpu_seconds(worker.process.pid) < self._enough_seconds:
            return worker
        worker.close()
        return None

    def close(self) -> None:
        """Kill the workers of the present mistake."""
        if self._run is not None:
            self._run[1].close()
            self._run = None
