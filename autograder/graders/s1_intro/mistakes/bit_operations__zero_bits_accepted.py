"""Widths of 0 bits and below are accepted.

Source: own.
"""


def bit_operations(macs, weight_bits, activation_bits):
    if macs < 0:
        raise ValueError(f"macs must not be negative, got {macs}")
    for bits in (weight_bits, activation_bits):
        if not isinstance(bits, int) or bits > 32:
            raise ValueError(f"bits must be an integer up to 32, got {bits!r}")
    return macs * weight_bits * activation_bits
