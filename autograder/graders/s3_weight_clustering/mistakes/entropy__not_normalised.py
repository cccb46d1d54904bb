"""Counts are taken for probabilities.

Source: own.
"""

import math


def entropy(frequencies):
    for symbol, frequency in frequencies.items():
        if frequency < 0:
            raise ValueError(f"frequency of {symbol!r} must not be negative, got {frequency}")
    shares = [frequency for frequency in frequencies.values() if frequency > 0]
    return sum(-share * math.log2(share) for share in shares) + 0.0
