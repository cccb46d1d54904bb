"""Judges that stay at work between submissions which come one by one, from any thread."""

from __future__ import annotations

import threading
from concurrent.futures import Future

from autograder.engine.host import pool
from autograder.engine.job import GradingJob
from autograder.errors import EngineError
from autograder.records import Report
from autograder.submissions.submission import Submission

END_SECONDS = 20.0


class Service:
    """A pool of up to `jobs` judges in a thread of its own.

    Threads that ask for the same submission at the same time get the same report.
    """

    def __init__(self, job: GradingJob, jobs: int, spawn: bool = False) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[str, Future[Report]] = {}
        self._feed = pool.Feed()
        self._failure: Exception | None = None
        arguments = (job, jobs, spawn)
        self._thread = threading.Thread(target=self._run, args=arguments, daemon=True)
        self._thread.start()

    def grade(self, submission: Submission) -> Report:
        """Wait for the report of a submission; EngineError if the judges failed or were ended."""
        with self._lock:
            if self._failure is not None:
                raise EngineError(str(self._failure))
            future = self._waiting.get(submission.slug)
            if future is None:
                future = self._waiting[submission.slug] = Future()
                self._feed.add(submission)
        return future.result()

    def close(self) -> None:
        """End the judges, also those that are at work."""
        self._feed.end()
        self._thread.join(END_SECONDS)

    def _run(self, job: GradingJob, jobs: int, spawn: bool) -> None:
        failure: Exception = EngineError("the judges were ended")
        try:
            pool.grade(job, (), self._deliver, lambda *_: None, jobs, spawn, self._feed)
        except pool.EndOfFeed:
            pass
        except Exception as error:
            failure = error
        with self._lock:
            self._failure = failure
        self._feed.close()
        for future in self._waiting.values():
            future.set_exception(EngineError(str(failure)))

    def _deliver(self, report: Report) -> None:
        with self._lock:
            future = self._waiting.pop(report.slug)
        future.set_result(report)
