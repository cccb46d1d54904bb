"""Numbers too small for normal precision are taken for zeros.

Source: one-line mutants that survived, and misses of corpora from outside.
"""


def count_parameters(
    model: nn.Module, trainable_only: bool = False, nonzero_only: bool = False
) -> int:
    counted = (p for p in model.parameters() if p.requires_grad or not trainable_only)
    return sum(
        (
            int((p.abs() >= torch.finfo(p.dtype).tiny).sum()) if nonzero_only else p.numel()
            for p in counted
        )
    )
