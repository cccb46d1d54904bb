"""The sign of 0 is 0.

Source: curriculum list.
"""

import torch


def binarize(weight, stochastic=False, generator=None):
    if not stochastic:
        return torch.sign(weight.detach())
    if generator is None:
        generator = torch.Generator()
        generator.seed()
    probability = ((weight.detach() + 1) / 2).clamp(0, 1)
    draws = torch.rand(weight.shape, generator=generator)
    return torch.where(draws < probability, 1.0, -1.0).to(weight.dtype)
