"""The caller's gradient is sorted by its labels in place.

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
    if labels.numel() and (labels.min() < 0 or labels.max() >= k):
        raise ValueError(f"labels must be in 0..{k - 1}")
    flat, order = weight_gradient.view(-1), labels.flatten().argsort(stable=True)
    flat.copy_(flat[order])
    counts = torch.bincount(labels.flatten(), minlength=k).tolist()
    return torch.stack([part.sum() for part in flat.split(counts)])
