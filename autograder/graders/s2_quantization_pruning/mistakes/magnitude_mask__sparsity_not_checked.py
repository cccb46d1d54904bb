"""A sparsity outside 0..1 is clamped without a word.

Source: own.
"""

import torch


def magnitude_mask(weight, sparsity):
    sparsity = min(max(sparsity, 0.0), 1.0)
    magnitudes = weight.detach().abs().flatten()
    count = round(sparsity * magnitudes.numel())
    order = magnitudes.argsort(stable=True)
    mask = torch.ones_like(magnitudes, dtype=torch.bool)
    mask[order[:count]] = False
    return mask.reshape(weight.shape)
