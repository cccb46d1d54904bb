"""The logarithm of a frequency of 0 is taken.

Source: own.
"""

import math


def entropy(frequencies):
    for symbol, frequency in frequencies.items():
        if frequency < 0:
            raise ValueError(f"frequency of {symbol!r} must not be negative, got {frequency}")
    total = sum(frequencies.values())
    shares = [frequency / total for frequency in frequencies.values()]
    return sum(-share * math.log2(share) for share in shares) + 0.0
