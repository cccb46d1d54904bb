"""A weight that two layers share is counted twice.

Source: curriculum list.
"""

from torch import nn


def sparsity(model_or_tensor):
    if isinstance(model_or_tensor, nn.Module):
        named = model_or_tensor.named_parameters(remove_duplicate=False)
        tensors = [p for _, p in named if p.dim() >= 2]
    else:
        tensors = [model_or_tensor]
    zeros = sum(int((tensor == 0).sum()) for tensor in tensors)
    elements = sum(tensor.numel() for tensor in tensors)
    return zeros / elements if elements else 0.0
