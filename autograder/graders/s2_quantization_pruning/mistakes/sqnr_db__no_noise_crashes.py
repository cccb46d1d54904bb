"""Without noise there is a division by 0.

Source: own.
"""

import math


def sqnr_db(reference, approximation):
    if reference.shape != approximation.shape:
        raise ValueError(f"shapes must match: {reference.shape} and {approximation.shape}")
    signal = reference.double()
    noise = signal - approximation.double()
    noise_power = noise.square().sum().item()
    power = signal.square().sum().item()
    return 10 * math.log10(power / noise_power) if power > 0 else -math.inf
