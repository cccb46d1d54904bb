"""The pytest plugin that judges: the hidden graders, run once per submission over workers.

pytest collects the graders once; its run loop is replaced by one that takes submissions, runs
every grader against each, and delivers a Report. Student code is never imported here.
"""

from __future__ import annotations

import gc
import hashlib
import hmac
import platform
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from autograder.course import CourseExercise
from autograder.engine.job import Deliver, GradingJob, Progress, report_of
from autograder.engine.judge.calls import exercise_calls
from autograder.engine.judge.clock import Clock
from autograder.engine.judge.diagnosis import Attempt, Transcript, diagnose, sentences
from autograder.engine.judge.exercise_run import ExerciseRun, SubmissionRun
from autograder.engine.judge.explain import explain, explain_fault, is_graders_fault, locate
from autograder.engine.judge.machine_paths import without_machine_paths
from autograder.engine.judge.mistakes import Mistake, known_mistakes
from autograder.engine.judge.processes import WorkerProcess
from autograder.engine.judge.public_checks import comparison
from autograder.engine.judge.replays import Replays
from autograder.engine.judge.serving import GraderError
from autograder.engine.judge.student import Student
from autograder.engine.judge.watchdog import JUDGE_SECONDS, CheckTimedOut, watchdog
from autograder.engine.judge.workers import Workers
from autograder.errors import EngineError
from autograder.graders.toolkit import RandomInputs
from autograder.graders.toolkit.failures import StudentFailure
from autograder.graders.toolkit.inputs import seed_global_generators
from autograder.records import (
    ExerciseResult,
    Isolation,
    Outcome,
    Report,
    TestResult,
    Usage,
    Visibility,
)
from autograder.records.points import exercise_result
from autograder.submissions.submission import Submission

MAX_INCIDENTS = 50
MAX_SOURCE = 100_000  # bytes of one module that the report keeps
MAX_OUTPUT = 20_000  # characters that are kept of what a test printed
_SHOWN = {  # outcomes of a public check that say more with the call
    Outcome.FAILED,
    Outcome.CRASHED,
    Outcome.TIMED_OUT,
    Outcome.OUT_OF_MEMORY,
    Outcome.REFUSED,
}
_FAILED = {Outcome.FAILED: True, Outcome.CRASHED: True, Outcome.PASSED: False}


@dataclass(frozen=True)
class TestContext:
    """The test that is running: what its fixtures are made from, and what it says.

    Of `errors` the first counts (a teardown may raise after the test), of `credits`, which are
    (share in 0..1, hint), the last.
    """

    __test__ = False  # not a test class for pytest

    exercise: ExerciseRun
    clock: Clock
    seed: bytes
    transcript: Transcript = field(default_factory=Transcript)
    errors: list[BaseException] = field(default_factory=list)
    credits: list[tuple[float, str]] = field(default_factory=list)


