"""The importance of float64 weights is computed in float32.

Source: own.
"""

import math


def channel_importance(weight, norm=1, dim=0):
    if not norm > 0:
        raise ValueError(f"norm must be positive, got {norm}")
    if not -weight.dim() <= dim < weight.dim():
        raise ValueError(f"dim must be a dimension of {tuple(weight.shape)}, got {dim}")
    rows = weight.detach().float().abs().movedim(dim, 0).reshape(weight.shape[dim], -1)
    if norm == math.inf:
        return rows.amax(dim=1)
    return rows.pow(norm).sum(dim=1) ** (1 / norm)
