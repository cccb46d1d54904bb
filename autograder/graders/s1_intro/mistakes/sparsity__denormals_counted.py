"""Numbers too small for normal precision are taken for zeros.

Source: one-line mutants that survived, and misses of corpora from outside.
"""


def sparsity(model_or_tensor: nn.Module | Tensor) -> float:
    if isinstance(model_or_tensor, Tensor):
        tensors = [model_or_tensor]
    else:
        tensors = [p for p in model_or_tensor.parameters() if p.dim() >= 2]
    total = sum((t.numel() for t in tensors))
    nonzero = sum((int((t.abs() >= torch.finfo(t.dtype).tiny).sum()) for t in tensors))
    return (total - nonzero) / total if total else 0.0
