"""A p above 100 percent is accepted.

Source: own.
"""

import math

import torch
from shared.records import QParams


class PercentileObserver:
    def __init__(self, p=99.9):
        if not 50 <= p:
            raise ValueError(f"p must be in at least 50 percent, got {p}")
        self.p = min(p, 100)
        self.seen = []

    def observe(self, x):
        self.seen.append(x.detach().double().flatten().clone())

    def qparams(self, bits):
        if not isinstance(bits, int) or not 2 <= bits <= 32:
            raise ValueError(f"bits must be an integer in 2..32, got {bits!r}")
        if not self.seen:
            raise ValueError("nothing was observed yet")
        values = torch.cat(self.seen)
        low = torch.quantile(values, 1 - self.p / 100).item()
        high = torch.quantile(values, self.p / 100).item()
        low, high = min(low, 0.0), max(high, 0.0)
        if not math.isfinite(high - low):
            raise ValueError(f"the range must be finite, got {low}..{high}")
        scale = (high - low) / (2**bits - 1) or 1.0
        qmin = -(2 ** (bits - 1))
        zero_point = round(qmin - low / scale)
        return QParams(scale, min(max(zero_point, qmin), qmin + 2**bits - 1))
