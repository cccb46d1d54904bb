"""The sum runs over the positions, which leaves one number for each channel: sum over the
channels.

Source: own.
"""

import torch

from shared.checks import check_positive, check_shape


def attention_map(features, p=2):
    check_shape("features", features, "N", "C", "H", "W")
    check_positive("p", p)
    return features.abs().pow(p).sum(dim=(2, 3))
