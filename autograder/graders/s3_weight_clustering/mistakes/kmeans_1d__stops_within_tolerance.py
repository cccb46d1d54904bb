"""It stops once no centroid moves by more than 1e-8, whatever the scale.

Source: one-line mutants that survived, and misses of corpora from outside.
"""


def kmeans_1d(
    weights: Tensor, k: int, init: str = "linear", iterations: int = 50
) -> tuple[Tensor, Tensor]:
    check_int("iterations", iterations, 0)
    check_choice("init", init, METHODS)
    centroids = init_centroids(weights, k, init).double()
    distinct, counts = _distinct(weights)
    if iterations and len(centroids) == len(distinct):
        centroids, iterations = (distinct, 0)
    for _ in range(iterations):
        owner, before = (_nearest(distinct, centroids), centroids)
        sizes = torch.bincount(owner, counts.double(), len(centroids))
        sums = torch.bincount(owner, counts * distinct, len(centroids))
        means = sums / sizes.clamp_min(1)
        empty = sizes == 0
        if empty.any():
            far = (distinct - means[owner]).abs().argsort(descending=True, stable=True)
            means[empty] = distinct[far[: int(empty.sum())]]
        centroids = means.sort().values
        if torch.allclose(centroids, before):
            break
    centroids = centroids.to(weights.dtype)
    return (centroids, _nearest(weights.detach().double(), centroids.double()))
