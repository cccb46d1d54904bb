"""The entropy is in nats, not bits.

Source: own.
"""

import math


def entropy(frequencies):
    for symbol, frequency in frequencies.items():
        if frequency < 0:
            raise ValueError(f"frequency of {symbol!r} must not be negative, got {frequency}")
    total = sum(frequencies.values())
    shares = [frequency / total for frequency in frequencies.values() if frequency > 0]
    return sum(-share * math.log(share) for share in shares) + 0.0
