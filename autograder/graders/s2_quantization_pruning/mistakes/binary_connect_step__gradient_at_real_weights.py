"""The gradient is taken at the real weights.

Source: own.
"""

from torch import nn


def binary_connect_step(model, batch, loss_fn, optimizer):
    inputs, targets = batch
    kinds = nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d
    weights = [module.weight for module in model.modules() if isinstance(module, kinds)]
    weights = list(dict.fromkeys(weights))
    real = [weight.detach().clone() for weight in weights]
    for parameter in model.parameters():
        parameter.grad = None
    optimizer.zero_grad()
    try:
        loss = loss_fn(model(inputs), targets)
        loss.backward()
    finally:
        for weight, values in zip(weights, real):
            weight.data.copy_(values)
    optimizer.step()
    for weight in weights:
        weight.data.clamp_(-1, 1)
    return loss.detach()
