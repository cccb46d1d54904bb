"""A strict comparison with the global threshold prunes every tie.

Source: curriculum list.
"""

import torch


def global_masks(weights, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError(f"sparsity must be in 0..1, got {sparsity}")
    if not weights:
        return {}
    magnitudes = torch.cat([weight.detach().abs().flatten() for weight in weights.values()])
    count = round(sparsity * magnitudes.numel())
    threshold = magnitudes.sort().values[count - 1] if count else -1.0
    keep = magnitudes > threshold
    parts = keep.split([weight.numel() for weight in weights.values()])
    return {name: part.reshape(weights[name].shape) for name, part in zip(weights, parts)}
