"""Results of a batch run into nbgrader's gradebook, and marks by hand out of it.

A batch run grades a class in parallel, in the sandbox, and executes no notebook; nbgrader's
formgrader, feedback and exporters then work on its points. Everything goes through nbgrader's API.
"""

from __future__ import annotations

import csv
import io
import sqlite3
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from nbgrader.api import Gradebook, MissingEntry
from sqlalchemy.exc import SAWarning

from autograder.course import CourseExercise, Session
from autograder.errors import AutograderError
from autograder.grading.enrolment import is_undecided
from autograder.grading.roster import Roster
from autograder.integrations.nbgrader.cells import BRIDGE, by_grade_id, grade_id
from autograder.records import Report
from autograder.reports.csv_report import escape_formula
from autograder.submissions.identity import quoted, some_of
from autograder.text_safety import clean_line

GRADEBOOK = "gradebook.db"
GIVEN_BY = "nbgrader"


@dataclass(frozen=True)
class Synced:
    """What a run did: students and points written, marks read, and written answers beside them.

    `marks` is a CSV table for `--marks`; empty if nobody gave any. `lines` say whose points were
    not written, and why.
    """

    students: int
    points: int
    marks: str
    marked: int
    answers: int
    lines: tuple[str, ...] = ()


def sync(
    folder: Path, session: Session, reports: Sequence[Report], roster: Roster | None = None
) -> Synced:
    """Write automatic points of these reports, then read marks by hand of the whole session.

    A report is a student's by the id in nbgrader's own folders, else by the roster's column
    `nbgrader`, else by its name; only the first may be new to the gradebook. AutograderError
    before anything is written if the gradebook is not one of this session, or a report has points
    that its cells cannot hold.
    """
    path = folder / GRADEBOOK
    if not path.is_file():
        raise AutograderError(
            f"{path}: there is no gradebook; run `nbgrader generate_assignment {session.folder}`"
        )
    with _opened(path) as book:
        _check(book, path, session)
        owners, lines = _owners(book, reports, roster)
        ready = [report for report in reports if report.slug in owners and not _unready(report)]
        points = sum(_write(book, session, owners[each.slug], each) for each in ready)
        names = {owners[each.slug]: _called(each) for each in reports if each.slug in owners}
        rows = list(_marks(book, session, names))
        answers = _answers(book, session)
    lines += _skipped(reports)
    return Synced(len(ready), points, _csv(rows), len(rows), answers, tuple(lines))


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """The gradebook; AutograderError for another file, to which nbgrader would add tables."""
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as database:
            tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master")}
    except sqlite3.Error as error:
        raise AutograderError(f"{path} is no gradebook: {error}") from None
    if not {"assignment", "grade", "alembic_version"} <= tables:
        raise AutograderError(f"{path} is no gradebook: it has no tables of nbgrader's")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SAWarning)  # about nbgrader's own way of adding things
        with Gradebook(f"sqlite:///{path.resolve()}") as book:
            yield book


def _check(book: Any, path: Path, session: Session) -> None:
    """AutograderError unless the gradebook has a cell of the right worth for each exercise."""
    try:
        cells = book.find_notebook(BRIDGE, session.folder).grade_cells
    except MissingEntry:
        raise AutograderError(
            f"{path} has no notebook {BRIDGE} of {session.folder}: it belongs to another course, "
            f"or `nbgrader generate_assignment {session.folder}` has not been run"
        ) from None
    worth = {cell.name: cell.max_score for cell in cells}
    for exercise in session.exercises:
        actual = worth.get(grade_id(exercise))
        if actual != exercise.points:
            has = "has no cell for it" if actual is None else f"gives it {actual:g}"
            raise AutograderError(
                f"{path}: {exercise.id} is worth {exercise.points:g} points in course.yaml, the "
                f"gradebook {has}; export the course again, and generate {session.folder} again"
            )


