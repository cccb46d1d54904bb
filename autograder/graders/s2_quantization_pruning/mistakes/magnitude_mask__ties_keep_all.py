"""Keeping all that equals the threshold prunes 0 % of equal weights.

Source: curriculum list.
"""

import torch


def magnitude_mask(weight, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError(f"sparsity must be in 0..1, got {sparsity}")
    magnitudes = weight.detach().abs().flatten()
    count = round(sparsity * magnitudes.numel())
    if count == magnitudes.numel():
        return torch.zeros_like(weight, dtype=torch.bool)
    threshold = magnitudes.sort().values[count]
    return weight.detach().abs() >= threshold
