"""What a bridge cell calls where a kernel executes it: `nbgrader validate`, or a student.

In a student's folder public tests give the points. In the `source/` of a course the model solution
is graded, since only blanks lie there: so validating it tries the graders. When nbgrader grades
submissions no kernel executes these cells, see `judged`.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

from autograder.course import Course, Session, load_course
from autograder.course.reading import COURSE_FILE, course_above
from autograder.errors import AutograderError
from autograder.grading import checking
from autograder.grading.kinds import kind_of
from autograder.grading.single import grade_one
from autograder.records import Report
from autograder.submissions import read_submission

COURSE_VARIABLE = "AUTOGRADER_COURSE"
SOURCE = "source"


def credit(exercise_id: str) -> float:
    """Points of one exercise for the files beside the notebook; AutograderError if unknown."""
    report = report_here(Path.cwd())
    for result in report.exercises:
        if result.id == exercise_id:
            return result.points
    raise AutograderError(f"{report.session} has no exercise {exercise_id}")


def course_of(folder: Path) -> tuple[Path, Course]:
    """The course that AUTOGRADER_COURSE names, else of the nearest course.yaml above `folder`."""
    given = os.environ.get(COURSE_VARIABLE, "")
    path = Path(given) if given else course_above(folder.parent)
    if path is None or not path.is_file():
        raise AutograderError(
            f"no {COURSE_FILE} above {folder}; put it below the kit, or set {COURSE_VARIABLE}"
        )
    return path.resolve().parent, load_course(path)


@cache
def report_here(folder: Path) -> Report:
    """The report of a folder, made once in a process."""
    root, course = course_of(folder)
    session = course.session(folder.name)
    limits = kind_of(session).archive_limits(course)
    if folder.parent.name == SOURCE:
        place = root / "solutions" / session.folder
        return _graded(course, root, session, place if place.is_dir() else folder)
    submission = read_submission(folder, session, limits, student="you")
    if session.kind == "project":
        return grade_one(course, root, session, submission, checking.PUBLIC_SECRET)
    tests = checking.public_tests(root, session)
    return checking.check(course, session, submission, tests, (), lambda *_: None)


def _graded(course: Course, root: Path, session: Session, folder: Path) -> Report:
    limits = kind_of(session).archive_limits(course)
    submission = read_submission(folder, session, limits, student="model solution")
    return grade_one(course, root, session, submission, checking.PUBLIC_SECRET)
