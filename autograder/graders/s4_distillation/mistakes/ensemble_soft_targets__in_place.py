"""The teachers' logits are divided by the temperature in place.

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
    votes = []
    for z in list_of_logits:
        z /= T
        votes.append(torch.softmax(z, dim=-1))
    return torch.stack(votes).mean(dim=0)
