"""Where workers come from: forks of the zygote, or new interpreters.

`ZygoteWorkers` asks the zygote for a fork, one ahead of need; `SpawnedWorkers` starts a new
interpreter, for platforms without fork.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

from autograder.engine import spawning
from autograder.engine.control import Control
from autograder.engine.job import GradingJob
from autograder.engine.judge.processes import ExitStatus, WorkerProcess
from autograder.engine.sandbox import WorkerLimits, scratch
from autograder.errors import EngineError

EXIT_SECONDS = 90.0  # for an answer of the zygote, which waits where it cannot fork yet


class Workers(Protocol):
    """Where the judge gets workers from."""

    def take(self, max_lookups: int | None = None) -> WorkerProcess:
        """Return a fresh worker; raise EngineError if none can be had.

        It may look up `max_lookups` names of files (None: no bound), where Linux counts them.
        """

    def close(self) -> None:
        """Kill what is left."""


# ---- forks of the zygote ---------------------------------------------------------------------


class ForkedProcess:
    """A fork of the zygote, killed through its pidfd: process ids can be taken again."""

    def __init__(self, pid: int, pidfd: int, wait: Callable[[int], ExitStatus]) -> None:
        self.pid = pid
        self._pidfd = pidfd
        self._wait = wait

    def kill(self) -> ExitStatus:
        """Kill the worker; the zygote reaps it and kills its group."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
        os.close(self._pidfd)
        return self._wait(self.pid)


class ZygoteWorkers:
    """Workers forked by the zygote, one of them always ahead of need."""

    def __init__(self, control: Control, limits: WorkerLimits, base: Path) -> None:
        self._control = control
        self._limits = limits
        self._control.sock.settimeout(EXIT_SECONDS)
        self._base = base
        self._ended: dict[int, ExitStatus] = {}
        self._spare: WorkerProcess | None = None

    def take(self, max_lookups: int | None = None) -> WorkerProcess:
        """Return a worker that has said hello, and ask for the next one."""
        if max_lookups is not None:  # the spare one is not counted, and waits
            worker = self._fork(max_lookups)
            worker.handshake()
            return worker
        worker = self._spare or self._fork()
        self._spare = None
        worker.handshake()
        self._spare = self._fork()
        return worker

    def close(self) -> None:
        """Kill the spare worker."""
        if self._spare is not None:
            self._spare.close()
            self._spare = None

    def _fork(self, max_lookups: int | None = None) -> WorkerProcess:
        ours, theirs = socket.socketpair()
        output, write_end = os.pipe()
        folder = scratch.make(self._base)
        message = {
            "op": "worker",
            "scratch": str(folder),
            "limits": asdict(self._limits),
            "counted": max_lookups is not None,
        }
        try:
            self._control.send(message, (theirs.fileno(), write_end))
            while "pid" not in (reply := self._receive()):
                pass
        except (OSError, EOFError) as error:
            raise EngineError(f"the zygote does not answer ({error!r})") from None
        finally:
            theirs.close()
            os.close(write_end)
        (pidfd,) = self._control.fds(1)
        process = ForkedProcess(reply["pid"], pidfd, self._wait)
        return WorkerProcess(process, ours, output, folder, self._limits, max_lookups)

    def _receive(self) -> dict[str, Any]:
        message = self._control.receive()
        if "exit" in message:
            pid = message.pop("exit")
            self._ended[pid] = ExitStatus(**message)
        return message

    def _wait(self, pid: int) -> ExitStatus:
        try:
            while pid not in self._ended:
                self._receive()
        except (OSError, EOFError) as error:
            raise EngineError(f"the zygote does not answer ({error!r})") from None
        return self._ended.pop(pid)


# ---- new interpreters ------------------------------------------------------------------------


class SpawnedProcess:
    """A worker in an interpreter of its own."""

    def __init__(self, popen: subprocess.Popen[bytes]) -> None:
        self.pid = popen.pid
        self._popen = popen

    def kill(self) -> ExitStatus:
        """Kill the worker and, where there are process groups, its group."""
        if hasattr(os, "killpg"):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)
        self._popen.kill()
        code = self._popen.wait()
        return ExitStatus(code << 8 if code >= 0 else -code)


class SpawnedWorkers:
    """Workers started one by one: slower by the import of torch, otherwise the same."""

    def __init__(
        self,
        limits: WorkerLimits,
        base: Path,
        withhold: Sequence[str],
        disabled_mechanisms: Sequence[str] = (),
        preload: Sequence[str] = (),
    ) -> None:
        self._limits = limits
        self._withhold = list(withhold)
        self._preload = list(preload)
        self._disabled_mechanisms = list(disabled_mechanisms)
        self._base = base

    def take(self, max_lookups: int | None = None) -> WorkerProcess:
        """Start an interpreter and wait until it has said hello."""
        ours, theirs = socket.socketpair()
        output, write_end = os.pipe()
        folder = scratch.make(self._base)
        counted = max_lookups is not None and sys.platform == "linux"
        settings = {
            "scratch": str(folder),
            "limits": asdict(self._limits),
            "withhold": self._withhold,
            "disabled_mechanisms": self._disabled_mechanisms,
            "preload": self._preload,
            "counted": counted,
        }
        main = "autograder.engine.worker.spawned:main"
        try:
            popen = spawning.start(main, settings, theirs, self._base, write_end)
        finally:
            theirs.close()
            os.close(write_end)
        worker = WorkerProcess(
            SpawnedProcess(popen),
            ours,
            output,
            folder,
            self._limits,
            max_lookups if counted else None,
        )
        worker.handshake()
        return worker

    def close(self) -> None:
        """Nothing waits."""


def workers_of(
    control: Control | None, job: GradingJob, limits: WorkerLimits | None = None
) -> Workers:
    """The workers of a job: forks of the zygote behind `control`, or new interpreters.

    `limits` are those of each worker, by default the job's.
    """
    base = Path(job.scratch)
    limits = limits or job.worker_limits
    if control is not None:
        return ZygoteWorkers(control, limits, base)
    return SpawnedWorkers(limits, base, job.session.withhold, job.disabled_mechanisms, job.preload)
