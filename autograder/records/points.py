"""From test results to points: pure functions, the only place where credit becomes points."""

from __future__ import annotations

from collections.abc import Sequence

from autograder.records import ExerciseResult, Outcome, TestResult

GUARD_NOTE = "counts once another check of this exercise passes"

SEVERITY = (
    Outcome.TOOL_ERROR,
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

    Only PASSED and PARTIAL count, and guards only beside an ordinary test with credit.
    """
    total = sum(test.weight for test in tests)
    counts = any(_credit(test) > 0 for test in tests if not test.guard)
    if not counts or total <= 0:
        return 0.0
    return sum(test.weight * _credit(test) for test in tests) / total


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


def exercise_result(
    id: str,  # noqa: A002 - the field's name
    title: str,
    module: str,
    maximum: float,
    extra_credit: bool,
    tests: Sequence[TestResult],
) -> ExerciseResult:
    """Sum up one exercise; points are rounded to cents."""
    points = round(maximum * earned_share(tests), 2)
    return ExerciseResult(
        id=id,
        title=title,
        module=module,
        outcome=exercise_outcome(tests),
        points=points,
        maximum=maximum,
        extra_credit=extra_credit,
        tests=tuple(tests),
    )
