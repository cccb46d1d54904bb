"""Policies: plain loops."""

import itertools
import math

import torch
from torch import nn

from shared.records import QParams


class AccuracyPredictor:
    """A small network on one-hot genes, several of them averaged."""

    def __init__(self):
        self.models = None

    def fit(self, codes, accuracies):
        if len(codes) == 0 or len(codes) != len(accuracies):
            raise ValueError(f"{len(codes)} codes and {len(accuracies)} accuracies")
        self.sizes = [max(column) + 1 for column in zip(*codes)]
        x = self._features(codes)
        y = torch.tensor(accuracies, dtype=torch.float32)
        self.mean, self.std = y.mean(), y.std().clamp_min(1e-6)
        y = (y - self.mean) / self.std
        g = torch.Generator().manual_seed(0)
        self.models = []
        width = 48
        for _ in range(2):
            w1 = torch.randn(x.shape[1], width, generator=g) * x.shape[1] ** -0.5 * 1.5
            b1 = torch.randn(width, generator=g) * 0.1
            w2 = torch.randn(width, width, generator=g) * width**-0.5 * 1.4
            b2 = torch.zeros(width)
            w3 = torch.randn(width, generator=g) * width**-0.5
            parameters = [p.requires_grad_() for p in (w1, b1, w2, b2, w3)]
            m = [torch.zeros_like(p) for p in parameters]
            v = [torch.zeros_like(p) for p in parameters]
            for step in range(1, 401):
                loss = ((self._run(parameters, x) - y) ** 2).mean()
                gradients = torch.autograd.grad(loss, parameters)
                with torch.no_grad():
                    for p, d, a, b in zip(parameters, gradients, m, v):
                        a.mul_(0.9).add_(d, alpha=0.1)
                        b.mul_(0.99).addcmul_(d, d, value=0.01)
                        rate = 0.01 * (1 - step / 401)
                        p.sub_(rate * (a / (1 - 0.9**step)) / ((b / (1 - 0.99**step)).sqrt() + 1e-8))
                        p.mul_(1 - rate * 0.02)
            self.models.append([p.detach() for p in parameters])

    def _features(self, codes):
        rows = []
        for code in codes:
            row = []
            for index, size in zip(code, self.sizes):
                one = [0.0] * size
                if index < size:
                    one[index] = 1.0
                row += one
            rows.append(row)
        return torch.tensor(rows)

    def _run(self, parameters, x):
        w1, b1, w2, b2, w3 = parameters
        return torch.relu(torch.relu(x @ w1 + b1) @ w2 + b2) @ w3

    def predict(self, codes):
        if self.models is None:
            raise ValueError("fit first")
        x = self._features(codes)
        total = sum(self._run(parameters, x) for parameters in self.models) / len(self.models)
        return (total * self.std + self.mean).tolist()


def amc_bound_action(action, layer, macs, previous, target, max_action, channels, round_to=1):
    for share in (action, target, max_action, *previous):
        if share < 0 or share > 1:
            raise ValueError(f"a share is outside 0..1: {share}")
    if layer < 0 or layer >= len(macs):
        raise ValueError(f"no layer {layer}")
    if len(previous) != layer or len(channels) != len(macs) or round_to < 1:
        raise ValueError("lengths do not fit")

    def options(i):  # shares from small to large
        return [1 - kept / channels[i] for kept in range(channels[i], -1, -round_to)]

    def largest(i):
        return max(share for share in options(i) if share <= max_action + 1e-9)

    need = target * sum(macs)
    for share, cost in zip(previous, macs):
        need -= share * cost
    for i in range(layer + 1, len(macs)):
        need -= largest(i) * macs[i]
    least = max(action, need / macs[layer])
    for share in options(layer):
        if share > largest(layer):
            break
        if share >= least - 1e-9:
            return share
    return largest(layer)


def amc_reward(error, flops, mode):
    if mode == "resource":
        return -error
    if mode == "accuracy":
        return -error * math.log(flops)
    raise ValueError(f"unknown mode {mode!r}")


def allocate_bits(sensitivity, sizes, budget_bits):
    names = list(sensitivity)
    if set(names) != set(sizes):
        raise ValueError(f"layers {names}, sizes {list(sizes)}")
    best, best_loss = None, math.inf
    for choice in itertools.product(*[list(sensitivity[name]) for name in names]):
        bits = sum(sizes[name] * b for name, b in zip(names, choice))
        loss = sum(sensitivity[name][b] for name, b in zip(names, choice))
        if bits <= budget_bits and loss < best_loss:
            best, best_loss = choice, loss
    if best is None:
        raise ValueError(f"{budget_bits} bits are too few")
    return dict(zip(names, best))


def recalibrate_batchnorm(model, loader):
    batches = [b if torch.is_tensor(b) else b[0] for b in loader]
    if not batches:
        raise ValueError("no batches")
    before = [(m, m.training) for m in model.modules()]
    norms = [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    kept = [n.momentum for n in norms]
    model.eval()
    for n in norms:
        n.train()
    try:
        with torch.no_grad():
            for count, x in enumerate(batches):
                for n in norms:
                    n.momentum = 1 / (count + 1)
                model(x)
    finally:
        for n, momentum in zip(norms, kept):
            n.momentum = momentum
        for m, training in before:
            m.training = training


def hypervolume(points, reference):
    front = [p for p in points if p[0] <= reference[0] and p[1] >= reference[1]]
    front = [
        p
        for i, p in enumerate(front)
        if not any(
            q[0] <= p[0] and q[1] >= p[1] and (q != p or j < i) for j, q in enumerate(front) if j != i
        )
    ]
    front.sort()
    total = 0.0
    for i, (cost, accuracy) in enumerate(front):
        right = front[i + 1][0] if i + 1 < len(front) else reference[0]
        total += (right - cost) * (accuracy - reference[1])
    return total


def gptq(weight, hessian, bits, group=None, damp=0.01):
    """Column by column with the inverse Hessian itself, as in optimal brain quantisation."""
    if not 2 <= bits <= 32:
        raise ValueError(f"bits {bits}")
    rows, columns = weight.shape
    if hessian.shape != (columns, columns):
        raise ValueError(f"hessian {tuple(hessian.shape)}")
    size = group or columns
    if columns % size:
        raise ValueError(f"group {group}")
    top = 2 ** (bits - 1) - 1
    w = weight.detach().double().clone()
    scale = torch.stack([part.abs().max(dim=1).values for part in w.split(size, 1)], 1) / top
    scale[scale == 0] = 1
    h = hessian.detach().double().clone()
    dead = [j for j in range(columns) if h[j, j] == 0]
    for j in dead:
        h[j, j] = 1
        w[:, j] = 0
    h += damp * h.diagonal().mean() * torch.eye(columns).double()
    inverse = torch.linalg.inv(h)
    codes = torch.zeros(rows, columns, dtype=torch.int32)
    for j in range(columns):
        s = scale[:, j // size]
        q = (w[:, j] / s).round().clamp(-top, top)
        codes[:, j] = q.int()
        e = (w[:, j] - q * s) / inverse[j, j]
        w -= torch.outer(e, inverse[j])
        inverse -= torch.outer(inverse[:, j], inverse[j]) / inverse[j, j].clone()
    scale = scale.float()
    if group is None:
        scale = scale.squeeze(1)
    return codes, QParams(scale, torch.zeros(scale.shape, dtype=torch.int64))
