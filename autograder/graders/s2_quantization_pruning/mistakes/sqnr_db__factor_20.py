"""The ratio of powers gets the factor 20 of a ratio of amplitudes.

Source: own.
"""

import math


def sqnr_db(reference, approximation):
    if reference.shape != approximation.shape:
        raise ValueError(f"shapes must match: {reference.shape} and {approximation.shape}")
    signal = reference.double()
    noise = signal - approximation.double()
    noise_power = noise.square().sum().item()
    if noise_power == 0:
        return math.inf
    power = signal.square().sum().item()
    return 20 * math.log10(power / noise_power) if power > 0 else -math.inf
