"""Factorisation: eigenvectors, the other spatial order, nested Sequentials."""

import copy

import torch
from torch import nn


def rank_for_energy(singular_values, energy):
    if not (0 <= energy <= 1):
        raise ValueError(f"energy {energy}")
    s = singular_values.to(torch.float64)
    s = s / s.abs().max()
    total = float((s * s).sum())
    rank = len(s)
    while rank > 1 and float((s[: rank - 1] ** 2).sum()) >= energy * total:
        rank -= 1
    return rank


def svd_factorize(linear, rank):
    w = linear.weight.detach().double()
    if isinstance(rank, bool) or not isinstance(rank, int) or not 1 <= rank <= min(w.shape):
        raise ValueError(f"rank {rank}")
    basis = torch.linalg.svd(w, full_matrices=False).Vh[:rank]  # rows span the best inputs
    first = nn.Linear(w.shape[1], rank, bias=False).to(linear.weight)
    second = copy.deepcopy(linear)
    second = nn.Linear(rank, w.shape[0], bias=linear.bias is not None).to(linear.weight)
    with torch.no_grad():
        first.weight.copy_(basis)
        second.weight.copy_(w @ basis.T)
        if linear.bias is not None:
            second.bias.copy_(linear.bias)
    return nn.Sequential(first, second)


def _only_plain(conv):
    if conv.groups != 1:
        raise ValueError(f"a convolution with {conv.groups} groups")


def depthwise_separable(conv):
    _only_plain(conv)
    arguments = (conv.kernel_size, conv.stride, conv.padding, conv.dilation)
    n = conv.in_channels
    depthwise = nn.Conv2d(n, n, *arguments, n, bias=False, padding_mode=conv.padding_mode)
    pointwise = nn.Conv2d(n, conv.out_channels, (1, 1), bias=conv.bias is not None)
    if conv.bias is not None:
        pointwise.bias.data.copy_(conv.bias.data)
    return nn.Sequential(depthwise, nn.Sequential(pointwise)).to(conv.weight)


def grouped(conv, groups):
    _only_plain(conv)
    if groups < 1 or conv.in_channels % groups or conv.out_channels % groups:
        raise ValueError(f"{groups} groups")
    arguments = (conv.kernel_size, conv.stride, conv.padding, conv.dilation)
    bias = conv.bias is not None
    layer = nn.Conv2d(conv.in_channels, conv.out_channels, *arguments, groups, bias, conv.padding_mode)
    rows, columns = conv.out_channels // groups, conv.in_channels // groups
    with torch.no_grad():
        for g in range(groups):
            r, c = slice(g * rows, (g + 1) * rows), slice(g * columns, (g + 1) * columns)
            layer.weight[r] = conv.weight[r, c]
        if bias:
            layer.bias.copy_(conv.bias)
    return layer.to(conv.weight)


def low_rank_conv(conv, rank):
    _only_plain(conv)
    if rank < 1:
        raise ValueError(f"rank {rank}")
    out, inp, kh, kw = conv.weight.shape
    w = conv.weight.detach().double()
    matrix = w.permute(1, 3, 0, 2).reshape(inp * kw, out * kh)  # first along the width
    u, s, vh = torch.linalg.svd(matrix, full_matrices=False)
    rank = min(rank, s.numel())
    stride, padding, dilation = conv.stride, conv.padding, conv.dilation
    mode = conv.padding_mode
    across = nn.Conv2d(
        inp, rank, (1, kw), (1, stride[1]), (0, padding[1]), (1, dilation[1]), 1, False, mode
    )
    down = nn.Conv2d(
        rank, out, (kh, 1), (stride[0], 1), (padding[0], 0), (dilation[0], 1), 1,
        conv.bias is not None, mode,
    )
    root = s[:rank].sqrt()
    with torch.no_grad():
        across.weight.copy_((u[:, :rank] * root).T.reshape(rank, inp, kw)[:, :, None, :])
        down.weight.copy_(
            (vh[:rank] * root[:, None]).reshape(rank, out, kh).transpose(0, 1)[:, :, :, None]
        )
        if conv.bias is not None:
            down.bias.copy_(conv.bias)
    return nn.Sequential(across, down).to(conv.weight)
