"""The judge: pytest with the hidden graders, run once per submission over workers.

pytest collects the graders once; its run loop is replaced by one that takes submissions, runs
every grader against each, and delivers a Report. Student code is never imported here.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import re
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest
from _pytest.runner import runtestprotocol

from autograder.course import Exercise
from autograder.engine.control import Control
from autograder.engine.job import JudgeSpec, Progress, isolation_shortfall
from autograder.engine.judge.processes import Worker, Workers, ZygoteWorkers
from autograder.engine.judge.student import Clock, Student, student_error
from autograder.errors import EngineError
from autograder.graders.toolkit import Draws, Failure
from autograder.graders.toolkit.failures import Died, StudentError, StudentFailure, TimedOut
from autograder.records import Isolation, Outcome, Report, TestResult, Usage, Visibility
from autograder.records.points import exercise_result
from autograder.submissions.submission import Submission

MAX_LOST_WORKERS = 2  # of one exercise; then the rest of its tests are not tried any more
MAX_INCIDENTS = 50
STUB_TEXT = re.compile(r"s[1-9][0-9]*\.[A-Za-z0-9_.]+")  # an exercise's id: what a blank raises

PYTEST_OPTIONS = (
    *("--import-mode=importlib", "--noconftest", "--assert=plain", "--capture=no"),
    *(
        option
        for name in (
            *("cacheprovider", "terminal", "junitxml", "pastebin", "doctest", "logging"),
            *("warnings", "unraisableexception", "threadexception", "debugging", "faulthandler"),
        )
        for option in ("-p", f"no:{name}")
    ),
)


class GraderError(EngineError):
    """The graders themselves are broken: trying again would not help."""


# ---- one submission --------------------------------------------------------------------------


@dataclass
class SubmissionRun:
    """State while one submission is graded."""

    submission: Submission
    deadline: float
    started: float
    sources: dict[str, str]
    broken: dict[str, StudentFailure] = field(default_factory=dict)  # module -> why it won't import
    isolation: Isolation | None = None
    peak_bytes: int = 0
    workers: int = 0


class ExerciseRun:
    """The worker of one exercise, replaced when it is lost, and the exercise's clock."""

    def __init__(
        self,
        exercise: Exercise,
        run: SubmissionRun,
        spec: JudgeSpec,
        pool: Workers,
        extra_seconds: float,
    ) -> None:
        self.exercise = exercise
        self.run = run
        self.deadline = time.monotonic() + spec.limits.exercise_seconds + extra_seconds
        self._spec = spec
        self._pool = pool
        self._lost = 0
        self._last_failure: StudentFailure | None = None
        self._main: Worker | None = None
        self._workers: list[Worker] = []

    def main_worker(self) -> Worker:
        """The worker that the exercise's tests share."""
        if self._main is None or self._main.ended is not None:
            self._main = self.new_worker()
        return self._main

    def new_worker(self) -> Worker:
        """A fresh worker with the student's modules loaded."""
        module = self.exercise.module
        if module in self.run.broken:
            raise self.run.broken[module]
        if module not in self.run.sources:
            raise Died(f"{module}.py is missing or cannot be read")
        if self._lost >= MAX_LOST_WORKERS and self._last_failure is not None:
            raise self._last_failure
        worker = self.clean_worker()
        try:
            self._load(worker, module)
        except StudentFailure as failure:
            self.run.broken[module] = failure
            worker.close()
            raise
        return worker

    def clean_worker(self) -> Worker:
        """A fresh worker without the student's code."""
        worker = self._pool.take()
        self._workers.append(worker)
        self._check_isolation(worker.isolation)
        self.run.workers += 1
        self.run.isolation = self.run.isolation or worker.isolation
        return worker

    def _check_isolation(self, isolation: Isolation) -> None:
        if reason := isolation_shortfall(isolation, self._spec.require_isolation):
            raise GraderError(reason)

    def _load(self, worker: Worker, module: str) -> None:
        limits = self._spec.limits
        clock = Clock(limits.test_seconds, self.run.deadline)
        texts = [(name, text.encode()) for name, text in self.run.sources.items()]
        header = {
            "op": "load",
            "id": 0,
            "module": module,
            "sources": [[name, {"b": index}] for index, (name, _) in enumerate(texts)],
            "withhold": [f"shared.{name}" for name in self._spec.session.withhold],
        }
        try:
            deadline = clock.deadline(worker)
            worker.send(header, [memoryview(text) for _, text in texts], deadline)
            answer = worker.receive(deadline).header
        except TimedOut:
            raise TimedOut(f"importing {module}.py did not finish within the time limit") from None
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
        """What the exercise's workers printed."""
        return "".join(worker.text() for worker in self._workers)

    def end_test(self) -> None:
        """Kill the extra workers of a test."""
        for worker in self._workers:
            if worker is not self._main:
                self._bury(worker)
        self._workers = [self._main] if self._main is not None else []

    def close(self) -> None:
        """Kill every worker of the exercise."""
        for worker in self._workers:
            self._bury(worker)

    def _bury(self, worker: Worker) -> None:
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


