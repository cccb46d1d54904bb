"""Judges at work: starts the zygote and its judges, hands out submissions, survives their death.

Runs in the command line's process, which never imports torch. A submission whose judge dies is
tried once more; then it gets a report with a tool error, and the batch goes on.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import TYPE_CHECKING

from autograder.engine.control import Control, clean_environment
from autograder.engine.job import JudgeSpec, Progress
from autograder.engine.sandbox import scratch
from autograder.errors import EngineError
from autograder.records import Outcome, Report, TestResult
from autograder.records.points import exercise_result

if TYPE_CHECKING:
    from autograder.submissions.submission import Submission

MAX_ATTEMPTS = 2  # for one submission, when its judge dies
MAX_GIVEN_UP = 3  # submissions before the first one that could be graded: the engine is broken
START_SECONDS = 120.0
END_SECONDS = 5.0
WATCH_SECONDS = 5.0  # between two looks at judges that may be stuck
STUCK_FACTOR = 1.5  # times `submission_seconds`: the judge's own clock has failed

Deliver = Callable[[Report], None]


def can_fork() -> bool:
    """Whether this platform has what the zygote needs: fork, pidfd and descriptor passing."""
    return sys.platform == "linux" and hasattr(os, "pidfd_open")


def grade(
    spec: JudgeSpec,
    submissions: Iterable[Submission],
    deliver: Deliver,
    progress: Progress,
    jobs: int = 1,
    spawn: bool = False,
) -> None:
    """Grade every submission and call `deliver` with each report, in the order they finish.

    `spawn` runs the judge in this process over newly started workers, as on platforms without
    fork. EngineError if the engine cannot be started or keeps failing.
    """
    base = scratch.make_base(Path(tempfile.gettempdir()))
    spec = replace(spec, scratch=str(base))
    try:
        if spawn or not can_fork():
            _grade_here(spec, submissions, deliver, progress)
        else:
            _Pool(spec, submissions, deliver, progress, jobs).run()
    finally:
        scratch.remove(base)


def _grade_here(
    spec: JudgeSpec, submissions: Iterable[Submission], deliver: Deliver, progress: Progress
) -> None:
    from autograder.engine.judge.plugin import run
    from autograder.engine.judge.processes import SpawnedWorkers

    workers = SpawnedWorkers(
        spec.worker_limits, Path(spec.scratch), spec.session.withhold, spec.without
    )
    run(spec, workers, iter(submissions), deliver, progress)


@dataclass
class _Judge:
    connection: Connection
    pidfd: int
    submission: Submission | None = None
    since: float = 0.0


class _Zygote:
    """A running zygote process and the socket that it obeys."""

    def __init__(self, spec: JudgeSpec) -> None:
        ours, theirs = socket.socketpair()
        session = spec.session
        lists = [list(names) for names in (session.preload, session.withhold, spec.without)]
        arguments = ", ".join(map(repr, (theirs.fileno(), *lists)))
        code = f"from autograder.engine.zygote.server import main; main({arguments})"
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-c", code],
            stdin=subprocess.DEVNULL,
            pass_fds=(theirs.fileno(),),
            env=clean_environment(),
            cwd="/",
        )
        theirs.close()
        ours.settimeout(START_SECONDS)
        self._control = Control(ours)

    def fork_judge(self) -> _Judge:
        """Fork a judge and return the connection to it."""
        ours, theirs = socket.socketpair()
        zygote_end, judge_end = socket.socketpair()
        with theirs, zygote_end, judge_end:
            fds = (theirs.fileno(), zygote_end.fileno(), judge_end.fileno())
            try:
                self._control.send({"op": "judge"}, fds)
                while "pid" not in self._control.receive():
                    pass
            except (OSError, EOFError) as error:
                ours.close()
                raise EngineError(f"the zygote did not start ({error!r})") from None
        (pidfd,) = self._control.fds(1)
        return _Judge(Connection(ours.detach()), pidfd)

    def close(self) -> None:
        """End the zygote; its children die with it."""
        self._control.sock.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(5)
        self._process.kill()
        self._process.wait()


class _Pool:
    """One zygote and up to `jobs` judges over one queue of submissions."""

    def __init__(
        self,
        spec: JudgeSpec,
        submissions: Iterable[Submission],
        deliver: Deliver,
        progress: Progress,
        jobs: int,
    ) -> None:
        self._spec = spec
        self._queue = deque((submission, 1) for submission in submissions)
        self._deliver = deliver
        self._progress = progress
        self._jobs = max(1, min(jobs, len(self._queue)))
        self._attempts: dict[str, int] = {}
        self._judges: dict[Connection, _Judge] = {}
        self._zygote: _Zygote | None = None
        self._graded = 0
        self._given_up = 0

    def run(self) -> None:
        """Work until the queue is empty."""
        try:
            while self._queue or any(judge.submission for judge in self._judges.values()):
                while self._queue and len(self._judges) < self._jobs:
                    self._start_judge()
                for connection in wait(list(self._judges), WATCH_SECONDS):
                    self._serve(self._judges[connection])  # type: ignore[index]
                self._kill_stuck()
        finally:
            self._close()

    def _start_judge(self) -> None:
        if self._zygote is None:
            self._zygote = _Zygote(self._spec)
        judge = self._zygote.fork_judge()
        judge.connection.send(self._spec)
        self._judges[judge.connection] = judge
        self._hand_out(judge)

    def _hand_out(self, judge: _Judge) -> None:
        judge.submission = None
        if self._queue:
            judge.submission, attempt = self._queue.popleft()
            self._attempts[judge.submission.slug] = attempt
            judge.since = time.monotonic()
            judge.connection.send(judge.submission)

    def _kill_stuck(self) -> None:
        """End judges that are far beyond the limit of a submission; `_serve` sees them die."""
        latest = time.monotonic() - STUCK_FACTOR * self._spec.limits.submission_seconds
        for judge in self._judges.values():
            if judge.submission is not None and judge.since < latest - START_SECONDS:
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(judge.pidfd, signal.SIGKILL)

    def _serve(self, judge: _Judge) -> None:
        try:
            kind, *content = judge.connection.recv()
        except (EOFError, OSError):
            kind, content = "error", ["the judge's process died"]
        if kind == "progress":
            self._progress(*content)
        elif kind == "report":
            self._graded += 1
            self._deliver(content[0])
            with contextlib.suppress(OSError):  # its death is noticed at the next turn
                self._hand_out(judge)
        elif kind == "fatal":
            raise EngineError(content[0])
        else:
            self._lose(judge, content[0])

    def _lose(self, judge: _Judge, reason: str) -> None:
        """A judge failed: put its submission back, or give it up, and start anew."""
        del self._judges[judge.connection]
        judge.connection.close()
        os.close(judge.pidfd)
        submission = judge.submission
        if submission is not None:
            attempt = self._attempts[submission.slug]
            if attempt < MAX_ATTEMPTS:
                self._queue.appendleft((submission, attempt + 1))
            else:
                self._given_up += 1
                self._deliver(tool_error_report(self._spec, submission, reason))
        if not self._graded and self._given_up >= MAX_GIVEN_UP:
            raise EngineError(reason)
        if not self._judges and self._zygote is not None:  # it may be the zygote that is ill
            self._zygote.close()
            self._zygote = None

    def _close(self) -> None:
        for judge in self._judges.values():
            with contextlib.suppress(OSError):
                judge.connection.send(None)
        for judge in self._judges.values():
            with contextlib.suppress(OSError, EOFError):
                while judge.connection.poll(END_SECONDS):  # until it has put its workers away
                    judge.connection.recv()
            judge.connection.close()
            os.close(judge.pidfd)
        if self._zygote is not None:
            self._zygote.close()


def tool_error_report(spec: JudgeSpec, submission: Submission, reason: str) -> Report:
    """The report of a submission that we failed to grade: no points are lost silently."""
    message = "the grader failed; your course staff will run it again"
    test = TestResult("engine", "Grading", Outcome.TOOL_ERROR, message=message, detail=reason)
    return Report(
        course=spec.course_id,
        session=spec.session.id,
        student=submission.student,
        slug=submission.slug,
        submission_sha256=submission.sha256,
        exercises=tuple(
            exercise_result(e.id, e.title, e.module, e.points, e.extra_credit, [test])
            for e in spec.exercises_for(submission.student)
        ),
        problems=submission.problems,
        incidents=submission.incidents,
    )


__all__ = ["Deliver", "can_fork", "grade", "tool_error_report"]
