"""The bias gets a zero point from its own range.

Source: curriculum list.
"""

import torch


def quantize_bias(bias, input_scale, weight_scale):
    scale = torch.as_tensor(weight_scale, dtype=torch.float64)
    if bias.dim() != 1 or (scale.dim() > 0 and scale.shape != bias.shape):
        raise ValueError(f"weight_scale must have shape {tuple(bias.shape)} or be a number")
    codes = torch.round(bias.double() / (float(input_scale) * scale))
    codes = codes - torch.round((codes.min() + codes.max()) / 2)
    return codes.clamp(-(2**31), 2**31 - 1).to(torch.int32)
