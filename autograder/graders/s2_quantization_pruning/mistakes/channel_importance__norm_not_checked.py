"""A norm of 0 or less is accepted.

Source: own.
"""

import math


def channel_importance(weight, norm=1, dim=0):
    if not -weight.dim() <= dim < weight.dim():
        raise ValueError(f"dim must be a dimension of {tuple(weight.shape)}, got {dim}")
    rows = weight.detach().abs().movedim(dim, 0).reshape(weight.shape[dim], -1)
    if norm == math.inf:
        return rows.amax(dim=1)
    if norm == 0:
        return rows.count_nonzero(dim=1).to(rows.dtype)
    return rows.pow(norm).sum(dim=1).pow(1 / norm)
