"""With nonzero_only the other flag is forgotten, so frozen parameters count.

Source: own.
"""


def count_parameters(model, trainable_only=False, nonzero_only=False):
    total = 0
    for parameter in model.parameters():
        if trainable_only and not nonzero_only and not parameter.requires_grad:
            continue
        total += int(parameter.count_nonzero()) if nonzero_only else parameter.numel()
    return total
