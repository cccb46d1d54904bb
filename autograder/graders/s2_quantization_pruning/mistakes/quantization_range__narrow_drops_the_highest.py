"""The narrow range drops the highest code, not the lowest.

Source: own.
"""


def quantization_range(bits, signed=True, narrow=False):
    if not isinstance(bits, int) or not 1 <= bits <= 32:
        raise ValueError(f"bits must be an integer in 1..32, got {bits!r}")
    qmin, qmax = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    return (qmin, qmax - 1) if narrow else (qmin, qmax)
