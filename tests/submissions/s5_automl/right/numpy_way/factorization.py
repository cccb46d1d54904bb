"""Factorisation with NumPy; Tucker-2 with a few rounds of orthogonal iteration."""

import numpy as np
import torch
from torch import nn


def rank_for_energy(singular_values, energy):
    if not 0 <= energy <= 1:
        raise ValueError(f"energy: {energy}")
    values = singular_values.double().numpy()
    squares = (values / values.max()) ** 2
    held = np.cumsum(squares)
    return int(np.searchsorted(held, energy * held[-1], side="left")) + 1 if energy > 0 else 1


def svd_factorize(linear, rank):
    w = linear.weight.detach().double().numpy()
    if type(rank) is not int or not 0 < rank <= min(w.shape):
        raise ValueError(f"rank: {rank}")
    u, s, vt = np.linalg.svd(w, full_matrices=False)
    dtype = linear.weight.dtype
    second = nn.Linear(rank, w.shape[0], bias=linear.bias is not None, dtype=dtype)
    first = nn.Linear(w.shape[1], rank, bias=False, dtype=dtype)
    with torch.no_grad():
        first.weight.copy_(torch.from_numpy(s[:rank, None] * vt[:rank]))
        second.weight.copy_(torch.from_numpy(u[:, :rank].copy()))
        if linear.bias is not None:
            second.bias.copy_(linear.bias)
    return nn.Sequential(first, second)


def _options(conv):
    return {
        "kernel_size": conv.kernel_size,
        "stride": conv.stride,
        "padding": conv.padding,
        "dilation": conv.dilation,
        "padding_mode": conv.padding_mode,
        "dtype": conv.weight.dtype,
    }


def depthwise_separable(conv):
    if conv.groups != 1:
        raise ValueError(f"groups: {conv.groups}")
    n, m = conv.in_channels, conv.out_channels
    depthwise = nn.Conv2d(n, n, groups=n, bias=False, **_options(conv))
    pointwise = nn.Conv2d(n, m, 1, bias=conv.bias is not None, dtype=conv.weight.dtype)
    with torch.no_grad():
        depthwise.weight.copy_(conv.weight.mean(0)[:, None])
    return nn.Sequential(depthwise, pointwise)


def grouped(conv, groups):
    if conv.groups != 1:
        raise ValueError(f"groups: {conv.groups}")
    if type(groups) is not int or groups < 1 or np.gcd(conv.in_channels, conv.out_channels) % groups:
        raise ValueError(f"groups: {groups}")
    return nn.Conv2d(
        conv.in_channels,
        conv.out_channels,
        groups=groups,
        bias=conv.bias is not None,
        **_options(conv),
    )


def low_rank_conv(conv, rank):
    if conv.groups != 1 or rank < 1:
        raise ValueError(f"groups {conv.groups}, rank {rank}")
    w = conv.weight.detach().double().numpy()
    a, b = min(rank, w.shape[0]), min(rank, w.shape[1])
    i = np.linalg.svd(np.moveaxis(w, 1, 0).reshape(w.shape[1], -1), full_matrices=False)[0][:, :b]
    for _ in range(5):
        half = np.einsum("oihw,ib->obhw", w, i)
        o = np.linalg.svd(half.reshape(w.shape[0], -1), full_matrices=False)[0][:, :a]
        half = np.einsum("oihw,oa->iahw", w, o)
        i = np.linalg.svd(half.reshape(w.shape[1], -1), full_matrices=False)[0][:, :b]
    o, i = o[:, :a], i[:, :b]
    core = np.einsum("oihw,oa,ib->abhw", w, o, i)
    dtype = conv.weight.dtype
    layers = nn.Sequential(
        nn.Conv2d(w.shape[1], i.shape[1], 1, bias=False, dtype=dtype),
        nn.Conv2d(i.shape[1], o.shape[1], bias=False, **_options(conv)),
        nn.Conv2d(o.shape[1], w.shape[0], 1, bias=conv.bias is not None, dtype=dtype),
    )
    with torch.no_grad():
        layers[0].weight.copy_(torch.from_numpy(i.T.copy())[:, :, None, None])
        layers[1].weight.copy_(torch.from_numpy(core))
        layers[2].weight.copy_(torch.from_numpy(o.copy())[:, :, None, None])
        if conv.bias is not None:
            layers[2].bias.copy_(conv.bias)
    return layers
