"""Where the pool's judges come from: forks of a zygote, or new interpreters where none can fork.

No judge is imported here. A job names the module whose `main` is one.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Protocol

from autograder.engine import spawning
from autograder.engine.control import Control, clean_environment
from autograder.engine.job import GradingJob
from autograder.engine.messages import Messages
from autograder.errors import EngineError

START_SECONDS = 120.0
IMPORT_SECONDS = 600.0  # of a zygote, on a machine that is very busy; one that dies is seen at once
END_SECONDS = 5.0


class JudgeProcess(Protocol):
    """A started judge."""

    messages: Messages
    started: bool
    """Whether it is known to have started: one that dies before that is the engine's fault."""

    def kill(self) -> None:
        """Kill it at once; harmless if it has ended."""

    def close(self) -> None:
        """Let go of it, and end it if it has not ended."""


class JudgeSource(Protocol):
    """Where judges come from."""

    def start(self) -> JudgeProcess:
        """Start a judge; EngineError if that fails."""

    def restart(self) -> None:
        """No judge is alive: begin anew, in case it is not the judges that are ill."""

    def close(self) -> None:
        """End everything but the judges."""


def judge_source(job: GradingJob, spawn: bool) -> JudgeSource:
    """The source for a job; `spawn` does without forks."""
    return SpawnedJudges(job) if spawn else ForkedJudges(job)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Wait for the end of a process that knows that it has to; kill it if there is none."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(END_SECONDS)
    process.kill()
    process.wait()


# ---- forks -----------------------------------------------------------------------------------


class ForkedJudge:
    """A fork of the zygote, killed through its pidfd: process ids can be taken again."""

    started = True

    def __init__(self, messages: Messages, pidfd: int) -> None:
        self.messages = messages
        self._pidfd = pidfd

    def kill(self) -> None:
        """Kill it; the zygote reaps it."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

    def close(self) -> None:
        """Close the connection, at which it ends."""
        self.messages.close()
        os.close(self._pidfd)


class ZygoteProcess:
    """A running zygote and the socket that it obeys."""

    def __init__(self, job: GradingJob) -> None:
        ours, theirs = socket.socketpair()
        lists = (job.preload, job.session.withhold, job.disabled_mechanisms)
        values = (theirs.fileno(), *map(list, lists), job.many_workers)
        arguments = ", ".join(map(repr, values))
        code = f"from autograder.engine.zygote.server import main; main({arguments})"
        self._entry = job.entry
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-c", code],
            stdin=subprocess.DEVNULL,
            pass_fds=(theirs.fileno(),),
            env=clean_environment(Path(job.scratch)),
            cwd="/",
        )
        theirs.close()
        ours.settimeout(IMPORT_SECONDS)
        self.control = Control(ours)

    def fork_judge(self) -> ForkedJudge:
        """Fork a judge and return it with the connection to it."""
        ours, theirs = socket.socketpair()
        zygote_end, judge_end = socket.socketpair()
        with theirs, zygote_end, judge_end:
            fds = (theirs.fileno(), zygote_end.fileno(), judge_end.fileno())
            try:
                self.control.send({"op": "judge", "module": self._entry}, fds)
                while "pid" not in self.control.receive():
                    pass
            except (OSError, EOFError) as error:
                ours.close()
                raise EngineError(f"the zygote did not start ({error!r})") from None
        (pidfd,) = self.control.fds(1)
        return ForkedJudge(Messages(ours), pidfd)

    def close(self) -> None:
        """End the zygote; its workers die with it."""
        self.control.sock.close()
        _end(self._process)


class ForkedJudges:
    """Judges of one zygote, which is replaced when it is lost."""

    def __init__(self, job: GradingJob) -> None:
        self._job = job
        self._zygote: ZygoteProcess | None = None

    def start(self) -> ForkedJudge:
        """Fork a judge, of a new zygote if the present one does not answer."""
        if self._zygote is not None:
            try:
                return self._zygote.fork_judge()
            except EngineError:
                self.restart()
        self._zygote = ZygoteProcess(self._job)
        return self._zygote.fork_judge()

    def restart(self) -> None:
        """End the zygote; the next judge gets a new one."""
        if self._zygote is not None:
            self._zygote.close()
            self._zygote = None

    def close(self) -> None:
        """End the zygote."""
        self.restart()


# ---- new interpreters ------------------------------------------------------------------------


class SpawnedJudge:
    """A judge in an interpreter of its own; its first message says that it is up."""

    started = False

    def __init__(self, messages: Messages, process: subprocess.Popen[bytes]) -> None:
        self.messages = messages
        self._process = process

    def kill(self) -> None:
        """Kill it."""
        self._process.kill()

    def close(self) -> None:
        """Close the connection, wait for its end, kill it if there is none."""
        self.messages.close()
        _end(self._process)


class SpawnedJudges:
    """Judges started one by one: slower by what they import, otherwise the same."""

    def __init__(self, job: GradingJob) -> None:
        self._job = job

    def start(self) -> SpawnedJudge:
        """Start an interpreter; that it came up is seen by its first message."""
        ours, theirs = socket.socketpair()
        with theirs:
            settings = {"module": self._job.entry}
            process = spawning.start(
                "autograder.engine.judge.spawned:main", settings, theirs, Path(self._job.scratch)
            )
        return SpawnedJudge(Messages(ours), process)

    def restart(self) -> None:
        """Judges have nothing in common."""

    def close(self) -> None:
        """Nothing else runs."""
