"""From what a judge delivers to the report that is kept: pure functions over records.

`merged` joins new results with those that stay; `finished` puts in what can change at any time
without grading: points by hand, late penalties, titles, the order of course.yaml.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime

from autograder.course import Course, CourseExercise, Session
from autograder.grading.fingerprints import of_result
from autograder.grading.lateness import lateness
from autograder.grading.tables import Marks
from autograder.records import ExerciseResult, Lateness, Mark, Outcome, Report
from autograder.submissions.identity import same_student_key


def merged(
    report: Report,
    former: Report | None,
    fingerprints: Mapping[str, str],
) -> Report:
    """A judge's report with the results that stay, each under its fingerprint.

    Exercises that were not graded now stay as `former` has them.
    """
    new = {
        result.id: replace(
            result, fingerprint=of_result(fingerprints[result.id], report.submission_sha256)
        )
        for result in report.exercises
    }
    stay = {result.id: result for result in (former.exercises if former else ())}
    results = {**stay, **new}
    same = former is not None and former.submission_sha256 == report.submission_sha256
    earlier = former.incidents if former is not None and same else ()
    failed = replace(report, exercises=tuple(new.values())).has_tool_error
    before = former.failed_runs if former is not None and _as_before(new, stay) else 0
    return replace(
        report,
        exercises=tuple(results.values()),
        failed_runs=before + 1 if failed else 0,
        incidents=tuple(dict.fromkeys((*report.incidents, *earlier))),
    )


def _as_before(new: Mapping[str, ExerciseResult], former: Mapping[str, ExerciseResult]) -> bool:
    """Whether all that was graded now was graded before, under the same fingerprints."""
    return all(
        name in former and former[name].fingerprint == result.fingerprint
        for name, result in new.items()
    )


def finished(
    report: Report, course: Course, session: Session, submitted_at: str | None, marks: Marks
) -> Report:
    """The report under the present course.yaml: its exercises and order, marks, late penalty.

    Exercises that a person grades are there as soon as all others have been graded.
    """
    results = {result.id: result for result in report.exercises}
    by_hand = {e.id: _unmarked(e) for e in session.exercises if e.graded == "by hand"}
    if all(e.id in results for e in session.exercises if e.graded == "automatically"):
        results = by_hand | results
    return replace(
        report,
        exercises=tuple(
            _with_mark(
                replace(results[exercise.id], title=exercise.title),
                marks.get((report.slug, exercise.id)),
            )
            for exercise in session.exercises
            if exercise.id in results
        ),
        lateness=_lateness(report, course, session, submitted_at),
    )


def outdated(reports: Iterable[Report], course: Course, session: Session) -> list[Report]:
    """Reports whose late penalty is not the one that the present course.yaml gives."""
    return [
        report
        for report in reports
        if report.lateness.penalty
        != _lateness(report, course, session, report.lateness.submitted_at).penalty
    ]


def _lateness(
    report: Report, course: Course, session: Session, submitted_at: str | None
) -> Lateness:
    extension = _extension(course, session, report)
    return lateness(course.late_policy, session.due, submitted_at, extension)


def _extension(course: Course, session: Session, report: Report) -> datetime | None:
    """The due date that was granted to the student, whose name a person may spell otherwise."""
    student = same_student_key(report.student)
    granted = (each for each in course.extensions if each.session == session.id)
    return max((e.due for e in granted if same_student_key(e.student) == student), default=None)


def _unmarked(exercise: CourseExercise) -> ExerciseResult:
    return ExerciseResult(
        id=exercise.id,
        title=exercise.title,
        module=exercise.module,
        outcome=Outcome.NOT_MARKED,
        points=0.0,
        maximum=exercise.points,
        extra_credit=exercise.extra_credit,
        by_hand=True,
    )


def _with_mark(result: ExerciseResult, mark: Mark | None) -> ExerciseResult:
    """A result with a mark instead of its former one, or without any."""
    if not result.by_hand:
        return replace(result, mark=mark)
    outcome = Outcome.NOT_MARKED
    if mark is not None:
        outcome = Outcome.PARTIAL if 0 < mark.points < result.maximum else Outcome.FAILED
        outcome = Outcome.PASSED if mark.points >= result.maximum else outcome
    return replace(result, mark=mark, outcome=outcome)
