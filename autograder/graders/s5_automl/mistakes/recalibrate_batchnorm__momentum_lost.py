"""The momentum of the layers is None afterwards.

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
        norm.reset_running_stats()
        norm.momentum = None
    model.train()
    with torch.no_grad():
        for batch in batches:
            model(batch if isinstance(batch, torch.Tensor) else batch[0])
    for module, training in modes.items():
        module.training = training
