"""Weights are ranked by their squares, which vanish for small ones.

Source: one-line mutants that survived, and misses of corpora from outside.
"""


def global_masks(weights: Mapping[str, Tensor], sparsity: float) -> dict[str, Tensor]:
    check_fraction("sparsity", sparsity)
    if not weights:
        return {}
    everything = torch.cat([weight.detach().flatten() for weight in weights.values()])
    together = magnitude_mask(everything.square(), sparsity)
    parts = torch.split(together, [w.numel() for w in weights.values()])
    return {name: part.view(weights[name].shape) for name, part in zip(weights, parts)}
