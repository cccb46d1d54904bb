"""The p-th root is taken of the sum: the map is a norm.

Source: own.
"""

import torch

from shared.checks import check_positive, check_shape


def attention_map(features, p=2):
    check_shape("features", features, "N", "C", "H", "W")
    check_positive("p", p)
    return features.abs().pow(p).sum(dim=1).pow(1 / p)
