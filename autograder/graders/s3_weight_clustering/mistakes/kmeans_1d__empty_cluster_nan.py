"""The mean of a cluster without weights is 0 / 0.

Source: curriculum list.
"""

import torch


def kmeans_1d(weights, k, init="linear", iterations=50):
    if type(k) is not int or k < 1:
        raise ValueError(f"k must be an integer of at least 1, got {k!r}")
    if type(iterations) is not int or iterations < 0:
        raise ValueError(f"iterations must be an integer of at least 0, got {iterations!r}")
    if weights.numel() == 0:
        raise ValueError("weights must not be empty")
    values = weights.detach().flatten().double()
    distinct = values.unique()
    k = min(k, len(distinct))
    share = torch.arange(k, dtype=torch.float64)
    if init == "linear":
        share = share / (k - 1) if k > 1 else share + 0.5
        centroids = distinct[0] + (distinct[-1] - distinct[0]) * share
    elif init == "density":
        centroids = torch.quantile(values, (share + 0.5) / k)
    elif init == "forgy":
        generator = torch.Generator().manual_seed(0)
        centroids = distinct[torch.randperm(len(distinct), generator=generator)[:k]].sort().values
    else:
        raise ValueError(f"init must be linear, density or forgy, got {init!r}")
    centroids = centroids.to(weights.dtype).double()

    def nearest(centroids):
        return torch.searchsorted((centroids[1:] + centroids[:-1]) / 2, values)

    for _ in range(iterations):
        labels = nearest(centroids)
        counts = torch.bincount(labels, minlength=len(centroids))
        sums = torch.bincount(labels, weights=values, minlength=len(centroids))
        centroids = sums / counts
    centroids = centroids.to(weights.dtype)
    return centroids, nearest(centroids.double()).reshape(weights.shape)
