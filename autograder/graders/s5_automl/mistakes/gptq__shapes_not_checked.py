"""A group that does not divide the columns is replaced by the whole row.

Source: own.
"""

import torch

from shared.records import QParams


def gptq(weight, hessian, bits, group=None, damp=0.01):
    if type(bits) is not int or not 2 <= bits <= 32:
        raise ValueError(f"bits: expected 2..32, got {bits}")
    outputs, inputs = weight.shape
    width = inputs if group is None else group
    if tuple(hessian.shape) != (inputs, inputs):
        raise ValueError(f"shapes or group do not fit: {tuple(hessian.shape)}, {group}")
    if inputs % width:
        width, group = inputs, None
    top = 2 ** (bits - 1) - 1
    left, h = weight.detach().double().clone(), hessian.detach().double().clone()
    scale = left.unflatten(1, (-1, width)).abs().amax(2) / top
    scale = torch.where(scale > 0, scale, 1.0)
    dead = h.diagonal() == 0
    left[:, dead] = 0
    h.diagonal()[dead] = 1
    h.diagonal().add_(damp * h.diagonal().mean())
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(h))
    factor = torch.linalg.cholesky(inverse, upper=True)
    codes = torch.zeros(outputs, inputs, dtype=torch.int32)
    for column in range(inputs):
        step = scale[:, column // width]
        rounded = (left[:, column] / step).round().clamp(-top, top)
        codes[:, column] = rounded.int()
        error = (left[:, column] - rounded * step) / factor[column, column]
        left[:, column + 1 :] -= error[:, None] * factor[column, column + 1 :]
    scale = scale.to(weight.dtype)
    scale = scale[:, 0] if group is None else scale
    return codes, QParams(scale, torch.zeros_like(scale, dtype=torch.int32))
