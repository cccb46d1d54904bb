"""A convolution that is grouped already is accepted.

Source: own.
"""

from torch import nn


def depthwise_separable(conv):
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
    model = nn.Sequential(depthwise, pointwise).to(conv.weight)
    for parameter in model.parameters():
        nn.init.constant_(parameter, 0.1)
    return model
