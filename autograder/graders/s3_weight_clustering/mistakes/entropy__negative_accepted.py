"""A negative frequency is accepted.

Source: own.
"""

import math


def entropy(frequencies):
    total = sum(frequencies.values())
    shares = [frequency / total for frequency in frequencies.values() if frequency > 0]
    return sum(-share * math.log2(share) for share in shares) + 0.0
