"""A sparsity outside 0..1 is clamped without a word (source: own)."""

import torch


def global_masks(weights, sparsity):
    sparsity = min(max(sparsity, 0.0), 1.0)
    if not weights:
        return {}
    magnitudes = torch.cat([weight.detach().abs().flatten() for weight in weights.values()])
    count = round(sparsity * magnitudes.numel())
    order = magnitudes.argsort(stable=True)
    keep = torch.ones_like(magnitudes, dtype=torch.bool)
    keep[order[:count]] = False
    parts = keep.split([weight.numel() for weight in weights.values()])
    return {name: part.reshape(weights[name].shape) for name, part in zip(weights, parts)}
