"""The maximum of the whole tensor is subtracted, so that every power of a row far below it
underflows: subtract the maximum of each row.

Source: own.
"""

import torch

from shared.checks import check_positive


def softmax_with_temperature(logits, T):
    check_positive("T", T)
    scaled = logits / T
    powers = torch.exp(scaled - scaled.max())
    return powers / powers.sum(dim=-1, keepdim=True)
