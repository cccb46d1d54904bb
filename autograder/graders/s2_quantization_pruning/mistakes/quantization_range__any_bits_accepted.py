"""Widths of 0, of more than 32 and of fractions of bits are accepted.

Source: own.
"""


def quantization_range(bits, signed=True, narrow=False):
    half = 2**bits // 2
    qmin, qmax = (int(-half), int(half - 1)) if signed else (0, int(2**bits - 1))
    return (qmin + 1, qmax) if narrow else (qmin, qmax)
