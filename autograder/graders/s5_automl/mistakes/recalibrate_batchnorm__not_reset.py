"""The old statistics are averaged with the new ones.

Source: own.
"""

import torch
from torch import nn


def recalibrate_batchnorm(model, loader):
    norms = [m for m in model.modules() if isinstance(m, (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d))]
    modes = {m: m.training for m in model.modules()}
    momenta = [norm.momentum for norm in norms]
    batches = list(loader)
    if not batches:
        raise ValueError("loader: expected at least one batch")
    for norm in norms:
        norm.momentum = 0.5
    model.train()
    with torch.no_grad():
        for batch in batches:
            model(batch if isinstance(batch, torch.Tensor) else batch[0])
    for norm, momentum in zip(norms, momenta):
        norm.momentum = momentum
    for module, training in modes.items():
        module.training = training
