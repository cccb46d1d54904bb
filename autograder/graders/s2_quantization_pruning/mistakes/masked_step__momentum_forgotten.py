"""The state of the optimiser is cleared in each step, so there is no momentum.

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
    optimizer.state.clear()
    optimizer.step()
    with torch.no_grad():
        for name, mask in masks.items():
            parameters[name].masked_fill_(~mask, 0)
