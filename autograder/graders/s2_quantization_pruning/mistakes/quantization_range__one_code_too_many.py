"""There are 2 ** bits + 1 codes: the highest is one too high.

Source: curriculum list.
"""


def quantization_range(bits, signed=True, narrow=False):
    if not isinstance(bits, int) or not 1 <= bits <= 32:
        raise ValueError(f"bits must be an integer in 1..32, got {bits!r}")
    qmin, qmax = (-(2 ** (bits - 1)), 2 ** (bits - 1)) if signed else (0, 2**bits)
    return (qmin + 1, qmax) if narrow else (qmin, qmax)
