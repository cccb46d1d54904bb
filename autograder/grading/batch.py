"""Grading a folder of submissions into a results folder that survives being killed.

    results/
        secret.key            keys the random draws; keep it for regrades (mode 600)
        reports/SLUG.json     one record a submission, written whole the moment it is graded
        feedback/SLUG.html    what the student reads; also SLUG.txt
        staff/SLUG.html       the same with tracebacks, output and cost
        grades.csv            for Canvas or Moodle
        index.html            the class at a glance

Reports are the record; everything else is made from them and can be made again.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import autograder
from autograder.course import Course, Session
from autograder.engine.host import pool
from autograder.engine.job import JudgeSpec, Level, Progress
from autograder.errors import AutograderError
from autograder.files import write
from autograder.grading.lateness import lateness
from autograder.records import Report
from autograder.records.codec import from_json, to_json
from autograder.reports.csv_report import grades_csv
from autograder.reports.html import class_page, student_page
from autograder.reports.text import student_text
from autograder.submissions import Collected, Submission

SECRET_VARIABLE = "AUTOGRADER_SECRET"
SECRET_BYTES = 32


@dataclass(frozen=True)
class Options:
    """How a batch is graded; `only` are exercise ids (empty: all), `jobs` judges at a time."""

    jobs: int = 1
    only: tuple[str, ...] = ()
    resume: bool = False
    spawn: bool = False
    require_isolation: Level = "process"


class ResultsFolder:
    """The folder that a batch writes; every file appears whole or not at all."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.reports = path / "reports"

    def prepare(self, resume: bool) -> None:
        """Create the folder; refuse one with results unless they are to be continued."""
        if self.reports.is_dir() and any(self.reports.glob("*.json")) and not resume:
            raise AutograderError(
                f"{self.path} already holds results; add --resume to continue, or choose another"
            )
        try:
            for folder in (self.reports, self.path / "feedback", self.path / "staff"):
                folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise AutograderError(f"cannot write to {self.path}: {error.strerror}") from None

    def secret(self) -> bytes:
        """The key of the random draws: from the environment, else made once and kept here."""
        given = os.environ.get(SECRET_VARIABLE, "")
        if given:
            return given.encode()
        path = self.path / "secret.key"
        if not path.exists():
            write(path, secrets.token_hex(SECRET_BYTES), mode=0o600)
        return path.read_bytes().strip()

    def load(self) -> list[Report]:
        """All reports; an unreadable one is an error that names its file."""
        return [read_report(path) for path in sorted(self.reports.glob("*.json"))]

    def keep(self, report: Report, course_title: str, session_title: str) -> None:
        """Write the record of one submission and the pages that show it."""
        titles = (course_title, session_title)
        write(self.path / "feedback" / f"{report.slug}.txt", student_text(report))
        page = student_page(report, "student", *titles)
        write(self.path / "feedback" / f"{report.slug}.html", page)
        write(self.path / "staff" / f"{report.slug}.html", student_page(report, "ta", *titles))
        write(self.reports / f"{report.slug}.json", to_json(report))

    def summarise(self, reports: Iterable[Report], course: Course, session: Session) -> None:
        """Write what shows all submissions together."""
        reports = list(reports)
        write(self.path / "grades.csv", grades_csv(reports))
        write(self.path / "index.html", class_page(reports, course.title, session.title))


def read_report(path: Path) -> Report:
    """Read one written report; AutograderError names the file."""
    try:
        return from_json(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise AutograderError(f"{path} cannot be read: {error}") from None
    except AutograderError as error:
        raise AutograderError(f"{path}: {error}") from None


def grade(
    course: Course,
    session: Session,
    collected: Collected,
    results: ResultsFolder,
    options: Options,
    progress: Progress,
    done: Callable[[Report], None],
) -> list[Report]:
    """Grade what has no report yet, and return the reports of all collected submissions.

    With `resume`, a submission counts as done if its report was made from the same bytes and
    holds no tool error.
    """
    results.prepare(options.resume)
    spec = JudgeSpec(
        course_id=course.id,
        session=session,
        limits=course.limits,
        tests=(str(graders_of(session)),),
        secret=results.secret(),
        only=options.only,
        data_root=os.environ.get("COURSE_DATA", ""),
        require_isolation=options.require_isolation,
    )
    reports = {report.slug: report for report in results.load()} if options.resume else {}
    pending = [s for s in collected.submissions if not _is_done(s, reports.get(s.slug), spec)]
    times = {submission.slug: submission.submitted_at for submission in collected.submissions}

    def deliver(report: Report) -> None:
        report = with_lateness(report, course, session, times[report.slug])
        results.keep(report, course.title, session.title)
        reports[report.slug] = report
        done(report)

    try:
        if pending:
            pool.grade(spec, pending, deliver, progress, options.jobs, options.spawn)
    finally:
        if reports:
            results.summarise(reports.values(), course, session)
    return list(reports.values())


def _is_done(submission: Submission, report: Report | None, spec: JudgeSpec) -> bool:
    return (
        report is not None
        and report.session == spec.session.id
        and report.submission_sha256 == submission.sha256
        and {e.id for e in report.exercises} == {e.id for e in spec.exercises}
        and not report.has_tool_error
    )


def with_lateness(
    report: Report, course: Course, session: Session, submitted_at: str | None
) -> Report:
    """Put the late penalty beside the raw points."""
    extension = course.extension(report.student, session.id)
    late = lateness(course.late_policy, session.due, submitted_at, extension)
    return replace(report, lateness=late)


def check(
    course: Course,
    session: Session,
    submission: Submission,
    tests: Path,
    only: tuple[str, ...],
    progress: Progress,
    spawn: bool = False,
) -> Report:
    """Run public tests on one submission, on the student's own machine."""
    spec = JudgeSpec(
        course_id=course.id,
        session=session,
        limits=course.limits,
        tests=(str(tests.resolve()),),
        secret=b"public tests use no secret",
        only=only,
        data_root=os.environ.get("COURSE_DATA", ""),
    )
    reports: list[Report] = []
    pool.grade(spec, [submission], reports.append, progress, spawn=spawn)
    return reports[0]


def graders_of(session: Session) -> Path:
    """The folder with a session's hidden graders; AutograderError in a kit without them."""
    folder = Path(autograder.__file__).parent / "graders" / session.folder
    if not folder.is_dir():
        raise AutograderError(f"this kit has no graders for {session.id} (a student's copy?)")
    return folder


def exercise_ids(session: Session, wanted: Iterable[str]) -> tuple[str, ...]:
    """Resolve `s1.split` or `split` to ids of the session; an unknown one raises CourseError."""

    def full(name: str) -> str:
        return name if name.startswith(f"{session.id}.") else f"{session.id}.{name}"

    return tuple(session.exercise(full(name)).id for name in wanted)
