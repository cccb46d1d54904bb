"""Buffers such as running means are counted as parameters.

Source: curriculum list.
"""


def count_parameters(model, trainable_only=False, nonzero_only=False):
    total = 0
    for parameter in [*model.parameters(), *model.buffers()]:
        if trainable_only and not parameter.requires_grad:
            continue
        total += int(parameter.count_nonzero()) if nonzero_only else parameter.numel()
    return total
