"""The trusted side of a worker: its process, its channel, its clock and its memory.

Limits are held here, never by an alarm in the worker.
"""

from __future__ import annotations

import contextlib
import math
import os
import selectors
import signal
import socket
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import Path
from typing import Any, Protocol

from autograder.engine.channel import frames
from autograder.engine.channel.frames import Frame, FrameError, FrameLimits
from autograder.engine.sandbox import WorkerLimits, scratch
from autograder.engine.sandbox.lookups import Counter
from autograder.errors import EngineError
from autograder.records import Isolation

START_SECONDS = 60.0  # for a worker to say hello; an interpreter that imports torch anew is slow
WATCH_SECONDS = 0.05  # between two looks at memory and output
COUNT_SECONDS = 0.5  # between two counts of what lies in the scratch folder
MAX_SCRATCH_ENTRIES = 2_000


class Cause(Enum):
    """Why a worker did not answer; the value says it of the worker, with a place for a detail."""

    TIMED_OUT = "did not finish within the time limit"
    CPU_TIME = "used up its processor time, {} s"
    MEMORY = "needed more than {} MB of memory"
    SCRATCH = "wrote more than {} MB of files"
    LOOKUPS = "looked up more than {} names of files"
    SYSTEM_CALL = "used a system call that is not allowed"
    PROTOCOL = "gave a malformed answer ({})"
    EXITED = "ended its process"
    CRASHED = "crashed ({})"


class WorkerFailure(Exception):
    """A worker did not answer. `detail` is a number, a signal's name or what was malformed."""

    def __init__(self, cause: Cause, detail: str = "") -> None:
        super().__init__(cause.value.format(detail))
        self.cause = cause
        self.detail = detail


@dataclass(frozen=True)
class Deadline:
    """Until when the judge waits, on its monotonic clock.

    At `soft` a worker that has not used its `cpu_seconds` (of its whole life) may go on: it was the
    machine that was slow. At `hard` nothing helps.
    """

    soft: float
    hard: float
    cpu_seconds: float = 0.0

    @classmethod
    def after(cls, seconds: float) -> Deadline:
        """A deadline without patience."""
        now = time.monotonic()
        return cls(now + seconds, now + seconds)


@dataclass(frozen=True)
class ExitStatus:
    """How a worker's process ended, as its parent saw it.

    `read_bytes` came from the disk for it; 0 where its parent does not tell.
    """

    status: int
    peak_bytes: int = 0
    cpu_seconds: float = 0.0
    read_bytes: int = 0


class Process(Protocol):
    """A started worker process."""

    pid: int

    def kill(self) -> ExitStatus:
        """Kill it with its whole group and return how it ended; harmless if it has ended."""


