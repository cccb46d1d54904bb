"""What several tests need: a small course, submissions from text, the real engine."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from autograder.course import Course, parse_course
from autograder.engine.host import pool
from autograder.engine.job import GradingJob
from autograder.records import ExerciseResult, Report
from autograder.submissions import Submission
from autograder.submissions.identity import slug
from autograder.submissions.submission import content_hash

ROOT = Path(__file__).parent.parent
TEST_SECRET = b"a secret for tests"


def small_course(exercises: Iterable[str], **limits: float) -> Course:
    """A course with one module `work.py` and these exercises, all worth the same."""
    names = list(exercises)
    points = [round(100 / len(names), 4)] * (len(names) - 1)
    points.append(100 - sum(points))
    lines = [
        f"          - {{id: s1.{name}, title: {name}, points: {p}}}"
        for name, p in zip(names, points, strict=True)
    ]
    caps = {"test_seconds": 5, "exercise_seconds": 30, "submission_seconds": 120, **limits}
    text = "\n".join(
        [
            "kit_version: 1",
            "id: test",
            "title: Test course",
            "term: now",
            "sessions:",
            "  - id: s1",
            "    folder: s1_test",
            "    title: Test",
            "    withhold: [profiling]",
            "    modules:",
            "      - file: work.py",
            "        exercises:",
            *lines,
            "limits:",
            *(f"  {key}: {value}" for key, value in caps.items()),
        ]
    )
    return parse_course(text)


def submission(student: str, files: Mapping[str, str], **fields: Any) -> Submission:
    """A submission from file names and (indented) texts."""
    contents = {name: textwrap.dedent(text).encode() for name, text in files.items()}
    return Submission(
        student=student,
        slug=slug(student),
        sha256=content_hash(contents),
        files=tuple(contents.items()),
        **fields,
    )


def grade(
    course: Course,
    submissions: Iterable[Submission],
    tests: Path,
    *,
    jobs: int = 1,
    spawn: bool = False,
    secret: bytes = TEST_SECRET,
    **fields: Any,
) -> dict[str, Report]:
    """Grade through the engine and return the reports by student."""
    job = GradingJob(
        course_id=course.id,
        session=course.sessions[0],
        limits=course.limits,
        tests=(str(tests),),
        secret=secret,
        **fields,
    )
    reports: dict[str, Report] = {}
    pool.grade(
        job,
        submissions,
        lambda report: reports.update({report.student: report}),
        lambda *_: None,
        jobs=jobs,
        spawn=spawn,
    )
    return reports


def exercise(report: Report, name: str) -> ExerciseResult:
    """One exercise of a report by the end of its id."""
    return next(e for e in report.exercises if e.id.endswith(f".{name}"))
