"""Powers are taken of the activations with their signs, so that negative ones count less than
nothing: take |a|**p.

Source: own.
"""

import torch

from shared.checks import check_positive, check_shape


def attention_map(features, p=2):
    check_shape("features", features, "N", "C", "H", "W")
    check_positive("p", p)
    return features.pow(p).sum(dim=1)
