"""The power is taken of the sum over the channels, not of each activation.

Source: own.
"""

import torch

from shared.checks import check_positive, check_shape


def attention_map(features, p=2):
    check_shape("features", features, "N", "C", "H", "W")
    check_positive("p", p)
    return features.sum(dim=1).abs().pow(p)
