"""The temperature is not used: the result is the usual softmax.

Source: own.
"""

import torch

from shared.checks import check_positive


def softmax_with_temperature(logits, T):
    check_positive("T", T)
    return torch.softmax(logits, dim=-1)
