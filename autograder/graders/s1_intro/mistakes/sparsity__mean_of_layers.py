"""The mean of the sparsities of the layers is returned, whatever their sizes.

Source: own.
"""

from torch import nn


def sparsity(model_or_tensor):
    if isinstance(model_or_tensor, nn.Module):
        tensors = [p for p in model_or_tensor.parameters() if p.dim() >= 2]
    else:
        tensors = [model_or_tensor]
    shares = [int((t == 0).sum()) / t.numel() for t in tensors if t.numel()]
    return sum(shares) / len(shares) if shares else 0.0
