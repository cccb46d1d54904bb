"""A last batch that is smaller is left out.

Source: own.
"""

import torch
from torch.nn.functional import cross_entropy


def evaluate(model, loader):
    modes = {module: module.training for module in model.modules()}
    loss, correct, samples, full = 0.0, 0, 0, 0
    try:
        model.eval()
        with torch.no_grad():
            for inputs, targets in loader:
                full = max(full, len(targets))
                if len(targets) < full:
                    continue
                logits = model(inputs)
                loss += cross_entropy(logits, targets, reduction="sum").item()
                correct += (logits.argmax(dim=1) == targets).sum().item()
                samples += len(targets)
    finally:
        for module, mode in modes.items():
            module.training = mode
    if samples == 0:
        raise ValueError("loader must hold at least one sample, got none")
    return loss / samples, correct / samples
