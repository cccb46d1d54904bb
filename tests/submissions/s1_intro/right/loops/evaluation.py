"""Accuracy, latency and comparisons, with plain loops."""

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from shared.records import Latency
from torch import Tensor, nn


def topk_accuracy(logits: Tensor, targets: Tensor, k: int = 1) -> float:
    if logits.dim() != 2 or logits.shape[0] == 0:
        raise ValueError(f"logits must be (N, C) with N > 0, got {tuple(logits.shape)}")
    samples, classes = logits.shape
    if tuple(targets.shape) != (samples,):
        raise ValueError(f"targets must be ({samples},), got {tuple(targets.shape)}")
    if isinstance(k, bool) or not isinstance(k, int) or not 1 <= k <= classes:
        raise ValueError(f"k must be in 1..{classes}, got {k!r}")
    correct = 0
    for scores, target in zip(logits.tolist(), targets.tolist(), strict=True):
        better = 0
        for score in scores:
            if score > scores[target]:
                better += 1
        if better < k:
            correct += 1
    return correct / samples


def evaluate(model: nn.Module, loader: Iterable[tuple[Tensor, Tensor]]) -> tuple[float, float]:
    flags = []
    for module in model.modules():
        flags.append((module, module.training))
    loss = 0.0
    correct = 0
    samples = 0
    try:
        model.eval()
        with torch.no_grad():
            for inputs, targets in loader:
                logits = model(inputs)
                for scores, target in zip(logits.tolist(), targets.tolist(), strict=True):
                    top = max(scores)
                    normaliser = 0.0
                    for score in scores:
                        normaliser += math.exp(score - top)
                    loss += top + math.log(normaliser) - scores[target]
                    if scores.index(top) == target:
                        correct += 1
                    samples += 1
    finally:
        for module, flag in flags:
            module.training = flag
    if samples == 0:
        raise ValueError("loader must hold at least one sample, got none")
    return loss / samples, correct / samples


def measure_latency(
    fn: Callable[[], Any],
    warmup: int = 10,
    repeats: int = 50,
    clock: Callable[[], float] = time.perf_counter,
    synchronize: Callable[[], Any] | None = None,
) -> Latency:
    if warmup < 0:
        raise ValueError(f"warmup must be at least 0, got {warmup}")
    if repeats < 1:
        raise ValueError(f"repeats must be at least 1, got {repeats}")
    for _ in range(warmup):
        fn()
    times = []
    for _ in range(repeats):
        if synchronize is not None:
            synchronize()
        start = clock()
        fn()
        if synchronize is not None:
            synchronize()
        times.append(clock() - start)
    times.sort()
    return Latency(median=_quantile(times, 0.5), p90=_quantile(times, 0.9))


def _quantile(ordered: list[float], share: float) -> float:
    """Linear interpolation between the two neighbours of position share * (n - 1)."""
    position = share * (len(ordered) - 1)
    below = int(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (position - below) * (ordered[above] - ordered[below])


def compression_report(
    baseline: Mapping[str, float], compressed: Mapping[str, float]
) -> dict[str, float]:
    for argument, measures in (("baseline", baseline), ("compressed", compressed)):
        for key in ("accuracy", "params", "bytes", "macs"):
            if key not in measures:
                raise ValueError(f"{argument} has no {key!r}, got {dict(measures)!r}")
        if not 0 <= measures["accuracy"] <= 1:
            raise ValueError(f"{argument}['accuracy'] must be a share, got {measures['accuracy']}")
    report = {"accuracy_drop": baseline["accuracy"] - compressed["accuracy"]}
    for key in ("params", "bytes", "macs"):
        if compressed[key] == 0:
            report[key + "_ratio"] = math.inf
        else:
            report[key + "_ratio"] = baseline[key] / compressed[key]
    return report


def pareto_front(points: Sequence[tuple[float, float]]) -> list[int]:
    front = []
    for index, (cost, accuracy) in enumerate(points):
        dominated = False
        for other_cost, other_accuracy in points:
            no_worse = other_cost <= cost and other_accuracy >= accuracy
            better = other_cost < cost or other_accuracy > accuracy
            if no_worse and better:
                dominated = True
                break
        if not dominated:
            front.append(index)
    return front
