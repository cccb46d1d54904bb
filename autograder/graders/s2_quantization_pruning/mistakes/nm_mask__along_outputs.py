"""Groups run along the outputs, dimension 0, instead of the inputs.

Source: curriculum list.
"""

import torch


def nm_mask(weight, n, m):
    if m < 1 or not 0 <= n <= m:
        raise ValueError(f"n must be in 0..m, got {n} and {m}")
    if weight.dim() < 2 or weight.shape[0] % m:
        raise ValueError(f"weight must have a multiple of {m} outputs, got {tuple(weight.shape)}")
    last = weight.detach().transpose(0, -1)
    groups = last.abs().reshape(-1, m)
    order = groups.argsort(dim=1, stable=True)
    mask = torch.ones_like(groups, dtype=torch.bool)
    mask.scatter_(1, order[:, : m - n], False)
    return mask.reshape(last.shape).transpose(0, -1).contiguous()
