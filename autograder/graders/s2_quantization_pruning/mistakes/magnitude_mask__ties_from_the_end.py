"""Of equal magnitudes the later ones are pruned.

Source: own.
"""

import torch


def magnitude_mask(weight, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError(f"sparsity must be in 0..1, got {sparsity}")
    magnitudes = weight.detach().abs().flatten()
    count = round(sparsity * magnitudes.numel())
    order = magnitudes.argsort(stable=True, descending=True)
    mask = torch.ones_like(magnitudes, dtype=torch.bool)
    mask[order[magnitudes.numel() - count :]] = False
    return mask.reshape(weight.shape)
