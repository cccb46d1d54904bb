"""Teachers are taken out of the caller's list, which is empty or shorter afterwards.

Source: own.
"""

import torch

from shared.checks import check_positive, check_shape


def ensemble_soft_targets(list_of_logits, T):
    if len(list_of_logits) == 0:
        raise ValueError("list_of_logits: expected at least one tensor, got none")
    for logits in list_of_logits:
        check_shape("list_of_logits", logits, *list_of_logits[0].shape)
    check_positive("T", T)
    count = len(list_of_logits)
    total = torch.softmax(list_of_logits.pop() / T, dim=-1)
    while list_of_logits:
        total = total + torch.softmax(list_of_logits.pop() / T, dim=-1)
    return total / count
