"""Inputs beyond the last whole group are kept instead of refused.

Source: own.
"""

import torch


def nm_mask(weight, n, m):
    if m < 1 or not 0 <= n <= m:
        raise ValueError(f"n must be in 0..m, got {n} and {m}")
    if weight.dim() < 2:
        raise ValueError(f"weight must have inputs, got {tuple(weight.shape)}")
    whole = weight.shape[1] // m * m
    last = weight.detach()[:, :whole].transpose(1, -1)
    groups = last.abs().reshape(-1, m)
    order = groups.argsort(dim=1, stable=True)
    mask = torch.ones_like(groups, dtype=torch.bool)
    mask.scatter_(1, order[:, : m - n], False)
    result = torch.ones_like(weight, dtype=torch.bool)
    result[:, :whole] = mask.reshape(last.shape).transpose(1, -1)
    return result
