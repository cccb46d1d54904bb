"""The scorer's side of the sandbox: one confined process a question, nothing of it is believed.

The process that runs the network gets images and no labels, and the one that counts gets no
images; what they answer is checked here before it is used.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autograder.engine.control import WorkerLimits
from autograder.engine.job import Level, isolation_shortfall
from autograder.engine.judge.processes import SpawnedWorkers, WorkerProcess
from autograder.engine.judge.student import Clock, Student
from autograder.engine.sandbox import scratch
from autograder.errors import AutograderError
from autograder.graders.toolkit.failures import StudentError, StudentFailure, TimedOut
from autograder.project.strict import Malformed, record
from autograder.records import Isolation
from autograder.records.measurement import Layer, Measurement
from autograder.text_safety import clean_line

MODULE = "entry"
SOURCE = "from autograder.project.worker_side import measure, shape_mismatch, predict\n"
PRELOAD = ("autograder.project.worker_side",)
MAX_REASON = 300


class Refused(Exception):
    """The file is no entry; the text is one sentence for its author."""


@dataclass(frozen=True)
class Caps:
    """What one confined process may take."""

    seconds: float = 900.0
    memory_mb: int = 2048


class Sandbox:
    """Starts confined processes that know the functions of `inside`."""

    def __init__(self, caps: Caps, base: Path, required: Level) -> None:
        limits = WorkerLimits(
            memory_bytes=caps.memory_mb << 20,
            cpu_seconds=int(caps.seconds) + 30,
            reply_bytes=64 << 20,
            output_bytes=1 << 16,
        )
        self.isolation = Isolation()
        self._caps, self._required = caps, required
        self._workers = SpawnedWorkers(limits, base, (), preload=PRELOAD)
        self._alive: list[WorkerProcess] = []

    def main_worker(self) -> WorkerProcess:
        """A new confined process with the module loaded."""
        worker = self._workers.take()
        self._alive.append(worker)
        self.isolation = worker.isolation
        if reason := isolation_shortfall(worker.isolation, self._required):
            raise AutograderError(reason)
        deadline = self.clock().deadline(worker)
        header = {"op": "load", "id": 0, "module": MODULE, "withhold": []}
        text = SOURCE.encode()
        worker.send({**header, "sources": [[MODULE, {"b": 0}]]}, [memoryview(text)], deadline)
        answer = worker.receive(deadline).header
        if answer.get("op") != "value":
            raise RuntimeError(f"the scorer's own module cannot be loaded: {answer}")
        return worker

    new_worker = main_worker
    clean_worker = main_worker

    def clock(self) -> Clock:
        """The time that one question may take."""
        return Clock(self._caps.seconds, time.monotonic() + 3 * self._caps.seconds)

    @contextmanager
    def process(self) -> Iterator[Any]:
        """The functions of `inside` in a new process, which ends with the block."""
        student = Student(self, self.clock())
        try:
            yield student
        finally:
            for worker in self._alive:
                worker.close()
            self._alive.clear()


@contextmanager
def sandbox(caps: Caps, required: Level = "process") -> Iterator[Sandbox]:
    """A sandbox whose temporary files are gone afterwards; AutograderError if it is too weak."""
    base = scratch.make_base(Path(tempfile.gettempdir()))
    try:
        yield Sandbox(caps, base, required)
    finally:
        scratch.remove(base)


def measure(
    box: Sandbox, content: bytes, input_shape: tuple[int, ...], classes: int
) -> Measurement:
    """Count what a file stores and computes; Refused if it is no entry."""
    try:
        with box.process() as inside:
            text = inside.measure(content, list(input_shape), classes)
    except StudentFailure as failure:
        raise Refused(f"the file could not be measured: {_reason(failure)}") from None
    try:
        answer = json.loads(text)
        if "refusal" in answer:
            raise Refused(clean_line(str(answer["refusal"]), MAX_REASON) or "no reason")
        layers = tuple(record(Layer, each) for each in answer["layers"])
        opset = int(answer["opset"])
    except (Malformed, ValueError, TypeError, KeyError):
        raise Refused("the measurement came back malformed") from None
    return Measurement(len(content), hashlib.sha256(content).hexdigest(), opset, layers)


def predictions(
    box: Sandbox, content: bytes, runs: Sequence[tuple[NDArray[np.uint8], int]], classes: int
) -> list[NDArray[np.int64]]:
    """The predicted classes for each run, which is (images, batch size); Refused without one.

    Refused as well if a tensor has another shape than the one that was measured.
    """
    found = []
    try:
        with box.process() as inside:
            shape = list(runs[0][0].shape[1:])
            if reason := inside.shape_mismatch(content, shape, classes):
                raise Refused(clean_line(str(reason), MAX_REASON))
            for images, batch in runs:
                logits = np.asarray(inside.predict(content, images, batch))
                if logits.shape != (len(images), classes) or logits.dtype != np.float32:
                    raise Refused(f"the output has to be float32 (N, {classes}) for every N")
                if not np.isfinite(logits).all():
                    raise Refused("an output is NaN or infinite")
                found.append(logits.argmax(axis=1))
    except StudentFailure as failure:
        raise Refused(f"the network could not be run: {_reason(failure)}") from None
    return found


def _reason(failure: StudentFailure) -> str:
    if isinstance(failure, TimedOut):
        return "it did not finish within the time limit"
    if isinstance(failure, StudentError):
        line = next((line for line in failure.text.splitlines() if line.strip()), failure.kind)
        return clean_line(line, MAX_REASON)
    return clean_line(str(failure).replace("your code", "it"), MAX_REASON)
