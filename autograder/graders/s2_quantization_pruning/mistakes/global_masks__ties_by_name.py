"""Ties are broken in the order of the sorted names, not of the dict.

Source: own.
"""

import torch


def global_masks(weights, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError(f"sparsity must be in 0..1, got {sparsity}")
    if not weights:
        return {}
    magnitudes = torch.cat([w.detach().abs().flatten() for _, w in sorted(weights.items())])
    count = round(sparsity * magnitudes.numel())
    order = magnitudes.argsort(stable=True)
    keep = torch.ones_like(magnitudes, dtype=torch.bool)
    keep[order[:count]] = False
    parts = keep.split([weight.numel() for _, weight in sorted(weights.items())])
    masks = dict(zip(sorted(weights), parts))
    return {name: masks[name].reshape(weight.shape) for name, weight in weights.items()}
