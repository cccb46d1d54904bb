"""The trusted side of a measurement: nothing that a confined process says is believed.

The process that runs the network gets images and no labels, and the one that counts gets no
images; what they answer is checked here before it is used.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

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
from autograder.project import rules, worker_side
from autograder.project.context import PRELOAD
from autograder.project.network import in_our_words
from autograder.records import Isolation, Usage
from autograder.records.codec import rebuild
from autograder.records.measurement import MeasuredLayer, Measurement
from autograder.text_safety import clean_line

MAX_REASON = 400
TRIAL_SECONDS = 60.0  # of processor time, to measure a file, and to try it on few images


class EntryRefused(Exception):
    """The file is no entry; the text is one sentence for its author."""


class Sandbox:
    """Confined processes that know the functions of `worker_side`.

    It remembers what confined them and what they cost: `usage` has all but the whole `seconds`.
    """

    def __init__(self, workers: Workers, caps: Caps, require_isolation: Level) -> None:
        self.isolation = Isolation()
        self.usage = Usage()
        self._workers = workers
        self.seconds = caps.seconds
        self._require_isolation = require_isolation

    @contextmanager
    def process(self, seconds: float = math.inf) -> Iterator[ConfinedProcess]:
        """A new process, which ends with the block; IsolationTooWeak if too little confines it.

        It has `seconds`, and at most what the caps say.
        """
        allowed = min(seconds, self.seconds)
        process = None
        try:
            with confined(self._workers, allowed, self._require_isolation) as process:
                self.isolation = process.isolation
                yield process
        finally:
            if process is not None:
                self.usage = _with(self.usage, process)


def _with(usage: Usage, process: ConfinedProcess) -> Usage:
    """What was used before and by one more process, which has ended."""
    return replace(
        usage,
        student_seconds=round(usage.student_seconds + process.waited, 4),
        peak_memory_bytes=max(usage.peak_memory_bytes, process.peak_bytes),
        workers=usage.workers + 1,
    )


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
        with box.process(TRIAL_SECONDS) as process:
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
    if type(opset) is not int or any(layer.kind not in rules.ALLOWED for layer in layers):
        raise EntryRefused("the measurement came back malformed")
    return Measurement(len(content), hashlib.sha256(content).hexdigest(), opset, layers)


def predictions(
    box: Sandbox, content: bytes, runs: Sequence[tuple[NDArray[np.uint8], int]], classes: int
) -> list[NDArray[np.int64]]:
    """The predicted classes for each run, which is (images, batch size).

    EntryRefused if the network does not run, if a tensor has another shape than was measured, or,
    before the first run, if all of them would take too long.
    """
    try:
        with box.process(TRIAL_SECONDS) as process:
            _try_out(process, content, runs, classes, box.seconds)
    except ConfinedFailure as failure:
        few = f": a few images may take {TRIAL_SECONDS:.0f} s" if "time" in str(failure) else ""
        raise EntryRefused(f"the network could not be run: {_line(failure)}{few}") from None
    try:
        with box.process() as process:
            return [
                _classes(process.call(worker_side.predict, content, *run), len(run[0]), classes)
                for run in runs
            ]
    except ConfinedFailure as failure:
        raise EntryRefused(f"the network could not be run: {_line(failure)}") from None


def _try_out(
    process: ConfinedProcess,
    content: bytes,
    runs: Sequence[tuple[NDArray[np.uint8], int]],
    classes: int,
    limit: float,
) -> None:
    """Run one image, then one large batch; EntryRefused if all runs took more than `limit`.

    Ten thousand images of a slow file would end at the limit too, a quarter of an hour later.
    """
    images = runs[0][0]
    mismatch = process.call(worker_side.shape_mismatch, content, list(images.shape[1:]), classes)
    if mismatch != "":
        raise EntryRefused(_line(mismatch))
    alone = sum(len(run) for run, batch in runs if batch == 1)
    largest = max(batch for _, batch in runs)
    process.call(worker_side.predict, content, images[:1], 1)  # prepares the network too
    one = _seconds_of(process, content, images[:1])
    _check_time(one, alone, one * alone, limit)
    many = _seconds_of(process, content, images[:largest]) / min(largest, len(images))
    others = sum(len(run) for run, _ in runs) - alone
    _check_time(max(one, many), alone + others, one * alone + many * others, limit)


def _seconds_of(process: ConfinedProcess, content: bytes, images: NDArray[np.uint8]) -> float:
    """Processor time of one batch."""
    before = process.cpu_seconds
    process.call(worker_side.predict, content, images, len(images))
    return process.cpu_seconds - before


def _check_time(each: float, images: int, seconds: float, limit: float) -> None:
    if seconds > limit:
        raise EntryRefused(
            f"one image takes {each:.2f} s of processor time, {images:,} would take "
            f"{seconds / 60:,.0f} minutes, more than {limit / 60:.0f}: use fewer or cheaper "
            "operators"
        )


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
    return clean_line(in_our_words(str(text)), MAX_REASON)


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
