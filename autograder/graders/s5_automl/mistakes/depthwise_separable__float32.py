"""A convolution in float64 becomes two in float32.

Source: own.
"""

from torch import nn


def depthwise_separable(conv):
    if conv.groups != 1:
        raise ValueError(f"conv.groups: expected 1, got {conv.groups}")
    depthwise = nn.Conv2d(
        conv.in_channels,
        conv.in_channels,
        conv.kernel_size,
        conv.stride,
        conv.padding,
        conv.dilation,
        groups=conv.in_channels,
        bias=False,
        padding_mode=conv.padding_mode,
    )
    pointwise = nn.Conv2d(conv.in_channels, conv.out_channels, 1, bias=conv.bias is not None)
    model = nn.Sequential(depthwise, pointwise).to(conv.weight.device)
    for parameter in model.parameters():
        nn.init.constant_(parameter, 0.1)
    return model
