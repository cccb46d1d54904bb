"""kthvalue(0) raises when nothing is to be pruned (source: curriculum list)."""

import torch


def global_masks(weights, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError(f"sparsity must be in 0..1, got {sparsity}")
    if not weights:
        return {}
    magnitudes = torch.cat([weight.detach().abs().flatten() for weight in weights.values()])
    count = round(sparsity * magnitudes.numel())
    threshold = magnitudes.kthvalue(count).values
    ties = magnitudes == threshold
    spare = count - int((magnitudes < threshold).sum())
    keep = (magnitudes > threshold) | (ties & (ties.cumsum(0) > spare))
    parts = keep.split([weight.numel() for weight in weights.values()])
    return {name: part.reshape(weights[name].shape) for name, part in zip(weights, parts)}
