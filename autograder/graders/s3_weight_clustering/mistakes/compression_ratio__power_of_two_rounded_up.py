"""A power of two takes one bit too many.

Source: own.
"""

import math


def compression_ratio(n, k, bits=32):
    for name, value, most in (("n", n, math.inf), ("k", k, math.inf), ("bits", bits, 32)):
        if type(value) is not int or not 1 <= value <= most:
            raise ValueError(f"{name} must be an integer in 1..{most}, got {value!r}")
    index_bits = k.bit_length() if k > 1 else 0
    return n * bits / (n * index_bits + k * bits)
