"""The weight that was passed in is overwritten (source: own)."""

import torch


def binarize(weight, stochastic=False, generator=None):
    if not stochastic:
        signs = torch.where(weight.detach() >= 0, 1.0, -1.0).to(weight.dtype)
        return weight.detach().copy_(signs)
    if generator is None:
        generator = torch.Generator()
        generator.seed()
    probability = ((weight.detach() + 1) / 2).clamp(0, 1)
    draws = torch.rand(weight.shape, generator=generator)
    return torch.where(draws < probability, 1.0, -1.0).to(weight.dtype)
