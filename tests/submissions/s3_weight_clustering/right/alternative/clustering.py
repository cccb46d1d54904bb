"""Weight sharing by dynamic programming: clusters with the least possible sum of squares."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import torch
from torch import Tensor

MOST_WORK = 1_000_000


def require(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)


def require_int(value: object, name: str, low: int, high: int = 2**63) -> None:
    valid = type(value) is int and low <= value <= high
    require(valid, f"{name} is no integer in {low}..{high}: {value!r}")


def start_linear(ordered: Tensor, distinct: Tensor, k: int, seed: int) -> Tensor:
    low, high = ordered[0], ordered[-1]
    if k == 1:
        return (low + (high - low) / 2).reshape(1)
    share = torch.arange(k, dtype=torch.float64) / (k - 1)
    return torch.lerp(low, high, share)


def start_density(ordered: Tensor, distinct: Tensor, k: int, seed: int) -> Tensor:
    levels = (2 * torch.arange(k, dtype=torch.float64) + 1) / (2 * k)
    if len(ordered) == 1:
        return ordered.clone()
    place = levels * (len(ordered) - 1)
    below = place.long().clamp(max=len(ordered) - 2)
    return torch.lerp(ordered[below], ordered[below + 1], place - below)


def start_forgy(ordered: Tensor, distinct: Tensor, k: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    even = torch.ones(len(distinct), dtype=torch.float64)
    if len(distinct) > 2**24:  # beyond what torch.multinomial draws from
        return distinct[torch.randperm(len(distinct), generator=generator)[:k]].sort().values
    return distinct[torch.multinomial(even, k, generator=generator).sort().values]


STARTS = {"linear": start_linear, "density": start_density, "forgy": start_forgy}


def init_centroids(weights: Tensor, k: int, method: str = "linear", seed: int = 0) -> Tensor:
    require_int(k, "k", 1)
    require(method in STARTS, f"method is none of {sorted(STARTS)}: {method!r}")
    require(weights.numel() > 0, "weights are empty")
    ordered = weights.detach().reshape(-1).cpu().double().sort().values
    distinct = torch.unique_consecutive(ordered)
    centroids = STARTS[method](ordered, distinct, min(k, len(distinct)), seed)
    return centroids.to(device=weights.device, dtype=weights.dtype)


def optimal_cuts(values: np.ndarray, counts: np.ndarray, k: int) -> np.ndarray:
    """Where to cut ascending values into k intervals of least within-cluster sum of squares.

    Layer j holds the best price of the first i values in j clusters. The best last cut never
    moves left as i grows, so the cuts of every second i bound those between them.
    """
    n = len(values)
    values = values - np.average(values, weights=counts)
    mass = np.concatenate([[0.0], np.cumsum(counts)])
    first = np.concatenate([[0.0], np.cumsum(counts * values)])
    second = np.concatenate([[0.0], np.cumsum(counts * values**2)])
    price = np.full(n + 1, np.inf)
    price[0] = 0.0
    choices = []
    for _ in range(k):
        best = np.full(n + 1, np.inf)
        choice = np.zeros(n + 1, dtype=np.int64)
        step = 1 << n.bit_length()
        while step:
            ends = np.arange(step, n + 1, 2 * step)
            if len(ends):
                low = choice[ends - step]
                after = ends + step
                known = np.where(after <= n, choice[np.minimum(after, n)], n)
                high = np.minimum(known, ends - 1)
                widths = high - low + 1
                offsets = np.cumsum(widths) - widths
                owner = np.repeat(np.arange(len(ends)), widths)
                cut = np.arange(len(owner)) - offsets[owner] + low[owner]
                end = ends[owner]
                spread = (first[end] - first[cut]) ** 2 / (mass[end] - mass[cut])
                totals = price[cut] + np.maximum(second[end] - second[cut] - spread, 0.0)
                least = np.minimum.reduceat(totals, offsets)
                hits = np.flatnonzero(totals == least[owner])
                _, where = np.unique(owner[hits], return_index=True)
                choice[ends] = cut[hits[where]]
                best[ends] = least
            step //= 2
        choices.append(choice)
        price = best
    cuts = [n]
    for choice in reversed(choices):
        cuts.append(int(choice[cuts[-1]]))
    return np.array(cuts[::-1])


def refine(values: np.ndarray, counts: np.ndarray, start: np.ndarray, rounds: int) -> np.ndarray:
    """Lloyd's algorithm for inputs that are too large for the optimal one."""
    mass = np.concatenate([[0.0], np.cumsum(counts)])
    first = np.concatenate([[0.0], np.cumsum(counts * values)])
    centroids = start
    for _ in range(rounds):
        borders = np.searchsorted(values, (centroids[1:] + centroids[:-1]) / 2, side="right")
        cuts = np.unique(np.concatenate([[0], borders, [len(values)]]))
        moved = np.diff(first[cuts]) / np.diff(mass[cuts])
        if len(moved) == len(centroids) and (moved == centroids).all():
            break
        centroids = moved
    return centroids


