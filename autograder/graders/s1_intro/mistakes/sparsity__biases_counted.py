"""Biases and norms, which have one dimension, are counted as well.

Source: own.
"""

from torch import nn


def sparsity(model_or_tensor):
    if isinstance(model_or_tensor, nn.Module):
        tensors = list(model_or_tensor.parameters())
    else:
        tensors = [model_or_tensor]
    zeros = sum(int((tensor == 0).sum()) for tensor in tensors)
    elements = sum(tensor.numel() for tensor in tensors)
    return zeros / elements if elements else 0.0
