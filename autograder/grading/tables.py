"""CSV files from the course staff: submission times, and points given by hand.

A table counts as a whole: what is wrong with it is one line per mistake, and nothing is applied.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from autograder.course import CourseExercise, Session
from autograder.errors import InputErrors
from autograder.moments import moment_with_offset
from autograder.records import Identity, Mark, Report
from autograder.reports.csv_report import escape_formula
from autograder.submissions import Submission
from autograder.submissions.identity import MAX_NAME, same_student_key
from autograder.text_safety import clean_line

MAX_BYTES = 20_000_000
MAX_LINES = 50  # of mistakes that are shown
MAX_COMMENT = 2_000
_DECIMAL = re.compile(r"\+?(?:\d+[.,]?\d*|[.,]\d+)", re.ASCII)  # with a point or a comma

Marks = Mapping[tuple[str, str], Mark]
"""Points by hand, by slug of the student and id of the exercise."""

Row = dict[str, str]


@dataclass(frozen=True)
class StudentNames:
    """The names that a table may use for one student, where only one student has them.

    `others` are names as people write them, `ids` e-mails and platforms' ids.
    """

    name: str
    slug: str
    others: frozenset[str] = frozenset()
    ids: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Form:
    """Another tool's table: its columns as we call them, and a row of it (None: not for us)."""

    columns: tuple[str, ...]
    row: Callable[[Row], Row | None]


