"""Channels get affine parameters with zero points, not symmetric ones (source: own)."""

import torch
from shared.records import QParams


def per_channel_params(weight, bits, axis=0):
    if not isinstance(bits, int) or not 2 <= bits <= 32:
        raise ValueError(f"bits must be an integer in 2..32, got {bits!r}")
    if not -weight.dim() <= axis < weight.dim():
        raise ValueError(f"axis must be a dimension of the weight, got {axis}")
    rows = weight.detach().movedim(axis, 0).reshape(weight.shape[axis], -1)
    largest = rows.abs().amax(dim=1)
    if not largest.isfinite().all():
        raise ValueError("weight must be finite")
    low, high = rows.amin(dim=1).clamp(max=0), rows.amax(dim=1).clamp(min=0)
    scale = (high - low) / (2**bits - 1)
    scale = torch.where(scale > 0, scale, 1.0)
    return QParams(scale, torch.round(-(2 ** (bits - 1)) - low / scale).to(torch.int32))
