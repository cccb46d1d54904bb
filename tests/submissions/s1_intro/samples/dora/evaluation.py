# Generated from solutions/s1_intro/evaluation.py by `autograder release`: change it there.
"""Session 1, evaluation: how well and how fast a network works, and which of several to keep."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from shared.checks import check_int, check_shape, refuse
from shared.records import Latency

# ---- accuracy --------------------------------------------------------------------------------


def topk_accuracy(logits: Tensor, targets: Tensor, k: int = 1) -> float:
    """Return the share of samples whose target is among the `k` largest logits, in 0..1.

    Args:
        logits: (N, C) floating scores, larger is more likely.
        targets: (N,) int64 class indices.
        k: an int in 1..C.

    Raises:
        ValueError: if `logits` is not (N, C) with N at least 1, `targets` is not (N,), or `k`
            is outside 1..C.

    >>> logits = torch.tensor([[0.1, 0.7, 0.2], [0.5, 0.3, 0.2]])
    >>> topk_accuracy(logits, torch.tensor([1, 1]))
    0.5
    >>> topk_accuracy(logits, torch.tensor([1, 1]), k=2)
    1.0
    """
    # TODO(s1.topk_accuracy): your code; the docstring says what it must do
    raise NotImplementedError("s1.topk_accuracy")


def evaluate(model: nn.Module, loader: Iterable[Sequence[Tensor]]) -> tuple[float, float]:
    """Return (loss, accuracy) of a classifier over all samples of `loader`.

    The loss is the cross-entropy averaged over *samples*, the accuracy the share of correct
    predictions in 0..1. The last batch is often smaller, so the mean of batch means is wrong.

    The model runs in eval mode and without gradients; afterwards every submodule has its own
    training flag back, also when the model or the loader raises.

    Args:
        model: maps images (N, ...) to logits (N, C).
        loader: batches (images, targets), targets int64 (N,). They are moved to the device of
            the model's first parameter.

    Raises:
        ValueError: if `loader` has no samples.

    With logits that are always 0 for 10 classes the loss is ln(10) = 2.3026.
    """
    # TODO(s1.evaluate): your code; the docstring says what it must do
    raise NotImplementedError("s1.evaluate")


# ---- time ------------------------------------------------------------------------------------


def measure_latency(
    fn: Callable[[], object],
    warmup: int = 10,
    repeats: int = 50,
    clock: Callable[[], float] = time.perf_counter,
    synchronize: Callable[[], object] | None = None,
) -> Latency:
    """Return the median and the 90th percentile of the time that `fn()` takes.

    `fn` is first called `warmup` times without being timed (caches fill, kernels are chosen),
    then `repeats` times, each timed on its own. The median does not move when the operating
    system interrupts a few repeats; the 90th percentile tells how bad those are.

    Args:
        fn: called without arguments; its result is ignored.
        warmup: untimed calls, at least 0.
        repeats: timed calls, at least 1.
        clock: read exactly twice a repeat (before and after) and never during warm-up.
        synchronize: waits until the device has finished, e.g. `torch.cuda.synchronize`; called
            before each of the two readings of a repeat. A GPU works asynchronously: without it
            only the launch is timed.

    Returns:
        `Latency(median, p90)` in the clock's unit. With an even number of repeats the median is
        the mean of the middle two; p90 interpolates linearly between neighbours, at position
        0.9 * (repeats - 1) of the sorted times.

    Raises:
        ValueError: if `warmup` is below 0 or `repeats` below 1.

    Times 1, 2, 3, 10 give `Latency(median=2.5, p90=7.9)`.
    """
    # TODO(s1.measure_latency): your code; the docstring says what it must do
    raise NotImplementedError("s1.measure_latency")


# ---- comparison ------------------------------------------------------------------------------


def compression_report(
    baseline: Mapping[str, float], compressed: Mapping[str, float]
) -> dict[str, float]:
    """Compare a compressed network with its baseline.

    Args:
        baseline: mapping with at least the keys "accuracy", "params", "bytes" and "macs".
        compressed: the same of the compressed network.

    Returns:
        A dict with "accuracy_drop" = baseline - compressed (positive: it got worse), and
        "params_ratio", "bytes_ratio", "macs_ratio" = baseline / compressed (4.0 means four times
        smaller), `inf` where the compressed value is 0.

    Raises:
        ValueError: if one of the keys is missing.

    >>> compression_report(
    ...     {"accuracy": 0.75, "params": 100, "bytes": 400, "macs": 50},
    ...     {"accuracy": 0.5, "params": 50, "bytes": 50, "macs": 0},
    ... )
    {'accuracy_drop': 0.25, 'params_ratio': 2.0, 'bytes_ratio': 8.0, 'macs_ratio': inf}
    """
    # TODO(s1.compression_report): your code; the docstring says what it must do
    raise NotImplementedError("s1.compression_report")


def pareto_front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Return the indices, ascending, of the points (cost, accuracy) that no other dominates.

    Lower cost and higher accuracy are better. A point is dominated if another one is at least
    as good in both and better in at least one. Identical points do not dominate each other, so
    all copies stay.

    Args:
        points: (cost, accuracy) pairs; may be empty.

    >>> pareto_front([(1, 0.8), (2, 0.9), (3, 0.85), (2, 0.9)])  # (3, 0.85) loses to (2, 0.9)
    [0, 1, 3]
    """
    # TODO(s1.pareto_front): your code; the docstring says what it must do
    raise NotImplementedError("s1.pareto_front")
