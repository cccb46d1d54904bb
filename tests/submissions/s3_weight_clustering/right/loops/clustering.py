"""Weight sharing with plain Python lists, bisection and Lloyd's algorithm."""

import math
from bisect import bisect_left
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor


def _whole_number(value: Any, name: str, least: int, most: int | None = None) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{name} must be an integer, got {value!r}")
    if value < least or (most is not None and value > most):
        raise ValueError(f"{name} must be at least {least} and at most {most}, got {value!r}")
    return value


def _elements(tensor: Tensor) -> list[float]:
    return tensor.detach().flatten().double().tolist()


def _initial(numbers: list[float], k: int, method: str, seed: int) -> list[float]:
    if len(numbers) == 0:
        raise ValueError("weights must not be empty")
    _whole_number(k, "k", 1)
    different = sorted(set(numbers))
    k = min(k, len(different))
    low, high = different[0], different[-1]
    if method == "linear":
        if k == 1:
            return [(low + high) / 2]
        return [low + (high - low) * i / (k - 1) for i in range(k - 1)] + [high]
    if method == "density":
        ordered = sorted(numbers)
        centroids = []
        for i in range(k):
            place = (i + 0.5) / k * (len(ordered) - 1)
            below = math.floor(place)
            above = min(below + 1, len(ordered) - 1)
            share = place - below
            centroids.append(ordered[below] + share * (ordered[above] - ordered[below]))
        return centroids
    if method == "forgy":
        generator = torch.Generator().manual_seed(seed)
        chosen = torch.randperm(len(different), generator=generator).tolist()[:k]
        return sorted(different[place] for place in chosen)
    raise ValueError(f"method must be linear, density or forgy, got {method!r}")


def init_centroids(weights: Tensor, k: int, method: str = "linear", seed: int = 0) -> Tensor:
    centroids = _initial(_elements(weights), k, method, seed)
    return torch.tensor(centroids, dtype=weights.dtype, device=weights.device)


def _labels(numbers: list[float], centroids: list[float]) -> list[int]:
    middles = [(a + b) / 2 for a, b in pairwise(centroids)]
    return [bisect_left(middles, number) for number in numbers]


def _lloyd(numbers: list[float], centroids: list[float], iterations: int) -> list[float]:
    for _ in range(iterations):
        labels = _labels(numbers, centroids)
        sums = [0.0] * len(centroids)
        counts = [0] * len(centroids)
        worst, worst_error = [None] * len(centroids), [0.0] * len(centroids)
        for number, label in zip(numbers, labels, strict=True):
            sums[label] += number
            counts[label] += 1
            error = abs(number - centroids[label])
            if error > worst_error[label]:
                worst[label], worst_error[label] = number, error
        # The weights that are served worst, one of each cluster, for centroids without any.
        spare = sorted(
            (error, number)
            for error, number in zip(worst_error, worst, strict=True)
            if number is not None
        )
        moved = []
        for total, count in zip(sums, counts, strict=True):
            if count:
                moved.append(total / count)
            elif spare:
                moved.append(spare.pop()[1])
        moved = sorted(set(moved))
        if moved == centroids:
            break
        centroids = moved
    return centroids


def kmeans_1d(
    weights: Tensor, k: int, init: str = "linear", iterations: int = 50
) -> tuple[Tensor, Tensor]:
    _whole_number(iterations, "iterations", 0)
    numbers = _elements(weights)
    first = init_centroids(weights, k, init)
    start = _elements(first)
    different = sorted(set(numbers))
    if iterations == 0:
        found = start
    elif len(different) <= k:
        found = different
    else:
        found = _lloyd(numbers, start, iterations)
    centroids = torch.tensor(found, dtype=weights.dtype, device=weights.device)
    labels = torch.tensor(_labels(numbers, _elements(centroids)), device=weights.device)
    return centroids, labels.reshape(weights.shape)


def cluster_nonzero(weight: Tensor, mask: Tensor, bits: int) -> tuple[Tensor, Tensor]:
    _whole_number(bits, "bits", 1, 32)
    if mask.shape != weight.shape:
        raise ValueError(f"mask must have the shape {tuple(weight.shape)}, got {tuple(mask.shape)}")
    numbers, keep = _elements(weight), mask.flatten().tolist()
    alive = [place for place in range(len(numbers)) if keep[place] and numbers[place] != 0]
    labels = [0] * len(numbers)
    centroids = torch.zeros(1, dtype=weight.dtype, device=weight.device)
    if alive:
        nonzero = torch.tensor([numbers[place] for place in alive], dtype=weight.dtype)
        shared, of = kmeans_1d(nonzero, min(2**bits, len(alive)))
        for place, label in zip(alive, of.tolist(), strict=True):
            labels[place] = label + 1
        centroids = torch.cat([centroids, shared.to(weight.device)])
    told = torch.tensor(labels, dtype=torch.int64, device=weight.device)
    return centroids, told.reshape(weight.shape)


def decode_clusters(centroids: Tensor, labels: Tensor, shape: Sequence[int]) -> Tensor:
    indices = labels.flatten().tolist()
    if len(indices) != math.prod(shape):
        raise ValueError(f"labels: expected {math.prod(shape)} for {shape}, got {len(indices)}")
    values = centroids.tolist()
    for index in indices:
        if not 0 <= index < len(values):
            raise ValueError(f"labels must be in 0..{len(values) - 1}, got {index}")
    decoded = [values[index] for index in indices]
    return torch.tensor(decoded, dtype=centroids.dtype, device=centroids.device).reshape(
        tuple(shape)
    )


def centroid_gradient(weight_gradient: Tensor, labels: Tensor, k: int) -> Tensor:
    _whole_number(k, "k", 1)
    if weight_gradient.shape != labels.shape:
        raise ValueError(
            f"labels must have the shape {tuple(weight_gradient.shape)}, got {tuple(labels.shape)}"
        )
    sums = [0.0] * k
    for slope, label in zip(_elements(weight_gradient), labels.flatten().tolist(), strict=True):
        if not 0 <= label < k:
            raise ValueError(f"labels must be in 0..{k - 1}, got {label}")
        sums[label] += slope
    return torch.tensor(sums, dtype=weight_gradient.dtype, device=weight_gradient.device)


def codebook_step(centroids: Tensor, labels: Tensor, weight_gradient: Tensor, lr: float) -> Tensor:
    slopes = _elements(centroid_gradient(weight_gradient, labels, len(centroids)))
    moved = [c - lr * slope for c, slope in zip(_elements(centroids), slopes, strict=True)]
    return torch.tensor(moved, dtype=centroids.dtype, device=centroids.device)


def compression_ratio(n: int, k: int, bits: int = 32) -> float:
    _whole_number(n, "n", 1)
    _whole_number(k, "k", 1)
    _whole_number(bits, "bits", 1, 32)
    index_bits = 0
    while 2**index_bits < k:
        index_bits += 1
    return n * bits / (n * index_bits + k * bits)
