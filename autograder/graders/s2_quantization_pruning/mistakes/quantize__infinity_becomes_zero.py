"""Infinite values count as 0, they do not saturate.

Source: own.
"""

import torch


def quantize(x, qparams, bits, axis=None, signed=True):
    if not isinstance(bits, int) or not 1 <= bits <= 32:
        raise ValueError(f"bits must be an integer in 1..32, got {bits!r}")
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)

    def broadcast(field):
        field = torch.as_tensor(field, dtype=torch.float64)
        if field.dim() == 0:
            return field
        if axis is None or not -x.dim() <= axis < x.dim():
            raise ValueError(f"axis must name the dimension of the channels, got {axis}")
        if field.shape != (x.shape[axis],):
            raise ValueError(f"qparams must have {x.shape[axis]} channels, got {len(field)}")
        shape = [1] * x.dim()
        shape[axis] = -1
        return field.reshape(shape)

    scale, zero_point = broadcast(qparams.scale), broadcast(qparams.zero_point)
    codes = torch.round(x.double().nan_to_num(0.0, 0.0, 0.0) / scale) + zero_point
    return codes.clamp(low, high).to(torch.int32)
