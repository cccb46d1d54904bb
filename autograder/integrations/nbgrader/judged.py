"""Preprocessors that nbgrader_config.py puts into nbgrader's own chain.

A kernel that has executed a student's cell can make any later cell print anything. So bridge cells
are not executed when submissions are graded: their outputs are written here, from the judge's
report. Other notebooks are executed as nbgrader does.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from nbformat import from_dict
from nbgrader.preprocessors import Execute

from autograder.course import load_course
from autograder.errors import AutograderError
from autograder.grading.disclosure import shown_now
from autograder.grading.kinds import kind_of
from autograder.grading.results import given_secret
from autograder.grading.single import grade_one
from autograder.integrations.nbgrader.bridge import COURSE_VARIABLE
from autograder.integrations.nbgrader.cells import BRIDGE, by_grade_id
from autograder.records import ExerciseResult, Report
from autograder.reports.disclosure import Shown, disclosed, wording
from autograder.reports.feedback import exercise_lines
from autograder.submissions import read_submission


class JudgedExecute(Execute):  # type: ignore[misc]
    """nbgrader's Execute; in the bridge notebook points come from the judge instead of a kernel."""

    def preprocess(self, nb: Any, resources: Any) -> tuple[Any, Any]:
        """Give every bridge cell its output; cells that are none lose theirs."""
        about = resources["nbgrader"]
        if about["notebook"] != BRIDGE:
            result: tuple[Any, Any] = super().preprocess(nb, resources)
            return result
        folder = Path(resources["metadata"]["path"])
        report = judged(folder, about["student"], about["assignment"])
        results = {result.id: result for result in report.exercises}
        course = load_course(_course())
        session = course.session(about["assignment"])
        shown = shown_now(course.feedback, report.lateness, datetime.now(UTC))
        exercises = by_grade_id(session)
        for cell in nb.cells:
            if cell.cell_type != "code":
                continue
            exercise = exercises.get(cell.metadata.get("nbgrader", {}).get("grade_id"))
            known = exercise is not None and exercise.id in results
            cell.outputs = (
                _outputs(report, results[exercise.id], shown) if exercise and known else []
            )
            cell.execution_count = None
        return nb, resources


@cache
def judged(folder: Path, student: str, assignment: str) -> Report:
    """The judge's report of one student's folder; AutograderError if we could not grade it."""
    path = _course()
    course = load_course(path)
    session = course.session(assignment)
    limits = kind_of(session).archive_limits(course)
    submission = read_submission(folder, session, limits, student=student)
    secret = given_secret().encode()
    report = grade_one(course, path.parent, session, submission, secret)
    if report.has_tool_error:
        raise AutograderError(f"{student}: the grader failed; run nbgrader autograde again")
    return report


def _course() -> Path:
    return Path(os.environ[COURSE_VARIABLE]).resolve()


def _outputs(report: Report, result: ExerciseResult, shown: Shown) -> list[Any]:
    """What nbgrader reads as partial credit, after the feedback that the student may see now."""
    seen = disclosed(report, shown.level)
    own = [each for each in seen.exercises if each.id == result.id]
    lines = [line for each in own for line in exercise_lines(seen, each)]
    text = "\n".join((*lines, wording(report, shown))) + "\n"
    node: Any = from_dict
    return [
        node({"output_type": "stream", "name": "stdout", "text": text}),
        node(
            {
                "output_type": "execute_result",
                "data": {"text/plain": repr(float(result.points))},
                "metadata": {},
                "execution_count": None,
            }
        ),
    ]
