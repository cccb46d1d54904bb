"""What of a graded report its student may read: pure functions over records.

    nothing           that it came in, and what is odd about the submission
    points            and points of each exercise
    public checks     and how many hidden checks passed; public checks the student runs anyway
    hidden verdicts   and each hidden check's verdict, by the property that it tests, with a hint

No level shows an input or an expected value of a hidden check: no record holds one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from autograder.records import (
    ExerciseResult,
    FeedbackLevel,
    Lateness,
    Outcome,
    Report,
    TestResult,
    Visibility,
)
from autograder.text_safety import clean_line

# At `points`, an outcome says no more than the points do, or is the student's to know anyway.
_TOLD = (
    *(Outcome.PASSED, Outcome.PARTIAL, Outcome.BLANK),
    *(Outcome.MISSING, Outcome.NOT_MARKED, Outcome.TOOL_ERROR),
)


@dataclass(frozen=True)
class Shown:
    """What a student sees now, and, if that will be more, after the due date."""

    level: FeedbackLevel = FeedbackLevel.VERDICTS
    later: FeedbackLevel | None = None


EVERYTHING = Shown()


def disclosed(report: Report, level: FeedbackLevel) -> Report:
    """The report without what a student may not read at this level."""
    if level is FeedbackLevel.VERDICTS:
        return report
    if level is FeedbackLevel.NOTHING:
        late = report.lateness
        came_in = Lateness(late.submitted_at, late.due, policy=late.policy)
        return replace(report, exercises=(), score=None, lateness=came_in)
    told = _counted if level is FeedbackLevel.PUBLIC else _points_only
    return replace(report, exercises=tuple(map(told, report.exercises)), score=None)


def _counted(result: ExerciseResult) -> ExerciseResult:
    return replace(result, calls=(), tests=tuple(map(_unnamed, result.tests)))


def _unnamed(test: TestResult) -> TestResult:
    """A check of which only the verdict is left, for a count."""
    hidden = Visibility.HIDDEN
    return TestResult("", "", test.outcome, test.credit, test.weight, visibility=hidden)


def _points_only(result: ExerciseResult) -> ExerciseResult:
    mark = None if result.mark is None else replace(result.mark, comment="")
    outcome = result.outcome
    if outcome not in _TOLD:
        outcome = Outcome.FAILED if result.earned < result.maximum else Outcome.PASSED
    return replace(result, calls=(), tests=(), mark=mark, outcome=outcome)


# ---- words ---------------------------------------------------------------------------------------

_WORDS = {
    FeedbackLevel.NOTHING: "Your submission came in. Its points and checks are not shown.",
    FeedbackLevel.POINTS: "Points come from hidden checks. Only the points are shown.",
    FeedbackLevel.PUBLIC: "Points come from hidden checks. Only their number is shown.",
    FeedbackLevel.VERDICTS: (
        "Points come from hidden checks. You read the property that each one tests, its verdict "
        "and a hint, never its inputs or expected values."
    ),
}
_LATER = {
    FeedbackLevel.NOTHING: "nothing",
    FeedbackLevel.POINTS: "the points",
    FeedbackLevel.PUBLIC: "the points and how many hidden checks passed",
    FeedbackLevel.VERDICTS: "each hidden check's property, verdict and hint",
}


def wording(report: Report, shown: Shown) -> str:
    """What is public and what is hidden, in a few sentences for the student."""
    sentences = [_WORDS[shown.level]]
    if shown.later is not None:
        sentences.append(f"After the due date you see {_LATER[shown.later]}.")
    if report.score is None:
        session = clean_line(report.session, 20)
        sentences.append(
            "Public checks are those in the assignment's tests/ folder: "
            f"`autograder check {session}` runs them."
        )
    return " ".join(sentences)
