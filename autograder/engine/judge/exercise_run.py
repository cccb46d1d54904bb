"""One exercise of one submission: its worker, replaced when it is lost, and its clock."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from autograder.course import CourseExercise
from autograder.engine.job import GradingJob, isolation_shortfall
from autograder.engine.judge.clock import Clock
from autograder.engine.judge.processes import WorkerProcess
from autograder.engine.judge.serving import GraderError
from autograder.engine.judge.student import as_student_failures, student_error
from autograder.engine.judge.workers import Workers
from autograder.graders.toolkit.failures import (
    Died,
    Missing,
    StudentError,
    StudentFailure,
    TimedOut,
)
from autograder.records import Isolation
from autograder.submissions.submission import Submission

MAX_LOST_WORKERS = 2  # of one exercise; then the rest of its tests are not tried any more
MAX_LOOKUPS = 500  # of a worker that decodes; each tells a bit that another one left, at most


@dataclass
class SubmissionRun:
    """State while one submission is graded."""

    submission: Submission
    deadline: float
    started: float
    sources: dict[str, bytes]  # by module name
    broken: dict[str, StudentFailure] = field(default_factory=dict)  # module -> why it won't import
    isolation: Isolation | None = None
    peak_bytes: int = 0
    workers: int = 0


class ExerciseRun:
    """The workers of one exercise: one that its tests share, and those that a test adds."""

    def __init__(
        self,
        exercise: CourseExercise,
        run: SubmissionRun,
        job: GradingJob,
        workers: Workers,
        extra_seconds: float,
        used: WorkerProcess | None = None,
    ) -> None:
        """`used` is a worker of an ended run, which tests share if the modules load in it."""
        self.exercise = exercise
        self.run = run
        self.deadline = time.monotonic() + job.limits.exercise_seconds + extra_seconds
        self._job = job
        self._source = workers
        self._lost = 0
        self._last_failure: StudentFailure | None = None
        self._main = used
        self._holds_others = used is not None  # modules of the run that has ended
        self._workers = [used] if used is not None else []
        self._told: dict[int, int] = {}  # characters of a worker's output, by process id

    @property
    def limit(self) -> str:
        """What ends first, the exercise's time or the submission's, as a student reads it."""
        limits = self._job.limits
        if self.deadline <= self.run.deadline:
            return f"{limits.exercise_seconds:g} s for all checks of the exercise"
        return f"{limits.submission_seconds:g} s for the whole submission"

    def main_worker(self) -> WorkerProcess:
        """The worker that the exercise's tests share."""
        if self._holds_others:
            self._holds_others = False
            if self._main is not None:
                self._take_over(self._main)
        if self._main is None or self._main.ended is not None:
            self._main = self.new_worker()
        return self._main

    def _take_over(self, worker: WorkerProcess) -> None:
        """Load the modules into a worker that held others; close it if they cannot be."""
        try:
            self._load(worker, self.exercise.module)
        except StudentFailure:
            self._kill(worker)

    def handed_over(self) -> WorkerProcess | None:
        """Between two tests: the main worker, if it lives, for another run of trusted modules."""
        return self._main if self._main is not None and self._main.ended is None else None

    def decoding_worker(self) -> WorkerProcess:
        """A fresh worker with the student's modules loaded, whose lookups of files are bounded."""
        return self.new_worker(MAX_LOOKUPS)

    def new_worker(self, max_lookups: int | None = None) -> WorkerProcess:
        """A fresh worker with the student's modules loaded."""
        module = self.exercise.module
        if module in self.run.broken:
            raise self.run.broken[module]
        if not self.run.sources.get(module, b"").strip():
            raise Missing(f"{module}.py is missing, empty or cannot be read")
        if self._lost >= MAX_LOST_WORKERS and self._last_failure is not None:
            raise self._last_failure
        worker = self.clean_worker(max_lookups)
        try:
            self._load(worker, module)
        except StudentFailure as failure:
            self.run.broken[module] = failure
            worker.close()
            raise
        return worker

    def clean_worker(self, max_lookups: int | None = None) -> WorkerProcess:
        """A fresh worker without the student's code; that it has to start costs no student time."""
        started = time.monotonic()
        worker = self._source.take(max_lookups)
        self._workers.append(worker)
        took = time.monotonic() - started
        self.deadline += took
        self.run.deadline += took
        if reason := isolation_shortfall(worker.isolation, self._job.require_isolation):
            raise GraderError(reason)
        self.run.workers += 1
        self.run.isolation = self.run.isolation or worker.isolation
        return worker

    def _load(self, worker: WorkerProcess, module: str) -> None:
        sources = [[name, {"b": index}] for index, name in enumerate(self.run.sources)]
        libraries = {"op": "libraries", "id": 0, "sources": sources}
        header = {
            "op": "load",
            "id": 0,
            "module": module,
            "sources": sources,
            "withhold": [f"shared.{name}" for name in self._job.session.withhold],
        }
        texts = [memoryview(text) for text in self.run.sources.values()]
        clock = Clock(
            self._job.limits.test_seconds, self.run.deadline, self.limit, self._job.patience
        )
        try:
            with as_student_failures(clock):
                deadline = clock.deadline(worker)
                if worker.max_lookups is not None:  # a large library looks for hundreds of files
                    with worker.uncounted():
                        worker.send(libraries, texts, deadline)
                        worker.receive(deadline)
                worker.send(header, texts, deadline)
                answer = worker.receive(deadline).header
        except TimedOut:
            text = f"importing {module}.py did not finish within {clock.limit}"
            raise TimedOut(text) from None
        except Died as failure:
            raise Died(f"importing {module}.py failed: {failure}") from None
        if answer.get("op") == "error":
            raise _import_failure(module, answer)

    def note(self, failure: StudentFailure) -> None:
        """Remember that a test ended badly; a lost worker counts against the exercise."""
        if self._main is not None and self._main.ended is not None:
            self._lost += 1
            self._last_failure = failure
            self._main = None

    def output(self) -> str:
        """What the exercise's workers printed since this was last asked."""
        new = []
        for worker in self._workers:
            text = worker.text()
            new.append(text[self._told.get(worker.process.pid, 0) :])
            self._told[worker.process.pid] = len(text)
        return "".join(new)

    def retire(self) -> None:
        """Kill every worker; what they printed stays known until the test ends."""
        for worker in self._workers:
            self._kill(worker)
        self._main = None

    def end_test(self) -> None:
        """Kill the extra workers of a test."""
        for worker in self._workers:
            if worker is not self._main:
                self._kill(worker)
        self._workers = [self._main] if self._main is not None else []

    def close(self) -> None:
        """Kill every worker of the exercise."""
        for worker in self._workers:
            self._kill(worker)

    def _kill(self, worker: WorkerProcess) -> None:
        self.run.peak_bytes = max(self.run.peak_bytes, worker.close().peak_bytes)


def _import_failure(module: str, answer: dict[str, Any]) -> StudentFailure:
    failure = student_error(answer)
    if isinstance(failure, StudentError):
        place = f" ({failure.where})" if failure.where else ""
        text = f": {failure.text}" if failure.text else ""
        error = StudentFailure(
            f"{module}.py cannot be imported: {failure.kind}{place}{text}", failure.detail
        )
        error.outcome = failure.outcome
        return error
    return failure
