"""Only the weight is quantised, the input stays in float.

Source: own.
"""

import torch


def dynamic_quantized_linear(x, weight, bias=None, bits=8):
    if not isinstance(bits, int) or not 2 <= bits <= 32:
        raise ValueError(f"bits must be an integer in 2..32, got {bits!r}")
    if weight.dim() != 2 or x.dim() < 1 or x.shape[-1] != weight.shape[1]:
        raise ValueError(f"x and weight do not fit: {tuple(x.shape)} and {tuple(weight.shape)}")
    if bias is not None and bias.shape != (len(weight),):
        raise ValueError(f"bias must have shape ({len(weight)},), got {tuple(bias.shape)}")
    qmin, qmax = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    weight_scale = weight.double().abs().amax(dim=1) / qmax
    weight_scale = torch.where(weight_scale > 0, weight_scale, 1.0)
    q_weight = torch.round(weight.double() / weight_scale[:, None]).clamp(qmin, qmax)
    result = x.double() @ q_weight.T * weight_scale
    if bias is not None:
        result = result + bias.double()
    return result.to(x.dtype)
