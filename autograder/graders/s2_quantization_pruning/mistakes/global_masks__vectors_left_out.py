"""Tensors of one dimension are kept whole, although all that is given takes part.

Source: own.
"""

import torch


def global_masks(weights, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError(f"sparsity must be in 0..1, got {sparsity}")
    if not weights:
        return {}
    magnitudes = torch.cat([weight.detach().abs().flatten() for weight in weights.values()])
    flags = [torch.full((w.numel(),), w.dim() > 1) for w in weights.values()]
    ranked = torch.cat(flags).nonzero().flatten()
    count = round(sparsity * len(ranked))
    order = ranked[magnitudes[ranked].argsort(stable=True)]
    keep = torch.ones_like(magnitudes, dtype=torch.bool)
    keep[order[:count]] = False
    parts = keep.split([weight.numel() for weight in weights.values()])
    return {name: part.reshape(weights[name].shape) for name, part in zip(weights, parts)}
