"""The judge of sessions whose kind is `functions`: pytest over the graders, once per submission."""

from __future__ import annotations

import os
import tempfile
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from autograder.engine.control import Control
from autograder.engine.job import Deliver, GradingJob, Progress
from autograder.engine.judge.plugin import JudgePlugin
from autograder.engine.judge.serving import GraderError, serve
from autograder.engine.judge.workers import Workers, workers_of
from autograder.engine.messages import Messages
from autograder.errors import EngineError
from autograder.submissions.submission import Submission

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


def main(connection: Messages, control: Control | None) -> NoReturn:
    """Learn the course, grade what comes, until nothing comes."""

    def grade(
        job: GradingJob, submissions: Iterator[Submission], deliver: Deliver, progress: Progress
    ) -> None:
        run(job, workers_of(control, job), submissions, deliver, progress)

    serve(connection, grade)


def run(
    job: GradingJob,
    workers: Workers,
    submissions: Iterator[Submission],
    deliver: Deliver,
    progress: Progress,
) -> None:
    """Grade `submissions` one after the other; raise EngineError when we cannot go on.

    The working directory is a new, empty one from now on.
    """
    plugin = JudgePlugin(job, workers, submissions, deliver, progress)
    guarded = _Guarded()
    with tempfile.TemporaryDirectory(prefix="judge-", dir=job.scratch) as empty:
        os.chdir(empty)
        Path("pytest.ini").write_text("[pytest]\n", encoding="utf-8")
        os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
        os.environ.pop("PYTEST_PLUGINS", None)
        options = [*PYTEST_OPTIONS, f"--rootdir={empty}", "-c", str(Path(empty, "pytest.ini"))]
        try:
            status = pytest.main([*options, *job.tests], plugins=[guarded, plugin])
        finally:
            os.chdir(Path(empty).anchor)
            workers.close()
    if guarded.error is not None:
        raise guarded.error
    if status == pytest.ExitCode.NO_TESTS_COLLECTED:
        raise GraderError(f"no graders found for {job.session.id} in {', '.join(job.tests)}")
    if status not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        raise GraderError(plugin.collection_error or f"the judge's pytest ended with {status!r}")


class _Guarded:
    """Hands an EngineError out of pytest, which would print it as an internal error."""

    def __init__(self) -> None:
        self.error: EngineError | None = None

    def pytest_internalerror(self, excinfo: pytest.ExceptionInfo[BaseException]) -> bool:
        """Keep the error for `run`."""
        error = excinfo.value
        if not isinstance(error, EngineError):
            trace = "".join(traceback.format_exception(error))
            error = EngineError(f"the judge failed: {error!r}\n{trace}")
        self.error = error
        return True
