"""The smallest values are pruned, not the smallest magnitudes.

Source: curriculum list.
"""

import torch


def magnitude_mask(weight, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError(f"sparsity must be in 0..1, got {sparsity}")
    magnitudes = weight.detach().flatten()
    count = round(sparsity * magnitudes.numel())
    order = magnitudes.argsort(stable=True)
    mask = torch.ones_like(magnitudes, dtype=torch.bool)
    mask[order[:count]] = False
    return mask.reshape(weight.shape)
