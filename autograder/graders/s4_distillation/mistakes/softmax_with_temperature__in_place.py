"""The logits of the caller are divided by the temperature in place.

Source: own.
"""

import torch

from shared.checks import check_positive


def softmax_with_temperature(logits, T):
    check_positive("T", T)
    return torch.softmax(logits.div_(T), dim=-1)
