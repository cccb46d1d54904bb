"""New Parameter objects are put into the model, which an optimiser does not know.

Source: own.
"""

import torch


def apply_masks(model, masks):
    parameters = dict(model.named_parameters())
    for name, mask in masks.items():
        if name not in parameters:
            raise ValueError(f"masks must name parameters, got {name}")
        if mask.shape != parameters[name].shape:
            raise ValueError(f"mask of {name} must have its shape, got {tuple(mask.shape)}")
    for name, mask in masks.items():
        owner, _, attribute = name.rpartition(".")
        pruned = torch.nn.Parameter(parameters[name].detach().masked_fill(~mask, 0))
        setattr(model.get_submodule(owner), attribute, pruned)
