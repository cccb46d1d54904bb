"""Policies with NumPy."""

import itertools
import math

import numpy as np
import torch
from torch import nn

from shared.records import QParams


class AccuracyPredictor:
    """Ridge regression on one-hot genes, all pairs and all triples of them."""

    def fit(self, codes, accuracies):
        if len(codes) != len(accuracies) or len(codes) == 0:
            raise ValueError(f"{len(codes)} codes, {len(accuracies)} accuracies")
        self.codes = np.array(codes)
        y = np.array(accuracies, dtype=float)
        self.mean = y.mean()
        kernel = self._kernel(self.codes)
        self.dual = np.linalg.solve(kernel + 0.03 * np.eye(len(y)), y - self.mean)

    def _kernel(self, codes):
        same = (np.asarray(codes)[:, None] == self.codes[None]).mean(2)
        return np.exp(6.0 * (same - 1))  # all products of equal genes

    def predict(self, codes):
        return list(self._kernel(codes) @ self.dual + self.mean)


def amc_bound_action(action, layer, macs, previous, target, max_action, channels, round_to=1):
    macs, channels = np.array(macs, dtype=float), np.array(channels)
    shares = np.array([action, target, max_action, *previous], dtype=float)
    if np.any(shares < 0) or np.any(shares > 1):
        raise ValueError(f"shares: {shares}")
    if len(macs) != len(channels) or len(previous) != layer or not 0 <= layer < len(macs):
        raise ValueError(f"lengths: {len(macs)}, {len(channels)}, {len(previous)}, layer {layer}")
    least = np.ceil(np.round(channels * (1 - max_action) / round_to, 6)) * round_to
    most = 1 - least / channels
    weights = macs / macs.sum()
    duty = target - (weights[:layer] * np.array(previous, dtype=float)).sum()
    duty -= (weights[layer + 1 :] * most[layer + 1 :]).sum()
    share = min(max(action, duty / weights[layer]), most[layer])
    kept = np.floor(np.round(channels[layer] * (1 - share) / round_to, 6)) * round_to
    return float(1 - max(kept, least[layer]) / channels[layer])


def amc_reward(error, flops, mode):
    rewards = {"resource": lambda: -error, "accuracy": lambda: -error * float(np.log(flops))}
    if mode not in rewards:
        raise ValueError(f"mode {mode!r} is none of {list(rewards)}")
    return rewards[mode]()


def allocate_bits(sensitivity, sizes, budget_bits):
    """Dynamic programming over the bits that are used."""
    if sorted(sensitivity) != sorted(sizes):
        raise ValueError("layers differ")
    best = {0: (0.0, {})}
    for name, options in sensitivity.items():
        following = {}
        for (used, (loss, chosen)), (bits, more) in itertools.product(best.items(), options.items()):
            key = used + sizes[name] * bits
            if key <= budget_bits and (key not in following or loss + more < following[key][0]):
                following[key] = loss + more, {**chosen, name: bits}
        best = following
    if not best:
        raise ValueError(f"nothing fits into {budget_bits} bits")
    return min(best.values(), key=lambda each: each[0])[1]


def recalibrate_batchnorm(model, loader):
    norms = [m for m in model.modules() if isinstance(m, (nn.BatchNorm1d, nn.BatchNorm2d))]
    modes = {m: m.training for m in model.modules()}
    old = {m: m.momentum for m in norms}
    sums = {m: [0.0, 0.0] for m in norms}
    count = 0

    def hook(module, inputs, _output):
        x = inputs[0]
        dims = [d for d in range(x.dim()) if d != 1]
        sums[module][0] = sums[module][0] + x.mean(dims)
        sums[module][1] = sums[module][1] + x.var(dims)

    hooks = [m.register_forward_hook(hook) for m in norms]
    model.eval()
    for m in norms:
        m.train()
    try:
        with torch.no_grad():
            for batch in loader:
                model(batch[0] if isinstance(batch, (list, tuple)) else batch)
                count += 1
        if count == 0:
            raise ValueError("the loader is empty")
        for m, (mean, var) in sums.items():
            m.running_mean.copy_(mean / count)
            m.running_var.copy_(var / count)
    finally:
        for each in hooks:
            each.remove()
        for m, training in modes.items():
            m.training = training
        for m, momentum in old.items():
            m.momentum = momentum


def hypervolume(points, reference):
    """An integral over cost of the best accuracy so far."""
    inside = np.array([p for p in points if p[0] < reference[0] and p[1] > reference[1]])
    if not len(inside):
        return 0.0
    inside = inside[np.argsort(inside[:, 0], kind="stable")]
    best = np.maximum.accumulate(inside[:, 1]) - reference[1]
    widths = np.diff(np.append(inside[:, 0], reference[0]))
    return float((best * widths).sum())


def gptq(weight, hessian, bits, group=None, damp=0.01):
    n = weight.shape[1]
    if hessian.shape != (n, n) or bits < 2 or (group is not None and n % group):
        raise ValueError("arguments do not fit")
    top = 2 ** (bits - 1) - 1
    w = weight.detach().double().numpy().copy()
    h = hessian.detach().double().numpy().copy()
    parts = w.reshape(len(w), -1, group or n)
    scale = np.abs(parts).max(2) / top
    scale[scale == 0] = 1.0
    wide = np.repeat(scale, group or n, 1)
    dead = np.diag(h) == 0
    w[:, dead] = 0
    h[dead, dead] = 1
    h[np.diag_indices(n)] += damp * np.diag(h).mean()
    upper = np.linalg.cholesky(np.linalg.inv(h)).T
    q = np.zeros_like(w)
    for j in range(n):
        q[:, j] = np.clip(np.rint(w[:, j] / wide[:, j]), -top, top)
        e = (w[:, j] - q[:, j] * wide[:, j]) / upper[j, j]
        w[:, j + 1 :] -= np.outer(e, upper[j, j + 1 :])
    scale = torch.tensor(scale if group else scale[:, 0], dtype=torch.float32)
    return torch.tensor(q).to(torch.int8 if bits <= 8 else torch.int32), QParams(scale, torch.zeros_like(scale))


