"""The result of float64 logits is computed in float32.

Source: own.
"""

import torch

from shared.checks import check_positive


def softmax_with_temperature(logits, T):
    check_positive("T", T)
    return torch.softmax(logits.float() / T, dim=-1)
