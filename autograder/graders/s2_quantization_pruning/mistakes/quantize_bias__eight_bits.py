"""The bias is saturated to 8 bits, not to 32.

Source: curriculum list.
"""

import torch


def quantize_bias(bias, input_scale, weight_scale):
    scale = torch.as_tensor(weight_scale, dtype=torch.float64)
    if bias.dim() != 1 or (scale.dim() > 0 and scale.shape != bias.shape):
        raise ValueError(f"weight_scale must have shape {tuple(bias.shape)} or be a number")
    codes = torch.round(bias.double() / (float(input_scale) * scale))
    return codes.clamp(-128, 127).to(torch.int32)
