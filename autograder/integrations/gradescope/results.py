"""A report as Gradescope's results.json.

Format: https://gradescope-autograders.readthedocs.io/en/latest/specs/ (section "Output format").
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from autograder.course import FeedbackPolicy, Session
from autograder.records import ExerciseResult, FeedbackLevel, Outcome, Report, Visibility
from autograder.reports.disclosure import Shown, disclosed, wording
from autograder.reports.feedback import exercise_lines
from autograder.reports.view import (
    GUARD_NOTE,
    isolation_line,
    late_policy_note,
    penalty_line,
)
from autograder.text_safety import clean, clean_line

MAX_OUTPUT = 90_000  # characters; Gradescope cuts at 100,000
NAME = 200
LATER = {
    Visibility.AFTER_DUE_DATE: "checks shown after the due date",
    Visibility.AFTER_PUBLISHED: "checks shown when grades are published",
}

TOLD_LATER = "shown after the due date"
_STRICTER = (
    Visibility.VISIBLE,
    Visibility.AFTER_DUE_DATE,
    Visibility.AFTER_PUBLISHED,
    Visibility.HIDDEN,
)

Entry = dict[str, Any]


def results_json(
    report: Report, session: Session, seconds: float, policy: FeedbackPolicy | None = None
) -> str:
    """The text of results.json: one entry for each exercise, and what only the staff sees.

    `seconds` is what grading took. Points are before the late penalty in the entries, and after it
    in `score`. What `policy` shows after the due date only, Gradescope shows then.
    """
    policy = policy or FeedbackPolicy()
    open_now = policy.before_due.covers(FeedbackLevel.POINTS)
    tree: Entry = {
        "score": report.points,
        "execution_time": round(seconds, 2),
        "output": _clipped("\n".join(_summary(report, policy))),
        "output_format": "text",
        "test_output_format": "text",
        "test_name_format": "text",
        "visibility": str(_with_points(policy)),
        "stdout_visibility": "hidden",
        "extra_data": {
            "session": report.session,
            "submission_sha256": report.submission_sha256,
            "isolation": report.isolation.level,
            "peak_memory_bytes": report.usage.peak_memory_bytes,
        },
        "tests": [*_entries(report, session, policy), _staff(report)],
    }
    if open_now and (board := _leaderboard(report)):
        tree["leaderboard"] = board
    return json.dumps(tree, indent=1, allow_nan=False) + "\n"


def _with_points(policy: FeedbackPolicy) -> Visibility:
    """When students see points."""
    if policy.before_due.covers(FeedbackLevel.POINTS):
        return Visibility.VISIBLE
    later = policy.after_due.covers(FeedbackLevel.POINTS)
    return Visibility.AFTER_DUE_DATE if later else Visibility.HIDDEN


def _summary(report: Report, policy: FeedbackPolicy) -> Iterator[str]:
    later = policy.after_due if policy.after_due is not policy.before_due else None
    if policy.before_due.covers(FeedbackLevel.POINTS):
        yield f"{report.points:g} of {report.maximum:g} points"
        yield from filter(None, (penalty_line(report),))
    yield from filter(None, (late_policy_note(report),))
    yield wording(report, Shown(policy.before_due, later))
    if report.has_tool_error:
        yield "A fault of the grader touched this result; the course staff will grade it again."
    for result in report.exercises:
        if result.outcome is Outcome.NOT_MARKED:
            yield f"{result.title}: a person gives up to {result.maximum:g} points for it."
    yield from (f"Note: {clean_line(problem, 400)}" for problem in report.problems)
    if any(test.guard for exercise in report.exercises for test in exercise.tests):
        yield GUARD_NOTE
    yield isolation_line(report, policy.before_due is FeedbackLevel.VERDICTS)


# ---- exercises -----------------------------------------------------------------------------------


def _entries(report: Report, session: Session, policy: FeedbackPolicy) -> Iterator[Entry]:
    modules = [module.file for module in session.modules]
    counts: dict[str, int] = {}
    for result in report.exercises:
        file = session.exercise(result.id).file
        place = modules.index(file) + 1 if file in modules else len(modules) + 1
        counts[file] = counts.get(file, 0) + 1
        if result.outcome is not Outcome.NOT_MARKED:
            yield from _exercise(report, result, f"{place}.{counts[file]}", policy)


def _exercise(
    report: Report, result: ExerciseResult, number: str, policy: FeedbackPolicy
) -> Iterator[Entry]:
    """The entry with the points, then one for each group of checks that is shown at another time.

    An exercise whose checks are all hidden alike is hidden as a whole.
    """
    kinds = list(dict.fromkeys(test.visibility for test in result.tests))
    whole = kinds[0] if len(kinds) == 1 else Visibility.VISIBLE
    name = clean_line(f"{result.id.partition('.')[2]}: {result.title}", NAME)
    points = _with_points(policy)
    level = policy.before_due if points is Visibility.VISIBLE else policy.after_due
    told = _told(report, result, level)
    yield {
        "name": name,
        "number": number,
        "score": result.earned,
        "max_score": 0.0 if result.extra_credit else result.maximum,
        "status": "passed" if result.earned >= result.maximum else "failed",
        "output": _output(*told, whole),
        "visibility": str(_stricter(whole, points)),
        "extra_data": {"exercise": result.id, "outcome": str(told[1].outcome)},
    }
    last = policy.after_due
    later = [(LATER[kind], _only(result, kind), kind) for kind in kinds if kind in LATER]
    later = [each for each in later if each[2] != whole and last is FeedbackLevel.VERDICTS]
    if level is not last:
        _, seen = _told(report, result, last)
        later.insert(0, (TOLD_LATER, seen, _stricter(whole, Visibility.AFTER_DUE_DATE)))
    for index, (what, seen, kind) in enumerate(later, start=1):
        yield {
            "name": clean_line(f"{result.id.partition('.')[2]}: {what}", NAME),
            "number": f"{number}.{index}",
            "output": _output(report, seen, kind if what != TOLD_LATER else whole),
            "visibility": str(_stricter(kind, points)),
        }


def _stricter(one: Visibility, other: Visibility) -> Visibility:
    return max(one, other, key=_STRICTER.index)


def _told(
    report: Report, result: ExerciseResult, level: FeedbackLevel
) -> tuple[Report, ExerciseResult]:
    """The report and the exercise as a student reads them at this level."""
    seen = disclosed(report, level)
    return seen, next((each for each in seen.exercises if each.id == result.id), _untold(result))


def _untold(result: ExerciseResult) -> ExerciseResult:
    return replace(result, tests=(), calls=(), outcome=Outcome.NOT_MARKED)


def _only(result: ExerciseResult, kind: Visibility) -> ExerciseResult:
    return replace(result, tests=tuple(t for t in result.tests if t.visibility is kind))


def _output(report: Report, result: ExerciseResult, shown: Visibility) -> str:
    return _clipped("\n".join(exercise_lines(report, result, shown)))


# ---- the rest ------------------------------------------------------------------------------------


def _staff(report: Report) -> Entry:
    """Tracebacks, output, and who tried to touch what; no student ever sees it."""
    lines: list[str] = []
    lines += [f"incident: {clean_line(line, 400)}" for line in report.incidents]
    lines += [f"note: {clean_line(line, 400)}" for line in report.notes]
    lines += [f"missing isolation: {clean_line(line, 400)}" for line in report.isolation.missing]
    for result in report.exercises:
        for test in result.tests:
            told = "\n".join(filter(None, (test.detail, test.output)))
            if test.outcome is not Outcome.PASSED and told:
                lines += [f"== {result.id}, {test.name}: {test.outcome}", clean(told, 5_000)]
    return {
        "name": "For the course staff",
        "output": _clipped("\n".join(lines) or "nothing to report"),
        "visibility": str(Visibility.HIDDEN),
    }


def _leaderboard(report: Report) -> Sequence[Entry]:
    """Cost first, then right answers, as the course's own leaderboard ranks; valid entries only."""
    score = report.score
    if score is None or not score.valid or score.measurement is None:
        return ()
    costs = [_ranked(f"cost {name}", value, "asc") for name, value in score.costs.items()]
    return [
        *costs,
        _ranked("right answers", score.counted, "desc"),
        _ranked("MACs", score.measurement.macs, "asc"),
        _ranked("nonzeros", score.measurement.nonzeros, "asc"),
    ]


def _ranked(name: str, value: float, order: str) -> Entry:
    return {"name": name, "value": round(value, 6), "order": order}


def _clipped(text: str) -> str:
    return text if len(text) <= MAX_OUTPUT else f"{text[:MAX_OUTPUT]}\n(cut)"
