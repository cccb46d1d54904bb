"""Slow references and the trained network of session 3's graders.

Nothing here shares code with `shared` or with the solution: clusterings are found by dynamic
programming or plain loops, code lengths by merging in a heap, code words checked bit by bit.
"""

from __future__ import annotations

import functools
import heapq
import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from autograder.graders.toolkit import RandomInputs, drawn_once
from shared.data import load_digits
from shared.seeding import isolated_rng

State = dict[str, Tensor]

# ---- clusters ------------------------------------------------------------------------------


def evenly_spaced(low: float, high: float, k: int) -> list[float]:
    """`k` numbers from `low` to `high`, both included; their middle for k = 1."""
    if k == 1:
        return [(low + high) / 2]
    return [low + (high - low) * i / (k - 1) for i in range(k)]


def nearest(value: float, centroids: Sequence[float]) -> int:
    """The index of the nearest centroid, the lowest of several."""
    return min(range(len(centroids)), key=lambda i: (abs(value - centroids[i]), i))


def squared_error(values: Sequence[float], centroids: Sequence[float]) -> float:
    """Sum of squared distances to the nearest centroid."""
    return math.fsum(min((value - c) ** 2 for c in centroids) for value in values)


@dataclass(frozen=True)
class Clustering:
    """What Lloyd's algorithm ended with; `emptied` says whether a cluster ever had no value."""

    centroids: list[float]
    error: float
    emptied: bool


def lloyd(values: Sequence[float], start: Sequence[float], iterations: int = 50) -> Clustering:
    """Lloyd's algorithm (1982), value by value; the centroid of an empty cluster stays."""
    centroids, emptied = list(start), False
    for _ in range(iterations):
        members: list[list[float]] = [[] for _ in centroids]
        for value in values:
            members[nearest(value, centroids)].append(value)
        emptied = emptied or not all(members)
        moved = [
            math.fsum(each) / len(each) if each else c
            for each, c in zip(members, centroids, strict=True)
        ]
        if moved == centroids:
            break
        centroids = sorted(moved)
    return Clustering(centroids, squared_error(values, centroids), emptied)


