"""From the score of a final project to the results of its exercises: what it earns, and why.

SESSION.valid   the file was read, measured and run, and enough of its answers are right
SESSION.cost    the lower the ranking cost, the more: linear in its logarithm between two costs
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from autograder.course import CourseExercise, Credit, FinalProject
from autograder.records import ExerciseResult, Outcome, TestResult
from autograder.records.measurement import Score
from autograder.records.points import exercise_result

VALID, COST = "valid", "cost"


def results(
    exercises: Iterable[CourseExercise], score: Score, project: FinalProject
) -> tuple[ExerciseResult, ...]:
    """The results of those exercises that the scorer decides, in their order."""
    makers = {VALID: valid_test, COST: cost_test}
    return tuple(
        exercise_result(exercise, [makers[exercise.name](score, project)])
        for exercise in exercises
        if exercise.name in makers
    )


def valid_test(score: Score, project: FinalProject) -> TestResult:
    """Whether the entry is valid, and counts in this course."""
    title = f"The file is measured and run, and at least {score.gate:,} of its answers are right."
    reason = _reason(score, project)
    outcome = Outcome.FAILED if reason else Outcome.PASSED
    return TestResult("valid", title, outcome, 0.0 if reason else 1.0, message=reason)


def cost_test(score: Score, project: FinalProject) -> TestResult:
    """What the cost that ranks is worth."""
    name = project.costs[0]
    credit = next(rules.credit for key, rules in project.datasets.items() if key == score.dataset)
    if credit is None:
        return TestResult("cost", f"The cost {name} is low.", Outcome.FAILED)
    title = (
        f"The cost {name} is low: all points up to {credit.full_cost:g}, "
        f"none from {credit.zero_cost:g}, in between by its logarithm."
    )
    if _reason(score, project):
        text = "only a valid entry has a cost"
        return TestResult("cost", title, Outcome.FAILED, message=text)
    cost = score.costs[name]
    share = cost_credit(cost, credit)
    message = f"the cost is {cost:.5f}"
    if share >= 1:
        return TestResult("cost", title, Outcome.PASSED, 1.0)
    outcome = Outcome.PARTIAL if share > 0 else Outcome.FAILED
    return TestResult("cost", title, outcome, share, message=message)


def cost_credit(cost: float, credit: Credit) -> float:
    """Share in 0..1 of the points: 1 up to `full_cost`, 0 from `zero_cost`, linear in log(cost)."""
    if cost <= credit.full_cost:
        return 1.0
    if cost >= credit.zero_cost:
        return 0.0
    return math.log(credit.zero_cost / cost) / math.log(credit.zero_cost / credit.full_cost)


def not_graded(dataset: str, project: FinalProject) -> str:
    """Why no entry for a data set earns points in this course; empty if they do."""
    if not project.graded or dataset in project.graded:
        return ""
    return f"this course grades {' and '.join(project.graded)}, not {dataset}"


def _reason(score: Score, project: FinalProject) -> str:
    """Why an entry earns nothing; empty if it is valid and counts."""
    if reason := not_graded(score.dataset, project):
        return reason
    if score.refusal:
        return score.refusal
    if score.answers is None:
        return "the file was not run"
    if not score.valid:
        text = f"{score.counted:,} of {score.answers.images:,} right answers count"
        return f"{text}, {score.gate:,} are needed"
    return ""
