"""The mean of batch losses gives a small last batch too much weight.

Source: curriculum list.
"""

import torch
from torch.nn.functional import cross_entropy


def evaluate(model, loader):
    modes = {module: module.training for module in model.modules()}
    losses, correct, samples = [], 0, 0
    try:
        model.eval()
        with torch.no_grad():
            for inputs, targets in loader:
                logits = model(inputs)
                losses.append(cross_entropy(logits, targets).item())
                correct += (logits.argmax(dim=1) == targets).sum().item()
                samples += len(targets)
    finally:
        for module, mode in modes.items():
            module.training = mode
    if samples == 0:
        raise ValueError("loader must hold at least one sample, got none")
    return sum(losses) / len(losses), correct / samples
