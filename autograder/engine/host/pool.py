"""Judges at work: hands out submissions, delivers reports, survives the death of a judge.

Runs in the command line's process, which never imports torch, and knows of no kind of work: the
job says which module is the judge. A submission whose judge dies is tried once more; then it gets
a report with a tool error, and the batch goes on.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
import sys
import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from autograder.engine import sandbox
from autograder.engine.host import preload
from autograder.engine.host.judges import (
    END_SECONDS,
    START_SECONDS,
    JudgeProcess,
    JudgeSource,
    judge_source,
)
from autograder.engine.job import Deliver, GradingJob, Progress, report_of
from autograder.engine.sandbox import scratch
from autograder.engine.sandbox.base import base_folder
from autograder.errors import EngineError
from autograder.records import Outcome, Report, TestResult
from autograder.records.points import exercise_result
from autograder.submissions.submission import Submission

MANY_SUBMISSIONS = 4  # from about so many on it pays to make forks cheap first
MAX_ATTEMPTS = 2  # for one submission, when its judge dies
MAX_GIVEN_UP = 3  # submissions before the first one that could be graded: the engine is broken
WATCH_SECONDS = 5.0  # between two looks at judges that may be stuck
STUCK_FACTOR = 1.5  # times `submission_seconds`: the judge's own clock has failed


def can_fork() -> bool:
    """Whether this platform has what the zygote needs: fork, pidfd and descriptor passing."""
    return sys.platform == "linux" and hasattr(os, "pidfd_open")


def grade(
    job: GradingJob,
    submissions: Iterable[Submission],
    deliver: Deliver,
    progress: Progress,
    jobs: int = 1,
    spawn: bool = False,
    feed: Feed | None = None,
) -> None:
    """Grade every submission and call `deliver` with each report, in the order they finish.

    Up to `jobs` judges work at a time. `spawn` starts judges and workers as new interpreters, as
    on platforms without fork. With a `feed`, more submissions come from other threads until it
    ends. EngineError if the engine cannot be started or keeps failing.
    """
    submissions = list(submissions)
    jobs = max(1, jobs if feed is not None else min(jobs, len(submissions)))
    with base_folder() as base:
        scratch.check_room(base, jobs, job.worker_limits.scratch_bytes)
        many = feed is not None or len(submissions) >= MANY_SUBMISSIONS
        job = _for_judges(job, base, submissions, many)
        source = judge_source(job, spawn or not can_fork())
        with sandbox.hidden_memory():  # it holds the secret, and every submission
            _Pool(job, source, submissions, deliver, progress, jobs, feed).run()


def _for_judges(
    job: GradingJob, base: Path, submissions: list[Submission], many: bool
) -> GradingJob:
    """The job as judges need it: their working directory is another one than ours."""
    mentioned = preload.mentioned(preload.sources(job.tests, submissions))
    return replace(
        job,
        tests=tuple(str(Path(path).absolute()) for path in job.tests),
        data_root=str(Path(job.data_root).absolute()) if job.data_root else "",
        preload=(*job.preload, *mentioned),
        scratch=str(base),
        many_workers=many,
    )


class Feed:
    """Submissions that other threads add while judges work, until one of them ends it."""

    def __init__(self) -> None:
        self._added: deque[Submission] = deque()
        self._ended = False
        self.receiver, self._sender = socket.socketpair()  # wakes whoever waits for judges
        self.receiver.setblocking(False)
        self._sender.setblocking(False)

    def add(self, submission: Submission) -> None:
        """Have one more submission graded."""
        self._added.append(submission)
        self._wake()

    def end(self) -> None:
        """No more will come, and what is not graded yet need not be."""
        self._ended = True
        self._wake()

    def take(self) -> Iterator[Submission]:
        """What was added since the last call; EndOfFeed after the end."""
        with contextlib.suppress(BlockingIOError):
            while self.receiver.recv(1 << 12):
                continue
        if self._ended:
            raise EndOfFeed
        while self._added:
            yield self._added.popleft()

    def close(self) -> None:
        """Close the sockets, when nobody adds and nobody takes any more."""
        self.receiver.close()
        self._sender.close()

    def _wake(self) -> None:
        with contextlib.suppress(OSError):  # it is being woken already, or nobody takes any more
            self._sender.send(b"+")


class EndOfFeed(Exception):
    """`grade` stopped because its feed was ended."""


@dataclass(eq=False)
class _Judge:
    """A judge and the submission that it has."""

    process: JudgeProcess
    submission: Submission | None = None
    since: float = 0.0


class _Pool:
    """Up to `jobs` judges over one queue of submissions."""

    def __init__(
        self,
        job: GradingJob,
        source: JudgeSource,
        submissions: Iterable[Submission],
        deliver: Deliver,
        progress: Progress,
        jobs: int,
        feed: Feed | None,
    ) -> None:
        self._feed = feed
        self._job = job
        self._source = source
        self._queue = deque((submission, 1) for submission in submissions)
        self._deliver = deliver
        self._progress = progress
        self._jobs = jobs
        self._attempts: dict[str, int] = {}
        self._selector = selectors.DefaultSelector()
        if feed is not None:
            self._selector.register(feed.receiver, selectors.EVENT_READ)
        self._judges: list[_Judge] = []
        self._graded = 0
        self._given_up = 0

    def run(self) -> None:
        """Work until the queue is empty; with a feed, until that has ended."""
        try:
            while self._queue or self._feed or any(judge.submission for judge in self._judges):
                self._employ()
                for key, _ in self._selector.select(WATCH_SECONDS):
                    if key.data is not None:
                        self._serve(key.data)
                if self._feed is not None:
                    self._queue.extend((submission, 1) for submission in self._feed.take())
                self._kill_stuck()
        except BaseException:  # nobody waits any more for what they are at
            for judge in self._judges:
                judge.process.kill()
            raise
        finally:
            self._close()

    def _employ(self) -> None:
        """Give work to judges that have none, then to new ones."""
        for judge in self._judges:
            if self._queue and judge.submission is None:
                self._hand_out(judge)
        while self._queue and len(self._judges) < self._jobs:
            self._start_judge()

    def _start_judge(self) -> None:
        judge = _Judge(self._source.start())
        self._judges.append(judge)
        self._selector.register(judge.process.messages, selectors.EVENT_READ, judge)
        with contextlib.suppress(OSError):  # its death is noticed at the next turn
            judge.process.messages.send(self._job)
        self._hand_out(judge)

    def _hand_out(self, judge: _Judge) -> None:
        judge.submission = None
        if self._queue:
            judge.submission, attempt = self._queue.popleft()
            self._attempts[judge.submission.slug] = attempt
            judge.since = time.monotonic()
            with contextlib.suppress(OSError):  # as above
                judge.process.messages.send(judge.submission)

    def _kill_stuck(self) -> None:
        """End judges that are far beyond the limit of a submission; `_serve` sees them die."""
        latest = time.monotonic() - STUCK_FACTOR * self._job.limits.submission_seconds
        for judge in self._judges:
            if judge.submission is not None and judge.since < latest - START_SECONDS:
                judge.process.kill()

    def _serve(self, judge: _Judge) -> None:
        try:
            kind, *content = judge.process.messages.receive()
        except (EOFError, OSError):
            kind, content = "error", ["the judge's process died"]
        if kind == "started":
            judge.process.started = True
        elif kind == "progress":
            self._progress(*content)
        elif kind == "report":
            self._graded += 1
            self._deliver(content[0])
            self._hand_out(judge)
        elif kind == "fatal":
            raise EngineError(content[0])
        else:
            self._lose(judge, content[0])

    def _lose(self, judge: _Judge, reason: str) -> None:
        """A judge failed: put its submission back, or give it up, and start anew."""
        self._let_go(judge)
        if not judge.process.started:
            raise EngineError(f"the judge did not start: {reason}")
        submission = judge.submission
        if submission is not None:
            attempt = self._attempts[submission.slug]
            if attempt < MAX_ATTEMPTS:
                self._queue.appendleft((submission, attempt + 1))
            else:
                self._given_up += 1
                self._deliver(tool_error_report(self._job, submission, reason))
        if not self._graded and self._given_up >= MAX_GIVEN_UP:
            raise EngineError(reason)
        if not self._judges:
            self._source.restart()

    def _let_go(self, judge: _Judge) -> None:
        self._judges.remove(judge)
        self._selector.unregister(judge.process.messages)
        judge.process.close()

    def _close(self) -> None:
        for judge in self._judges:
            with contextlib.suppress(OSError):
                judge.process.messages.send(None)
        for judge in list(self._judges):
            with contextlib.suppress(OSError, EOFError):
                while judge.process.messages.wait(END_SECONDS):  # until its workers are gone
                    judge.process.messages.receive()
            self._let_go(judge)
        self._selector.close()
        self._source.close()


def graded(
    job: GradingJob,
    submission: Submission,
    progress: Progress = lambda *_: None,
    spawn: bool = False,
) -> Report:
    """The report of one submission by itself; EngineError as from `grade`."""
    reports: list[Report] = []
    grade(job, [submission], reports.append, progress, spawn=spawn)
    return reports[0]


def tool_error_report(job: GradingJob, submission: Submission, reason: str) -> Report:
    """The report of a submission that we failed to grade: no points are lost silently."""
    message = "the grader failed; your course staff will run it again"
    test = TestResult("engine", "Grading", Outcome.TOOL_ERROR, message=message, detail=reason)
    results = (exercise_result(exercise, [test]) for exercise in job.exercises_for(submission))
    return report_of(job, submission, results)


__all__ = ["Deliver", "EndOfFeed", "Feed", "can_fork", "grade", "graded", "tool_error_report"]
