"""Weights stay as they are.

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
        """A layer that watches its inputs, later quantises them."""

        def __init__(self, inner):
            super().__init__()
            self.inner = inner
            self.low, self.high = 0.0, 0.0
            self.watching = True

        def forward(self, x):
            if self.watching:
                self.low = min(self.low, x.min().item())
                self.high = max(self.high, x.max().item())
                return self.inner(x)
            scale = (self.high - self.low) / (qmax - qmin) or 1.0
            zero_point = min(max(round(qmin - self.low / scale), qmin), qmax)
            codes = (torch.round(x / scale) + zero_point).clamp(qmin, qmax)
            return self.inner((codes - zero_point) * scale)

        def freeze(self):
            self.watching = False

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
