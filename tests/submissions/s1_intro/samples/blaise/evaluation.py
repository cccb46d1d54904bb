"""Evaluation with NumPy."""

import time

import numpy as np
import torch
from shared.records import Latency


def _numpy(tensor):
    return tensor.detach().cpu().double().numpy()


def topk_accuracy(logits, targets, k=1):
    if logits.ndim != 2 or 0 in logits.shape:
        raise ValueError(f"logits must be a non-empty (N, C), got {tuple(logits.shape)}")
    if targets.shape != logits.shape[:1]:
        raise ValueError(f"targets must be (N,) with N {len(logits)}, got {tuple(targets.shape)}")
    if not isinstance(k, int | np.integer) or not 1 <= k <= logits.shape[1]:
        raise ValueError(f"k must be in 1..{logits.shape[1]}, got {k!r}")
    best = np.argsort(-_numpy(logits), axis=1, kind="stable")[:, :k]
    hits = (best == targets.cpu().numpy()[:, None]).any(axis=1)
    return float(hits.mean())


def _cross_entropies(logits, targets):
    shifted = logits - logits.max(axis=1, keepdims=True)
    normaliser = np.log(np.exp(shifted).sum(axis=1))
    return normaliser - shifted[np.arange(len(targets)), targets]


def evaluate(model, loader):
    modes = [(module, module.training) for module in model.modules()]
    losses, hits = [], []
    model.eval()
    try:
        with torch.inference_mode():
            for images, labels in loader:
                logits, labels = _numpy(model(images)), labels.cpu().numpy()
                losses.append(_cross_entropies(logits, labels))
                hits.append(logits.argmax(axis=1) == labels)
    finally:
        for module, mode in modes:
            module.training = mode
    if sum(map(len, hits)) == 0:
        raise ValueError("loader is empty: no sample to evaluate")
    return float(np.concatenate(losses).mean()), float(np.concatenate(hits).mean())


def measure_latency(fn, warmup=10, repeats=50, clock=time.perf_counter, synchronize=None):
    if warmup < 0 or repeats < 1:
        raise ValueError(f"need warmup >= 0 and repeats >= 1, got {warmup} and {repeats}")
    synchronize = synchronize or (lambda: None)
    for _ in range(warmup):
        fn()
    ticks = np.empty((repeats, 2))
    for row in ticks:
        synchronize()
        row[0] = clock()
        fn()
        synchronize()
        row[1] = clock()
    durations = ticks[:, 1] - ticks[:, 0]
    return Latency(float(np.median(durations)), float(np.percentile(durations, 90)))


def compression_report(baseline, compressed):
    keys = ("accuracy", "params", "bytes", "macs")
    for measures in (baseline, compressed):
        if not set(keys) <= set(measures):
            raise ValueError(f"expected the keys {keys}, got {tuple(measures)}")
        if not 0 <= measures["accuracy"] <= 1:
            raise ValueError(f"accuracy must be in 0..1, got {measures['accuracy']}")
    before = np.array([baseline[key] for key in keys], dtype=np.float64)
    after = np.array([compressed[key] for key in keys], dtype=np.float64)
    ratio = np.full(4, np.inf)
    np.divide(before, after, out=ratio, where=after != 0)
    return {
        "accuracy_drop": float(before[0] - after[0]),
        "params_ratio": float(ratio[1]),
        "bytes_ratio": float(ratio[2]),
        "macs_ratio": float(ratio[3]),
    }


def pareto_front(points):
    if len(points) == 0:
        return []
    cost, accuracy = np.asarray(points, dtype=np.float64).T
    no_worse = (cost[:, None] <= cost) & (accuracy[:, None] >= accuracy)
    better = (cost[:, None] < cost) | (accuracy[:, None] > accuracy)
    dominated = (no_worse & better).any(axis=0)
    return np.flatnonzero(~dominated).tolist()
