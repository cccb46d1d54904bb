"""Shapes that differ but broadcast are accepted.

Source: own.
"""

import math


def sqnr_db(reference, approximation):
    signal = reference.double()
    noise = signal - approximation.double()
    noise_power = noise.square().sum().item()
    if noise_power == 0:
        return math.inf
    power = signal.square().sum().item()
    return 10 * math.log10(power / noise_power) if power > 0 else -math.inf