def least_error(values: Sequence[float], k: int) -> float:
    """The smallest possible sum of squares with `k` clusters.

    Dynamic programming over the sorted values (Bellman 1973): clusters in one dimension are
    intervals. O(k n^2).
    """
    ordered = sorted(values)
    n = len(ordered)
    middle = ordered[n // 2]  # shifted towards 0, so that differences of squares stay exact enough
    sums, squares = [0.0], [0.0]
    for value in ordered:
        sums.append(sums[-1] + value - middle)
        squares.append(squares[-1] + (value - middle) ** 2)

    def error(first: int, end: int) -> float:
        total = sums[end] - sums[first]
        return max(squares[end] - squares[first] - total * total / (end - first), 0.0)

    best = [0.0] + [error(0, end) for end in range(1, n + 1)]
    for _ in range(1, min(k, n)):
        best = [0.0] + [
            min(best[first] + error(first, end) for first in range(end)) for end in range(1, n + 1)
        ]
    return best[n]


# ---- codes ---------------------------------------------------------------------------------


def huffman_bits(frequencies: Iterable[float]) -> Fraction:
    """The least sum of frequency times code length, by merging the two smallest again and again.

    Every merge lengthens by one bit the codes of everything below it. One symbol takes one bit.
    """
    heap = [Fraction(frequency) for frequency in frequencies]
    if len(heap) == 1:
        return heap[0]
    heapq.heapify(heap)
    total = Fraction(0)
    while len(heap) > 1:
        merged = heapq.heappop(heap) + heapq.heappop(heap)
        total += merged
        heapq.heappush(heap, merged)
    return total


def is_prefix_free(words: Iterable[str]) -> bool:
    """Whether no word begins with another one.

    In sorted order a beginning stands right before a word that has it, so neighbours are enough,
    and the work is linear in the bits of words that may have any length.
    """
    listed = sorted(words)
    return not any(after.startswith(word) for word, after in itertools.pairwise(listed))


def entropy_bits(frequencies: Mapping[Any, float]) -> float:
    """Shannon's entropy in bits a symbol; 0 for nothing."""
    total = math.fsum(frequencies.values())
    shares = [f / total for f in frequencies.values() if f > 0]
    return math.fsum(share * math.log2(1 / share) for share in shares)


def position_bytes(n: int, kept: int) -> float:
    """What no code can undercut on average: log2 of the number of ways to choose `kept` of `n`."""
    ways = math.lgamma(n + 1) - math.lgamma(kept + 1) - math.lgamma(n - kept + 1)
    return ways / math.log(2) / 8


# ---- a trained and pruned network ----------------------------------------------------------

SIZES = (64, 300, 100, 10)
DENSITIES = (0.08, 0.06, 0.3)
LEAST_SPARSITY = 0.7
TRAINING_IMAGES = 1000
STEPS = 300
PRUNING = range(80, 211, 10)
PEAK_RATE = 0.3


@dataclass(frozen=True)
class TrainedState:
    """A pruned network for digits that nobody else has, and digits that it has not seen."""

    state: State
    images: Tensor
    labels: Tensor

    def accuracy(self, state: State) -> float:
        """Share of right predictions on the held-out digits of a network with this state."""
        network = _network()
        network.load_state_dict(state)
        with torch.no_grad():
            return float((network(self.images).argmax(1) == self.labels).double().mean())


@functools.cache
def _digits() -> tuple[Tensor, Tensor]:
    """All embedded digits, float32 (N, 64) in 0..1 and labels."""
    data = load_digits().scaled()
    parts = (data.train, data.validation, data.test)
    images = torch.cat([part.images for part in parts]).flatten(1)
    return images, torch.cat([part.labels for part in parts])


def _network() -> nn.Sequential:
    """A small LeNet-300-100; as in many published networks only the last layer has a bias."""
    inputs, first, second, classes = SIZES
    return nn.Sequential(
        nn.Linear(inputs, first, bias=False),
        nn.ReLU(),
        nn.Linear(first, second, bias=False),
        nn.ReLU(),
        nn.Linear(second, classes),
    )


@drawn_once
def trained_network(rng: RandomInputs) -> TrainedState:
    """A network trained and gradually pruned on digits within a second.

    Initial weights, order of the samples, pixels and classes are drawn from `rng`: weights that
    somebody prepared before do not fit, and training on the public digits does not help.
    """
    images, labels = _digits()
    order = rng.permutation(len(labels))
    images, labels = images[order][:, rng.permutation(64)], rng.permutation(10)[labels[order]]
    with isolated_rng(rng.seed()):
        network = _network()
    parameters = list(network.parameters())
    weights = [each for each in parameters if each.dim() > 1]
    masks = [torch.ones_like(weight) for weight in weights]
    velocities = [torch.zeros_like(each) for each in parameters]
    for step in range(STEPS):
        rate = PEAK_RATE * min(1.0, step / 30) * (1 + math.cos(math.pi * step / STEPS)) / 2
        batch = rng.integers(0, TRAINING_IMAGES - 1, 128)
        loss = F.cross_entropy(network(images[batch]), labels[batch])
        gradients = torch.autograd.grad(loss, parameters)
        with torch.no_grad():  # SGD with momentum and weight decay
            for each, velocity, gradient in zip(parameters, velocities, gradients, strict=True):
                velocity.mul_(0.9).add_(gradient).add_(each, alpha=1e-4)
                each.sub_(velocity, alpha=rate)
            if step in PRUNING:
                share = 1 - (1 - PRUNING.index(step) / (len(PRUNING) - 1)) ** 3
                masks = [
                    _largest(weight, 1 - (1 - density) * share)
                    for weight, density in zip(weights, DENSITIES, strict=True)
                ]
            for weight, mask in zip(weights, masks, strict=True):
                weight.mul_(mask)
    state = {name: value.detach().clone() for name, value in network.state_dict().items()}
    return TrainedState(state, images[TRAINING_IMAGES:], labels[TRAINING_IMAGES:])


def _largest(weight: Tensor, density: float) -> Tensor:
    """A mask of ones at the share `density` of largest magnitudes, zeros elsewhere."""
    kept = weight.abs().flatten().topk(round(density * weight.numel())).indices
    return torch.zeros(weight.numel()).index_fill_(0, kept, 1.0).view_as(weight)
