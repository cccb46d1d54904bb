"""A temperature of 0 or below is accepted.

Source: curriculum list.
"""

import torch


def softmax_with_temperature(logits, T):
    return torch.softmax(logits / T, dim=-1)
