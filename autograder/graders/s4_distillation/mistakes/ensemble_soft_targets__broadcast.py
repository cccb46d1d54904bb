"""Logits of another shape are broadcast instead of refused.

Source: own.
"""

import torch

from shared.checks import check_positive


def ensemble_soft_targets(list_of_logits, T):
    if len(list_of_logits) == 0:
        raise ValueError("list_of_logits: expected at least one tensor, got none")
    check_positive("T", T)
    return sum(torch.softmax(z / T, dim=-1) for z in list_of_logits) / len(list_of_logits)
