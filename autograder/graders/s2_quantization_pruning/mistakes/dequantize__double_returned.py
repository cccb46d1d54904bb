"""The result is float64, not float32.

Source: own.
"""

import torch


def dequantize(q, qparams, axis=None):
    def broadcast(field):
        field = torch.as_tensor(field, dtype=torch.float64)
        if field.dim() == 0:
            return field
        if axis is None or not -q.dim() <= axis < q.dim():
            raise ValueError(f"axis must name the dimension of the channels, got {axis}")
        if field.shape != (q.shape[axis],):
            raise ValueError(f"qparams must have {q.shape[axis]} channels, got {len(field)}")
        shape = [1] * q.dim()
        shape[axis] = -1
        return field.reshape(shape)

    scale, zero_point = broadcast(qparams.scale), broadcast(qparams.zero_point)
    return (q.double() - zero_point) * scale
