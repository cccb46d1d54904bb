"""The grades of a class as CSV: everything that is known, for people and their spreadsheets."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from autograder.records import Report
from autograder.reports.view import NAME_LIMIT, by_student, exercises_of, number
from autograder.text_safety import clean_line

# A spreadsheet runs a cell that begins with one of these as a formula; the last four are the
# full-width forms that some versions read alike. Tab and carriage return come from the list in
# OWASP's "CSV Injection"; cleaning has already removed them at the start.
_FORMULA_STARTS = tuple("=+-@\t\r＝＋－＠")

_OF_IDENTITY = ("name", "email", "section", "group", "layout", "platform_id", "attempt")
_FIRST_COLUMNS = (
    "student",
    "total",
    "maximum",
    "raw_total",
    "automatic_total",
    "late_penalty_percent",
    "days_late",
    "not_marked",
    "grade_again",
    "incidents",
    "problems",
    "slug",
    *_OF_IDENTITY,
)


def grades_csv(reports: Sequence[Report]) -> str:
    """One row per student, in the order of their names, with a header row and `"\\n"` line ends.

    Columns: `student` (the identity that platform or folder gave), `total` after the late
    penalty, `maximum` without extra credit, `raw_total` before the penalty, `automatic_total`
    without points by hand, `late_penalty_percent` and `days_late` (empty where no time of
    submission is known and the late policy was not applied), the number of exercises that are
    `not_marked`, `grade_again` ("yes" after a fault of the grader), the numbers of `incidents` and
    `problems`; `slug` (the name of the record), and what platform and roster say: `name`, `email`,
    `section`, `group`, `layout`, `platform_id`, `attempt`; then the points of every exercise under
    its id, then every outcome under "<id> outcome", then the automatic points that a mark replaced
    under "<id> automatic" where there is one. What a report lacks is an empty cell.
    """
    ids = [exercise.id for exercise in exercises_of(reports)]
    names = [clean_line(exercise_id, NAME_LIMIT) for exercise_id in ids]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    replaced = [exercise_id for exercise_id in ids if _has_replaced(reports, exercise_id)]
    header = [
        *_FIRST_COLUMNS,
        *names,
        *(f"{name} outcome" for name in names),
        *(f"{clean_line(exercise_id, NAME_LIMIT)} automatic" for exercise_id in replaced),
    ]
    writer.writerow([escape_formula(name) for name in header])
    writer.writerows(_row(report, ids, replaced) for report in by_student(reports))
    return out.getvalue()


def _has_replaced(reports: Sequence[Report], exercise_id: str) -> bool:
    return any(
        e.id == exercise_id and e.mark is not None and not e.by_hand
        for report in reports
        for e in report.exercises
    )


def _row(report: Report, ids: Sequence[str], replaced: Sequence[str]) -> list[str]:
    results = {exercise.id: exercise for exercise in report.exercises}
    late = report.lateness
    return [
        escape_formula(clean_line(report.student, NAME_LIMIT)),
        number(report.points),
        number(report.maximum),
        number(report.raw_points),
        number(report.automatic_points),
        "" if late.unknown else number(100 * late.penalty),
        "" if late.unknown else number(late.days_late),
        str(report.unmarked),
        "yes" if report.has_tool_error else "",
        str(len(report.incidents)),
        str(len(report.problems)),
        _cell(report.slug),
        *map(_cell, (getattr(report.identity, key) for key in _OF_IDENTITY)),
        *(number(results[id_].earned) if id_ in results else "" for id_ in ids),
        *(str(results[id_].outcome) if id_ in results else "" for id_ in ids),
        *(number(results[id_].points) if id_ in results else "" for id_ in replaced),
    ]


def _cell(value: str | int | None) -> str:
    return escape_formula(clean_line("" if value is None else str(value), NAME_LIMIT))


def escape_formula(cell: str) -> str:
    """`cell` with an apostrophe before it if a spreadsheet would take it for a formula."""
    return f"'{cell}" if cell.lstrip().startswith(_FORMULA_STARTS) else cell
