"""In a grouped next layer each group loses the columns of the first one.

Source: own.
"""

import copy

import torch
from torch import nn


def prune_channels(conv, bn, next_layer, keep):
    def take(tensor, dim, index):
        if tensor is None:
            return None
        part = tensor.detach().index_select(dim, index).clone()
        return nn.Parameter(part) if isinstance(tensor, nn.Parameter) else part

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

    conv = copy.deepcopy(conv)
    conv.weight = take(conv.weight, 0, index)
    conv.bias = take(conv.bias, 0, index)
    conv.out_channels = len(index)

    if bn is not None:
        bn = copy.deepcopy(bn)
        for name in ("weight", "bias", "running_mean", "running_var"):
            setattr(bn, name, take(getattr(bn, name), 0, index))
        bn.num_features = len(index)

    following = copy.deepcopy(next_layer)
    if isinstance(following, nn.Linear):
        if following.in_features % channels:
            raise ValueError(f"next_layer: {following.in_features} inputs, {channels} channels")
        area = following.in_features // channels
        columns = (index[:, None] * area + torch.arange(area)).flatten()
        following.weight = take(following.weight, 1, columns)
        following.in_features = len(columns)
    elif following is not None:
        if following.in_channels != channels:
            raise ValueError(f"next_layer must have {channels} inputs: {following.in_channels}")
        if following.groups == channels:
            each = following.out_channels // channels
            rows = (index[:, None] * each + torch.arange(each)).flatten()
            following.weight = take(following.weight, 0, rows)
            following.bias = take(following.bias, 0, rows)
            following.groups = len(index)
            following.out_channels = len(rows)
        else:
            check_groups(following.groups)
            local = (index % (channels // following.groups)).reshape(following.groups, -1)
            blocks = following.weight.chunk(following.groups)
            parts = [take(block.data, 1, local[0]) for block in blocks]
            following.weight = nn.Parameter(torch.cat(parts))
        following.in_channels = len(index)
    return conv, bn, following
