"""Grades back to Moodle: its grading worksheet filled in, and feedback files in one zip.

The worksheet ("Download grading worksheet") comes back by "Upload grading worksheet". The importer
(mod/assign/feedback/offline) looks for the columns "Identifier", "Grade" and "Last modified
(grade)", and takes the participant's id from the end of "Identifier". Feedback files ("Upload
multiple feedback files in a zip", mod/assign/feedback/file) are told apart by a part of their path
that is `NAME_ID_PLUGINTYPE_PLUGIN`. A grade above the maximum is skipped without a word, so that
who has extra credit gets the maximum.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from autograder.course import Session
from autograder.errors import AutograderError
from autograder.grading.roster import Roster
from autograder.integrations.gradebook import (
    Filled,
    Row,
    Sheet,
    cautions,
    decimal,
    grade_of,
    listed_columns,
    unready,
    with_cell,
    with_rows,
)
from autograder.integrations.row_owners import Entry, match
from autograder.records import Report
from autograder.reports.view import number
from autograder.submissions.identity import file_name_for, quoted, some_of

LAYOUT = "moodle"
IDENTIFIER, GRADE, MODIFIED = "Identifier", "Grade", "Last modified (grade)"
MAXIMUM, CHANGEABLE = "Maximum Grade", "Grade can be changed"
COMMENTS = "Feedback comments"
_NAME_COLUMNS = ("Full name",)
_LOGIN_COLUMNS = ("Email address", "Username", "ID number")
_NUMBER = re.compile(r"(\d+)\s*$")
_OWN_COMMENT = re.compile(r"\s*(?:[\d.]+ of [\d.]+ points; see feedback\.html)?\s*")
_DOWNLOAD = re.compile(r"[^_]*_(\d+)_assignsubmission_[a-z0-9]+")


def fill(
    sheet: Sheet, reports: Sequence[Report], roster: Roster | None, session: Session
) -> Filled:
    """The worksheet with grades, and a line of points where no person has written a comment.

    Students without a report, and grades that Moodle will not change, keep their cells.
    AutograderError if it is no grading worksheet, or knows none of the students.
    """
    columns = _columns(sheet)
    entries = [
        Entry(
            index,
            _participant(sheet, columns, index, row),
            tuple(cell for each in _LOGIN_COLUMNS if (cell := _cell(columns, row, (each,)))),
            _cell(columns, row, _NAME_COLUMNS),
        )
        for index, row in enumerate(sheet.rows[1:], start=2)
    ]
    matched = match(sheet, entries, reports, roster, LAYOUT)
    lines = list(matched.lines)
    rows: list[Row] = [sheet.header]
    graded: list[Report] = []
    names: dict[str, str] = {}
    maximum = None
    for entry, row in zip(entries, sheet.rows[1:], strict=True):
        report = matched.reports.get(entry.row)
        if report is not None:
            names[report.slug] = _feedback_name(report, entry.platform_id, entry.name)
            if reason := _kept(report, columns, row, session):
                lines.append(f"{quoted(report.student)} {reason}; left as it is")
            else:
                maximum = decimal(_cell(columns, row, (MAXIMUM,)))
                row = _graded(row, columns, report, maximum)
                graded.append(report)
        rows.append(row)
    lines += (*cautions(graded, maximum, sheet), *_capped(graded))
    return Filled(with_rows(sheet, rows), names, len(graded), tuple(lines))


def _columns(sheet: Sheet) -> dict[str, int]:
    columns = {name: index for index, name in reversed(list(enumerate(sheet.header)))}
    missing = [name for name in (IDENTIFIER, GRADE, MODIFIED) if name not in columns]
    if missing:
        raise AutograderError(
            f"{sheet.name} is no grading worksheet of Moodle in English: no column "
            f"{listed_columns(missing)}; got {listed_columns(sheet.header)}"
        )
    return columns


def _cell(columns: dict[str, int], row: Row, names: Sequence[str]) -> str:
    return next((row[columns[name]] for name in names if name in columns), "")


def _participant(sheet: Sheet, columns: dict[str, int], index: int, row: Row) -> str:
    found = _NUMBER.search(row[columns[IDENTIFIER]])
    if found is None:
        shown = quoted(row[columns[IDENTIFIER]])
        raise AutograderError(
            f"{sheet.name}, row {index}: expected an identifier such as 'Participant 101', "
            f"got {shown}"
        )
    return found[1]


def _kept(report: Report, columns: dict[str, int], row: Row, session: Session) -> str:
    """Why a row stays as it is; empty if it gets the grade."""
    if _cell(columns, row, (CHANGEABLE,)).strip().casefold() == "no":
        return "has a grade that Moodle does not let change"
    return unready(report, session)


def _graded(row: Row, columns: dict[str, int], report: Report, maximum: float | None) -> Row:
    grade = grade_of(report, maximum)
    if maximum is not None and report.points > report.maximum:
        grade = number(maximum)
    row = with_cell(row, columns[GRADE], grade)
    if COMMENTS in columns and _OWN_COMMENT.fullmatch(row[columns[COMMENTS]]):
        points = f"{number(report.points)} of {number(report.maximum)} points"
        row = with_cell(row, columns[COMMENTS], f"{points}; see feedback.html")
    return row


def _capped(reports: Sequence[Report]) -> Sequence[str]:
    """A line on who has more than Moodle takes."""
    above = [quoted(report.student) for report in reports if report.points > report.maximum]
    return [f"Moodle takes no more than the maximum: {some_of(above)}"] if above else []


def _feedback_name(report: Report, participant: str, name: str) -> str:
    """The name that the download had, or one made of the worksheet: a team's has another id."""
    start = report.identity.download
    found = _DOWNLOAD.match(start)
    if report.identity.layout == LAYOUT and found and found[1] == participant:
        return f"{start}feedback.html"
    who = file_name_for((name or report.student).replace("_", " ")) or "student"
    return f"{who}_{participant}_assignsubmission_file_/feedback.html"
