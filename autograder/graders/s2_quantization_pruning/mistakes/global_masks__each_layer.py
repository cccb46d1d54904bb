"""Every layer loses the same share instead of one ranking over all.

Source: curriculum list.
"""

import torch


def global_masks(weights, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError(f"sparsity must be in 0..1, got {sparsity}")
    if not weights:
        return {}
    masks = {}
    for name, weight in weights.items():
        magnitudes = weight.detach().abs().flatten()
        order = magnitudes.argsort(stable=True)
        keep = torch.ones_like(magnitudes, dtype=torch.bool)
        keep[order[: round(sparsity * magnitudes.numel())]] = False
        masks[name] = keep.reshape(weight.shape)
    return masks
