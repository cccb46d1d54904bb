"""Shares outside 0..1 are clamped without a word.

Source: own.
"""

import torch
from torch import nn


def sensitivity_scan(model, evaluate, grid):
    grid = [min(max(sparsity, 0.0), 1.0) for sparsity in grid]
    modes = [(module, module.training) for module in model.modules()]
    weights = {
        f"{name}.weight".lstrip("."): layer.weight
        for name, layer in model.named_modules()
        if isinstance(layer, nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d)
    }
    results = {}
    for name, weight in weights.items():
        original = weight.detach().clone()
        results[name] = []
        order = original.abs().flatten().argsort(stable=True)
        for sparsity in grid:
            keep = torch.ones(original.numel(), dtype=torch.bool)
            keep[order[: round(sparsity * keep.numel())]] = False
            try:
                with torch.no_grad():
                    weight.copy_(original * keep.reshape(original.shape))
                results[name].append(evaluate(model))
            finally:
                with torch.no_grad():
                    weight.copy_(original)
                for module, training in modes:
                    module.training = training
    return results
