"""Whether weights are positive is returned, as bool (source: own)."""

import torch


def binarize(weight, stochastic=False, generator=None):
    if not stochastic:
        return weight.detach() >= 0
    if generator is None:
        generator = torch.Generator()
        generator.seed()
    probability = ((weight.detach() + 1) / 2).clamp(0, 1)
    draws = torch.rand(weight.shape, generator=generator)
    return draws < probability
