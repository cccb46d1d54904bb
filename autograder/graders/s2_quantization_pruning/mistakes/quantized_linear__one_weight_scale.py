"""All output channels get the weight scale of the first.

Source: own.
"""

import torch


def quantized_linear(
    q_input, q_weight, q_bias, input_qparams, weight_qparams, output_qparams, bits=8
):
    if not isinstance(bits, int) or not 1 <= bits <= 32:
        raise ValueError(f"bits must be an integer in 1..32, got {bits!r}")
    if q_weight.dim() != 2 or q_input.dim() < 1 or q_input.shape[-1] != q_weight.shape[1]:
        raise ValueError(
            f"q_input and q_weight do not fit: {tuple(q_input.shape)}, {tuple(q_weight.shape)}"
        )
    outputs = len(q_weight)
    if q_bias is not None and q_bias.shape != (outputs,):
        raise ValueError(f"q_bias must have shape ({outputs},), got {tuple(q_bias.shape)}")
    weight_scale = torch.as_tensor(weight_qparams.scale, dtype=torch.float64)
    if weight_scale.dim() > 0 and weight_scale.shape != (outputs,):
        raise ValueError(f"weight_qparams must have {outputs} channels, got {len(weight_scale)}")
    weight_scale = weight_scale.flatten()[0]
    centred = q_input.long() - int(input_qparams.zero_point)
    total = centred @ q_weight.long().T
    if q_bias is not None:
        total = total + q_bias.long()
    factor = float(input_qparams.scale) * weight_scale / float(output_qparams.scale)
    codes = torch.round(total * factor) + int(output_qparams.zero_point)
    return codes.clamp(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1).to(torch.int32)
