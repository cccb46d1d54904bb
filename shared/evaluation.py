"""Accuracy, latency and comparison of models: what a number means before it is compared.

Accuracies are shares in 0..1. A cost is better when lower, an accuracy when higher.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from shared.checks import check_int, check_shape
from shared.records import Latency


@contextmanager
def eval_mode(model: nn.Module) -> Iterator[nn.Module]:
    """Put every submodule in eval mode, and give each its own flag back, also after an error."""
    flags = [(module, module.training) for module in model.modules()]
    try:
        yield model.eval()
    finally:
        for module, training in flags:
            module.training = training


def device_of(model: nn.Module) -> torch.device:
    """The device of the first parameter or buffer; the CPU if there is none."""
    for tensors in (model.parameters(), model.buffers()):
        for tensor in tensors:
            return tensor.device
    return torch.device("cpu")


def topk_accuracy(logits: Tensor, targets: Tensor, k: int = 1) -> float:
    """Share of samples whose target is among the `k` largest logits.

    Args:
        logits: (N, C), N at least 1.
        targets: class indices (N,).
        k: 1..C.

    Raises:
        ValueError: another shape, an empty batch, or k outside 1..C.
    """
    if logits.dim() != 2 or len(logits) == 0:
        raise ValueError(f"logits: expected shape (N, C) with N >= 1, got {tuple(logits.shape)}")
    check_shape("targets", targets, len(logits))
    check_int("k", k, 1, logits.shape[1])
    hits = logits.topk(k, dim=1).indices == targets.unsqueeze(1)
    return int(hits.sum()) / len(targets)


def evaluate(model: nn.Module, loader: Iterable[Sequence[Tensor]]) -> tuple[float, float]:
    """(mean cross-entropy, accuracy) over all samples of `loader`.

    Both are averages over samples, so a smaller last batch counts for less. The model runs on its
    own device, in eval mode and without gradients; the mode of every submodule is restored.

    Args:
        model: maps a batch to logits (N, C).
        loader: pairs (inputs, class indices (N,)).

    Raises:
        ValueError: the loader is empty.
    """
    device = device_of(model)
    loss, correct, count = 0.0, 0, 0
    with eval_mode(model), torch.no_grad():
        for inputs, targets in loader:
            expected = targets.to(device)
            logits = model(inputs.to(device))
            loss += F.cross_entropy(logits.float(), expected, reduction="sum").item()
            correct += int((logits.argmax(dim=1) == expected).sum())
            count += len(expected)
    if count == 0:
        raise ValueError("loader: expected at least one sample, got none")
    return loss / count, correct / count


def measure_latency(
    fn: Callable[[], object],
    warmup: int = 10,
    repeats: int = 50,
    clock: Callable[[], float] = time.perf_counter,
    synchronize: Callable[[], object] | None = None,
) -> Latency:
    """Median and 90th percentile of `repeats` timed calls, after `warmup` untimed ones.

    `synchronize` (torch.cuda.synchronize on a GPU, whose kernels run behind the program's back)
    is called before each start and before each stop. The clock is read twice per repeat and never
    while warming up. The result is in its unit; percentiles are interpolated linearly.

    Raises ValueError if warmup < 0 or repeats < 1.
    """
    check_int("warmup", warmup, 0)
    check_int("repeats", repeats, 1)
    wait = synchronize or _nothing
    for _ in range(warmup):
        fn()
    times = []
    for _ in range(repeats):
        wait()
        start = clock()
        fn()
        wait()
        times.append(clock() - start)
    return Latency(median=float(statistics.median(times)), p90=_percentile(times, 0.9))


def _nothing() -> None:
    """What has to be waited for on a CPU."""


def _percentile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    position = share * (len(ordered) - 1)
    low = math.floor(position)
    high = min(low + 1, len(ordered) - 1)
    return float(ordered[low] + (position - low) * (ordered[high] - ordered[low]))


def compression_report(
    baseline: Mapping[str, float], compressed: Mapping[str, float]
) -> dict[str, float]:
    """What compression costs and saves.

    Both arguments have the keys accuracy, params, bytes and macs. The result has `accuracy_drop`,
    baseline minus compressed, and `params_ratio`, `bytes_ratio` and `macs_ratio`, baseline over
    compressed: above 1 is smaller, infinity where nothing is left.

    Raises ValueError if a key is missing.
    """
    counts = ("params", "bytes", "macs")
    for name, measured in (("baseline", baseline), ("compressed", compressed)):
        missing = [key for key in ("accuracy", *counts) if key not in measured]
        if missing:
            raise ValueError(f"{name}: expected the keys {', '.join(missing)} as well")
    report = {"accuracy_drop": baseline["accuracy"] - compressed["accuracy"]}
    for key in counts:
        size = compressed[key]
        report[f"{key}_ratio"] = baseline[key] / size if size else math.inf
    return report


def pareto_front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Indices, ascending, of the points (cost, accuracy) that no other point dominates.

    A point is dominated if another one is no worse in both and better in at least one; so equal
    points are kept or dropped together.
    """
    order = sorted(range(len(points)), key=lambda i: (points[i][0], -points[i][1]))
    front: list[int] = []
    for i in order:
        # Costs rise along `order`: only a higher accuracy, or an equal point, can be kept.
        if not front or points[i][1] > points[front[-1]][1] or points[i] == points[front[-1]]:
            front.append(i)
    return sorted(front)
