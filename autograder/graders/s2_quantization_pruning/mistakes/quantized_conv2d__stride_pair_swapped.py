"""A pair of strides is taken for (columns, rows).

Source: own.
"""

import torch
import torch.nn.functional as F


def quantized_conv2d(
    q_input,
    q_weight,
    q_bias,
    input_qparams,
    weight_qparams,
    output_qparams,
    bits=8,
    stride=1,
    padding=0,
    dilation=1,
    groups=1,
):
    if not isinstance(bits, int) or not 1 <= bits <= 32:
        raise ValueError(f"bits must be an integer in 1..32, got {bits!r}")
    if q_input.dim() != 4 or q_weight.dim() != 4:
        raise ValueError(
            f"q_input and q_weight need 4 dimensions: {q_input.dim()}, {q_weight.dim()}"
        )
    outputs = len(q_weight)
    if groups < 1 or outputs % groups or q_input.shape[1] != q_weight.shape[1] * groups:
        raise ValueError(
            f"q_input and q_weight do not fit: {tuple(q_input.shape)}, {tuple(q_weight.shape)}"
        )
    if q_bias is not None and q_bias.shape != (outputs,):
        raise ValueError(f"q_bias must have shape ({outputs},), got {tuple(q_bias.shape)}")
    weight_scale = torch.as_tensor(weight_qparams.scale, dtype=torch.float64)
    if weight_scale.dim() > 0 and weight_scale.shape != (outputs,):
        raise ValueError(f"weight_qparams must have {outputs} channels, got {len(weight_scale)}")
    zero_point = int(input_qparams.zero_point)
    rows, columns = (padding, padding) if isinstance(padding, int) else padding
    padded = F.pad(q_input.double(), (columns, columns, rows, rows), value=zero_point)
    kernel = q_weight.double()
    strides = stride if isinstance(stride, int) else tuple(reversed(stride))
    try:
        total = F.conv2d(padded - zero_point, kernel, None, strides, 0, dilation, groups)
    except RuntimeError as error:
        raise ValueError(f"q_input is too small: {tuple(q_input.shape)}") from error
    if q_bias is not None:
        total = total + q_bias.double()[:, None, None]
    factor = float(input_qparams.scale) * weight_scale / float(output_qparams.scale)
    if factor.dim() > 0:
        factor = factor[:, None, None]
    codes = torch.round(total * factor) + int(output_qparams.zero_point)
    return codes.clamp(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1).to(torch.int32)
