"""A mask for a parameter that the model does not have is passed over.

Source: own.
"""

import torch


def apply_masks(model, masks):
    parameters = dict(model.named_parameters())
    for name, mask in masks.items():
        if name in parameters and mask.shape != parameters[name].shape:
            raise ValueError(f"mask of {name} must have its shape, got {tuple(mask.shape)}")
    with torch.no_grad():
        for name, mask in masks.items():
            if name in parameters:
                parameters[name].masked_fill_(~mask, 0)
