"""Weights are ranked by their squares, which vanish for small ones.

Source: one-line mutants that survived, and misses of corpora from outside.
"""


def nm_mask(weight: Tensor, n: int, m: int) -> Tensor:
    check_int("m", m, 1)
    check_int("n", n, 0, m)
    if weight.dim() < 2 or weight.shape[1] % m:
        raise refuse("weight", f"shape (out, a multiple of {m}, ...)", weight)
    rows = weight.detach().square().transpose(1, -1)
    groups = rows.reshape(*rows.shape[:-1], -1, m)
    smallest = groups.argsort(stable=True)[..., : m - n]
    keep = torch.ones_like(groups, dtype=torch.bool).scatter(-1, smallest, False)
    return keep.flatten(-2).transpose(1, -1).contiguous()
