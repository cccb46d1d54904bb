"""Masks of parameters with one dimension are passed over.

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
    with torch.no_grad():
        for name, mask in masks.items():
            if mask.dim() > 1:
                parameters[name].masked_fill_(~mask, 0)
