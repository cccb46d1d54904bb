"""The bits of the whole message are returned, not those of a symbol.

Source: own.
"""

import math


def entropy(frequencies):
    for symbol, frequency in frequencies.items():
        if frequency < 0:
            raise ValueError(f"frequency of {symbol!r} must not be negative, got {frequency}")
    total = sum(frequencies.values())
    shares = [frequency / total for frequency in frequencies.values() if frequency > 0]
    return total * sum(-share * math.log2(share) for share in shares) + 0.0