def _owners(
    book: Any, reports: Sequence[Report], roster: Roster | None
) -> tuple[dict[str, str], list[str]]:
    """What nbgrader calls each report's student, by slug, and lines on whom it does not know.

    A student of another platform's download is never made: it would be a second one of somebody.
    """
    there = {student.id for student in book.students}
    ids = {each.student: each.ids.get("nbgrader", "") for each in (roster.people if roster else ())}
    names = {each.slug: _own_id(each) or ids.get(each.student) or each.student for each in reports}
    lost = [r for r in reports if not _own_id(r) and names[r.slug] not in there]
    lines = []
    if lost:
        lines.append(
            f"not in the gradebook, so not written: {some_of([quoted(r.student) for r in lost])}; "
            "put their ids there into the roster's column nbgrader and run "
            "`autograder report RESULTS --roster FILE`, or add them: `nbgrader db student add ID`"
        )
    owners = {slug: name for slug, name in names.items() if slug not in {r.slug for r in lost}}
    for name, count in Counter(owners.values()).items():
        if count > 1:
            both = [quoted(r.student) for r in reports if owners.get(r.slug) == name]
            lines.append(f"{' and '.join(both)} are both {quoted(name)} there; none was written")
            owners = {slug: other for slug, other in owners.items() if other != name}
    return owners, lines


def _own_id(report: Report) -> str:
    """The id in nbgrader's own folders; with a roster, a report goes by another name."""
    identity = report.identity
    return identity.platform_id if identity.layout == "nbgrader" else ""


def _called(report: Report) -> str:
    """What a table for `--marks` may call the student."""
    return _own_id(report) or report.student


def _unready(report: Report) -> bool:
    return report.has_tool_error or is_undecided(report)


def _skipped(reports: Sequence[Report]) -> list[str]:
    """Lines on reports that are no result yet."""
    again = [quoted(report.student) for report in reports if report.has_tool_error]
    several = [quoted(report.student) for report in reports if is_undecided(report)]
    lines = [f"not written, to be graded again (--resume): {some_of(again)}"] if again else []
    if several:
        lines.append(f"not written, since none of several submissions counts: {some_of(several)}")
    return lines


def _write(book: Any, session: Session, student: str, report: Report) -> int:
    """Put the automatic points of one report into the gradebook; how many exercises."""
    exercises = {exercise.id: exercise for exercise in session.exercises}
    book.update_or_create_student(student)
    time = report.lateness.submitted_at
    fields = {} if time is None else {"timestamp": _as_kept(time)}
    book.update_or_create_submission(session.folder, student, **fields)
    written = 0
    for result in report.exercises:
        if result.by_hand or result.id not in exercises:
            continue
        name = grade_id(exercises[result.id])
        grade = book.find_grade(name, BRIDGE, session.folder, student)
        grade.auto_score = result.points
        grade.needs_manual_grade = grade.manual_score is not None
        written += 1
    book.db.commit()
    return written


def _as_kept(time: str) -> datetime:
    """A time as the gradebook keeps it: UTC, without saying so."""
    return datetime.fromisoformat(time).astimezone(UTC).replace(tzinfo=None)


def _marks(book: Any, session: Session, names: Mapping[str, str]) -> Iterator[Mapping[str, object]]:
    """A row for each exercise whose points a person has given in the formgrader.

    Students have the names of their reports, by their ids in the gradebook.
    """
    exercises = by_grade_id(session)
    for submission in book.find_assignment(session.folder).submissions:
        for grade in _grades(submission, BRIDGE):
            exercise = exercises.get(grade.name)
            if exercise is not None and grade.manual_score is not None:
                yield {
                    "student": escape_formula(names.get(own := submission.student.id, own)),
                    "exercise": exercise.id,
                    "points": _points(grade, exercise),
                    "comment": _comment(submission, grade),
                    "by": GIVEN_BY,
                }


def _grades(submission: Any, notebook: str) -> Iterator[Any]:
    for each in submission.notebooks:
        if each.name == notebook:
            yield from each.grades


def _points(grade: Any, exercise: CourseExercise) -> float:
    total = float(grade.manual_score) + float(grade.extra_credit or 0)
    return round(min(max(total, 0.0), exercise.points), 2)


def _comment(submission: Any, grade: Any) -> str:
    comments = (
        comment.comment
        for notebook in submission.notebooks
        for comment in notebook.comments
        if notebook.name == BRIDGE and comment.name == grade.name
    )
    return clean_line(next((text for text in comments if text), ""), 2_000)


def _answers(book: Any, session: Session) -> int:
    """How many written answers of other notebooks have been marked; they stay there."""
    return sum(
        grade.manual_score is not None
        for submission in book.find_assignment(session.folder).submissions
        for notebook in submission.notebooks
        if notebook.name != BRIDGE
        for grade in notebook.grades
    )


def _csv(rows: Sequence[Mapping[str, object]]) -> str:
    if not rows:
        return ""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
