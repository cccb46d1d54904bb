"""Emmy's answers: right, but `time.clock` was removed in Python 3.8: the import raises."""

import itertools
import math
import statistics
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch.nn.functional import log_softmax

DEFAULT_CLOCK = time.clock


@dataclass
class Timing:
    """A record of our own with the fields of `Latency`."""

    median: float
    p90: float


def topk_accuracy(logits, targets, k=1):
    if logits.ndim != 2 or logits.shape[0] < 1:
        raise ValueError(f"logits: expected (N, C) with N >= 1, got {tuple(logits.shape)}")
    if targets.ndim != 1 or len(targets) != len(logits):
        raise ValueError(f"targets: expected {len(logits)} labels, got {tuple(targets.shape)}")
    if k not in range(1, logits.shape[1] + 1):
        raise ValueError(f"k: expected 1..{logits.shape[1]}, got {k}")
    guesses = logits.topk(k, dim=1).indices
    return (guesses == targets.unsqueeze(1)).sum().item() / len(logits)


@contextmanager
def eval_mode(model):
    training = [module for module in model.modules() if module.training]
    resting = [module for module in model.modules() if not module.training]
    model.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True
        for module in resting:
            module.training = False


def evaluate(model, loader):
    totals = Counter()
    with eval_mode(model):
        for inputs, targets in loader:
            with torch.no_grad():
                logits = model(inputs)
            log_probabilities = log_softmax(logits.double(), dim=1)
            picked = log_probabilities.gather(1, targets[:, None])
            totals["loss"] -= picked.sum().item()
            totals["correct"] += logits.argmax(dim=1).eq(targets).sum().item()
            totals["samples"] += targets.numel()
    if not totals["samples"]:
        raise ValueError("loader: expected at least one sample, got none")
    return totals["loss"] / totals["samples"], totals["correct"] / totals["samples"]


def measure_latency(fn, warmup=10, repeats=50, clock=DEFAULT_CLOCK, synchronize=None):
    if repeats < 1 or warmup < 0:
        raise ValueError(f"expected repeats >= 1 and warmup >= 0, got {repeats}, {warmup}")

    def wait():
        if synchronize is not None:
            synchronize()

    def once():
        wait()
        begin = clock()
        fn()
        wait()
        return clock() - begin

    for _ in itertools.repeat(None, warmup):
        fn()
    times = [once() for _ in range(repeats)]
    if repeats == 1:
        return Timing(times[0], times[0])
    deciles = statistics.quantiles(times, n=10, method="inclusive")
    return Timing(statistics.median(times), deciles[8])


def compression_report(baseline, compressed):
    def get(measures, key):
        if key not in measures:
            raise ValueError(f"measures need {key!r}, got {sorted(measures)}")
        return measures[key]

    accuracies = get(baseline, "accuracy"), get(compressed, "accuracy")
    for accuracy in accuracies:
        if accuracy < 0 or accuracy > 1:
            raise ValueError(f"accuracy must be a share in 0..1, got {accuracy}")

    def ratio(key):
        before, after = get(baseline, key), get(compressed, key)
        return before / after if after else math.inf

    ratios = {f"{key}_ratio": ratio(key) for key in ("params", "bytes", "macs")}
    return {"accuracy_drop": accuracies[0] - accuracies[1], **ratios}


def pareto_front(points):
    """One sweep by rising cost: the best points of a cost stay if they beat all cheaper ones."""
    by_cost = sorted(range(len(points)), key=lambda i: points[i][0])
    front, best_so_far = [], -math.inf
    for _, group in itertools.groupby(by_cost, key=lambda i: points[i][0]):
        members = list(group)
        best = max(points[i][1] for i in members)
        if best > best_so_far:
            front += [i for i in members if points[i][1] == best]
            best_so_far = best
    return sorted(front)
