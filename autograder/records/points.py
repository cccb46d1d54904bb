"""From test results to points: pure functions, the only place where credit becomes points."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from autograder.records import ExerciseResult, Outcome, TestResult

WITHOUT_ESSENTIAL = 0.5
"""The largest share of an exercise's points that is earned without an essential check."""

SEVERITY = (
    Outcome.REFUSED,
    Outcome.OUT_OF_MEMORY,
    Outcome.TIMED_OUT,
    Outcome.CRASHED,
    Outcome.BLOCKED,
    Outcome.FAILED,
    Outcome.BLANK,
    Outcome.MISSING,
)


def earned_share(tests: Sequence[TestResult]) -> float:
    """Weighted share of the credit in 0..1.

    Only PASSED and PARTIAL count, and guards only beside an ordinary test with credit. While an
    essential test has no full credit, the share is at most `WITHOUT_ESSENTIAL`.
    """
    total = sum(test.weight for test in tests)
    counts = any(_credit(test) > 0 for test in tests if not test.guard)
    if not counts or total <= 0:
        return 0.0
    share = sum(test.weight * _credit(test) for test in tests) / total
    lacks = any(test.essential and _credit(test) < 1.0 for test in tests)
    return min(share, WITHOUT_ESSENTIAL) if lacks else share


def _credit(test: TestResult) -> float:
    if test.outcome is Outcome.PASSED:
        return 1.0
    return min(max(test.credit, 0.0), 1.0) if test.outcome is Outcome.PARTIAL else 0.0


def exercise_outcome(tests: Sequence[TestResult]) -> Outcome:
    """One word for an exercise: full, some or no credit; without credit the gravest reason."""
    outcomes = {test.outcome for test in tests}
    share = earned_share(tests)
    if Outcome.TOOL_ERROR in outcomes or not tests:
        return Outcome.TOOL_ERROR
    if share >= 1.0:
        return Outcome.PASSED
    if share > 0.0:
        return Outcome.PARTIAL
    return next((outcome for outcome in SEVERITY if outcome in outcomes), Outcome.FAILED)


class GradedExercise(Protocol):
    """What points need to know of an exercise; course.yaml's exercises have it."""

    @property
    def id(self) -> str:
        """Such as `s1.sparsity`."""

    @property
    def title(self) -> str:
        """One line."""

    @property
    def module(self) -> str:
        """The module that it lies in, such as `metrics`."""

    @property
    def points(self) -> float:
        """What it is worth."""

    @property
    def extra_credit(self) -> bool:
        """Whether it counts beyond the maximum."""


def exercise_result(exercise: GradedExercise, tests: Sequence[TestResult]) -> ExerciseResult:
    """Sum up one exercise; points are rounded to cents."""
    return ExerciseResult(
        id=exercise.id,
        title=exercise.title,
        module=exercise.module,
        outcome=exercise_outcome(tests),
        points=round(exercise.points * earned_share(tests), 2),
        maximum=exercise.points,
        extra_credit=exercise.extra_credit,
        tests=tuple(tests),
    )
