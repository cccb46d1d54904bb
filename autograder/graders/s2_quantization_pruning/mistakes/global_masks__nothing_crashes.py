"""An empty dict raises instead of giving an empty dict.

Source: own.
"""

import torch


def global_masks(weights, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError(f"sparsity must be in 0..1, got {sparsity}")
    magnitudes = torch.cat([weight.detach().abs().flatten() for weight in weights.values()])
    count = round(sparsity * magnitudes.numel())
    order = magnitudes.argsort(stable=True)
    keep = torch.ones_like(magnitudes, dtype=torch.bool)
    keep[order[:count]] = False
    parts = keep.split([weight.numel() for weight in weights.values()])
    return {name: part.reshape(weights[name].shape) for name, part in zip(weights, parts)}
