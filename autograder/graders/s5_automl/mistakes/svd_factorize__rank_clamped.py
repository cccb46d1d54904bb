"""A rank above the smaller side is silently reduced.

Source: own.
"""

import torch
from torch import nn


def svd_factorize(linear, rank):
    if type(rank) is not int or rank < 1:
        raise ValueError(f"rank: expected 1..{min(linear.weight.shape)}, got {rank}")
    rank = min(rank, *linear.weight.shape)
    u, s, vt = torch.linalg.svd(linear.weight.detach().double(), full_matrices=False)
    first = nn.Linear(linear.in_features, rank, bias=False).to(linear.weight)
    second = nn.Linear(rank, linear.out_features, bias=linear.bias is not None).to(linear.weight)
    with torch.no_grad():
        first.weight.copy_(s[:rank, None] * vt[:rank])
        second.weight.copy_(u[:, :rank])
        if linear.bias is not None:
            second.bias.copy_(linear.bias)
    return nn.Sequential(first, second)
