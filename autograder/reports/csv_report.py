"""The grades of a class as CSV, for the import of a learning-management system."""

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

_FIRST_COLUMNS = (
    "student",
    "total",
    "maximum",
    "raw_total",
    "late_penalty_percent",
    "days_late",
    "grade_again",
    "incidents",
    "problems",
)


def grades_csv(reports: Sequence[Report]) -> str:
    """One row a student, in the order of their names, with a header row and `"\\n"` line ends.

    Columns: `student` (the identity that platform or folder gave), `total` after the late
    penalty, `maximum` without extra credit, `raw_total`, `late_penalty_percent`, `days_late`,
    `grade_again` ("yes" after a fault of the grader), the numbers of `incidents` and `problems`;
    then the points of every exercise under its id, then every outcome under "<id> outcome".
    What a report lacks is an empty cell.
    """
    ids = [exercise.id for exercise in exercises_of(reports)]
    names = [clean_line(each, NAME_LIMIT) for each in ids]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    header = [*_FIRST_COLUMNS, *names, *(f"{name} outcome" for name in names)]
    writer.writerow([inert(name) for name in header])
    writer.writerows(_row(report, ids) for report in by_student(reports))
    return out.getvalue()


def _row(report: Report, ids: Sequence[str]) -> list[str]:
    results = {exercise.id: exercise for exercise in report.exercises}
    return [
        inert(clean_line(report.student, NAME_LIMIT)),
        number(report.points),
        number(report.maximum),
        number(report.raw_points),
        number(100 * report.lateness.penalty),
        number(report.lateness.days_late),
        "yes" if report.has_tool_error else "",
        str(len(report.incidents)),
        str(len(report.problems)),
        *(number(results[each].points) if each in results else "" for each in ids),
        *(str(results[each].outcome) if each in results else "" for each in ids),
    ]


def inert(cell: str) -> str:
    """`cell` with an apostrophe before it if a spreadsheet would take it for a formula."""
    return f"'{cell}" if cell.lstrip().startswith(_FORMULA_STARTS) else cell
