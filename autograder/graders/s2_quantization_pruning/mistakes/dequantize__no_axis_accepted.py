"""Without an axis, parameters per channel go along the last dimension.

Source: own.
"""

import torch


def dequantize(q, qparams, axis=None):
    def broadcast(field):
        field = torch.as_tensor(field, dtype=torch.float64)
        if field.dim() == 0:
            return field
        channels = -1 if axis is None else axis
        if not -q.dim() <= channels < q.dim():
            raise ValueError(f"axis must name a dimension, got {axis}")
        if field.shape != (q.shape[channels],):
            raise ValueError(f"qparams must have {q.shape[channels]} channels, got {len(field)}")
        shape = [1] * q.dim()
        shape[channels] = -1
        return field.reshape(shape)

    scale, zero_point = broadcast(qparams.scale), broadcast(qparams.zero_point)
    return ((q.double() - zero_point) * scale).float()
