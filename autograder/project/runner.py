"""The trusted side of a measurement: nothing that a confined process says is believed.

The process that runs the network gets images and no labels, and the one that counts gets no
images; what they answer is checked here before it is used.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from autograder.engine.confined import (
    Caps,
    ConfinedFailure,
    ConfinedProcess,
    IsolationTooWeak,
    confined,
    spawned_workers,
)
from autograder.engine.job import Level
from autograder.engine.judge.workers import Workers
from autograder.errors import AutograderError
from autograder.project import worker_side
from autograder.records import Isolation
from autograder.records.codec import rebuild
from autograder.records.measurement import MeasuredLayer, Measurement
from autograder.text_safety import clean_line

PRELOAD = ("autograder.project.worker_side",)
"""What a zygote, or a new interpreter, imports before the process is confined."""
MAX_REASON = 300


class EntryRefused(Exception):
    """The file is no entry; the text is one sentence for its author."""


class Sandbox:
    """Confined processes that know the functions of `worker_side`; remembers what confined them."""

    def __init__(self, workers: Workers, caps: Caps, require_isolation: Level) -> None:
        self.isolation = Isolation()
        self._workers = workers
        self._seconds = caps.seconds
        self._require_isolation = require_isolation

    @contextmanager
    def process(self) -> Iterator[ConfinedProcess]:
        """A new process, which ends with the block; IsolationTooWeak if too little confines it."""
        with confined(self._workers, self._seconds, self._require_isolation) as process:
            self.isolation = process.isolation
            yield process


@contextmanager
def sandbox(
    caps: Caps, require_isolation: Level = "process", workers: Workers | None = None
) -> Iterator[Sandbox]:
    """A sandbox over `workers`, which were started with `caps.limits` and know `PRELOAD`.

    Without `workers`, each process is a new interpreter.
    """
    if workers is not None:
        yield Sandbox(workers, caps, require_isolation)
        return
    with spawned_workers(caps.limits, PRELOAD) as spawned:
        yield Sandbox(spawned, caps, require_isolation)


def measure(
    box: Sandbox, content: bytes, input_shape: tuple[int, ...], classes: int
) -> Measurement:
    """Count what a file stores and computes; EntryRefused if it is no entry."""
    try:
        with box.process() as process:
            answer = process.call(worker_side.measure, content, list(input_shape), classes)
    except ConfinedFailure as failure:
        raise EntryRefused(f"the file could not be measured: {_line(failure)}") from None
    if isinstance(answer, dict) and isinstance(answer.get("refusal"), str):
        raise EntryRefused(_line(answer["refusal"]) or "no reason")
    try:
        opset = answer["opset"]
        layers = tuple(rebuild(MeasuredLayer, layer) for layer in answer["layers"])
    except (AutograderError, TypeError, KeyError):
        raise EntryRefused("the measurement came back malformed") from None
    if type(opset) is not int:
        raise EntryRefused("the measurement came back malformed")
    return Measurement(len(content), hashlib.sha256(content).hexdigest(), opset, layers)


def predictions(
    box: Sandbox, content: bytes, runs: Sequence[tuple[NDArray[np.uint8], int]], classes: int
) -> list[NDArray[np.int64]]:
    """The predicted classes for each run, which is (images, batch size).

    EntryRefused if the network does not run, or if a tensor has another shape than was measured.
    """
    shape = list(runs[0][0].shape[1:])
    try:
        with box.process() as process:
            mismatch = process.call(worker_side.shape_mismatch, content, shape, classes)
            if mismatch != "":
                raise EntryRefused(_line(mismatch))
            return [
                _classes(process.call(worker_side.predict, content, *run), len(run[0]), classes)
                for run in runs
            ]
    except ConfinedFailure as failure:
        raise EntryRefused(f"the network could not be run: {_line(failure)}") from None


def _classes(logits: object, images: int, classes: int) -> NDArray[np.int64]:
    """The class of the largest logit for each image; EntryRefused unless these are logits."""
    expected = (images, classes)
    if not isinstance(logits, np.ndarray) or logits.dtype != np.float32 or logits.shape != expected:
        raise EntryRefused(f"the output has to be float32 (N, {classes}) for every N")
    if not np.isfinite(logits).all():
        raise EntryRefused("an output is NaN or infinite")
    classes_of_images: NDArray[np.int64] = logits.argmax(axis=1)
    return classes_of_images


def _line(text: object) -> str:
    return clean_line(str(text), MAX_REASON)


__all__ = [
    "PRELOAD",
    "Caps",
    "EntryRefused",
    "IsolationTooWeak",
    "Sandbox",
    "measure",
    "predictions",
    "sandbox",
]
