"""A mask of another shape is broadcast over the weight.

Source: own.
"""

import torch


def apply_masks(model, masks):
    parameters = dict(model.named_parameters())
    for name, mask in masks.items():
        if name not in parameters:
            raise ValueError(f"masks must name parameters, got {name}")
    with torch.no_grad():
        for name, mask in masks.items():
            parameters[name].masked_fill_(~mask, 0)
