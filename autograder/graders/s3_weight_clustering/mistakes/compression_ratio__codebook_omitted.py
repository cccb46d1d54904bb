"""The codebook costs nothing.

Source: curriculum list.
"""

import math


def compression_ratio(n, k, bits=32):
    for name, value, most in (("n", n, math.inf), ("k", k, math.inf), ("bits", bits, 32)):
        if type(value) is not int or not 1 <= value <= most:
            raise ValueError(f"{name} must be an integer in 1..{most}, got {value!r}")
    index_bits = (k - 1).bit_length()
    if k == 1:
        return n * bits / (k * bits)
    return n * bits / (n * max(index_bits, 1))
