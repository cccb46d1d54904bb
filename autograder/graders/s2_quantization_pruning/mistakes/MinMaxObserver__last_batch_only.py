"""Only the last batch that was seen decides the range.

Source: own.
"""

import math

from shared.records import QParams


class MinMaxObserver:
    def __init__(self):
        self.low, self.high = math.inf, -math.inf

    def observe(self, x):
        self.low = x.min().item()
        self.high = x.max().item()

    def qparams(self, bits):
        if not isinstance(bits, int) or not 2 <= bits <= 32:
            raise ValueError(f"bits must be an integer in 2..32, got {bits!r}")
        if self.low > self.high:
            raise ValueError("nothing was observed yet")
        low, high = self.low, self.high
        low, high = min(low, 0.0), max(high, 0.0)
        if not math.isfinite(high - low):
            raise ValueError(f"the range must be finite, got {low}..{high}")
        scale = (high - low) / (2**bits - 1) or 1.0
        qmin = -(2 ** (bits - 1))
        zero_point = round(qmin - low / scale)
        return QParams(scale, min(max(zero_point, qmin), qmin + 2**bits - 1))
