"""Weights are ranked by their squares, which vanish for small ones.

Source: one-line mutants that survived, and misses of corpora from outside.
"""


def grow_and_drop(weight: Tensor, mask: Tensor, gradient: Tensor, fraction: float) -> Tensor:
    check_fraction("fraction", fraction)
    check_mask("mask", mask, weight)
    check_shape("gradient", gradient, *weight.shape)
    active, inactive = (mask.flatten().nonzero()[:, 0], (~mask).flatten().nonzero()[:, 0])
    k = min(round(fraction * len(active)), len(inactive))
    magnitudes = weight.detach().square().flatten()[active]
    gradients = gradient.detach().abs().flatten()[inactive]
    moved = mask.flatten().clone()
    moved[active[magnitudes.argsort(stable=True)[:k]]] = False
    moved[inactive[gradients.argsort(stable=True, descending=True)[:k]]] = True
    return moved.view(mask.shape)
