"""The result keeps the reduced dimensions (source: own)."""

import math


def channel_importance(weight, norm=1, dim=0):
    if not norm > 0:
        raise ValueError(f"norm must be positive, got {norm}")
    if not -weight.dim() <= dim < weight.dim():
        raise ValueError(f"dim must be a dimension of {tuple(weight.shape)}, got {dim}")
    rows = weight.detach().abs().movedim(dim, 0).reshape(weight.shape[dim], -1)
    if norm == math.inf:
        sizes = rows.amax(dim=1)
    else:
        sizes = rows.pow(norm).sum(dim=1).pow(1 / norm)
    shape = [1] * weight.dim()
    shape[dim] = -1
    return sizes.reshape(shape)
