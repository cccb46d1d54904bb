"""After the last step the cosine goes on and the rate rises again.

Source: own.
"""

import math


def warmup_cosine(step, warmup, total, peak, floor=0.0):
    if step < 0:
        raise ValueError(f"step must not be negative, got {step}")
    if not 0 <= warmup < total:
        raise ValueError(f"warmup must be in 0..{total - 1}, got {warmup}")
    if floor > peak:
        raise ValueError(f"floor must be at most {peak}, got {floor}")
    if step < warmup:
        return peak * step / warmup
    progress = (step - warmup) / (total - warmup)
    return floor + (peak - floor) * (1 + math.cos(math.pi * progress)) / 2
