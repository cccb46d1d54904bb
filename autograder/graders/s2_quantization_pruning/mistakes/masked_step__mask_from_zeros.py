"""The mask is what is not zero, so kept weights that are 0 stay stuck.

Source: curriculum list.
"""

import torch


def masked_step(optimizer, model, masks):
    parameters = dict(model.named_parameters())
    for name, mask in masks.items():
        if name not in parameters:
            raise ValueError(f"masks must name parameters, got {name}")
        if mask.shape != parameters[name].shape:
            raise ValueError(f"mask of {name} must have its shape, got {tuple(mask.shape)}")
    zeros = {name: parameters[name].detach() == 0 for name in masks}
    optimizer.step()
    with torch.no_grad():
        for name, mask in masks.items():
            parameters[name].masked_fill_(~mask | zeros[name], 0)