@dataclass
class WorkerProcess:
    """One worker from its first frame to its death."""

    process: Process
    sock: socket.socket
    output: int
    scratch: Path
    limits: WorkerLimits
    max_lookups: int | None = None  # set: it hands over a counter before its first frame
    isolation: Isolation = field(default_factory=Isolation)
    ended: ExitStatus | None = None
    written: bytearray = field(default_factory=bytearray)
    truncated_bytes: int = 0

    def __post_init__(self) -> None:
        self._frames = FrameLimits(body_bytes=self.limits.reply_bytes)
        self._selector = selectors.DefaultSelector()
        self.sock.setblocking(False)
        os.set_blocking(self.output, False)
        self._selector.register(self.sock, selectors.EVENT_READ)
        self._selector.register(self.output, selectors.EVENT_READ)
        self._deadline = Deadline(0.0, 0.0)
        self._next_look = 0.0
        self._next_count = 0.0
        self._in_memory = scratch.is_memory(self.scratch)
        self._counted = False
        self._file_memory = 0  # bytes that its files take of the memory
        self.greeted = False
        self._counter: Counter | None = None

    def send(
        self, header: dict[str, Any], buffers: Sequence[memoryview], deadline: Deadline
    ) -> None:
        """Send one frame; a worker that does not read it in time, or at all, has failed."""
        try:
            for piece in frames.pack(Frame(header, buffers), FrameLimits()):
                self._send_piece(memoryview(piece).cast("B"), deadline)
        except (BrokenPipeError, ConnectionResetError):
            raise self._explain_exit() from None

    def _send_piece(self, data: memoryview, deadline: Deadline) -> None:
        while data:
            try:
                data = data[self.sock.send(data) :]
            except BlockingIOError:
                self._deadline = deadline
                self._pause(selectors.EVENT_WRITE)

    def receive(self, deadline: Deadline) -> Frame:
        """Wait for one frame; raise WorkerFailure for what happens instead."""
        self._deadline = deadline
        self._watch()  # a worker that always has something to say is never waited for
        try:
            return frames.receive(
                self.sock, self._frames, lambda: self._pause(selectors.EVENT_READ)
            )
        except frames.Closed:
            raise self._explain_exit() from None
        except FrameError as error:
            raise WorkerFailure(Cause.PROTOCOL, str(error)) from None

    def handshake(self) -> None:
        """Wait until the worker is up; a failure here is the engine's, not the student's."""
        if self.greeted:
            return
        if self.max_lookups is not None:
            self._counter = Counter.received(self.sock, START_SECONDS)
        if self._counter is not None:
            self._selector.register(self._counter.listener, selectors.EVENT_READ)
        try:
            hello = self.receive(Deadline.after(START_SECONDS)).header
            fields = hello["isolation"]
        except (WorkerFailure, KeyError) as error:
            self.close()
            text = self.text()[-2000:]
            raise EngineError(f"a worker did not start: it {error} {text}".strip()) from None
        tuples = {name: tuple(fields[name]) for name in ("mechanisms", "missing")}
        self.isolation = Isolation(fields["level"], **tuples)
        self.greeted = True
        if self._counter is not None:
            self._counter.seen = 0  # its own start is no student's

    @contextlib.contextmanager
    def uncounted(self) -> Iterator[None]:
        """While no code of the student's has run yet, lookups are free, and forgotten."""
        bound, self.max_lookups = self.max_lookups, None
        try:
            yield
        finally:
            self.max_lookups = bound
            if self._counter is not None:
                self._counter.seen = 0

    def close(self) -> ExitStatus:
        """Kill the worker, read what it still wrote and remove its scratch folder."""
        if self.ended is None:
            self.ended = self.process.kill()
            with contextlib.suppress(OSError):
                self._drain()
            self._selector.close()
            self.sock.close()
            os.close(self.output)
            if self._counter is not None:
                self._counter.close()
            scratch.remove(self.scratch)
        return self.ended

    def text(self) -> str:
        """What the worker printed until now, capped."""
        if self.ended is None:
            with contextlib.suppress(OSError):
                self._drain()
        text = bytes(self.written).decode("utf-8", "replace")
        return text + (f"\n[{self.truncated_bytes} more bytes]" if self.truncated_bytes else "")

    def _pause(self, event: int) -> None:
        """Wait a little for the socket; drain the output, watch clock and memory meanwhile."""
        now = self._watch()
        self._selector.modify(self.sock, event)
        ready = self._selector.select(max(0.0, min(WATCH_SECONDS, self._deadline.soft - now)))
        if any(key.fileobj == self.output for key, _ in ready):
            self._drain()
        if self._counter is not None:
            if any(key.fileobj == self._counter.listener for key, _ in ready):
                self._counter.answer()
            if self.max_lookups is not None and self._counter.seen > self.max_lookups:
                raise WorkerFailure(Cause.LOOKUPS, str(self.max_lookups))

    def _watch(self) -> float:
        """Look at the clock and now and then at memory and disk; returns the time."""
        now = time.monotonic()
        if now >= self._deadline.soft:
            self._deadline = self._extended(now)
        if now >= self._next_look:
            self._next_look = now + WATCH_SECONDS
            if now >= self._next_count:
                self._next_count = now + COUNT_SECONDS
                self._check_disk()
            limit = self.limits.memory_bytes
            if limit is not None:
                used = resident_bytes(self.process.pid) + self._file_memory
                if used > limit:
                    raise WorkerFailure(Cause.MEMORY, str(limit >> 20))
        return now

    def _extended(self, now: float) -> Deadline:
        """The present deadline put off by the processor time that the worker did not get."""
        left = self._deadline.cpu_seconds - cpu_seconds(self.process.pid)
        soft = min(now + left, self._deadline.hard)
        if left <= 0 or soft <= now:
            raise WorkerFailure(Cause.TIMED_OUT)
        return replace(self._deadline, soft=soft)

    def _check_disk(self) -> None:
        """Bound what this worker keeps on the disk, with a name or without."""
        limit = self.limits.scratch_bytes
        usage = scratch.measure(self.scratch, limit, MAX_SCRATCH_ENTRIES)
        # Not at the first look, before it has done anything: a worker maps hundreds of libraries.
        unnamed = scratch.unnamed_bytes(self.process.pid, self.scratch) if self._counted else 0
        self._counted = True
        kept = usage.bytes + (unnamed or 0)
        if usage.exceeded or kept > limit:
            raise WorkerFailure(Cause.SCRATCH, str(limit >> 20))
        self._file_memory = kept if self._in_memory else 0
        if unnamed is None and usage.free_bytes < scratch.MIN_FREE_BYTES:
            self._measure_by_ending()

    def _measure_by_ending(self) -> None:
        """On a full disk end this worker, whose deleted files cannot be seen, and see what it held.

        If it held more than it may, that is its failure; if not, nobody is blamed: EngineError,
        and the submission is graded again.
        """
        base = self.scratch.parent
        with scratch.only_one(base) as alone:
            before = scratch.free_bytes(base)
            if not alone or before >= scratch.MIN_FREE_BYTES:
                return  # another judge is about it, or has been
            self.close()
            if scratch.free_bytes(base) - before > self.limits.scratch_bytes:
                raise WorkerFailure(Cause.SCRATCH, str(self.limits.scratch_bytes >> 20))
        raise EngineError(f"the folder for temporary files, {base.parent}, is full")

    def _drain(self) -> None:
        while True:
            try:
                data = os.read(self.output, 1 << 16)
            except BlockingIOError:
                return
            if not data:
                with contextlib.suppress(KeyError, ValueError):
                    self._selector.unregister(self.output)
                return
            room = self.limits.output_bytes - len(self.written)
            self.written += data[:room]
            self.truncated_bytes += len(data[room:]) if room < len(data) else 0
            if self.truncated_bytes:
                return  # one read a turn: a flood must not keep the judge from its clock

    def _explain_exit(self) -> WorkerFailure:
        """Explain a closed channel."""
        status = self.close().status
        code = os.waitstatus_to_exitcode(status) if status >= 0 else status
        if code == 0:
            return WorkerFailure(Cause.EXITED)
        name = _signal_name(-code) if code < 0 else f"exit code {code}"
        if name == "SIGSYS":
            return WorkerFailure(Cause.SYSTEM_CALL)
        if name == "SIGXCPU":
            return WorkerFailure(Cause.CPU_TIME, str(self.limits.cpu_seconds))
        return WorkerFailure(Cause.CRASHED, name)


def resident_bytes(pid: int) -> int:
    """Resident memory of a process in bytes; 0 where the platform does not tell."""
    try:
        with open(f"/proc/{pid}/statm", "rb") as statm:  # noqa: PTH123 - read 20 times a second
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError, ValueError):
        return 0


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal has none
        return f"signal {number}"


def cpu_seconds(pid: int) -> float:
    """Processor time that a process has used so far; infinite where the platform does not tell."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:  # noqa: PTH123
            fields = stat.read().rpartition(b")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    except (OSError, IndexError, ValueError):
        return math.inf