def nearest(values: Tensor, centroids: Tensor) -> Tensor:
    exact = centroids.double()
    middles = exact[:-1] + (exact[1:] - exact[:-1]) / 2
    return torch.bucketize(values.double().contiguous(), middles, right=False)


def kmeans_1d(
    weights: Tensor, k: int, init: str = "linear", iterations: int = 50
) -> tuple[Tensor, Tensor]:
    require_int(iterations, "iterations", 0)
    centroids = init_centroids(weights, k, init)
    data = weights.detach()
    if iterations > 0:
        flat = data.reshape(-1).cpu().double().numpy()
        values, counts = np.unique(flat, return_counts=True)
        k = min(k, len(values))
        if len(values) == k:
            found = values
        elif len(values) * k <= MOST_WORK:
            cuts = optimal_cuts(values, counts, k)
            sums = np.add.reduceat(counts * values, cuts[:-1])
            found = sums / np.add.reduceat(counts, cuts[:-1])
        else:
            found = refine(values, counts, centroids.cpu().double().numpy(), iterations)
        centroids = torch.from_numpy(found).to(device=weights.device, dtype=weights.dtype)
    return centroids, nearest(data, centroids)


def cluster_nonzero(weight: Tensor, mask: Tensor, bits: int) -> tuple[Tensor, Tensor]:
    """The last centroid is the zero, if there is any zero."""
    require_int(bits, "bits", 1, 32)
    require(weight.shape == mask.shape, f"mask is {mask.shape}, weight is {weight.shape}")
    data = weight.detach()
    alive = mask.bool() & (data != 0)
    nonzero = data[alive]
    shared = nonzero.new_empty(0)
    labels = torch.zeros(weight.shape, dtype=torch.int64, device=weight.device)
    if len(nonzero):
        shared, told = kmeans_1d(nonzero, 2**bits)
        labels[alive] = told
    if not alive.all() or not len(nonzero):
        labels[~alive] = len(shared)
        shared = torch.cat([shared, shared.new_zeros(1)])
    return shared, labels


def decode_clusters(centroids: Tensor, labels: Tensor, shape: Sequence[int]) -> Tensor:
    size = 1
    for each in shape:
        size *= each
    require(labels.numel() == size, f"{labels.numel()} labels do not fill {tuple(shape)}")
    valid = (labels >= 0) & (labels < len(centroids))
    require(bool(valid.all()), f"labels outside 0..{len(centroids) - 1}")
    return torch.take(centroids, labels.long()).reshape(tuple(shape))


def centroid_gradient(weight_gradient: Tensor, labels: Tensor, k: int) -> Tensor:
    require_int(k, "k", 1)
    same = weight_gradient.shape == labels.shape
    require(same, f"labels are {labels.shape}, weight_gradient is {weight_gradient.shape}")
    valid = (labels >= 0) & (labels < k)
    require(bool(valid.all()), f"labels outside 0..{k - 1}")
    flat = weight_gradient.detach().reshape(-1).double()
    order = labels.reshape(-1).long().argsort()
    running = torch.cat([flat.new_zeros(1), flat[order].cumsum(0)])
    edges = torch.arange(k + 1, device=labels.device)
    cuts = torch.searchsorted(labels.reshape(-1).long()[order].contiguous(), edges)
    return (running[cuts[1:]] - running[cuts[:-1]]).to(weight_gradient.dtype)


def codebook_step(centroids: Tensor, labels: Tensor, weight_gradient: Tensor, lr: float) -> Tensor:
    """The gradient by autograd: the weights are looked up in the codebook."""
    require(weight_gradient.shape == labels.shape, f"labels are {labels.shape}")
    valid = (labels >= 0) & (labels < len(centroids))
    require(bool(valid.all()), f"labels outside 0..{len(centroids) - 1}")
    with torch.enable_grad():
        leaf = centroids.detach().double().requires_grad_()
        weights = leaf[labels.long()]
        (slope,) = torch.autograd.grad(weights, leaf, weight_gradient.detach().double())
    return (leaf.detach() - lr * slope).to(centroids.dtype)


def compression_ratio(n: int, k: int, bits: int = 32) -> float:
    require_int(n, "n", 1)
    require_int(k, "k", 1)
    require_int(bits, "bits", 1, 32)
    index_bits = len(f"{k - 1:b}") if k > 1 else 0
    return float(Fraction(n * bits, n * index_bits + k * bits))
