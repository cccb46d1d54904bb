"""A label of -1 is counted for the last centroid.

Source: own.
"""

import torch


def centroid_gradient(weight_gradient, labels, k):
    if type(k) is not int or k < 1:
        raise ValueError(f"k must be an integer of at least 1, got {k!r}")
    if labels.shape != weight_gradient.shape:
        raise ValueError(
            f"labels: expected {tuple(weight_gradient.shape)}, got {tuple(labels.shape)}"
        )
    if labels.numel() and labels.max() >= k:
        raise ValueError(f"labels must be in 0..{k - 1}")
    sums = torch.zeros(k, dtype=weight_gradient.dtype)
    return sums.index_add(0, labels.flatten() % k, weight_gradient.detach().flatten())
