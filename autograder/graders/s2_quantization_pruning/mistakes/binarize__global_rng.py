"""The global generator draws, not the one that was passed.

Source: own.
"""

import torch


def binarize(weight, stochastic=False, generator=None):
    if not stochastic:
        return torch.where(weight.detach() >= 0, 1.0, -1.0).to(weight.dtype)
    probability = ((weight.detach() + 1) / 2).clamp(0, 1)
    draws = torch.rand(weight.shape)
    return torch.where(draws < probability, 1.0, -1.0).to(weight.dtype)
