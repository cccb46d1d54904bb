"""The layer is computed in float: nothing is quantised (source: own)."""

import torch


def dynamic_quantized_linear(x, weight, bias=None, bits=8):
    if not isinstance(bits, int) or not 2 <= bits <= 32:
        raise ValueError(f"bits must be an integer in 2..32, got {bits!r}")
    if weight.dim() != 2 or x.dim() < 1 or x.shape[-1] != weight.shape[1]:
        raise ValueError(f"x and weight do not fit: {tuple(x.shape)} and {tuple(weight.shape)}")
    if bias is not None and bias.shape != (len(weight),):
        raise ValueError(f"bias must have shape ({len(weight)},), got {tuple(bias.shape)}")
    return torch.nn.functional.linear(x, weight, bias)
