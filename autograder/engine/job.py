"""What a judge is told before it sees a submission. Imports nothing heavy."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from typing import Literal

from autograder import KIT
from autograder.course import CourseExercise, Limits, Session
from autograder.engine.sandbox import WorkerLimits
from autograder.records import ExerciseResult, Isolation, Report
from autograder.submissions.submission import Submission

Level = Literal["process", "partial", "strict"]
LEVELS: tuple[Level, ...] = ("process", "partial", "strict")
"""Isolation from weak to strong."""


def isolation_shortfall(isolation: Isolation, required: Level) -> str:
    """Why an isolation is less than what is required, in one line; empty if it is enough."""
    levels = ("none", *LEVELS)
    if levels.index(isolation.level) >= levels.index(required):
        return ""
    return (
        f"isolation {required!r} is required, this machine gives {isolation.level!r}: "
        f"{'; '.join(isolation.missing)} (see `autograder doctor`)"
    )


Progress = Callable[[str, str], None]
"""Called with a student's name and the id of the exercise that begins."""
Deliver = Callable[[Report], None]
"""Called with each report the moment it is complete."""

PATIENCE = 3.0  # times its limit that a test may take by the clock if the machine is slow
FUNCTIONS_JUDGE = "autograder.engine.judge.main"
GRADER_FAULT = "fault in a grader: "
"""How the detail of a test begins that failed by itself; the line goes on with file and line."""


def grader_faults(report: Report) -> tuple[str, ...]:
    """The lines that say which graders are broken: `fault in a grader: FILE:LINE: …`."""
    details = [test.detail for exercise in report.exercises for test in exercise.tests]
    lines = [detail.partition("\n")[0] for detail in details if detail.startswith(GRADER_FAULT)]
    return tuple(dict.fromkeys(lines))


@dataclass(frozen=True)
class GradingJob:
    """Everything that a judge needs to know besides the submissions; it is sent to it as a pickle.

    Args:
        course_id: goes into the reports.
        session: which one is graded; its `withhold` is hidden from student code.
        limits: time and memory of course.yaml.
        patience: times its limit that a test may take by the clock if the machine is slow.
        tests: folders or files with graders.
        secret: keys the random draws.
        only: ids of the exercises to grade; empty: all.
        only_for: fewer of them, by the slug of a submission.
        only_first_loss: an exercise ends with its first check that costs points: enough where it is
            asked whether a change is noticed, not how much is left.
        data_root: COURSE_DATA for graders that use real data.
        require_isolation: with less than this the batch ends with an EngineError.
        disabled_mechanisms: sandbox mechanisms to do without, for tests.
        entry: the judge's module, whose `main(connection, control)` speaks the protocol of
            `autograder.engine.judge.serving`; `control` is None where nothing can be forked.
        preload: modules that are imported once, before the first fork; those that graders and
            submissions mention are added (see `autograder.engine.host.preload`).
        context: what a judge of another kind needs to know; can be pickled.
        public: the inputs of the tests are no secret: a failed one shows its last call.
        solution: the model solution's files by name, on which known mistakes are tried; empty: no
            mistake is named.
        diagnosis_seconds: for one exercise of one submission; then no other mistake is named.
        scratch: the folder for everything temporary; the pool makes and removes it.
        many_workers: making forks cheap pays (`engine.zygote.hugepages`); the pool decides.
        total_seconds: what a submission may take altogether, also for naming known mistakes, which
            no limit of course.yaml counts: a platform that hosts the grader ends it then.
    """

    course_id: str
    session: Session
    limits: Limits
    tests: tuple[str, ...]
    secret: bytes
    patience: float = PATIENCE
    only: tuple[str, ...] = ()
    only_for: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    only_first_loss: bool = False
    data_root: str = ""
    require_isolation: Level = "process"
    disabled_mechanisms: tuple[str, ...] = ()
    entry: str = FUNCTIONS_JUDGE
    preload: tuple[str, ...] = ()
    context: object = None
    public: bool = False
    solution: Mapping[str, bytes] = field(default_factory=dict)
    diagnosis_seconds: float = 20.0
    scratch: str = ""
    many_workers: bool = False
    total_seconds: float = math.inf

    @property
    def exercises(self) -> tuple[CourseExercise, ...]:
        """The exercises to be graded, in the course's order."""
        return tuple(e for e in self.session.exercises if not self.only or e.id in self.only)

    def exercises_for(self, submission: Submission) -> tuple[CourseExercise, ...]:
        """Those of them that are graded of a submission."""
        chosen = self.only_for.get(submission.slug)
        return tuple(e for e in self.exercises if chosen is None or e.id in chosen)

    @property
    def worker_limits(self) -> WorkerLimits:
        """The limits of one worker process."""
        return WorkerLimits(
            memory_bytes=self.limits.memory_mb << 20,
            cpu_seconds=int(self.limits.submission_seconds) + 10,
            reply_bytes=self.limits.reply_mb << 20,
            output_bytes=self.limits.output_kb << 10,
        )


def report_of(job: GradingJob, submission: Submission, results: Iterable[ExerciseResult]) -> Report:
    """The report of a submission that was graded now: what every kind of judge says of it."""
    return Report(
        course=job.course_id,
        session=job.session.id,
        student=submission.student,
        slug=submission.slug,
        submission_sha256=submission.sha256,
        exercises=tuple(results),
        problems=submission.told,
        incidents=submission.incidents,
        notes=submission.notes,
        graded_at=datetime.now(UTC).isoformat(timespec="seconds"),
        kit_version=metadata.version(KIT),
    )
