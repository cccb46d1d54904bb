"""A comparison with the threshold keeps more than n of equal weights.

Source: curriculum list.
"""

import torch


def nm_mask(weight, n, m):
    if m < 1 or not 0 <= n <= m:
        raise ValueError(f"n must be in 0..m, got {n} and {m}")
    if weight.dim() < 2 or weight.shape[1] % m:
        raise ValueError(f"weight must have a multiple of {m} inputs, got {tuple(weight.shape)}")
    last = weight.detach().transpose(1, -1)
    groups = last.abs().reshape(-1, m)
    if n == 0:
        return torch.zeros_like(weight, dtype=torch.bool)
    threshold = groups.sort(dim=1).values[:, m - n : m - n + 1]
    mask = groups >= threshold
    return mask.reshape(last.shape).transpose(1, -1).contiguous()
