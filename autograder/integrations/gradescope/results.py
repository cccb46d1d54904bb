"""A report as Gradescope's results.json.

Format: https://gradescope-autograders.readthedocs.io/en/latest/specs/ (section "Output format").
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from autograder.course import Session
from autograder.records import ExerciseResult, Outcome, Report, Visibility
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

Entry = dict[str, Any]


def results_json(report: Report, session: Session, seconds: float) -> str:
    """The text of results.json: one entry for each exercise, and what only the staff sees.

    `seconds` is what grading took. Points are before the late penalty in the entries, and after it
    in `score`.
    """
    tree: Entry = {
        "score": report.points,
        "execution_time": round(seconds, 2),
        "output": _clipped("\n".join(_summary(report))),
        "output_format": "text",
        "test_output_format": "text",
        "test_name_format": "text",
        "visibility": "visible",
        "stdout_visibility": "hidden",
        "extra_data": {
            "session": report.session,
            "submission_sha256": report.submission_sha256,
            "isolation": report.isolation.level,
            "peak_memory_bytes": report.usage.peak_memory_bytes,
        },
        "tests": [*_entries(report, session), _staff(report)],
    }
    if board := _leaderboard(report):
        tree["leaderboard"] = board
    return json.dumps(tree, indent=1, allow_nan=False) + "\n"


def _summary(report: Report) -> Iterator[str]:
    yield f"{report.points:g} of {report.maximum:g} points"
    yield from filter(None, (penalty_line(report), late_policy_note(report)))
    if report.has_tool_error:
        yield "A fault of the grader touched this result; the course staff will grade it again."
    for result in report.exercises:
        if result.outcome is Outcome.NOT_MARKED:
            yield f"{result.title}: a person gives up to {result.maximum:g} points for it."
    yield from (f"Note: {clean_line(problem, 400)}" for problem in report.problems)
    if any(test.guard for exercise in report.exercises for test in exercise.tests):
        yield GUARD_NOTE
    yield isolation_line(report)


# ---- exercises -----------------------------------------------------------------------------------


def _entries(report: Report, session: Session) -> Iterator[Entry]:
    modules = [module.file for module in session.modules]
    counts: dict[str, int] = {}
    for result in report.exercises:
        file = session.exercise(result.id).file
        place = modules.index(file) + 1 if file in modules else len(modules) + 1
        counts[file] = counts.get(file, 0) + 1
        if result.outcome is not Outcome.NOT_MARKED:
            yield from _exercise(report, result, f"{place}.{counts[file]}")


def _exercise(report: Report, result: ExerciseResult, number: str) -> Iterator[Entry]:
    """The entry with the points, then one for each group of checks that is shown at another time.

    An exercise whose checks are all hidden alike is hidden as a whole.
    """
    kinds = list(dict.fromkeys(test.visibility for test in result.tests))
    whole = kinds[0] if len(kinds) == 1 else Visibility.VISIBLE
    name = clean_line(f"{result.id.partition('.')[2]}: {result.title}", NAME)
    yield {
        "name": name,
        "number": number,
        "score": result.earned,
        "max_score": 0.0 if result.extra_credit else result.maximum,
        "status": "passed" if result.earned >= result.maximum else "failed",
        "output": _output(report, result, whole),
        "visibility": str(whole),
        "extra_data": {"exercise": result.id, "outcome": str(result.outcome)},
    }
    for index, kind in enumerate((k for k in kinds if k in LATER and k != whole), start=1):
        yield {
            "name": clean_line(f"{result.id.partition('.')[2]}: {LATER[kind]}", NAME),
            "number": f"{number}.{index}",
            "output": _output(report, _only(result, kind), kind),
            "visibility": str(kind),
        }


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
