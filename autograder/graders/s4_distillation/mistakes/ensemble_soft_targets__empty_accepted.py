"""An ensemble without teachers is accepted.

Source: own.
"""

import torch

from shared.checks import check_positive, check_shape


def ensemble_soft_targets(list_of_logits, T):
    for logits in list_of_logits:
        check_shape("list_of_logits", logits, *list_of_logits[0].shape)
    check_positive("T", T)
    return torch.stack([torch.softmax(z / T, dim=-1) for z in list_of_logits]).mean(dim=0) if len(list_of_logits) else torch.zeros(0)
