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
from autograder.submissions.identity import MAX_NAME, quoted, same_student_key, some_of
from autograder.text_safety import clean_line

PLATFORMS = {
    "moodle": "moodle",
    "canvas": "canvas",
    "gradescope": "gradescope",
    "nbgrader": "nbgrader",
    "clones": "github",
}
"""The column with a student's id, by the layout of a download."""

MOODLE = "moodle"
_NUMBERING = (MOODLE, "canvas")  # their ids mean nothing elsewhere
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
        shown = some_of([*map(quoted, names)], _MAX_SHOWN)
        return (f"{len(names)} of {len(self.people)} have not submitted: {shown}",)


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


def kept_roster(path: Path, course: Course) -> Roster | None:
    """The roster that a results folder keeps; None without one."""
    return read_roster(path, course) if path.is_file() else None


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
    """Finds rows by what a download calls a student, surest first.

    What is less sure than an id never gives a row whose own id or e-mail is known to be another: it
    is a namesake's.
    """

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
        if layout == MOODLE:
            return self._find_participant(platform_id, email, name)
        column = PLATFORMS.get(layout, "")
        if found := self._at(column, platform_id):
            return found
        for where, found in self._called(layout, platform_id, email, name):
            if where == "group" and found:
                return found  # whose id is that of none, or of one, of its members
            if own := tuple(p for p in found if not _is_another(p, column, platform_id, email)):
                return own
        return ()

    def namesakes(self, layout: str, platform_id: str, email: str, name: str) -> tuple[Person, ...]:
        """Whom `find` leaves out, since an id, an e-mail or a name is another."""
        ways = [found for _, found in self._called(layout, platform_id, email, name)]
        ways.append(self._at(PLATFORMS.get(layout, ""), platform_id))
        given = {person.student for person in self.find(layout, platform_id, email, name)}
        return _once(p for found in ways for p in found if p.student not in given)

    def _find_participant(self, number: str, email: str, name: str) -> tuple[Person, ...]:
        """A row of Moodle's, whose number is another one in each assignment, and a team's its own.

        So a number in the roster may be of another assignment: it says nothing against a name, and
        says who it is only where the name does not say otherwise.
        """
        if team := self._at("group", name):
            return team
        numbered = self._at(MOODLE, number)
        ways = (found for _, found in self._called(MOODLE, "", email, name))
        fitting = (tuple(p for p in found if not differ(p.email, email)) for found in ways)
        named = next(filter(None, fitting), ())
        if not named:
            return tuple(p for p in numbered if not (p.name and name) or may_be_one(p.name, name))
        both = {person.student for person in numbered} & {person.student for person in named}
        return tuple(p for p in named if p.student in both) or _once((*named, *numbered))

    def _called(
        self, layout: str, platform_id: str, email: str, name: str
    ) -> Iterator[tuple[str, tuple[Person, ...]]]:
        """(column, rows that fit) of each way that is less sure than the layout's own id."""
        yield "email", self._at("email", email)
        if layout not in _NUMBERING:
            yield "student", self._at("student", platform_id)
        for column in ("student", "email", "group"):
            yield column, self._at(column, name)
        keys = sorted(name_keys(name))
        yield "name", _once(person for key in keys for person in self._by.get(("name", key), ()))

    def _at(self, column: str, value: str) -> tuple[Person, ...]:
        key = same_student_key(value)
        return _once(self._by.get((column, key), ())) if key else ()


def _once(people: Iterable[Person]) -> tuple[Person, ...]:
    return tuple({person.student: person for person in people}.values())


def _is_another(person: Person, column: str, platform_id: str, email: str) -> bool:
    """Whether the id in the layout's own column, or the e-mail, is known and differs."""
    ident = "" if same(platform_id, email) else platform_id  # Gradescope's without an id
    return differ(person.ids.get(column, ""), ident) or differ(person.email, email)


def same(one: str, other: str) -> bool:
    """Whether two ids or names are known and the same."""
    return bool(one and other) and same_student_key(one) == same_student_key(other)


def differ(one: str, other: str) -> bool:
    """Whether two ids are known and not the same."""
    return bool(one and other) and not same(one, other)


def may_be_one(name: str, other: str) -> bool:
    """Whether two names, as two systems write them, share a word, or are one but for signs."""
    one, two = (re.findall(r"[^\W_]+", same_student_key(each)) for each in (name, other))
    if not one or not two:
        return True  # signs alone tell nobody apart
    return bool(
        {*one} & {*two} or "".join(one) == "".join(two) or name_keys(name) & name_keys(other)
    )


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
