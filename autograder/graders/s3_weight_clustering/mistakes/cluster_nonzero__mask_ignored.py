"""All nonzero weights are clustered, pruned or not.

Source: own.
"""

import torch


def cluster_nonzero(weight, mask, bits):
    if type(bits) is not int or not 1 <= bits <= 32:
        raise ValueError(f"bits must be an integer in 1..32, got {bits!r}")
    if mask.shape != weight.shape:
        raise ValueError(f"mask must have the shape {tuple(weight.shape)}, got {tuple(mask.shape)}")
    weight = weight.detach()
    alive = weight != 0
    values = weight[alive].double()
    centroids = values.unique()
    levels = 2**bits
    if len(centroids) > levels:
        low, high = centroids[0], centroids[-1]
        centroids = low + (high - low) * torch.arange(levels, dtype=torch.float64) / (levels - 1)
        for _ in range(50):
            labels = torch.searchsorted((centroids[1:] + centroids[:-1]) / 2, values)
            counts = torch.bincount(labels, minlength=len(centroids))
            sums = torch.bincount(labels, weights=values, minlength=len(centroids))
            centroids = sums[counts > 0] / counts[counts > 0]
    labels = torch.zeros(weight.shape, dtype=torch.int64)
    if len(centroids):
        labels[alive] = 1 + torch.searchsorted((centroids[1:] + centroids[:-1]) / 2, values)
    return torch.cat([torch.zeros(1), centroids]).to(weight.dtype), labels
