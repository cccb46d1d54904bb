"""A strict comparison prunes every tie, 100 % of equal weights.

Source: curriculum list.
"""

import torch


def magnitude_mask(weight, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError(f"sparsity must be in 0..1, got {sparsity}")
    magnitudes = weight.detach().abs().flatten()
    count = round(sparsity * magnitudes.numel())
    if count == 0:
        return torch.ones_like(weight, dtype=torch.bool)
    threshold = magnitudes.kthvalue(count).values
    return weight.detach().abs() > threshold
