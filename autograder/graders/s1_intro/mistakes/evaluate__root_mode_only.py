"""One mode, that of the root, is put back for all submodules.

Source: curriculum list.
"""

import torch
from torch.nn.functional import cross_entropy


def evaluate(model, loader):
    mode = model.training
    loss, correct, samples = 0.0, 0, 0
    try:
        model.eval()
        with torch.no_grad():
            for inputs, targets in loader:
                logits = model(inputs)
                loss += cross_entropy(logits, targets, reduction="sum").item()
                correct += (logits.argmax(dim=1) == targets).sum().item()
                samples += len(targets)
    finally:
        model.train(mode)
    if samples == 0:
        raise ValueError("loader must hold at least one sample, got none")
    return loss / samples, correct / samples