class Table:
    """Rows of a CSV file with their lines, and the mistakes in them so far.

    `form_of` recognises tables of other tools by their columns.
    """

    def __init__(
        self,
        path: Path,
        required: Iterable[str],
        optional: Iterable[str] = (),
        form_of: Callable[[Sequence[str]], Form | None] = lambda _: None,
    ) -> None:
        self._path = path
        self._form_of = form_of
        self._columns: tuple[str, ...] = ()
        self.errors: list[str] = []
        self._rows = self._read(tuple(required), tuple(optional))

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of all columns, in lower case."""
        return self._columns

    def rows(self) -> Iterator[tuple[int, Row]]:
        """(line, cells by column) of each row that is not empty; cells are stripped."""
        yield from self._rows

    def wrong(self, line: int, text: str) -> None:
        """Note a mistake."""
        self.errors.append(f"{self._path.name}:{line}: {text}")

    def finish(self) -> None:
        """InputErrors with all mistakes, if there are any."""
        if not self.errors:
            return
        count, more = len(self.errors), len(self.errors) - MAX_LINES
        shown = self.errors[:MAX_LINES] + ([f"and {more} more"] if more > 0 else [])
        what = "1 mistake" if count == 1 else f"{count} mistakes"
        raise InputErrors(f"{self._path}: {what}, nothing was applied", shown)

    def _read(self, required: tuple[str, ...], optional: tuple[str, ...]) -> list[tuple[int, Row]]:
        text = self._text()
        delimiter = delimiter_of(text)
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        try:
            lines = [(reader.line_num, [cell.strip() for cell in cells]) for cells in reader]
        except csv.Error as error:
            raise InputErrors(f"{self._path}:{reader.line_num}: not CSV: {error}") from None
        lines = [(number, cells) for number, cells in lines if any(cells)]
        names = [name.casefold() for name in lines[0][1]] if lines else []
        while names and not names[-1]:  # spreadsheets write columns that were emptied
            names.pop()
        form = self._form_of(names) or Form(tuple(names), lambda row: row)
        self._columns = form.columns
        missing = [name for name in required if name not in form.columns]
        if missing or len(set(names)) < len(names):
            expected = ", ".join((*required, *(f"[{name}]" for name in optional)))
            actual = clean_line(", ".join(names), 200) or "nothing"
            raise InputErrors(f"{self._path}:1: expected the columns {expected}, got {actual}")
        rows = (
            (number, form.row(dict(zip_longest(names, cells[: len(names)], fillvalue=""))))
            for number, cells in lines[1:]
            if self._fits(number, cells, len(names))
        )
        return [(number, dict.fromkeys(optional, "") | row) for number, row in rows if row]

    def _fits(self, number: int, cells: list[str], columns: int) -> bool:
        """Spreadsheets leave out cells at the end of a row that are empty, or write more."""
        if not any(cells[columns:]):
            return True
        self.wrong(number, f"expected {columns} cells, got {len(cells)}")
        return False

    def _text(self) -> str:
        try:
            with self._path.open("rb") as file:
                data = file.read(MAX_BYTES + 1)
        except OSError as error:
            raise InputErrors(f"{self._path} cannot be read: {error.strerror}") from None
        if len(data) > MAX_BYTES:
            raise InputErrors(f"{self._path}: more than {MAX_BYTES:,} bytes")
        try:
            return data.decode("utf-8-sig")
        except UnicodeDecodeError:
            raise InputErrors(f"{self._path}: not UTF-8; save it as CSV UTF-8") from None


def delimiter_of(text: str) -> str:
    """What stands between cells, by the first line: spreadsheets of many countries write `;`."""
    first = text.partition("\n")[0]
    return ";" if first.count(";") > first.count(",") else ","


Finder = Callable[[str], tuple[StudentNames, ...]]
"""The students that a name in a table may be."""


def finder(students: Iterable[StudentNames]) -> Finder:
    """Whose a name is: as it stands, else in any spelling that a person takes for the same.

    A record's name says who it is, before the names that pages show, and these before ids. A name
    that another student has as well, though it be shown with more in it, is both's.
    """
    by_slug = {student.slug: student for student in students}
    exact: tuple[dict[str, set[str]], ...] = ({}, {})
    for student in by_slug.values():
        for names, of in zip(exact, ({student.name, *student.others}, student.ids), strict=True):
            for name in of:
                names.setdefault(name, set()).add(student.slug)
    spelt: dict[str, set[str]] = {}
    for names in exact:
        for name in list(names):  # as grades.csv writes a name that looks like a formula
            names.setdefault(escape_formula(name), names[name])
        for name, slugs in names.items():
            spelt.setdefault(same_student_key(name), set()).update(slugs)

    def find(name: str) -> tuple[StudentNames, ...]:
        if name in by_slug:
            return (by_slug[name],)
        ways = (*(names.get(name) for names in exact), spelt.get(same_student_key(name)))
        return tuple(by_slug[slug] for slug in sorted(next(filter(None, ways), ())))

    return find


def may_be(students: Sequence[StudentNames]) -> str:
    """Completes "this name …" where several have it: what to write instead."""
    find = finder(students)
    shown = [each.name if len(find(each.name)) == 1 else each.slug for each in students]
    return f"may be {' or '.join(repr(clean_line(name, MAX_NAME)) for name in shown)}; write which"


# ---- times -------------------------------------------------------------------------------------


def read_times(
    path: Path, students: Iterable[StudentNames]
) -> tuple[dict[str, str], tuple[str, ...]]:
    """Submission times by slug from a CSV with the columns `student` and `time`.

    `time` is ISO 8601 with a UTC offset. A student who is not among `students` is a line of the
    second result, since platforms list the whole class. InputErrors for everything else, such as a
    name that two students have.
    """
    table = Table(path, ("student", "time"))
    find = finder(students)
    times: dict[str, str] = {}
    unknown: list[str] = []
    for line, row in table.rows():
        found = find(row["student"])
        moment = a_moment(row["time"])
        if moment is None:
            shown = clean_line(row["time"], 40)
            table.wrong(
                line,
                f"time: expected ISO 8601 with its UTC offset, such as "
                f"2027-01-25T23:59:00+01:00, got {shown!r}",
            )
        elif len(found) > 1:
            table.wrong(line, f"{clean_line(row['student'], 60)!r} {may_be(found)}")
        elif not found:
            name = clean_line(row["student"], 60)
            unknown.append(f"{path.name}:{line}: no submission of {name!r}; its time is not used")
        elif found[0].slug in times:
            table.wrong(line, f"a second time for {found[0].name}")
        else:
            times[found[0].slug] = moment
    table.finish()
    return times, tuple(unknown)


def a_moment(text: str) -> str | None:
    """A time in ISO 8601 with its UTC offset; None for any other text."""
    moment = moment_with_offset(text)
    return None if moment is None else moment.isoformat()


# ---- points by hand ------------------------------------------------------------------------------


def read_marks(path: Path, session: Session, students: Iterable[StudentNames]) -> Marks:
    """Points by hand from a CSV with the columns student, exercise, points, [comment], [by].

    `exercise` is an id of the session, with or without `s1.` in front; its automatic points, if
    any, are replaced. A row whose points are blank gives no mark. InputErrors with one line per
    mistake: a student or exercise that is unknown, a name that two students have, points that are
    no number from 0 to what the exercise is worth, a second row for both.
    """
    marks, table = _marks(path, session, students)
    table.finish()
    return marks


def readable_marks(
    path: Path, session: Session, students: Iterable[StudentNames]
) -> tuple[Marks, tuple[str, ...]]:
    """The rows of a table that still hold, and a line for each that does not.

    For a table that was accepted once: meanwhile the course may have lost an exercise.
    """
    marks, table = _marks(path, session, students)
    return marks, tuple(table.errors)


def _marks(path: Path, session: Session, students: Iterable[StudentNames]) -> tuple[Marks, Table]:
    table = Table(path, ("student", "exercise", "points"), ("comment", "by"))
    find = finder(students)
    exercises = {e.id: e for e in session.exercises} | {e.name: e for e in session.exercises}
    marks: dict[tuple[str, str], Mark] = {}
    for line, row in table.rows():
        if not row["points"]:
            continue
        found, exercise = find(row["student"]), exercises.get(row["exercise"])
        name = clean_line(row["student"], 60)
        if not found:
            table.wrong(line, f"no results of a student {name!r}")
        if len(found) > 1:
            table.wrong(line, f"{name!r} {may_be(found)}")
        if exercise is None:
            shown = clean_line(row["exercise"], 60)
            table.wrong(line, f"{shown!r} is not an exercise of {session.id}")
        points = None if exercise is None else _points(row["points"], exercise)
        if exercise is not None and points is None:
            shown = clean_line(row["points"], 40)
            table.wrong(line, f"points: expected 0 to {exercise.points:g}, got {shown!r}")
        if len(found) != 1 or exercise is None or points is None:
            continue
        student = found[0]
        if (student.slug, exercise.id) in marks:
            table.wrong(line, f"a second row for {student.name} and {exercise.id}")
        comment, by = clean_line(row["comment"], MAX_COMMENT), clean_line(row["by"], MAX_NAME)
        marks[student.slug, exercise.id] = Mark(points, comment, by)
    return marks, table


def _points(text: str, exercise: CourseExercise) -> float | None:
    if not _DECIMAL.fullmatch(text):
        return None
    points = float(text.replace(",", "."))
    return round(points, 2) if 0 <= points <= exercise.points else None


def students_of(records: Iterable[Report | Submission]) -> list[StudentNames]:
    """The students of these reports or submissions."""
    return [_names(each.student, each.slug, each.identity) for each in records]


def _names(student: str, slug: str, identity: Identity) -> StudentNames:
    ids = frozenset({identity.email, identity.platform_id} - {""})
    return StudentNames(student, slug, frozenset({identity.name} - {""}), ids)
