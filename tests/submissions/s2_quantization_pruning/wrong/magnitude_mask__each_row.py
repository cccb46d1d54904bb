"""Every output row loses its own share instead of the whole tensor (source: own)."""

import torch


def magnitude_mask(weight, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError(f"sparsity must be in 0..1, got {sparsity}")
    magnitudes = weight.detach().abs().flatten()
    rows = magnitudes.reshape(len(weight), -1)
    order = rows.argsort(dim=1, stable=True)
    mask = torch.ones_like(rows, dtype=torch.bool)
    mask.scatter_(1, order[:, : round(sparsity * rows.shape[1])], False)
    return mask.reshape(weight.shape)
