"""Without an axis, parameters per channel go along the last dimension.

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
        channels = -1 if axis is None else axis
        if not -x.dim() <= channels < x.dim():
            raise ValueError(f"axis must name a dimension, got {axis}")
        if field.shape != (x.shape[channels],):
            raise ValueError(f"qparams must have {x.shape[channels]} channels, got {len(field)}")
        shape = [1] * x.dim()
        shape[channels] = -1
        return field.reshape(shape)

    scale, zero_point = broadcast(qparams.scale), broadcast(qparams.zero_point)
    codes = torch.round(x.double() / scale) + zero_point
    return codes.clamp(low, high).to(torch.int32)
