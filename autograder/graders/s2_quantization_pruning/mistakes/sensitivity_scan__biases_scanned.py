"""Biases and norms are scanned as well.

Source: curriculum list.
"""

import torch


def sensitivity_scan(model, evaluate, grid):
    for sparsity in grid:
        if not 0 <= sparsity <= 1:
            raise ValueError(f"grid must hold shares in 0..1, got {sparsity}")
    modes = [(module, module.training) for module in model.modules()]
    weights = dict(model.named_parameters())
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
