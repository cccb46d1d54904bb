"""One draw decides for all weights.

Source: own.
"""

import torch


def binarize(weight, stochastic=False, generator=None):
    if not stochastic:
        return torch.where(weight.detach() >= 0, 1.0, -1.0).to(weight.dtype)
    if generator is None:
        generator = torch.Generator()
        generator.seed()
    probability = ((weight.detach() + 1) / 2).clamp(0, 1)
    draws = torch.rand(1, generator=generator)
    return torch.where(draws < probability, 1.0, -1.0).to(weight.dtype)
