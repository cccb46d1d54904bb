"""Carl's answers: mostly right, with mistakes that many students make."""

import math
import time

import torch
import torch.nn.functional as F  # noqa: N812
from shared.records import Latency


def topk_accuracy(logits, targets, k=1):
    if logits.dim() != 2 or logits.shape[0] == 0:
        raise ValueError(f"bad shape of logits: {tuple(logits.shape)}")
    if targets.shape != logits.shape[:1]:
        raise ValueError(f"bad shape of targets: {tuple(targets.shape)}")
    if k < 1 or k > logits.shape[1]:
        raise ValueError(f"bad k: {k}")
    top = logits.topk(k, dim=1).indices
    correct = (top == targets.view(-1, 1)).any(dim=1)
    return correct.float().mean().item()


def evaluate(model, loader):
    # Every batch counts the same, and the model stays in eval mode.
    model.eval()
    losses, accuracies = [], []
    with torch.no_grad():
        for images, targets in loader:
            logits = model(images)
            losses.append(F.cross_entropy(logits, targets).item())
            accuracies.append((logits.argmax(1) == targets).float().mean().item())
    if not losses:
        raise ValueError("empty loader")
    return sum(losses) / len(losses), sum(accuracies) / len(accuracies)


def measure_latency(fn, warmup=10, repeats=50, clock=time.perf_counter, synchronize=None):
    # The mean, and without waiting for the device.
    if warmup < 0 or repeats < 1:
        raise ValueError(f"bad warmup or repeats: {warmup}, {repeats}")
    for _ in range(warmup):
        fn()
    times = []
    for _ in range(repeats):
        start = clock()
        fn()
        times.append(clock() - start)
    times.sort()
    return Latency(sum(times) / len(times), times[int(0.9 * len(times))])


def compression_report(baseline, compressed):
    for key in ("accuracy", "params", "bytes", "macs"):
        if key not in baseline or key not in compressed:
            raise ValueError(f"missing key: {key}")
    for measures in (baseline, compressed):
        if not 0 <= measures["accuracy"] <= 1:
            raise ValueError(f"accuracy is not a share: {measures['accuracy']}")

    def ratio(key):
        if compressed[key] == 0:
            return math.inf
        return baseline[key] / compressed[key]

    return {
        "accuracy_drop": baseline["accuracy"] - compressed["accuracy"],
        "params_ratio": ratio("params"),
        "bytes_ratio": ratio("bytes"),
        "macs_ratio": ratio("macs"),
    }


def pareto_front(points):
    # Goes from cheap to expensive and keeps what is better than all before, also of equal points.
    order = sorted(range(len(points)), key=lambda i: (points[i][0], -points[i][1]))
    front = []
    best = -math.inf
    for i in order:
        if points[i][1] > best:
            front.append(i)
            best = points[i][1]
    return front
