"""Averaging batch accuracies gives a small last batch too much weight.

Source: curriculum list.
"""

import torch
from torch.nn.functional import cross_entropy


def evaluate(model, loader):
    modes = {module: module.training for module in model.modules()}
    loss, samples, accuracies = 0.0, 0, []
    try:
        model.eval()
        with torch.no_grad():
            for inputs, targets in loader:
                logits = model(inputs)
                loss += cross_entropy(logits, targets, reduction="sum").item()
                accuracies.append((logits.argmax(dim=1) == targets).float().mean().item())
                samples += len(targets)
    finally:
        for module, mode in modes.items():
            module.training = mode
    if samples == 0:
        raise ValueError("loader must hold at least one sample, got none")
    return loss / samples, sum(accuracies) / len(accuracies)
