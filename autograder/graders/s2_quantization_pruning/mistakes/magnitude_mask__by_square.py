"""Weights are ranked by their squares, which vanish for small ones.

Source: one-line mutants that survived, and misses of corpora from outside.
"""


def magnitude_mask(weight: Tensor, sparsity: float) -> Tensor:
    check_fraction("sparsity", sparsity)
    order = weight.detach().square().flatten().argsort(stable=True)
    keep = torch.ones_like(order, dtype=torch.bool)
    keep[order[: round(sparsity * len(order))]] = False
    return keep.view(weight.shape)
