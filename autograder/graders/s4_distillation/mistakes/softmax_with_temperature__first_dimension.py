"""Probabilities add up to 1 over the first dimension, not over the last one, the classes.

Source: own.
"""

import torch

from shared.checks import check_positive


def softmax_with_temperature(logits, T):
    check_positive("T", T)
    return torch.softmax(logits / T, dim=0)
