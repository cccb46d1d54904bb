"""Earlier layers stay pruned while later ones are scanned.

Source: own.
"""

import torch
from torch import nn


def sensitivity_scan(model, evaluate, grid):
    for sparsity in grid:
        if not 0 <= sparsity <= 1:
            raise ValueError(f"grid must hold shares in 0..1, got {sparsity}")
    modes = [(module, module.training) for module in model.modules()]
    weights = {
        f"{name}.weight".lstrip("."): layer.weight
        for name, layer in model.named_modules()
        if isinstance(layer, nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d)
    }
    results = {}
    originals = {name: weight.detach().clone() for name, weight in weights.items()}
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
            except BaseException:
                with torch.no_grad():
                    for each, backup in originals.items():
                        weights[each].copy_(backup)
                raise
            finally:
                for module, training in modes:
                    module.training = training
    with torch.no_grad():
        for each, backup in originals.items():
            weights[each].copy_(backup)
    return results
