"""Factorisation: spatial low rank, plain structures."""

import torch
from torch import nn


def rank_for_energy(singular_values, energy):
    if energy < 0 or energy > 1:
        raise ValueError(f"energy {energy}")
    values = [float(v) for v in singular_values.double()]
    top = max(values) or 1.0
    squares = [(v / top) ** 2 for v in values]
    total, held = 0.0, 0.0
    for s in squares:
        total += s
    for rank, s in enumerate(squares, 1):
        held += s
        if held >= energy * total:
            return rank
    return len(squares)


def svd_factorize(linear, rank):
    out, inp = linear.weight.shape
    if not isinstance(rank, int) or rank < 1 or rank > min(out, inp):
        raise ValueError(f"rank {rank}")
    w = linear.weight.detach().double()
    # by the eigenvectors of the smaller Gram matrix
    u, s, v = torch.svd(w)
    a = nn.Linear(inp, rank, bias=False, dtype=linear.weight.dtype)
    b = nn.Linear(rank, out, bias=linear.bias is not None, dtype=linear.weight.dtype)
    a.weight.data = v[:, :rank].T.to(linear.weight.dtype).contiguous()
    b.weight.data = (u[:, :rank] @ torch.diag(s[:rank])).to(linear.weight.dtype)
    if linear.bias is not None:
        b.bias.data = linear.bias.detach().clone()
    return nn.Sequential(a, b)


def depthwise_separable(conv):
    if conv.groups > 1:
        raise ValueError("grouped already")
    c = conv.in_channels
    return nn.Sequential(
        nn.Conv2d(c, c, conv.kernel_size, conv.stride, conv.padding, conv.dilation, c, False),
        nn.Conv2d(c, conv.out_channels, kernel_size=1, bias=conv.bias is not None),
    ).to(conv.weight.dtype)


def grouped(conv, groups):
    if conv.groups > 1:
        raise ValueError("grouped already")
    if groups < 1 or conv.in_channels % groups != 0 or conv.out_channels % groups != 0:
        raise ValueError(f"groups {groups}")
    return nn.Conv2d(
        conv.in_channels,
        conv.out_channels,
        conv.kernel_size,
        stride=conv.stride,
        padding=conv.padding,
        dilation=conv.dilation,
        groups=groups,
        bias=conv.bias is not None,
    ).to(conv.weight.dtype)


def low_rank_conv(conv, rank):
    if conv.groups > 1:
        raise ValueError("grouped already")
    if rank < 1:
        raise ValueError(f"rank {rank}")
    out, inp, kh, kw = conv.weight.shape
    matrix = conv.weight.detach().double().permute(1, 2, 0, 3).reshape(inp * kh, out * kw)
    u, s, vt = torch.linalg.svd(matrix, full_matrices=False)
    r = min(rank, len(s))
    (sh, sw), (ph, pw), (dh, dw) = conv.stride, conv.padding, conv.dilation
    vertical = nn.Conv2d(inp, r, (kh, 1), (sh, 1), (ph, 0), (dh, 1), bias=False)
    horizontal = nn.Conv2d(r, out, (1, kw), (1, sw), (0, pw), (1, dw), bias=conv.bias is not None)
    vertical.weight.data = (u[:, :r] * s[:r]).reshape(inp, kh, r).permute(2, 0, 1).unsqueeze(3)
    horizontal.weight.data = vt[:r].reshape(r, out, kw).permute(1, 0, 2).unsqueeze(2)
    if conv.bias is not None:
        horizontal.bias.data = conv.bias.detach().clone()
    return nn.Sequential(vertical, horizontal).to(conv.weight.dtype)
