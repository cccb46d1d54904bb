"""Values that differ by less than 1e-8 are taken for one.

Source: one-line mutants that survived, and misses of corpora from outside.
"""


def init_centroids(weights: Tensor, k: int, method: str = "linear", seed: int = 0) -> Tensor:
    check_int("k", k, 1)
    check_choice("method", method, METHODS)
    distinct, counts = _distinct((weights.double() * 100000000.0).round() / 100000000.0)
    k = min(k, len(distinct))
    share = (torch.arange(k, dtype=torch.float64, device=weights.device) + 0.5) / k
    if method == "linear":
        if k > 1:
            share = (share - share[0]) / (share[-1] - share[0])
        centroids = (1 - share) * distinct[0] + share * distinct[-1]
    elif method == "density":
        values = distinct.repeat_interleave(counts)
        place = share * (len(values) - 1)
        below, above = (values[place.floor().long()], values[place.ceil().long()])
        centroids = below + place.frac() * (above - below)
    else:
        chosen = torch.randperm(len(distinct), generator=torch.Generator().manual_seed(seed))[:k]
        centroids = distinct[chosen.to(weights.device)].sort().values
    return centroids.to(weights.dtype)
