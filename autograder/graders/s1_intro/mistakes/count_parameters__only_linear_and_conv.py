"""Only Linear and Conv layers are counted, so norms and embeddings are missing.

Source: own.
"""

from torch import nn


def count_parameters(model, trainable_only=False, nonzero_only=False):
    total = 0
    layers = [m for m in model.modules() if isinstance(m, nn.Linear | nn.Conv2d)]
    parameters = {id(p): p for layer in layers for p in layer.parameters()}
    for parameter in parameters.values():
        if trainable_only and not parameter.requires_grad:
            continue
        total += int(parameter.count_nonzero()) if nonzero_only else parameter.numel()
    return total
