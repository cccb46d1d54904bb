"""Inputs of the layers are not quantised.

Source: own.
"""

import copy

import torch
from torch import nn


def quantize_model(model, calibration_loader, bits):
    if not isinstance(bits, int) or not 2 <= bits <= 32:
        raise ValueError(f"bits must be an integer in 2..32, got {bits!r}")
    qmin, qmax = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1

    class Layer(nn.Module):
        """A layer whose weight will be quantised."""

        def __init__(self, inner):
            super().__init__()
            self.inner = inner

        def forward(self, x):
            return self.inner(x)

        def freeze(self):
            weight = self.inner.weight.data
            scale = weight.abs().flatten(1).amax(1) / qmax
            scale = torch.where(scale > 0, scale, 1.0)
            scale = scale.reshape(-1, *[1] * (weight.dim() - 1))
            self.inner.weight.data = torch.round(weight / scale).clamp(qmin, qmax) * scale

    wrapped = {}

    def wrap(module):
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            return wrapped.setdefault(module, Layer(module))
        for name, child in module._modules.items():
            if child is not None and not isinstance(child, Layer):
                module._modules[name] = wrap(child)
        return module

    class QuantizedModel(nn.Module):
        def __init__(self, network):
            super().__init__()
            self.network = network

        @torch.no_grad()
        def forward(self, x):
            return self.network(x)

    result = QuantizedModel(wrap(copy.deepcopy(model))).eval()
    batches = 0
    for batch in calibration_loader:
        result(batch[0] if isinstance(batch, (tuple, list)) else batch)
        batches += 1
    if batches == 0:
        raise ValueError("calibration_loader must give at least one batch")
    for module in result.modules():
        if isinstance(module, Layer):
            module.freeze()
    return result
