"""An interpolated percentile is the threshold and misses the count.

Source: curriculum list.
"""

import torch


def magnitude_mask(weight, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError(f"sparsity must be in 0..1, got {sparsity}")
    magnitudes = weight.detach().abs().flatten()
    threshold = torch.quantile(magnitudes, float(sparsity))
    return weight.detach().abs() > threshold
