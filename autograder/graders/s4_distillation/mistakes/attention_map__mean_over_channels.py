"""The map is the mean over the channels, not the sum.

Source: own.
"""

import torch

from shared.checks import check_positive, check_shape


def attention_map(features, p=2):
    check_shape("features", features, "N", "C", "H", "W")
    check_positive("p", p)
    return features.abs().pow(p).mean(dim=1)
