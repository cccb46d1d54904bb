"""Values are summed with their signs, so that they cancel.

Source: curriculum list.
"""

import math


def channel_importance(weight, norm=1, dim=0):
    if not norm > 0:
        raise ValueError(f"norm must be positive, got {norm}")
    if not -weight.dim() <= dim < weight.dim():
        raise ValueError(f"dim must be a dimension of {tuple(weight.shape)}, got {dim}")
    rows = weight.detach().movedim(dim, 0).reshape(weight.shape[dim], -1)
    if norm == math.inf:
        return rows.abs().amax(dim=1)
    if norm == 1:
        return rows.sum(dim=1).abs()
    return rows.abs().pow(norm).sum(dim=1).pow(1 / norm)
