"""What several tests need: a small course, submissions from text, the real engine."""

from __future__ import annotations

import atexit
import contextlib
import tempfile
import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

from autograder.course import Course, parse_course
from autograder.engine.host import judges, pool
from autograder.engine.host.judges import ForkedJudges, JudgeSource
from autograder.engine.job import GradingJob
from autograder.records import ExerciseResult, Report
from autograder.submissions import Submission
from autograder.submissions.identity import slug
from autograder.submissions.submission import content_hash

ROOT = Path(__file__).parent.parent
TEST_SECRET = b"a secret for tests"
MAX_KEPT = 2  # zygotes: each takes some 300 MB


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


class _KeptJudges(ForkedJudges):
    """Judges of a zygote that outlives its job: the next one that needs the same takes them.

    Starting one imports torch, which takes longer than what most tests grade.
    """

    def close(self) -> None:
        """They stay, until `restart` ends them."""


_kept: dict[object, _KeptJudges] = {}


@atexit.register
def _end_kept() -> None:
    while _kept:
        _kept.popitem()[1].restart()


def kept_judges(job: GradingJob, spawn: bool) -> JudgeSource:
    """In place of `judge_source`, so that a job begins with what an earlier one left."""
    if spawn:
        return judges.judge_source(job, spawn)
    key = (job.preload, job.session.withhold, job.disabled_mechanisms)
    known = _kept.pop(key, None)
    if known is None and len(_kept) == MAX_KEPT:
        _kept.pop(next(iter(_kept))).restart()
    # the job's own temporary folder goes away before the zygote does
    lasting = replace(job, scratch=tempfile.gettempdir(), many_workers=True)
    _kept[key] = known or _KeptJudges(lasting)
    return _kept[key]


def grade(
    course: Course,
    submissions: Iterable[Submission],
    tests: Path,
    *,
    jobs: int = 1,
    spawn: bool = False,
    fresh: bool = False,
    secret: bytes = TEST_SECRET,
    **fields: Any,
) -> dict[str, Report]:
    """Grade through the engine and return the reports by student.

    Judges are forks of the same zygote as those of the call before, if that will do; with `fresh`
    they are not.
    """
    job = GradingJob(
        course_id=course.id,
        session=course.sessions[0],
        limits=course.limits,
        tests=(str(tests),),
        secret=secret,
        **fields,
    )
    reports: dict[str, Report] = {}
    kept = mock.patch.object(pool, "judge_source", kept_judges)
    with contextlib.nullcontext() if fresh else kept:
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
