"""Symbols that never occur are taken out of the caller's mapping.

Source: own.
"""

import math


def entropy(frequencies):
    for symbol, frequency in frequencies.items():
        if frequency < 0:
            raise ValueError(f"frequency of {symbol!r} must not be negative, got {frequency}")
    for symbol in [each for each in frequencies if frequencies[each] == 0]:
        del frequencies[symbol]
    total = sum(frequencies.values())
    shares = [frequency / total for frequency in frequencies.values() if frequency > 0]
    return sum(-share * math.log2(share) for share in shares) + 0.0
