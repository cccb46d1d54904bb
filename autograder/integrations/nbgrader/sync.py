"""Results of a batch run into nbgrader's gradebook, and marks by hand out of it.

A batch run grades a class in parallel, in the sandbox, and executes no notebook; nbgrader's
formgrader, feedback and exporters then work on its points. Everything goes through nbgrader's API.
"""

from __future__ import annotations

import csv
import io
import sqlite3
import warnings
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
from autograder.integrations.nbgrader.cells import BRIDGE, by_grade_id, grade_id
from autograder.records import Report
from autograder.reports.csv_report import escape_formula
from autograder.text_safety import clean_line

GRADEBOOK = "gradebook.db"
GIVEN_BY = "nbgrader"


@dataclass(frozen=True)
class Synced:
    """What a run did: students and points written, marks read, and written answers beside them.

    `marks` is a CSV table for `--marks`; empty if nobody gave any.
    """

    students: int
    points: int
    marks: str
    marked: int
    answers: int


def sync(folder: Path, session: Session, reports: Sequence[Report]) -> Synced:
    """Write automatic points of these reports, then read marks by hand of the whole session.

    AutograderError before anything is written if the gradebook is not one of this session, or a
    report has points that its cells cannot hold.
    """
    path = folder / GRADEBOOK
    if not path.is_file():
        raise AutograderError(
            f"{path}: there is no gradebook; run `nbgrader generate_assignment {session.folder}`"
        )
    with _opened(path) as book:
        _check(book, path, session)
        graded = [report for report in reports if not report.has_tool_error]
        points = sum(_write(book, session, report) for report in graded)
        rows = list(_marks(book, session))
        answers = _answers(book, session)
    return Synced(len(graded), points, _csv(rows), len(rows), answers)


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


def _write(book: Any, session: Session, report: Report) -> int:
    """Put the automatic points of one report into the gradebook; how many exercises."""
    exercises = {exercise.id: exercise for exercise in session.exercises}
    student = _student(report)
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


def _student(report: Report) -> str:
    """What nbgrader calls the student; with a roster, a report goes by another id."""
    identity = report.identity
    return (identity.layout == "nbgrader" and identity.platform_id) or report.student


def _as_kept(time: str) -> datetime:
    """A time as the gradebook keeps it: UTC, without saying so."""
    return datetime.fromisoformat(time).astimezone(UTC).replace(tzinfo=None)


def _marks(book: Any, session: Session) -> Iterator[Mapping[str, object]]:
    """A row for each exercise whose points a person has given in the formgrader."""
    exercises = by_grade_id(session)
    for submission in book.find_assignment(session.folder).submissions:
        for grade in _grades(submission, BRIDGE):
            exercise = exercises.get(grade.name)
            if exercise is not None and grade.manual_score is not None:
                yield {
                    "student": escape_formula(submission.student.id),
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
