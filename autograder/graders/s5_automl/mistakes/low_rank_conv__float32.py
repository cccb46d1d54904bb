"""A convolution in float64 becomes some in float32.

Source: own.
"""

import torch
from torch import nn


def low_rank_conv(conv, rank):
    if conv.groups != 1:
        raise ValueError(f"conv.groups: expected 1, got {conv.groups}")
    if type(rank) is not int or rank < 1:
        raise ValueError(f"rank: expected an int of at least 1, got {rank}")
    w = conv.weight.detach().double()
    outputs = torch.linalg.svd(w.flatten(1), full_matrices=False).U[:, :rank]
    inputs = torch.linalg.svd(w.transpose(0, 1).flatten(1), full_matrices=False).U[:, :rank]
    core = torch.einsum("oihw,oa,ib->abhw", w, outputs, inputs)
    first = nn.Conv2d(conv.in_channels, inputs.shape[1], 1, bias=False)
    middle = nn.Conv2d(
        inputs.shape[1],
        outputs.shape[1],
        conv.kernel_size,
        conv.stride,
        conv.padding,
        conv.dilation,
        bias=False,
        padding_mode=conv.padding_mode,
    )
    last = nn.Conv2d(outputs.shape[1], conv.out_channels, 1, bias=conv.bias is not None)
    with torch.no_grad():
        first.weight.copy_(inputs.T[:, :, None, None])
        middle.weight.copy_(core)
        last.weight.copy_(outputs[:, :, None, None])
        if conv.bias is not None:
            last.bias.copy_(conv.bias)
    return nn.Sequential(first, middle, last).to(conv.weight.device)
