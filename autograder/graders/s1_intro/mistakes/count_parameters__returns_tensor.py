"""A tensor is returned where a Python int is asked for.

Source: own.
"""

import torch


def count_parameters(model, trainable_only=False, nonzero_only=False):
    total = torch.zeros((), dtype=torch.int64)
    for parameter in model.parameters():
        if trainable_only and not parameter.requires_grad:
            continue
        total += parameter.count_nonzero() if nonzero_only else parameter.numel()
    return total