# ---- the pytest plugin -----------------------------------------------------------------------


class JudgePlugin:
    """Replaces pytest's run loop and supplies the graders' fixtures."""

    def __init__(
        self,
        spec: JudgeSpec,
        workers: Workers,
        submissions: Iterator[Submission],
        deliver: Callable[[Report], None],
        progress: Progress,
    ) -> None:
        self.spec = spec
        self.engine_error: EngineError | None = None
        self.collection_error = ""
        self._workers = workers
        self._submissions = submissions
        self._deliver = deliver
        self._progress = progress
        self._exercise_run: ExerciseRun
        self._clock: Clock
        self._seed = b""
        self._credit: tuple[float, str] | None = None
        self._error: BaseException | None = None

    # fixtures

    @pytest.fixture
    def student(self) -> Student:
        """The student's functions."""
        return Student(self._exercise_run, self._clock)

    @pytest.fixture
    def rng(self) -> Draws:
        """Keyed random draws: the same for a regrade, different for every test and student."""
        return Draws(self._seed)

    @pytest.fixture
    def credit(self) -> Callable[[float, str], None]:
        """Call with a share in 0..1 and a hint to give partial credit."""

        def give(share: float, hint: str = "") -> None:
            self._credit = (min(max(float(share), 0.0), 1.0), hint)

        return give

    @pytest.fixture
    def thresholds(self) -> Mapping[str, float]:
        """The numbers that course.yaml states for the exercise."""
        return self._exercise_run.exercise.thresholds

    @pytest.fixture
    def source_bytes(self) -> int:
        """The size of the files that were handed in: what code can carry is charged there."""
        submission = self._exercise_run.run.submission
        return sum(len(data) for _, data in submission.files)

    # hooks

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Remember why a grader could not be imported."""
        if report.failed and not self.collection_error:
            self.collection_error = str(report.longrepr).strip().splitlines()[-1]

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Keep the wanted exercises, in the order of the course and of the files."""
        order = {exercise.id: place for place, exercise in enumerate(self.spec.exercises)}
        known = {exercise.id for exercise in self.spec.session.exercises}
        for item in items:
            if _exercise_id(item) not in known:
                text = f"{item.nodeid}: exercise {_exercise_id(item)!r} is not in course.yaml"
                self.collection_error = self.collection_error or text
        without = order.keys() - {_exercise_id(item) for item in items}
        if without and not self.collection_error:
            self.collection_error = f"no test for {', '.join(sorted(without))}"
        items[:] = sorted(
            (item for item in items if _exercise_id(item) in order),
            key=lambda item: order[_exercise_id(item)],
        )

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Grade submissions until there are no more."""
        if self.collection_error:
            raise GraderError(f"the graders cannot be collected: {self.collection_error}")
        for submission in self._submissions:
            self._deliver(self._grade(submission, session.items))
        return True

    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> pytest.TestReport:
        """Keep the exception itself; the text that pytest would make of it is not needed."""
        if call.excinfo is not None and self._error is None:
            self._error = call.excinfo.value
        when: Any = call.when
        outcome: Any = "failed" if call.excinfo is not None else "passed"
        return pytest.TestReport(
            item.nodeid, item.location, {}, outcome, None, when, duration=call.duration
        )

    # grading

    def _grade(self, submission: Submission, items: Sequence[pytest.Item]) -> Report:
        started = time.monotonic()
        run = SubmissionRun(
            submission=submission,
            deadline=started + self.spec.limits.submission_seconds,
            started=started,
            sources={Path(name).stem: data.decode("utf-8-sig") for name, data in submission.files},
        )
        by_exercise: dict[str, list[pytest.Item]] = {e.id: [] for e in self.spec.exercises}
        for item in items:
            by_exercise[_exercise_id(item)].append(item)
        results = []
        for exercise in self.spec.exercises_for(submission.student):
            self._progress(submission.student, exercise.id)
            tests = self._grade_exercise(exercise, run, by_exercise[exercise.id])
            results.append(
                exercise_result(
                    exercise.id,
                    exercise.title,
                    exercise.module,
                    exercise.points,
                    exercise.extra_credit,
                    tests,
                )
            )
        refused = [
            f"{result.id}: {test.message}"
            for result in results
            for test in result.tests
            if test.outcome is Outcome.REFUSED
        ]
        incidents = (*submission.incidents, *dict.fromkeys(refused))
        usage = Usage(
            seconds=round(time.monotonic() - started, 4),
            student_seconds=round(sum(t.student_seconds for r in results for t in r.tests), 4),
            peak_memory_bytes=run.peak_bytes,
            workers=run.workers,
        )
        return Report(
            course=self.spec.course_id,
            session=self.spec.session.id,
            student=submission.student,
            slug=submission.slug,
            submission_sha256=submission.sha256,
            exercises=tuple(results),
            problems=submission.problems,
            incidents=incidents[:MAX_INCIDENTS],
            isolation=run.isolation or Isolation(),
            usage=usage,
            graded_at=datetime.now(UTC).isoformat(timespec="seconds"),
            kit_version=metadata.version("compression-course"),
        )

    def _grade_exercise(
        self, exercise: Exercise, run: SubmissionRun, items: Sequence[pytest.Item]
    ) -> list[TestResult]:
        functions: list[Any] = [item.obj for item in items]  # type: ignore[attr-defined]
        extra = sum(getattr(function, "__seconds__", 0.0) for function in functions)
        self._exercise_run = ExerciseRun(exercise, run, self.spec, self._workers, extra)
        try:
            return [
                self._run_test(exercise, run, item, following)
                for item, following in zip(items, [*items[1:], None], strict=True)
            ]
        finally:
            self._exercise_run.close()

    def _run_test(
        self,
        exercise: Exercise,
        run: SubmissionRun,
        item: pytest.Item,
        following: pytest.Item | None,
    ) -> TestResult:
        function: Any = item.obj  # type: ignore[attr-defined]
        started = time.monotonic()
        seconds = getattr(function, "__seconds__", self.spec.limits.test_seconds)
        self._clock = Clock(seconds, min(self._exercise_run.deadline, run.deadline))
        self._seed = self._test_seed(exercise.id, item.name, run.submission)
        runtestprotocol(item, log=False, nextitem=following)
        error = self._taken_error()
        if isinstance(error, EngineError):
            raise error
        if isinstance(error, StudentFailure):
            self._exercise_run.note(error)
        outcome, message, detail = explain(error, exercise.id, self._clock)
        share = 1.0 if outcome is Outcome.PASSED else 0.0
        given = self._given_credit()
        if outcome is Outcome.PASSED and given is not None and given[0] < 1.0:
            share, message = given
            outcome = Outcome.PARTIAL if share > 0.0 else Outcome.FAILED
        output = self._exercise_run.output() if outcome is not Outcome.PASSED else ""
        self._exercise_run.end_test()
        return TestResult(
            name=item.name,
            title=_title(function, item.name),
            outcome=outcome,
            credit=share,
            weight=float(getattr(function, "__weight__", 1.0)),
            guard=bool(getattr(function, "__guard__", False)),
            visibility=Visibility(getattr(function, "__visibility__", exercise.visibility)),
            message=message,
            detail="\n".join(part for part in (detail, output) if part),
            seconds=round(time.monotonic() - started, 4),
            student_seconds=round(self._clock.waited, 4),
        )

    def _taken_error(self) -> BaseException | None:
        error, self._error = self._error, None
        return error

    def _given_credit(self) -> tuple[float, str] | None:
        credit, self._credit = self._credit, None
        return credit

    def _test_seed(self, exercise_id: str, test: str, submission: Submission) -> bytes:
        text = "\0".join((exercise_id, test, submission.student, submission.sha256))
        return hmac.digest(self.spec.secret, text.encode(), hashlib.sha256)


def explain(
    error: BaseException | None, exercise_id: str, clock: Clock
) -> tuple[Outcome, str, str]:
    """Outcome, sentence for the student and detail for the assistant of one test."""
    if error is None:
        return Outcome.PASSED, "", ""
    if isinstance(error, Failure | AssertionError):
        return Outcome.FAILED, str(error), ""
    if isinstance(error, StudentError) and error.kind == "NotImplementedError":
        if error.text in ("", exercise_id):
            return Outcome.BLANK, "not written yet", ""
        if STUB_TEXT.fullmatch(error.text):  # torch raises it too, with other words
            return Outcome.BLOCKED, f"needs {error.text}, which is not written yet", error.detail
    if isinstance(error, StudentFailure):
        return error.outcome, str(error), error.detail
    trace = "".join(traceback.format_exception(error))
    if clock.requests == 0:  # no student code has run in this test: the fault is ours
        return Outcome.TOOL_ERROR, "the grader failed; your course staff will run it again", trace
    return Outcome.FAILED, "returned something that the check cannot work with", trace


def _exercise_id(item: pytest.Item) -> str:
    return str(getattr(getattr(item, "obj", None), "__exercise__", ""))


def _title(function: Any, name: str) -> str:
    lines = (function.__doc__ or "").strip().splitlines()
    return lines[0].strip() if lines else name.removeprefix("test_").replace("_", " ")


# ---- running it ------------------------------------------------------------------------------


def run(
    spec: JudgeSpec,
    workers: Workers,
    submissions: Iterator[Submission],
    deliver: Callable[[Report], None],
    progress: Progress,
) -> None:
    """Grade `submissions` one after the other; raise EngineError when we cannot go on."""
    plugin = JudgePlugin(spec, workers, submissions, deliver, progress)
    before = Path.cwd()
    with tempfile.TemporaryDirectory(prefix="judge-", dir=spec.scratch) as empty:
        os.chdir(empty)
        Path("pytest.ini").write_text("[pytest]\n", encoding="utf-8")
        os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
        os.environ.pop("PYTEST_PLUGINS", None)
        options = [*PYTEST_OPTIONS, f"--rootdir={empty}", "-c", str(Path(empty, "pytest.ini"))]
        try:
            status = pytest.main([*options, *spec.tests], plugins=[_Guarded(plugin), plugin])
        finally:
            os.chdir(before)
            workers.close()
    if plugin.engine_error is not None:
        raise plugin.engine_error
    if status not in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
        raise GraderError(plugin.collection_error or f"the judge's pytest ended with {status!r}")
    if status == pytest.ExitCode.NO_TESTS_COLLECTED:
        raise GraderError(f"no graders found for {spec.session.id} in {', '.join(spec.tests)}")


class _Guarded:
    """Hands an EngineError out of pytest, which would print it as an internal error."""

    def __init__(self, plugin: JudgePlugin) -> None:
        self._plugin = plugin

    def pytest_internalerror(self, excinfo: pytest.ExceptionInfo[BaseException]) -> bool:
        """Keep the error for `run`."""
        error = excinfo.value
        if not isinstance(error, EngineError):
            trace = "".join(traceback.format_exception(error))
            error = EngineError(f"the judge failed: {error!r}\n{trace}")
        self._plugin.engine_error = error
        return True


def main(connection_fd: int, control: Control) -> None:
    """A judge forked by the zygote: learn the course, grade what comes, until nothing comes."""
    connection = Connection(connection_fd)
    spec: JudgeSpec = connection.recv()
    if spec.data_root:
        os.environ["COURSE_DATA"] = spec.data_root

    def submissions() -> Iterator[Submission]:
        while (submission := connection.recv()) is not None:
            yield submission

    workers = ZygoteWorkers(control, spec.worker_limits, Path(spec.scratch))
    status = 0
    try:
        run(
            spec,
            workers,
            submissions(),
            lambda report: connection.send(("report", report)),
            lambda student, exercise: connection.send(("progress", student, exercise)),
        )
    except EngineError as error:
        status = int(error.exit_code)
        with contextlib.suppress(OSError):
            connection.send(("fatal" if isinstance(error, GraderError) else "error", str(error)))
    except (EOFError, OSError):  # the command line is gone
        status = 1
    finally:
        os._exit(status)
