"""Weights that are 0 stay 0 instead of becoming +1.

Source: curriculum list.
"""

import torch
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
        for weight in weights:
            weight.data.copy_(torch.sign(weight.data))
        loss = loss_fn(model(inputs), targets)
        loss.backward()
    finally:
        for weight, values in zip(weights, real):
            weight.data.copy_(values)
    optimizer.step()
    for weight in weights:
        weight.data.clamp_(-1, 1)
    return loss.detach()
