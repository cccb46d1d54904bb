"""The roster: one CSV that says who is in the course, and what each platform calls them.

Columns: `student`, the id that the course uses; then, all optional, `name`, `email`, `section`,
`group`, an id per platform (`moodle`, `canvas`, `gradescope`, `nbgrader`, `github`), and later due
dates in `s1 due`, `s2 due`, … A table with mistakes is refused as a whole. Exports of GitHub
Classroom and Classroom 50 are read as they are: `roster_forms`.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from autograder.course import Course, Extension
from autograder.grading.roster_forms import form_of
from autograder.grading.tables import Row, Table, a_moment
from autograder.records import Report
from autograder.submissions import Submission
from autograder.submissions.identity import MAX_NAME, quoted, same_student_key
from autograder.text_safety import clean_line

PLATFORMS = {
    "moodle": "moodle",
    "canvas": "canvas",
    "gradescope": "gradescope",
    "nbgrader": "nbgrader",
    "clones": "github",
}
"""The column with a student's id, by the layout of a download."""

_NUMBERING = ("moodle", "canvas")  # their ids mean nothing elsewhere
_ABOUT = ("name", "email", "section", "group")
_DUE = " due"
_FEW = 3
_MAX_SHOWN = 40


@dataclass(frozen=True)
class Person:
    """One row. `ids` are those on platforms, by column."""

    student: str
    name: str
    email: str
    section: str
    group: str
    ids: Mapping[str, str]


@dataclass(frozen=True)
class Roster:
    """Everybody in the course, their extensions, and lines on columns that nothing reads."""

    people: tuple[Person, ...] = ()
    extensions: tuple[Extension, ...] = ()
    notes: tuple[str, ...] = ()

    def with_extensions(self, course: Course) -> Course:
        """The course with these extensions; of two for one student the later date counts."""
        later: dict[tuple[str, str], Extension] = {}
        for extension in (*course.extensions, *self.extensions):
            key = (extension.student, extension.session)
            if key not in later or later[key].due < extension.due:
                later[key] = extension
        return course.model_copy(update={"extensions": tuple(later.values())})

    def missing(self, records: Iterable[Report | Submission]) -> tuple[str, ...]:
        """A line that names those of whom there is no record; none if there are all."""
        present = {record.student for record in records}
        names = [person.student for person in self.people if person.student not in present]
        if not names:
            return ()
        shown = ", ".join(map(quoted, names[:_MAX_SHOWN]))
        more = f" and {len(names) - _MAX_SHOWN} more" if len(names) > _MAX_SHOWN else ""
        return (f"{len(names)} of {len(self.people)} have not submitted: {shown}{more}",)


def read_roster(path: Path, course: Course) -> Roster:
    """Read the CSV; InputErrors with one line per mistake.

    Mistakes are: a row without `student`, an id or e-mail that two rows share, a date that is none
    or not after the session's, dates of a session that has none.
    """
    table = Table(path, ("student",), (*_ABOUT, *PLATFORMS.values()), form_of)
    people: list[Person] = []
    extensions: list[Extension] = []
    taken: dict[tuple[str, str], int] = {}
    for line, row in table.rows():
        person = _person(row)
        if not person.student:
            table.wrong(line, "student: expected an id, got nothing")
        for column, value in _unique_values(person):
            before = taken.setdefault((column, same_student_key(value)), line)
            if before != line:
                table.wrong(line, f"{column}: {value!r} is also that of line {before}")
        people.append(person)
        extensions += _extensions(table, line, row, course)
    notes = tuple(_unused(path, table.columns))
    table.finish()
    return Roster(tuple(people), tuple(extensions), notes)


def _person(row: Row) -> Person:
    cells = {key: clean_line(row[key], MAX_NAME) for key in ("student", *_ABOUT)}
    cells["student"] = _whole(cells["student"])
    ids = {column: _whole(row[column]) for column in PLATFORMS.values() if row[column]}
    return Person(**cells, ids=ids)


def _whole(ident: str) -> str:
    """A number without the `.0` that tools give it where others of its column are missing."""
    return ident.removesuffix(".0") if ident.removesuffix(".0").isdecimal() else ident


def _unique_values(person: Person) -> Iterator[tuple[str, str]]:
    values = {"student": person.student, "email": person.email, **person.ids}
    return ((column, value) for column, value in values.items() if value)


def _extensions(table: Table, line: int, row: Row, course: Course) -> Iterator[Extension]:
    sessions = {session.id: session for session in course.sessions}
    for column, cell in row.items():
        session = sessions.get(column.removesuffix(_DUE))
        if session is None or not column.endswith(_DUE) or not cell:
            continue
        moment = a_moment(cell)
        if session.due is None:
            table.wrong(line, f"{column}: {session.id} has no due date in course.yaml")
        elif moment is None:
            shown = clean_line(cell, 40)
            table.wrong(line, f"{column}: expected ISO 8601 with its UTC offset, got {shown!r}")
        elif (due := datetime.fromisoformat(moment)) <= session.due:
            expected = f"a date after {session.due.isoformat()}"
            table.wrong(line, f"{column}: expected {expected}, when {session.id} is due")
        elif student := _person(row).student:
            yield Extension(student=student, session=session.id, due=due)


def _unused(path: Path, columns: Sequence[str]) -> Iterator[str]:
    known = {"student", *_ABOUT, *PLATFORMS.values()}
    others = [c for c in columns if c not in known and not re.fullmatch(rf"s[1-9]\d*{_DUE}", c)]
    if others:
        shown = ", ".join(map(quoted, others))
        yield f"{path.name}: nothing reads the column{'s' * (len(others) > 1)} {shown}"


# ---- whose a name is -----------------------------------------------------------------------------


class People:
    """Finds rows by what a download calls a student, surest first."""

    def __init__(self, roster: Roster) -> None:
        self._by: dict[tuple[str, str], list[Person]] = defaultdict(list)
        for person in roster.people:
            for column, value in _unique_values(person):
                self._by[column, same_student_key(value)].append(person)
            if person.group:
                self._by["group", same_student_key(person.group)].append(person)
            for key in name_keys(person.name):
                self._by["name", key].append(person)

    def find(self, layout: str, platform_id: str, email: str, name: str) -> tuple[Person, ...]:
        """The row, the rows of a group, or all rows that it may be; empty for none."""
        ident = same_student_key(platform_id)
        own = ident if layout not in _NUMBERING else ""
        tries = [
            (PLATFORMS.get(layout, ""), ident),
            ("email", same_student_key(email)),
            ("student", own),
            ("student", same_student_key(name)),
            ("email", same_student_key(name)),
            ("group", same_student_key(name)),
            *(("name", key) for key in sorted(name_keys(name))),
        ]
        for where, key in tries:
            if key and (found := self._by.get((where, key))):
                return tuple({person.student: person for person in found}.values())
        return ()


def name_keys(name: str) -> frozenset[str]:
    """Equal for some two of them if two names may be one person's: "Lovelace, Ada", "lovelaceada".

    The name itself, and its letters from each of its words on (Canvas writes the sortable name), if
    there are enough of them to mean something.
    """
    words = [re.sub(r"[\W_]", "", word) for word in re.split(r"[\s,]+", same_student_key(name))]
    words = [word for word in words if word]
    rotations = ("".join(words[i:] + words[:i]) for i in range(len(words)))
    letters = {text for text in rotations if len(text) >= _FEW}
    return frozenset({same_student_key(name), *letters} - {""})
