"""Magnitudes are taken in the caller's tensor itself.

Source: own.
"""

from torch import nn


def sparsity(model_or_tensor):
    if isinstance(model_or_tensor, nn.Module):
        tensors = [p for p in model_or_tensor.parameters() if p.dim() >= 2]
    else:
        tensors = [model_or_tensor]
    zeros = sum(int((tensor.detach().abs_() == 0).sum()) for tensor in tensors)
    elements = sum(tensor.numel() for tensor in tensors)
    return zeros / elements if elements else 0.0
