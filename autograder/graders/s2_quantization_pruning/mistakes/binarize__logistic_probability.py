"""The probability is the logistic function, not the hard sigmoid.

Source: own.
"""

import torch


def binarize(weight, stochastic=False, generator=None):
    if not stochastic:
        return torch.where(weight.detach() >= 0, 1.0, -1.0).to(weight.dtype)
    if generator is None:
        generator = torch.Generator()
        generator.seed()
    probability = torch.sigmoid(weight.detach())
    draws = torch.rand(weight.shape, generator=generator)
    return torch.where(draws < probability, 1.0, -1.0).to(weight.dtype)
