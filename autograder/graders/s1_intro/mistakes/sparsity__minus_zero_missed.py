"""Minus zero is not taken for a zero.

Source: own.
"""

from torch import nn


def sparsity(model_or_tensor):
    if isinstance(model_or_tensor, nn.Module):
        tensors = [p for p in model_or_tensor.parameters() if p.dim() >= 2]
    else:
        tensors = [model_or_tensor]
    zeros = sum(int(((tensor == 0) & ~tensor.signbit()).sum()) for tensor in tensors)
    elements = sum(tensor.numel() for tensor in tensors)
    return zeros / elements if elements else 0.0
