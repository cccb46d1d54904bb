"""Dimensions of size 1 are dropped: the result is (N, H, W) always.

Source: own.
"""

import torch

from shared.checks import check_positive, check_shape


def attention_map(features, p=2):
    check_shape("features", features, "N", "C", "H", "W")
    check_positive("p", p)
    return features.abs().pow(p).sum(dim=1).squeeze()
