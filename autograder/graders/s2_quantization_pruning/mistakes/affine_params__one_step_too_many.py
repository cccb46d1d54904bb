"""The range is divided by 2 ** bits, not by 2 ** bits - 1 steps.

Source: curriculum list.
"""

import math

from shared.records import QParams


def affine_params(low, high, bits, symmetric=False, signed=True):
    if not isinstance(bits, int) or not 2 <= bits <= 32:
        raise ValueError(f"bits must be an integer in 2..32, got {bits!r}")
    if symmetric and not signed:
        raise ValueError(f"signed must be True for symmetric parameters, got {signed}")
    low, high = float(low), float(high)
    if not math.isfinite(low) or not math.isfinite(high):
        raise ValueError(f"low and high must be finite, got {low} and {high}")
    if low > high:
        raise ValueError(f"low must be at most high, got {low} and {high}")
    low, high = min(low, 0.0), max(high, 0.0)
    qmin, qmax = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    if low == high:
        return QParams(1.0, 0)
    if symmetric:
        return QParams(max(-low, high) / qmax, 0)
    scale = (high - low) / 2**bits
    zero_point = round(qmin - low / scale)
    return QParams(scale, min(max(zero_point, qmin), qmax))
