"""Logits are multiplied by the temperature instead of divided by it.

Source: own.
"""

import torch

from shared.checks import check_positive


def softmax_with_temperature(logits, T):
    check_positive("T", T)
    return torch.softmax(logits * T, dim=-1)
