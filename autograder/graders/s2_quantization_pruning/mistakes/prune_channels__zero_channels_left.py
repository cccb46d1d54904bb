"""Channels are set to zero instead of removed.

Source: curriculum list.
"""

import copy

import torch
from torch import nn


def prune_channels(conv, bn, next_layer, keep):
    def check_groups(groups):
        counts = torch.bincount(index // (channels // groups), minlength=groups)
        if (counts != counts[0]).any():
            raise ValueError(f"keep must hold equally many channels of each group, got {keep}")

    channels = conv.out_channels
    index = torch.as_tensor(keep)
    if index.dtype == torch.bool:
        if index.shape != (channels,):
            raise ValueError(f"keep must have {channels} entries, got {tuple(index.shape)}")
        index = index.nonzero().flatten()
    if index.numel() == 0:
        raise ValueError("keep must hold at least one channel, got none")
    if index[0] < 0 or index[-1] >= channels:
        raise ValueError(f"keep must lie in 0..{channels - 1}, got {keep}")
    if (index.diff() <= 0).any():
        raise ValueError(f"keep must be distinct and ascending, got {keep}")
    if bn is not None and bn.num_features != channels:
        raise ValueError(f"bn must have {channels} features, got {bn.num_features}")
    check_groups(conv.groups)

    if isinstance(next_layer, nn.Linear):
        if next_layer.in_features % channels:
            raise ValueError(f"next_layer: {next_layer.in_features} inputs, {channels} channels")
    elif next_layer is not None:
        if next_layer.in_channels != channels:
            raise ValueError(f"next_layer must have {channels} inputs: {next_layer.in_channels}")
        if next_layer.groups != channels:
            check_groups(next_layer.groups)
    conv, bn, following = (copy.deepcopy(layer) for layer in (conv, bn, next_layer))
    gone = torch.ones(channels, dtype=torch.bool)
    gone[index] = False
    for layer in (conv, bn):
        for name in ("weight", "bias"):
            if getattr(layer, name, None) is not None:
                getattr(layer, name).data[gone] = 0
    return conv, bn, following
