"""Masks, which are buffers, are counted like weights.

Source: curriculum list.
"""

from torch import nn


def sparsity(model_or_tensor):
    if isinstance(model_or_tensor, nn.Module):
        everything = [*model_or_tensor.parameters(), *model_or_tensor.buffers()]
        tensors = [t for t in everything if t.dim() >= 2]
    else:
        tensors = [model_or_tensor]
    zeros = sum(int((tensor == 0).sum()) for tensor in tensors)
    elements = sum(tensor.numel() for tensor in tensors)
    return zeros / elements if elements else 0.0
