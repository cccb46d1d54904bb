"""The logarithm of the number of symbols is returned, whatever their frequencies.

Source: own.
"""

import math


def entropy(frequencies):
    for symbol, frequency in frequencies.items():
        if frequency < 0:
            raise ValueError(f"frequency of {symbol!r} must not be negative, got {frequency}")
    shares = [frequency for frequency in frequencies.values() if frequency > 0]
    return math.log2(len(shares)) if shares else 0.0
