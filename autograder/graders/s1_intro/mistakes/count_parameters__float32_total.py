"""The total is kept in float32, which loses units above 2 ** 24.

Source: curriculum list.
"""

import torch


def count_parameters(model, trainable_only=False, nonzero_only=False):
    total = torch.zeros((), dtype=torch.float32)
    for parameter in model.parameters():
        if trainable_only and not parameter.requires_grad:
            continue
        total += int(parameter.count_nonzero()) if nonzero_only else parameter.numel()
    return int(total)
