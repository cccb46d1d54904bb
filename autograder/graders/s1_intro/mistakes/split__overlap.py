"""The validation samples are in the training set as well.

Source: own.
"""

import torch


def split(n, validation_fraction, seed):
    if n < 0:
        raise ValueError(f"n must not be negative, got {n}")
    if not 0 <= validation_fraction <= 1:
        raise ValueError(f"validation_fraction must be in 0..1, got {validation_fraction}")
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(n, generator=generator).tolist()
    size = round(n * validation_fraction)
    return order, order[:size]
