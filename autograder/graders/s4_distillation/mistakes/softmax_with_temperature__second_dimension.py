"""The softmax runs over dimension 1, which is the last one of a matrix only.

Source: own.
"""

import torch

from shared.checks import check_positive


def softmax_with_temperature(logits, T):
    check_positive("T", T)
    return torch.softmax(logits / T, dim=min(1, logits.dim() - 1))
