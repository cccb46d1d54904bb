"""The map is divided by its norm; that belongs to the loss.

Source: own.
"""

import torch

from shared.checks import check_positive, check_shape


def attention_map(features, p=2):
    check_shape("features", features, "N", "C", "H", "W")
    check_positive("p", p)
    return torch.nn.functional.normalize(features.abs().pow(p).sum(dim=1).flatten(1), dim=1).reshape(features.shape[0], *features.shape[2:])
