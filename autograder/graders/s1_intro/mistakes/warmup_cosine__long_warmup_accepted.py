"""A warm-up as long as the training is accepted.

Source: own.
"""

import math


def warmup_cosine(step, warmup, total, peak, floor=0.0):
    if step < 0:
        raise ValueError(f"step must not be negative, got {step}")
    if warmup < 0:
        raise ValueError(f"warmup must not be negative, got {warmup}")
    if floor > peak:
        raise ValueError(f"floor must be at most {peak}, got {floor}")
    if step < warmup:
        return peak * step / warmup
    if step >= total:
        return floor
    progress = (step - warmup) / (total - warmup)
    return floor + (peak - floor) * (1 + math.cos(math.pi * progress)) / 2
