"""Grades back to Canvas: its exported gradebook with one column filled in, and feedback files.

The rules of the header are those of Canvas' lib/gradebook_importer.rb: "Student" and "ID" first,
perhaps "SIS User ID" and "SIS Login ID" (and "Integration ID", "Root Account"), then "Section",
then assignments as "Title (id)". Rows are found by id; a row "Points Possible" holds maxima, and
"(read only)" there marks what Canvas computes itself. A cell that is left out, or emptied, would
clear a grade, so only the filled column is written, with its former cells where nothing is known.
Feedback is taken by the two numbers in a file's name: the user's and an attachment's.
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
    with_rows,
)
from autograder.integrations.row_owners import Entry, match
from autograder.records import Report
from autograder.submissions.identity import quoted, same_student_key

LAYOUT = "canvas"
_TITLE = re.compile(r"(?P<title>.*?)\s*\((?P<id>\d+)\)\s*", re.DOTALL)
_EXCUSED = "EX"
_NOT_ASSIGNMENTS = re.compile(
    r"(Current|Final|Override) (Score|Points|Grade|Status)|Unposted ", re.IGNORECASE
)
_NUMBERS = re.compile(r"(?P<name>.*)_(?P<numbers>\d+_\d+_)", re.DOTALL)


def fill(
    sheet: Sheet,
    reports: Sequence[Report],
    roster: Roster | None,
    session: Session,
    column: str | None = None,
) -> Filled:
    """The gradebook with this session's grades in the assignment's column.

    `column` is its header, title or id; without it, the one that names the session. Excused
    students and those without a report keep their cells. AutograderError if it is no gradebook of
    Canvas, has no such column, or knows none of the students.
    """
    info = _student_columns(sheet)
    chosen = _column(sheet, info, session, column)
    possible = _points_possible(sheet, chosen)
    entries = [
        Entry(index, row[1].strip(), tuple(cell for cell in row[2 : info - 1] if cell), row[0])
        for index, row in enumerate(sheet.rows[1:], start=2)
        if not _is_no_student(row)
    ]
    matched = match(sheet, entries, reports, roster, LAYOUT)
    lines = [f"{sheet.name}: the column {quoted(sheet.header[chosen])} gets the grades"]
    lines += matched.lines
    rows: list[Row] = [(*sheet.header[:info], sheet.header[chosen])]
    graded: list[Report] = []
    for index, row in enumerate(sheet.rows[1:], start=2):
        cell, report = row[chosen], matched.reports.get(index)
        if report is not None and (reason := _kept(report, cell, session)):
            lines.append(f"{quoted(report.student)} {reason}; left as it is")
        elif report is not None:
            cell = grade_of(report, possible)
            graded.append(report)
        rows.append((*row[:info], cell))
    names, more = _feedback(reports)
    lines += [*cautions(graded, possible, sheet), *more]
    return Filled(with_rows(sheet, rows), names, len(graded), tuple(lines))


def _student_columns(sheet: Sheet) -> int:
    """How many columns stand before those of assignments."""
    header = sheet.header
    if len(header) > 3 and "Student" in header[0] and "ID" in header[1]:
        for index, name in enumerate(header[2:8], start=2):
            if "Section" in name:
                return index + 1
    raise AutograderError(
        f"{sheet.name} is no gradebook of Canvas: expected the columns 'Student', 'ID', …, "
        f"'Section', got {listed_columns(header[:6])}; export it under Grades"
    )


def _column(sheet: Sheet, info: int, session: Session, wanted: str | None) -> int:
    titles = {
        index: name
        for index, name in enumerate(sheet.header)
        if index >= info and name and not _NOT_ASSIGNMENTS.search(name)
    }
    if wanted is not None:
        found = {index: name for index, name in titles.items() if wanted in _names(name)}
        what = repr(wanted)
    else:
        found = {index: name for index, name in titles.items() if _is_of(name, session)}
        what = f"that names {session.id}"
    if len(found) == 1:
        return next(iter(found))
    raise AutograderError(
        f"{sheet.name}: {'no single' if found else 'no'} column {what}; "
        f"give --column with one of {listed_columns((found or titles).values())}"
    )


def _names(header: str) -> tuple[str, ...]:
    found = _TITLE.fullmatch(header)
    return (header, found["title"], found["id"]) if found else (header,)


def _is_of(header: str, session: Session) -> bool:
    """Whether a column's title is the session's, or has its id or folder as a word.

    A title that only begins or ends like the session's is of something else: its quiz, say.
    """
    found = _TITLE.fullmatch(header)
    title = same_student_key(found["title"] if found else header)
    words = re.findall(r"\w+", title)
    return title == same_student_key(session.title) or bool({session.id, session.folder} & {*words})


def _points_possible(sheet: Sheet, column: int) -> float | None:
    for row in sheet.rows[1:]:
        if "Points Possible" in row[0]:
            if "read only" in row[column]:
                raise AutograderError(
                    f"{sheet.name}: Canvas computes the column {sheet.header[column]!r} itself; "
                    "choose another with --column"
                )
            return decimal(row[column])
    return None


def _is_no_student(row: Row) -> bool:
    """Rows of maxima and of Canvas' own remarks, and its test student."""
    is_remark = all(re.fullmatch(r"\s*(Muted|Manual Posting.*)?\s*", cell, re.I) for cell in row)
    return is_remark or "Points Possible" in row[0] or row[0] == "Student, Test"


def _kept(report: Report, cell: str, session: Session) -> str:
    """Why a cell stays as it is; empty if it gets the grade."""
    if cell.strip().upper() == _EXCUSED:
        return "is excused"
    return unready(report, session)


def _feedback(reports: Sequence[Report]) -> tuple[dict[str, str], list[str]]:
    """Names that Canvas takes back, one per attachment, and a line on who has none."""
    names: dict[str, str] = {}
    lacking = []
    for report in reports:
        found = _NUMBERS.fullmatch(report.identity.download)
        if report.identity.layout != LAYOUT or found is None:
            lacking.append(quoted(report.student))
            continue
        # Canvas takes the first numbers of a file's name, which must not be the student's.
        words = [part for part in found["name"].split("_") if not part.isdecimal()]
        name = "_".join((*words, f"{found['numbers']}feedback.html"))
        if name not in names.values():  # a group's file comes to all of it
            names[report.slug] = name
    if not lacking:
        return names, []
    line = f"no feedback file for {len(lacking)} without a file in Canvas' download: "
    return names, [line + ", ".join(lacking[:5]) + (", …" if len(lacking) > 5 else "")]
