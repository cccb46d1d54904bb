"""Forgy returns the weights in the order in which they were drawn.

Source: own.
"""

import torch


def init_centroids(weights, k, method="linear", seed=0):
    if type(k) is not int or k < 1:
        raise ValueError(f"k must be an integer of at least 1, got {k!r}")
    if weights.numel() == 0:
        raise ValueError("weights must not be empty")
    values = weights.detach().flatten().double().sort().values
    distinct = values.unique_consecutive()
    k = min(k, len(distinct))
    if method == "linear":
        low, high = values[0].item(), values[-1].item()
        steps = torch.arange(k, dtype=torch.float64) / max(k - 1, 1)
        centroids = low + (high - low) * (steps if k > 1 else steps + 0.5)
    elif method == "density":
        centroids = torch.quantile(values, (torch.arange(k, dtype=torch.float64) + 0.5) / k)
    elif method == "forgy":
        generator = torch.Generator().manual_seed(seed)
        centroids = distinct[torch.randperm(len(distinct), generator=generator)[:k]]
    else:
        raise ValueError(f"method must be linear, density or forgy, got {method!r}")
    return centroids.to(weights.dtype)
