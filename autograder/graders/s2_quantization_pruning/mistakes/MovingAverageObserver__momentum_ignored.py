"""The momentum is 0.9, whatever was asked for.

Source: own.
"""

import math

from shared.records import QParams


class MovingAverageObserver:
    def __init__(self, momentum=0.9):
        if not 0 <= momentum <= 1:
            raise ValueError(f"momentum must be in 0..1, got {momentum}")
        self.momentum = 0.9
        self.range = None

    def observe(self, x):
        batch = x.min().item(), x.max().item()
        old = batch if self.range is None else self.range
        self.range = tuple(
            self.momentum * a + (1 - self.momentum) * b for a, b in zip(old, batch)
        )

    def qparams(self, bits):
        if not isinstance(bits, int) or not 2 <= bits <= 32:
            raise ValueError(f"bits must be an integer in 2..32, got {bits!r}")
        if self.range is None:
            raise ValueError("nothing was observed yet")
        low, high = self.range
        low, high = min(low, 0.0), max(high, 0.0)
        if not math.isfinite(high - low):
            raise ValueError(f"the range must be finite, got {low}..{high}")
        scale = (high - low) / (2**bits - 1) or 1.0
        qmin = -(2 ** (bits - 1))
        zero_point = round(qmin - low / scale)
        return QParams(scale, min(max(zero_point, qmin), qmin + 2**bits - 1))
