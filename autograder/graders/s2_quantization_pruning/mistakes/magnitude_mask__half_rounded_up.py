"""A count that ends in one half is rounded up instead of to even.

Source: own.
"""

import torch


def magnitude_mask(weight, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError(f"sparsity must be in 0..1, got {sparsity}")
    magnitudes = weight.detach().abs().flatten()
    count = int(sparsity * magnitudes.numel() + 0.5)
    order = magnitudes.argsort(stable=True)
    mask = torch.ones_like(magnitudes, dtype=torch.bool)
    mask[order[:count]] = False
    return mask.reshape(weight.shape)
