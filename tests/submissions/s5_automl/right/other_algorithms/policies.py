"""Policies: trees, branch and bound, Monte Carlo where it is allowed."""

import math
import random

import torch
from torch import nn

from shared.records import QParams


class AccuracyPredictor:
    """A forest of regression trees whose splits ask for one option of one gene."""

    TREES = 60

    def fit(self, codes, accuracies):
        if not codes:
            raise ValueError("nothing to learn from")
        if len(codes) != len(accuracies):
            raise ValueError(f"{len(codes)} codes, {len(accuracies)} accuracies")
        draw = random.Random(0)
        rows = [(tuple(c), float(a)) for c, a in zip(codes, accuracies)]
        self.trees = [self._grow([draw.choice(rows) for _ in rows], draw) for _ in range(self.TREES)]

    def _grow(self, rows, draw):
        mean = sum(a for _, a in rows) / len(rows)
        if len(rows) < 3 or max(a for _, a in rows) - min(a for _, a in rows) < 1e-9:
            return mean
        questions = sorted({(g, v) for c, _ in rows for g, v in enumerate(c)})
        best = None
        for g, v in draw.sample(questions, max(1, 2 * len(questions) // 3)):
            n = s = 0
            for c, a in rows:
                if c[g] == v:
                    n, s = n + 1, s + a
            if n in (0, len(rows)):
                continue
            rest = mean * len(rows) - s
            gain = s * s / n + rest * rest / (len(rows) - n)
            if best is None or gain > best[0]:
                best = gain, g, v
        if best is None:
            return mean
        _, g, v = best
        yes = [row for row in rows if row[0][g] == v]
        no = [row for row in rows if row[0][g] != v]
        return g, v, self._grow(yes, draw), self._grow(no, draw)

    def predict(self, codes):
        def walk(tree, code):
            while isinstance(tree, tuple):
                g, v, yes, no = tree
                tree = yes if code[g] == v else no
            return tree

        return [sum(walk(tree, code) for tree in self.trees) / len(self.trees) for code in codes]


def amc_bound_action(action, layer, macs, previous, target, max_action, channels, round_to=1):
    if any(not 0 <= share <= 1 for share in [action, target, max_action, *previous]):
        raise ValueError("shares are in 0..1")
    if not 0 <= layer < len(macs) or len(channels) != len(macs) or len(previous) != layer:
        raise ValueError("lengths")

    def share(i, kept):
        return (channels[i] - kept) / channels[i]

    def minimum(i):
        kept = 0
        while share(i, kept) > max_action + 1e-9:
            kept += round_to
        return kept

    total = sum(macs)
    kept = minimum(layer)
    while kept + round_to <= channels[layer]:  # keep more as long as everything still holds
        more = share(layer, kept + round_to)
        reach = sum(p * m for p, m in zip(previous, macs)) + more * macs[layer]
        reach += sum(share(i, minimum(i)) * macs[i] for i in range(layer + 1, len(macs)))
        if more < action - 1e-9 or reach < target * total - 1e-6:
            break
        kept += round_to
    return share(layer, kept)


def amc_reward(error, flops, mode):
    match mode:
        case "resource":
            return -error
        case "accuracy":
            return -math.log(flops) * error
    raise ValueError(mode)


def allocate_bits(sensitivity, sizes, budget_bits):
    """Branch and bound."""
    if sensitivity.keys() - sizes.keys() or sizes.keys() - sensitivity.keys():
        raise ValueError("other layers")
    names = list(sensitivity)
    fewest = [sizes[n] * min(sensitivity[n]) for n in names]
    least = [min(sensitivity[n].values()) for n in names]
    best = [math.inf, None]

    def go(k, left, loss, chosen):
        if left < sum(fewest[k:]) or loss + sum(least[k:]) >= best[0]:
            return
        if k == len(names):
            best[:] = [loss, dict(zip(names, chosen))]
            return
        for bits, more in sorted(sensitivity[names[k]].items(), key=lambda item: item[1]):
            go(k + 1, left - bits * sizes[names[k]], loss + more, [*chosen, bits])

    go(0, budget_bits, 0.0, [])
    if best[1] is None:
        raise ValueError(f"budget of {budget_bits} bits")
    return best[1]


def recalibrate_batchnorm(model, loader):
    loader = list(loader)
    if not loader:
        raise ValueError("empty loader")
    state = {m: (m.training, getattr(m, "momentum", None)) for m in model.modules()}
    for m in model.modules():
        if isinstance(m, (nn.BatchNorm1d, nn.BatchNorm2d)):
            m.running_mean.zero_()
            m.running_var.fill_(1)
            m.num_batches_tracked.zero_()
            m.momentum = None
            m.training = True
        else:
            m.training = False
    try:
        with torch.inference_mode():
            for batch in loader:
                model(batch if isinstance(batch, torch.Tensor) else batch[0])
    finally:
        for m, (training, momentum) in state.items():
            m.training = training
            if isinstance(m, (nn.BatchNorm1d, nn.BatchNorm2d)):
                m.momentum = momentum


def hypervolume(points, reference):
    """Horizontal slabs."""
    inside = [(c, a) for c, a in points if c < reference[0] and a > reference[1]]
    levels = sorted({reference[1], *(a for _, a in inside)})
    area = 0.0
    for low, high in zip(levels, levels[1:]):
        cheapest = min(c for c, a in inside if a >= high)
        area += (high - low) * (reference[0] - cheapest)
    return area


def gptq(weight, hessian, bits, group=None, damp=0.01):
    """Column j is moved by what all fixed columns did wrong: conditional means."""
    n = weight.shape[1]
    if tuple(hessian.shape) != (n, n):
        raise ValueError("hessian")
    if bits not in range(2, 33) or (group is not None and n % group):
        raise ValueError("bits or group")
    top = 2 ** (bits - 1) - 1
    w, h = weight.detach().double(), hessian.detach().double().clone()
    scale = w.abs().reshape(len(w), -1, group or n).amax(2) / top
    scale = scale.where(scale > 0, torch.ones_like(scale))
    wide = scale.repeat_interleave(group or n, 1)
    dead = h.diagonal() == 0
    h[dead, dead] = 1
    h += torch.eye(n).double() * damp * h.diagonal().mean()
    q = torch.zeros_like(w)
    wrong = torch.zeros_like(w)  # w - its rounding, of the columns done
    for j in range(n):
        target = w[:, j].clone()
        if j:
            rest = h[j:, j:]
            target = target + torch.linalg.solve(rest, h[j:, :j] @ wrong[:, :j].T)[0]
        q[:, j] = (target / wide[:, j]).round().clamp(-top, top) * (not dead[j])
        wrong[:, j] = w[:, j] - q[:, j] * wide[:, j]
        if dead[j]:
            wrong[:, j] = 0
    scale = scale if group is not None else scale[:, 0]
    return q.long(), QParams(scale.to(weight.dtype), torch.zeros_like(scale).long())
