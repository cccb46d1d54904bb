"""A parameter that two layers share is counted twice.

Source: curriculum list.
"""


def count_parameters(model, trainable_only=False, nonzero_only=False):
    total = 0
    for _, parameter in model.named_parameters(remove_duplicate=False):
        if trainable_only and not parameter.requires_grad:
            continue
        total += int(parameter.count_nonzero()) if nonzero_only else parameter.numel()
    return total
