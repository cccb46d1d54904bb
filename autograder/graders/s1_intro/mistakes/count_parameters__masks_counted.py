"""Pruning masks, which are buffers, are counted as parameters.

Source: curriculum list.
"""


def count_parameters(model, trainable_only=False, nonzero_only=False):
    total = 0
    masks = [buffer for name, buffer in model.named_buffers() if name.endswith("mask")]
    for parameter in [*model.parameters(), *masks]:
        if trainable_only and not parameter.requires_grad:
            continue
        total += int(parameter.count_nonzero()) if nonzero_only else parameter.numel()
    return total
