"""The optimiser updates the binary weights, the real ones are lost.

Source: curriculum list.
"""

import torch
from torch import nn


def binary_connect_step(model, batch, loss_fn, optimizer):
    inputs, targets = batch
    kinds = nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d
    weights = [module.weight for module in model.modules() if isinstance(module, kinds)]
    weights = list(dict.fromkeys(weights))
    for parameter in model.parameters():
        parameter.grad = None
    optimizer.zero_grad()
    for weight in weights:
        weight.data.copy_(torch.where(weight.data >= 0, 1.0, -1.0))
    loss = loss_fn(model(inputs), targets)
    loss.backward()
    optimizer.step()
    for weight in weights:
        weight.data.clamp_(-1, 1)
    return loss.detach()
