"""One submission by itself, graded as in a class, for platforms that bring one at a time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from autograder.course import Course, Session
from autograder.engine.host import pool
from autograder.grading.assembly import finished, merged
from autograder.grading.kinds import Settings, kind_of
from autograder.grading.verification import with_solution
from autograder.records import Report
from autograder.submissions import Submission


def grade_one(
    course: Course,
    root: Path,
    session: Session,
    submission: Submission,
    secret: bytes,
    seconds: float | None = None,
) -> Report:
    """The report of one submission, with the late penalty and known mistakes named.

    `root` is the folder of course.yaml, `seconds` what everything may take, where there is a limit
    that course.yaml does not know.
    """
    kind = kind_of(session)
    settings = Settings(secret)
    job = with_solution(kind.job(course, session, settings), root)
    if seconds is not None:
        names = ("submission_seconds", "exercise_seconds", "test_seconds")
        less = {name: min(getattr(job.limits, name), seconds) for name in names}
        job = replace(job, limits=job.limits.model_copy(update=less), total_seconds=seconds)
    fingerprints = kind.fingerprints(course, session, settings)
    report = merged(pool.graded(job, submission), None, fingerprints)
    return finished(report, course, session, submission.submitted_at, {})
