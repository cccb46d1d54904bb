"""A multiplication and its addition count as two, not as one.

Source: curriculum list.
"""


def bit_operations(macs, weight_bits, activation_bits):
    if macs < 0:
        raise ValueError(f"macs must not be negative, got {macs}")
    for bits in (weight_bits, activation_bits):
        if not isinstance(bits, int) or not 1 <= bits <= 32:
            raise ValueError(f"bits must be an integer in 1..32, got {bits!r}")
    return 2 * macs * weight_bits * activation_bits
