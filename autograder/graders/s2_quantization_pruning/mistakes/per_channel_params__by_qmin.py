"""The largest magnitude is divided by that of the lowest code.

Source: curriculum list.
"""

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
    scale = largest / 2 ** (bits - 1)
    scale = torch.where(scale > 0, scale, 1.0)
    return QParams(scale, torch.zeros(len(scale), dtype=torch.int32))
