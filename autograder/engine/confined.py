"""Run a trusted function of ours on what a stranger sent: a file to parse, a network to run.

    with confined(workers, seconds=60) as process:
        value = process.call(worker_side.measure, content)

The function runs in a confined worker process and may be taken over by what it reads, so the
value is only what that process says: it is rebuilt under the channel's rules, and the caller checks
it before it is used. The function must be found by name in an importable module; where workers are
forked, the zygote has imported that module (`GradingJob.preload`), as the confined process cannot
read the kit's files. Arguments and value are what the channel carries: numbers, strings, bytes,
lists, tuples, dicts, arrays and tensors.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from autograder.engine.channel.frames import Frame, FrameError, FrameLimits
from autograder.engine.channel.values import Decoder, Encoder
from autograder.engine.job import PATIENCE, Level, isolation_shortfall
from autograder.engine.judge.clock import Clock
from autograder.engine.judge.processes import (
    Cause,
    WorkerFailure,
    WorkerProcess,
    cpu_seconds,
)
from autograder.engine.judge.workers import SpawnedWorkers, Workers
from autograder.engine.sandbox import WorkerLimits, hidden_memory, scratch
from autograder.engine.sandbox.base import base_folder
from autograder.errors import AutograderError
from autograder.records import Isolation

_CPU_MARGIN = 30  # seconds of processor time beyond the limit by the clock: the start, and threads


class ConfinedFailure(Exception):
    """A call gave no value. The text begins with "it" and says what happened.

    `raised` is the class of the exception that the function raised, if that was it.
    """

    def __init__(self, reason: str, raised: str = "") -> None:
        super().__init__(reason)
        self.raised = raised


class IsolationTooWeak(AutograderError):
    """This machine confines less than what is required."""


@dataclass(frozen=True)
class Caps:
    """What one confined process may take; `seconds` by the clock, all calls together."""

    seconds: float = 900.0
    memory_mb: int = 2048

    @property
    def limits(self) -> WorkerLimits:
        """The limits to start its process with."""
        return WorkerLimits(
            cpu_seconds=int(self.seconds) + _CPU_MARGIN,
            memory_bytes=self.memory_mb << 20,
            reply_bytes=64 << 20,
        )


class ConfinedProcess:
    """One confined process and its clock."""

    def __init__(self, worker: WorkerProcess, seconds: float) -> None:
        self._worker = worker
        self._clock = Clock(seconds, time.monotonic() + PATIENCE * seconds)
        self.waited = 0.0  # seconds by the clock, for answers to calls

    @property
    def isolation(self) -> Isolation:
        """What confines it."""
        return self._worker.isolation

    @property
    def cpu_seconds(self) -> float:
        """Processor time that it has used, by the system's account."""
        return cpu_seconds(self._worker.process.pid)

    @property
    def peak_bytes(self) -> int:
        """Its peak resident memory, known once it has ended."""
        return self._worker.ended.peak_bytes if self._worker.ended is not None else 0

    def call(self, function: Callable[..., Any], *arguments: object) -> Any:
        """Run a function of a module and return what the process says is its value.

        ConfinedFailure if there is none. After one that the function did not raise itself, the
        process is gone.
        """
        if self._worker.ended is not None:
            raise ConfinedFailure("it has no process any more")
        encoder = Encoder(FrameLimits().body_bytes)
        number = secrets.randbits(48)
        header = {
            "op": "run",
            "id": number,
            "function": f"{function.__module__}:{function.__qualname__}",
            "args": encoder.encode(list(arguments)),
        }
        started = time.monotonic()
        try:
            deadline = self._clock.deadline(self._worker)
            self._worker.send(header, encoder.buffers, deadline)
            return _value(self._worker.receive(deadline), number)
        except FrameError as error:
            failure = WorkerFailure(Cause.PROTOCOL, str(error))
        except WorkerFailure as error:
            failure = error
        finally:
            self.waited += time.monotonic() - started
        self._worker.close()
        raise ConfinedFailure(f"it {failure}")


@contextmanager
def confined(
    workers: Workers, seconds: float, require_isolation: Level = "process"
) -> Iterator[ConfinedProcess]:
    """A new confined process, which is killed at the end of the block.

    `seconds` bounds all its calls together. IsolationTooWeak if the machine cannot confine it as
    required, EngineError if it does not start.
    """
    worker = workers.take()
    try:
        if reason := isolation_shortfall(worker.isolation, require_isolation):
            raise IsolationTooWeak(reason)
        yield ConfinedProcess(worker, seconds)
    finally:
        worker.close()


@contextmanager
def spawned_workers(limits: WorkerLimits, preload: Sequence[str]) -> Iterator[Workers]:
    """Workers in new interpreters that have imported `preload`; their files are gone afterwards."""
    with base_folder() as base:
        scratch.check_room(base, 1, limits.scratch_bytes)
        with hidden_memory():  # it holds the labels
            yield SpawnedWorkers(limits, base, (), preload=preload)


def _value(frame: Frame, number: int) -> Any:
    header = frame.header
    if header.get("id") != number:
        raise FrameError("a reply with an unknown request id")
    if header.get("op") == "value":
        return Decoder(frame.buffers).decode(header.get("value"))
    kind, text = header.get("kind"), header.get("text")
    if header.get("op") != "error" or not isinstance(kind, str) or not isinstance(text, str):
        raise FrameError("a message of an unknown form")
    line = next((line.strip() for line in text.splitlines() if line.strip()), "")
    raise ConfinedFailure(f"it raised {kind}" + (f": {line}" if line else ""), raised=kind)
