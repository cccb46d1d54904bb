"""A gradebook that a platform exported: read, filled in, and written as it was.

Only cells of the grade (and empty ones for comments) change. Names, ids, separators, the byte-order
mark and the ends of lines stay, so that the platform recognizes its own file.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from autograder.course import Session
from autograder.errors import AutograderError
from autograder.grading.enrolment import has_no_file, is_undecided
from autograder.grading.tables import delimiter_of
from autograder.records import Report
from autograder.reports.view import number
from autograder.submissions.identity import quoted, some_of
from autograder.text_safety import clean_line

MAX_BYTES = 50_000_000
_BOM = "\ufeff"

Row = tuple[str, ...]


@dataclass(frozen=True)
class Sheet:
    """The cells of a CSV file, its header first, and how it was written."""

    name: str
    rows: tuple[Row, ...]
    delimiter: str = ","
    newline: str = "\n"
    bom: bool = False

    @property
    def header(self) -> Row:
        """The first row."""
        return self.rows[0]

    def to_bytes(self) -> bytes:
        """The file, quoted where needed, in UTF-8."""
        out = io.StringIO()
        csv.writer(out, delimiter=self.delimiter, lineterminator=self.newline).writerows(self.rows)
        return ((_BOM if self.bom else "") + out.getvalue()).encode("utf-8")


@dataclass(frozen=True)
class Filled:
    """A gradebook with grades, the name of each feedback file by slug, and lines on the rest."""

    sheet: Sheet
    feedback: dict[str, str]
    grades: int
    lines: tuple[str, ...]


def read_sheet(path: Path) -> Sheet:
    """Read a CSV file with commas or semicolons; AutograderError in one line if it is none."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise AutograderError(f"{path}: more than {MAX_BYTES:,} bytes")
        text = data.decode("utf-8")
    except OSError as error:
        raise AutograderError(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise AutograderError(
            f"{path}: not UTF-8; export it again, without a spreadsheet"
        ) from None
    body = text.removeprefix(_BOM)
    first = body.partition("\n")[0]
    delimiter = delimiter_of(body)
    try:
        reader = csv.reader(io.StringIO(body, newline=""), delimiter=delimiter, strict=True)
        rows = tuple(tuple(cells) for cells in reader if any(map(str.strip, cells)))
    except csv.Error as error:
        raise AutograderError(f"{path}: not CSV: {error}") from None
    if not rows:
        raise AutograderError(f"{path} is empty")
    for line, row in enumerate(rows, start=1):
        if len(row) < len(rows[0]):
            raise AutograderError(
                f"{path}: row {line} has {len(row)} cells, the header {len(rows[0])}"
            )
    newline = "\r\n" if first.endswith("\r") else "\n"
    return Sheet(path.name, rows, delimiter, newline, text != body)


def decimal(cell: str) -> float | None:
    """A number in the writing of any country; None for anything else, or what is not positive.

    As Canvas reads it: what stands behind the last point or comma are decimals.
    """
    *whole, last = re.split(r"[,.]", "".join(cell.split()))
    try:
        value = float(f"{''.join(whole)}.{last}" if whole else last)
    except ValueError:
        return None
    return value if 0 < value < float("inf") else None


def grade_of(report: Report, maximum: float | None) -> str:
    """The points after the late penalty on the platform's scale of 0 to `maximum`."""
    scale = maximum / report.maximum if maximum and report.maximum else 1.0
    return number(report.points * scale)


def unready(report: Report, session: Session) -> str:
    """Why a report is no grade yet; empty if it is one."""
    if report.has_tool_error:
        return "has exercises that have to be graded again"
    if is_undecided(report) and not all(exercise.mark for exercise in report.exercises):
        return "has several submissions of which none was graded"
    there = {exercise.id for exercise in report.exercises}
    lacking = sum(exercise.id not in there for exercise in session.exercises)
    return f"has {lacking} exercises that were not graded (--only)" if lacking else ""


# ---- what is the same everywhere -----------------------------------------------------------------


def cautions(reports: Iterable[Report], maximum: float | None, sheet: Sheet) -> list[str]:
    """Lines on what a person should know before the grades go out."""
    reports = list(reports)
    lines = []
    waiting = [quoted(report.student) for report in reports if report.unmarked]
    if waiting:
        lines.append(f"exercises that nobody has marked count 0: {some_of(waiting)}")
    empty = [quoted(report.student) for report in reports if has_no_file(report)]
    if empty:
        lines.append(f"0 points, since none of the session's files was there: {some_of(empty)}")
    unknown = [quoted(report.student) for report in reports if report.lateness.unknown]
    if unknown:
        lines.append(f"no late penalty, since no time of submission is known: {some_of(unknown)}")
    own = {report.maximum for report in reports}
    if maximum is not None and own - {maximum}:
        shown = number(maximum)
        lines.append(f"{sheet.name} grades out of {shown}: points were scaled to that")
    return lines


def with_cell(row: Row, column: int, cell: str) -> Row:
    """The row with another cell."""
    return (*row[:column], cell, *row[column + 1 :])


def listed_columns(names: Iterable[str]) -> str:
    """Column names for a message."""
    return ", ".join(f"'{clean_line(name, 60)}'" for name in names) or "none"


def with_rows(sheet: Sheet, rows: Iterable[Row]) -> Sheet:
    """The same file with other rows."""
    return replace(sheet, rows=tuple(rows))