class JudgePlugin:
    """Replaces pytest's run loop and supplies the graders' fixtures."""

    def __init__(
        self,
        job: GradingJob,
        workers: Workers,
        submissions: Iterator[Submission],
        deliver: Deliver,
        progress: Progress,
    ) -> None:
        self.job = job
        self.collection_error = ""
        self._workers = workers
        self._submissions = submissions
        self._deliver = deliver
        self._progress = progress
        self._mistakes: dict[str, Sequence[Mistake]] = {}
        self._test: TestContext

    # ---- fixtures ----------------------------------------------------------------------------

    @pytest.fixture
    def student(self) -> Student:
        """The student's functions."""
        return Student(self._test.exercise, self._test.clock, self._test.transcript)

    @pytest.fixture
    def rng(self) -> RandomInputs:
        """Keyed random draws: the same for a regrade, different for every test and student."""
        return RandomInputs(self._test.seed)

    @pytest.fixture
    def credit(self) -> Callable[[float, str], None]:
        """Call with a share in 0..1 and a hint to give partial credit."""
        given = self._test.credits

        def give(share: float, hint: str = "") -> None:
            given.append((min(max(float(share), 0.0), 1.0), hint))

        return give

    @pytest.fixture
    def thresholds(self) -> Mapping[str, float]:
        """The numbers that course.yaml states for the exercise."""
        return self._test.exercise.exercise.thresholds

    @pytest.fixture
    def source_bytes(self) -> int:
        """The size of the submitted files: what code can carry is charged there."""
        return sum(len(data) for _, data in self._test.exercise.run.submission.files)

    # ---- collection --------------------------------------------------------------------------

    def pytest_exception_interact(self, call: pytest.CallInfo[Any], report: object) -> None:
        """Remember why a grader could not be imported."""
        if isinstance(report, pytest.CollectReport) and call.excinfo is not None:
            line = locate(call.excinfo.value, self.job.tests)
            self.collection_error = self.collection_error or line

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Keep the chosen exercises, in the order of the course and of the files.

        course.yaml may leave out an exercise of the solution; any other name is a mistake in it.
        Where students check, there is no solution: a name that the course lacks is passed over.
        """
        order = {exercise.id: index for index, exercise in enumerate(self.job.exercises)}
        known = {exercise.id for exercise in self.job.session.exercises}
        unknown = [item for item in items if _exercise_id(item) not in known]
        left_out = self._solved() if unknown else set()
        for item in unknown:
            name = _exercise_id(item)
            if not name or not (self.job.public or name in left_out):
                text = f"{item.nodeid}: exercise {name!r} is not in course.yaml"
                self.collection_error = self.collection_error or text
        missing = order.keys() - {_exercise_id(item) for item in items}
        if missing and not self.collection_error:
            self.collection_error = f"no test for {', '.join(sorted(missing))}"
        self._mistakes = {e.id: self._mistakes_of(e) for e in self.job.exercises}
        items[:] = sorted(
            (item for item in items if _exercise_id(item) in order),
            key=lambda item: order[_exercise_id(item)],
        )

    def _solved(self) -> set[str]:
        """The ids of the model solution's exercises."""
        from autograder.release import exercise_ids  # rarely needed: it takes time to import

        files = self.job.solution.items()
        return {each for name, text in files for each in exercise_ids(text.decode(), name)}

    def _mistakes_of(self, exercise: CourseExercise) -> Sequence[Mistake]:
        solution = self.job.solution.get(exercise.file, b"").decode()
        try:
            return known_mistakes(self.job.tests, exercise.name, solution)
        except ValueError as error:
            self.collection_error = self.collection_error or str(error)
            return ()

    # ---- running -----------------------------------------------------------------------------

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Grade submissions until there are no more."""
        if self.collection_error:
            raise GraderError(f"the graders cannot be collected: {self.collection_error}")
        gc.collect()
        gc.freeze()  # the graders stay: no later collection walks through them
        for submission in self._submissions:
            self._deliver(self._grade(submission, session.items))
        return True

    @pytest.hookimpl(wrapper=True)
    def pytest_pyfunc_call(self) -> Generator[None, object, object]:
        """Bound the judge's own work in the grader."""
        clock = self._test.clock
        with watchdog(clock.seconds + JUDGE_SECONDS, lambda: clock.requests > 0):
            return (yield)

    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> pytest.TestReport:
        """Keep the exception itself; the text that pytest would make of it is not needed."""
        if call.excinfo is not None:
            self._test.errors.append(call.excinfo.value)
        when: Any = call.when
        outcome: Any = "failed" if call.excinfo is not None else "passed"
        return pytest.TestReport(
            item.nodeid, item.location, {}, outcome, None, when, duration=call.duration
        )

    def _grade(self, submission: Submission, items: Sequence[pytest.Item]) -> Report:
        started = time.monotonic()
        run = SubmissionRun(
            submission=submission,
            deadline=started + min(self.job.limits.submission_seconds, self.job.total_seconds),
            started=started,
            sources={Path(name).stem: data for name, data in submission.files},
        )
        by_exercise: dict[str, list[pytest.Item]] = {e.id: [] for e in self.job.exercises}
        for item in items:
            by_exercise[_exercise_id(item)].append(item)
        results = []
        for exercise in self.job.exercises_for(submission):
            self._progress(submission.student, exercise.id)
            tests = self._grade_exercise(exercise, run, by_exercise[exercise.id])
            results.append(exercise_result(exercise, tests))
        return self._report(run, self._with_calls(run, results))

    def _with_calls(
        self, run: SubmissionRun, results: Sequence[ExerciseResult]
    ) -> list[ExerciseResult]:
        """The results; of each that lost points, which other exercises its functions call."""
        if all(result.outcome is Outcome.PASSED for result in results):
            return list(results)
        calls = exercise_calls(run.sources, self.job.session.exercises)
        return [
            result
            if result.outcome is Outcome.PASSED
            else replace(result, calls=calls.get(result.id, ()))
            for result in results
        ]

    def _report(self, run: SubmissionRun, results: Sequence[ExerciseResult]) -> Report:
        submission = run.submission
        incidents = (*submission.incidents, *_refusals(results))
        usage = Usage(
            seconds=round(time.monotonic() - run.started, 4),
            student_seconds=round(sum(t.student_seconds for r in results for t in r.tests), 4),
            peak_memory_bytes=run.peak_bytes,
            workers=run.workers,
        )
        return replace(
            report_of(self.job, submission, results),
            incidents=incidents[:MAX_INCIDENTS],
            isolation=run.isolation or Isolation(),
            usage=usage,
            sources={
                name: data[:MAX_SOURCE].decode("utf-8", "replace")
                for name, data in submission.files
                if name.endswith(".py")
            },
            versions={"python": platform.python_version(), "torch": metadata.version("torch")},
        )

    def _grade_exercise(
        self, exercise: CourseExercise, run: SubmissionRun, items: Sequence[pytest.Item]
    ) -> list[TestResult]:
        extra = sum(getattr(_function(item), "__seconds__", 0.0) for item in items)
        exercise_run = ExerciseRun(exercise, run, self.job, self._workers, extra)
        attempts: list[Attempt] = []
        results: list[TestResult] = []
        try:
            for item, following in zip(items, [*items[1:], None], strict=True):
                # What may be the last check leaves nothing set up for the next one.
                kept = None if self.job.only_first_loss else following
                results.append(self._run_test(exercise_run, item, kept))
                attempts.append(self._attempt(item, results[-1]))
                if self.job.only_first_loss and results[-1].credit < 1.0 and results[-1].weight:
                    break
        finally:
            exercise_run.close()
        return self._diagnosed(exercise_run, items, results, attempts)

    def _diagnosed(
        self,
        exercise_run: ExerciseRun,
        items: Sequence[pytest.Item],
        results: list[TestResult],
        attempts: Sequence[Attempt],
    ) -> list[TestResult]:
        """The results, with the sentence of the known mistake that explains them."""
        exercise = exercise_run.exercise
        mistakes = self._mistakes.get(exercise.id, ())
        failed = [index for index, attempt in enumerate(attempts) if attempt.failed]
        started, run = time.monotonic(), exercise_run.run
        ends = run.started + self.job.total_seconds
        if not (mistakes and failed) or started - run.started > self.job.total_seconds / 2:
            return results
        replays = Replays(self, exercise_run, items)
        try:
            explained = diagnose(attempts, mistakes, replays)
        finally:
            replays.close()
            spent = time.monotonic() - started  # not the student's time
            run.deadline = min(run.deadline + spent, ends)
        for index, text in sentences(explained, len(failed)).items():
            results[index] = replace(results[index], message=text)
        return results

    def try_again(
        self, exercise_run: ExerciseRun, item: pytest.Item, like: Transcript | None
    ) -> Attempt:
        """Run a check, with the same draws, on the modules of another run of the submission."""
        return self._attempt(item, self._run_test(exercise_run, item, None, like))

    def _attempt(self, item: pytest.Item, result: TestResult) -> Attempt:
        return Attempt(item.name, _FAILED.get(result.outcome), self._test.transcript)

    def new_run(
        self, of: ExerciseRun, sources: Mapping[str, bytes], used: WorkerProcess | None
    ) -> ExerciseRun:
        """A run of the same exercise on other modules, which costs the submission nothing."""
        limits = self.job.limits
        run = SubmissionRun(
            submission=of.run.submission,
            deadline=min(
                time.monotonic() + limits.submission_seconds,
                of.run.started + self.job.total_seconds,
            ),
            started=of.run.started,
            sources=dict(sources),
        )
        extra = limits.exercise_seconds
        return ExerciseRun(of.exercise, run, self.job, self._workers, extra, used)

    def _run_test(
        self,
        exercise_run: ExerciseRun,
        item: pytest.Item,
        following: pytest.Item | None,
        like: Transcript | None = None,
    ) -> TestResult:
        started = time.monotonic()
        test = self._test = self._context(exercise_run, item, like)
        seed_global_generators(hashlib.sha256(test.seed).digest())
        item.ihook.pytest_runtest_protocol(item=item, nextitem=following)
        outcome, message, detail = self._explain(test, item)
        share = 1.0 if outcome is Outcome.PASSED else 0.0
        if self.job.public and outcome in _SHOWN and "\nexpected: " not in message:
            message = "\n".join(filter(None, (message, *self._compared(test))))
        if outcome is Outcome.PASSED and test.credits and test.credits[-1][0] < 1.0:
            share, message = test.credits[-1]
            outcome = Outcome.PARTIAL if share > 0.0 else Outcome.FAILED
        output = exercise_run.output()
        exercise_run.end_test()
        function = _function(item)
        return TestResult(
            name=item.name,
            title=_title(function, item.name),
            outcome=outcome,
            credit=share,
            weight=float(getattr(function, "__weight__", 1.0)),
            guard=bool(getattr(function, "__guard__", False)),
            essential=bool(getattr(function, "__essential__", False)),
            visibility=Visibility(
                getattr(function, "__visibility__", exercise_run.exercise.visibility)
            ),
            message=self._shown(message),
            output=self._shown(output[:MAX_OUTPUT]) if outcome is not Outcome.PASSED else "",
            detail=detail,
            seconds=round(time.monotonic() - started, 4),
            student_seconds=round(test.clock.waited, 4),
        )

    def _context(
        self, exercise_run: ExerciseRun, item: pytest.Item, like: Transcript | None
    ) -> TestContext:
        submission = exercise_run.run.submission
        seconds = getattr(_function(item), "__seconds__", self.job.limits.test_seconds)
        names = (exercise_run.exercise.id, item.name, submission.student, submission.sha256)
        return TestContext(
            exercise_run,
            Clock(
                seconds,
                min(exercise_run.deadline, exercise_run.run.deadline),
                exercise_run.limit,
                self.job.patience,
            ),
            hmac.digest(self.job.secret, "\0".join(names).encode(), hashlib.sha256),
            Transcript(shows_calls=self.job.public, like=like),
        )

    def _shown(self, text: str) -> str:
        return without_machine_paths(text, (self.job.scratch, self.job.data_root, *self.job.tests))

    def _compared(self, test: TestContext) -> list[str]:
        """The call, what was expected and what came back, of a public check that failed."""
        error = test.errors[0] if test.errors else None
        sides = comparison(error, self.job.tests) if error is not None else None
        call, result = test.transcript.shown()
        lines = [f"call: {call}"] if call else []
        if sides is not None:
            return [*lines, f"expected: {sides[0]}", f"actual: {sides[1]}"]
        return [*lines, f"actual: {result}"] if result else lines

    def _explain(self, test: TestContext, item: pytest.Item) -> tuple[Outcome, str, str]:
        error = test.errors[0] if test.errors else None
        if isinstance(error, EngineError):
            raise error
        if isinstance(error, CheckTimedOut):  # it may have come in the middle of a frame
            test.exercise.retire()
        if isinstance(error, StudentFailure):
            test.exercise.note(error)
        if error is not None and is_graders_fault(error, test.clock.requests):
            return explain_fault(error, item, self.job.tests)
        return explain(error, test.exercise.exercise.id)


def _refusals(results: Sequence[ExerciseResult]) -> tuple[str, ...]:
    """Each thing that was refused, once, for the teaching assistant."""
    lines = [
        f"{result.id}: {test.message}"
        for result in results
        for test in result.tests
        if test.outcome is Outcome.REFUSED
    ]
    return tuple(dict.fromkeys(lines))


def _function(item: pytest.Item) -> Any:
    return getattr(item, "obj", None)


def _exercise_id(item: pytest.Item) -> str:
    return str(getattr(_function(item), "__exercise__", ""))


def _title(function: Any, name: str) -> str:
    lines = (function.__doc__ or "").strip().splitlines()
    return lines[0].strip() if lines else name.removeprefix("test_").replace("_", " ")
