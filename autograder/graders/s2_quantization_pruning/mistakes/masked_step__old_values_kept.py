"""Pruned weights get their values of before the step back instead of zero.

Source: own.
"""

import torch


def masked_step(optimizer, model, masks):
    parameters = dict(model.named_parameters())
    for name, mask in masks.items():
        if name not in parameters:
            raise ValueError(f"masks must name parameters, got {name}")
        if mask.shape != parameters[name].shape:
            raise ValueError(f"mask of {name} must have its shape, got {tuple(mask.shape)}")
    before = {name: parameters[name].detach().clone() for name in masks}
    optimizer.step()
    with torch.no_grad():
        for name, mask in masks.items():
            parameters[name].copy_(torch.where(mask, parameters[name], before[name]))
