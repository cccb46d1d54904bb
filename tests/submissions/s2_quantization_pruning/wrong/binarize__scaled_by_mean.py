"""Signs are multiplied by the mean magnitude of the weights (source: own)."""

import torch


def binarize(weight, stochastic=False, generator=None):
    alpha = weight.detach().abs().mean()
    if not stochastic:
        return (torch.where(weight.detach() >= 0, 1.0, -1.0) * alpha).to(weight.dtype)
    if generator is None:
        generator = torch.Generator()
        generator.seed()
    probability = ((weight.detach() + 1) / 2).clamp(0, 1)
    draws = torch.rand(weight.shape, generator=generator)
    return (torch.where(draws < probability, 1.0, -1.0) * alpha).to(weight.dtype)
