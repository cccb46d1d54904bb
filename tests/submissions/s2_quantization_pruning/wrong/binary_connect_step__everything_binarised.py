"""Biases and norms are binarised too (source: own)."""

import torch
from torch import nn


def binary_connect_step(model, batch, loss_fn, optimizer):
    inputs, targets = batch
    kinds = nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d
    weights = [module.weight for module in model.modules() if isinstance(module, kinds)]
    weights = list(dict.fromkeys(weights))
    binary = list(model.parameters())
    real = [parameter.detach().clone() for parameter in binary]
    for parameter in model.parameters():
        parameter.grad = None
    optimizer.zero_grad()
    try:
        for parameter in binary:
            parameter.data.copy_(torch.where(parameter.data >= 0, 1.0, -1.0))
        loss = loss_fn(model(inputs), targets)
        loss.backward()
    finally:
        for parameter, values in zip(binary, real):
            parameter.data.copy_(values)
    optimizer.step()
    for weight in weights:
        weight.data.clamp_(-1, 1)
    return loss.detach()
