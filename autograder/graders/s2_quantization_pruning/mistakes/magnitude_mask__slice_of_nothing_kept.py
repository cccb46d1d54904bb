"""order[-kept:] takes everything when nothing is to be kept.

Source: curriculum list.
"""

import torch


def magnitude_mask(weight, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError(f"sparsity must be in 0..1, got {sparsity}")
    magnitudes = weight.detach().abs().flatten()
    count = round(sparsity * magnitudes.numel())
    order = magnitudes.argsort(stable=True)
    kept = magnitudes.numel() - count
    mask = torch.zeros_like(magnitudes, dtype=torch.bool)
    mask[order[-kept:]] = True
    return mask.reshape(weight.shape)
