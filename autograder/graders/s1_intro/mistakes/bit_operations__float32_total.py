"""The product is made in float32, which loses units above 2 ** 24.

Source: curriculum list.
"""

import torch


def bit_operations(macs, weight_bits, activation_bits):
    if macs < 0:
        raise ValueError(f"macs must not be negative, got {macs}")
    for bits in (weight_bits, activation_bits):
        if not isinstance(bits, int) or not 1 <= bits <= 32:
            raise ValueError(f"bits must be an integer in 1..32, got {bits!r}")
    return int(torch.tensor(macs, dtype=torch.float32) * weight_bits * activation_bits)
