"""Runs an exercise's checks on its known mistakes, each in workers of its own."""

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


class Checks(Protocol):
    """What runs a check: the judge's plugin."""

    job: GradingJob

    def try_again(
        self, exercise_run: ExerciseRun, item: pytest.Item, like: Transcript | None
    ) -> Attempt:
        """Run a check, with the same draws, on the modules of another run of the submission."""

    def new_run(self, of: ExerciseRun, sources: Mapping[str, bytes]) -> ExerciseRun:
        """A run of the same exercise on other modules."""


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

    def __call__(self, mistake: Mistake, index: int, like: Transcript | None) -> Attempt | None:
        """The attempt at check number `index`, while it is `like` another; None without time."""
        if time.monotonic() > self._ends:
            return None
        if self._run is None or self._run[0] is not mistake:
            self.close()
            solution = self._checks.job.solution
            sources = {PurePath(name).stem: text for name, text in solution.items()}
            module = self._of.exercise.module
            sources[module] = mistake.module(sources[module].decode()).encode()
            self._run = mistake, self._checks.new_run(self._of, sources)
        return self._checks.try_again(self._run[1], self._items[index], like)

    def close(self) -> None:
        """Kill the workers of the present mistake."""
        if self._run is not None:
            self._run[1].close()
            self._run = None
