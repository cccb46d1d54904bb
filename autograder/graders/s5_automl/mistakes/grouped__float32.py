"""A convolution in float64 becomes one in float32.

Source: own.
"""

import torch
from torch import nn


def grouped(conv, groups):
    if conv.groups != 1:
        raise ValueError(f"conv.groups: expected 1, got {conv.groups}")
    if type(groups) is not int or groups < 1 or conv.in_channels % groups or conv.out_channels % groups:
        raise ValueError(f"groups: expected a divisor of the channels, got {groups}")
    layer = nn.Conv2d(
        conv.in_channels,
        conv.out_channels,
        conv.kernel_size,
        conv.stride,
        conv.padding,
        conv.dilation,
        groups,
        bias=conv.bias is not None,
        padding_mode=conv.padding_mode,
    ).to(conv.weight.device)
    rows, columns = layer.weight.shape[:2]
    with torch.no_grad():
        for index in range(rows):
            start = index * layer.groups // rows * columns
            layer.weight[index] = conv.weight[index, start : start + columns]
        if layer.bias is not None:
            layer.bias.fill_(0.0)
            if conv.bias is not None:
                layer.bias.copy_(conv.bias[:rows])
    return layer
