"""True marks what is pruned instead of what is kept (source: own)."""

import torch


def magnitude_mask(weight, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError(f"sparsity must be in 0..1, got {sparsity}")
    magnitudes = weight.detach().abs().flatten()
    count = round(sparsity * magnitudes.numel())
    order = magnitudes.argsort(stable=True)
    mask = torch.zeros_like(magnitudes, dtype=torch.bool)
    mask[order[:count]] = True
    return mask.reshape(weight.shape)
