"""The caller's centroids are changed.

Source: own.
"""

import torch


def codebook_step(centroids, labels, weight_gradient, lr):
    if labels.shape != weight_gradient.shape:
        raise ValueError(
            f"labels: expected {tuple(weight_gradient.shape)}, got {tuple(labels.shape)}"
        )
    if labels.numel() and (labels.min() < 0 or labels.max() >= len(centroids)):
        raise ValueError(f"labels must be in 0..{len(centroids) - 1}")
    slopes = torch.zeros_like(centroids)
    slopes.index_add_(0, labels.flatten(), weight_gradient.flatten().to(centroids.dtype))
    centroids -= lr * slopes
    return centroids
