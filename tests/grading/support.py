"""A class of three students and a judge that looks for words, so that runs take no time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from autograder.course import Course, parse_course
from autograder.engine.job import GradingJob
from autograder.grading import batch, verification
from autograder.grading.batch import Batch, Callbacks, Options
from autograder.grading.results import ResultsFolder
from autograder.records import ExerciseResult, Outcome, Report, TestResult
from autograder.submissions import Submission
from tests.support import submission

COURSE = """
kit_version: 1
id: test
title: Test course
term: now
sessions:
  - id: s1
    folder: s1_test
    title: Test
    due: 2027-01-25T23:59:00+01:00
    modules:
      - file: work.py
        exercises:
          - {id: s1.add, title: Add, points: 40}
          - {id: s1.sub, title: Subtract, points: 40}
    exercises:
      - {id: s1.essay, title: Essay, points: 20, graded: by hand}
  - id: s2
    folder: s2_test
    title: Another
    modules:
      - file: work.py
        exercises:
          - {id: s2.add, title: Add, points: 100}
late_policy: {kind: percent_per_day, percent: 10, cut_off_days: 7}
"""
GRADERS = '''
import math

@exercise("s1.add")
def test_add(student):
    """It adds."""

@exercise("s1.sub")
def test_sub(student):
    """It subtracts."""
'''


@dataclass
class Class:
    """A course, its graders, submissions and results, and what was asked of the judge."""

    root: Path
    text: str = COURSE
    modules: dict[str, str] = field(default_factory=dict)
    times: dict[str, str] = field(default_factory=dict)  # of submission, from the platform
    asked: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    broken: set[tuple[str, str]] = field(default_factory=set)  # (student, exercise): our fault
    after: Callable[[int], None] = lambda _: None  # called with the number of reports delivered

    @property
    def course(self) -> Course:
        return parse_course(self.text)

    @property
    def results(self) -> ResultsFolder:
        return ResultsFolder(self.root / "results")

    @property
    def graders(self) -> Path:
        return self.root / "graders"

    def submissions(self) -> list[Submission]:
        return [
            submission(name, {"work.py": text}, submitted_at=self.times.get(name))
            for name, text in self.modules.items()
        ]

    def grade(self, *, session: str = "s1", **options: object) -> Batch:
        """One run; `asked` and `notes` are of this run."""
        self.asked.clear()
        self.notes.clear()
        course = self.course
        return batch.grade(
            course,
            course.session(session),
            self.root,
            self.submissions(),
            self.results,
            Options(**options),  # type: ignore[arg-type]
            Callbacks(note=self.notes.append),
        )

    def report(
        self, times: Path | None = None, marks: Path | None = None, roster: Path | None = None
    ) -> Batch:
        self.notes.clear()
        course = self.course
        callbacks = Callbacks(note=self.notes.append)
        session = course.session("s1")
        return batch.refresh(course, session, self.results, times, marks, callbacks, roster)

    def judge(
        self,
        job: GradingJob,
        submissions: Iterable[Submission],
        deliver: Callable[[Report], None],
        *_: object,
        **__: object,
    ) -> None:
        """Full points for an exercise whose name stands in the module."""
        for count, submitted in enumerate(submissions, start=1):
            results = []
            for exercise in job.exercises_for(submitted):
                self.asked.append((submitted.student, exercise.name))
                right = exercise.name.encode() in dict(submitted.files).get("work.py", b"")
                outcome = Outcome.PASSED if right else Outcome.FAILED
                if (submitted.student, exercise.name) in self.broken:
                    outcome = Outcome.TOOL_ERROR
                test = TestResult("test", "It works.", outcome, float(outcome is Outcome.PASSED))
                points = exercise.points if outcome is Outcome.PASSED else 0.0
                results.append(
                    ExerciseResult(
                        exercise.id,
                        exercise.title,
                        exercise.module,
                        outcome,
                        points,
                        exercise.points,
                        tests=(test,),
                    )
                )
            deliver(
                Report(
                    job.course_id,
                    job.session.id,
                    submitted.student,
                    submitted.slug,
                    submitted.sha256,
                    tuple(results),
                    submitted.problems,
                    submitted.incidents,
                    submitted.notes,
                )
            )
            self.after(count)


@pytest.fixture
def klass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Class:
    """Ada has both right, Bob subtracts only, Cleo nothing."""
    given = Class(tmp_path)
    given.modules = {"ada": "add sub", "bob": "sub", "cleo": "none"}
    given.graders.mkdir()
    (given.graders / "test_work.py").write_text(GRADERS)
    monkeypatch.setattr(batch.pool, "grade", given.judge)
    monkeypatch.setattr(verification.pool, "grade", given.judge)
    monkeypatch.setattr("autograder.grading.kinds.graders_of", lambda _: given.graders)
    monkeypatch.setenv("AUTOGRADER_SECRET", "secret")
    return given


def points(made: Batch) -> dict[str, dict[str, float]]:
    """Student -> exercise -> points that count."""
    return {
        report.student: {e.id.partition(".")[2]: e.earned for e in report.exercises}
        for report in made.reports
    }


def content(folder: Path) -> Mapping[str, bytes]:
    """Every file below a folder."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def changed(report: Report, **fields: object) -> Report:
    """A report with other fields."""
    return replace(report, **fields)  # type: ignore[arg-type]
