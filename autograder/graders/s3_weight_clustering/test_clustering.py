"""Graders of clustering.py: starting points, k-means, weight sharing, codebook gradients."""

from __future__ import annotations

import itertools
import math
from typing import Any

import torch
from torch import Tensor

from autograder.graders.s3_weight_clustering.references import (
    evenly_spaced,
    least_error,
    lloyd,
    squared_error,
)
from autograder.graders.toolkit import (
    Exercise,
    RandomInputs,
    allclose,
    check,
    close,
    expect_float,
    expect_list,
    expect_tensor,
    expect_value_error,
    property_of,
)

METHODS = ("linear", "density", "forgy")


def plain(tensor: Tensor) -> list[float]:
    """All values as Python floats, row by row."""
    values: list[float] = tensor.double().flatten().tolist()
    return values


def skewed(rng: RandomInputs, *shape: int) -> Tensor:
    """Float32 weights of both signs with a heavy tail and no two alike, not around 0."""
    values = rng.normal(*shape)
    return values * values.abs() + rng.number(0.5, 2.0)


def few_values(rng: RandomInputs, distinct: int, n: int) -> Tensor:
    """Float32 (n,) with exactly `distinct` values, evenly spaced, each several times."""
    step = rng.choice([0.25, 0.5, 2.0])
    first = step * rng.integer(-8, -1)
    places = (torch.arange(n) % distinct)[rng.permutation(n)]
    return first + step * places.float()


# ---- init_centroids --------------------------------------------------------------------------


def expect_start(student: Any, weights: Tensor, k: int, *args: Any, **options: Any) -> list[float]:
    """The student's starting centroids: one sorted dimension, the dtype of the weights, finite."""
    centroids = expect_tensor(
        student.init_centroids(weights, k, *args, **options), "centroids", dtype=weights.dtype
    )
    check(centroids.dim() == 1, "centroids: one dimension, whatever the shape of the weights")
    check(len(centroids) > 0, "at least one centroid")
    values = plain(centroids)
    check(values == sorted(values), "sort the centroids, the smallest first")
    return values


init_centroids = Exercise("s3.init_centroids")


@init_centroids.check(weight=2)
def test_linear_start(student: Any, rng: RandomInputs) -> None:
    """By default, k values evenly spaced from the smallest to the largest weight."""
    for shape in ((rng.integer(40, 80),), (7, rng.integer(8, 12)), (4, 3, 3, 3)):
        weights = skewed(rng, *shape)
        if rng.integer(0, 1):
            weights = -weights
        k = rng.integer(2, 9)
        expected = evenly_spaced(float(weights.min()), float(weights.max()), k)
        centroids = expect_start(student, weights, k)
        check(len(centroids) == k, "there are more than k distinct weights: k centroids")
        hint = "linear: evenly spaced from minimum to maximum, both of them included"
        check(all(close(a, b, 1e-4, 1e-4) for a, b in zip(centroids, expected, strict=True)), hint)


@init_centroids.check()
def test_one_linear_centroid(student: Any, rng: RandomInputs) -> None:
    """With k = 1, linear gives the middle between smallest and largest weight."""
    for dtype in (torch.float32, torch.float64):
        weights = skewed(rng, rng.integer(30, 60)).to(dtype)
        middle = (float(weights.min()) + float(weights.max())) / 2
        centroids = expect_start(student, weights, 1, "linear")
        check(len(centroids) == 1 and close(centroids[0], middle, 1e-4, 1e-4), "k = 1: the middle")


@init_centroids.check(weight=2)
def test_density_start(student: Any, rng: RandomInputs) -> None:
    """Density gives quantiles: about equally many weights lie around each centroid."""
    n = rng.integer(300, 400)
    weights = skewed(rng, n)
    values = plain(weights)
    for k in (1, rng.integer(3, 5), rng.integer(6, 9)):
        centroids = expect_start(student, weights, k, method="density")
        check(len(centroids) == k, "there are more than k distinct weights: k centroids")
        hint = "density: centroid i is the quantile (i + 1/2) / k of the weights, i = 0..k-1"
        for i, centroid in enumerate(centroids):
            rank = n * (i + 0.5) / k
            below = sum(value < centroid - 1e-6 for value in values)
            until = sum(value <= centroid + 1e-6 for value in values)
            check(below - 2 <= rank <= until + 2, hint)


@init_centroids.check(weight=2)
def test_forgy_start(student: Any, rng: RandomInputs) -> None:
    """Forgy picks k different weights."""
    for weights in (skewed(rng, 8, 10), skewed(rng, 80).double()):
        k = rng.integer(3, 9)
        centroids = expect_start(student, weights, k, "forgy", seed=rng.seed())
        check(set(centroids) <= set(plain(weights)), "forgy: each centroid is one of the weights")
        check(len(set(centroids)) == k, "forgy: k different ones, drawn without replacement")
    repeated = few_values(rng, 5, 60)
    for seed in range(4):
        centroids = expect_start(student, repeated, 4, "forgy", seed=seed)
        check(set(centroids) <= set(plain(repeated)), "forgy: each centroid is one of the weights")
        hint = "weights may be equal: draw among the distinct values, or centroids coincide"
        check(len(set(centroids)) == len(centroids) <= 4, hint)


@init_centroids.check()
def test_forgy_follows_its_seed(student: Any, rng: RandomInputs) -> None:
    """Forgy draws the same weights for the same seed, and others for another."""
    weights, seed = skewed(rng, 200), rng.seed() % 10_000
    drawn = [tuple(expect_start(student, weights, 6, "forgy", seed=seed + i)) for i in range(4)]
    check(len(set(drawn)) > 1, "another seed should draw other weights")
    again = tuple(expect_start(student.fresh(), weights, 6, "forgy", seed=seed))
    check(again == drawn[0], "seed a generator of your own with `seed`")


@init_centroids.check(weight=2)
def test_start_has_no_more_centroids_than_values(student: Any, rng: RandomInputs) -> None:
    """A k above the number of distinct weights is reduced to it."""
    distinct = rng.integer(3, 6)
    weights = few_values(rng, distinct, rng.integer(40, 60))
    lowest, highest = float(weights.min()), float(weights.max())
    for method in METHODS:
        k = distinct + rng.integer(1, 12)
        centroids = expect_start(student, weights, k, method)
        with property_of(method):
            hint = "k is larger than the number of distinct weights: reduce it"
            check(len(centroids) <= distinct, hint)
            inside = lowest - 1e-4 <= centroids[0] and centroids[-1] <= highest + 1e-4
            check(inside, "centroids lie between the smallest and the largest weight")
    ends = expect_start(student, weights, distinct + 3)
    hint = "linear: from the smallest to the largest weight, also with a reduced k"
    check(close(ends[0], lowest, 1e-4, 1e-4) and close(ends[-1], highest, 1e-4, 1e-4), hint)
    constant = torch.full((rng.integer(5, 20),), rng.choice([-1.5, 0.25, 3.0]))
    for method in METHODS:
        centroids = expect_start(student, constant, 4, method)
        hint = "equal weights: one centroid, their value"
        check(len(centroids) == 1 and close(centroids[0], float(constant[0]), 1e-5), hint)


@init_centroids.check(weight=0.5, guard=True)
def test_start_leaves_everything_alone(student: Any, rng: RandomInputs) -> None:
    """The weights and the global random generators stay as they are."""
    weights = skewed(rng, 50)
    ref, before = student.put(weights), student.rng_fingerprint()
    for method in METHODS:
        student.init_centroids(ref, 5, method)
    check(torch.equal(student.fetch(ref), weights), "do not sort or change the weights in place")
    hint = "forgy: draw from a generator of your own, not from a global one"
    check(student.rng_fingerprint() == before, hint)


@init_centroids.check(weight=0.5, guard=True)
def test_start_refuses_bad_arguments(student: Any, rng: RandomInputs) -> None:
    """No weights, and an unknown method, raise ValueError."""
    weights = skewed(rng, 30)
    expect_value_error(student.init_centroids, weights, 4, "random")
    for method in METHODS:
        expect_value_error(student.init_centroids, weights[:0], 4, method)


# ---- kmeans_1d -------------------------------------------------------------------------------


def expect_clusters(student: Any, weights: Tensor, k: int, **options: Any) -> Any:
    """(centroids, labels, sum of squares) of the student's kmeans_1d, checked for consistency.

    Sorted finite centroids of the dtype of the weights, at most k; labels int64, each the nearest
    of the returned centroids up to rounding.
    """
    parts = expect_list(student.kmeans_1d(weights, k, **options), "kmeans_1d", length=2)
    hint = "centroids must be numbers: the mean of an empty cluster is not one"
    first = expect_tensor(parts[0], "centroids", dtype=weights.dtype, finite=False)
    check(torch.isfinite(first).all(), hint)
    check(first.dim() == 1 and 1 <= len(first) <= k, "one dimension, between 1 and k centroids")
    centroids = plain(first)
    check(centroids == sorted(centroids), "return the centroids sorted, the smallest first")
    labels = expect_tensor(parts[1], "labels", shape=weights.shape, dtype=torch.int64)
    inside = int(labels.min()) >= 0 and int(labels.max()) < len(centroids)
    check(inside, "labels are indices of the returned centroids")
    values = plain(weights)
    own = [abs(v - centroids[i]) for v, i in zip(values, labels.tolist(), strict=True)]
    best = [min(abs(v - c) for c in centroids) for v in values]
    slack = 1e-5 * (max(values) - min(values) + 1)
    hint = "label every weight with the nearest of the centroids that you return, once sorted"
    check(all(a <= b + slack for a, b in zip(own, best, strict=True)), hint)
    return centroids, labels, squared_error(values, centroids)


def calm_weights(rng: RandomInputs, n: int, k: int) -> Tensor:
    """(n,) weights on which Lloyd's algorithm from a linear start never empties a cluster."""
    while True:
        weights = rng.uniform(n, low=-1.0) + 0.3 * rng.normal(n)
        start = evenly_spaced(float(weights.min()), float(weights.max()), k)
        if not lloyd(plain(weights), start).emptied:
            return weights


kmeans_1d = Exercise("s3.kmeans_1d")


@kmeans_1d.check(weight=2, guard=True)
def test_labels_are_the_nearest_centroids(student: Any, rng: RandomInputs) -> None:
    """Labels are int64 indices of the nearest of the returned, sorted centroids."""
    for dtype in (torch.float32, torch.float64):
        for init in METHODS:
            for iterations in (1, 3, 50):
                weights = skewed(rng, rng.integer(60, 120)).to(dtype)
                k = rng.integer(3, 8)
                expect_clusters(student, weights, k, init=init, iterations=iterations)


@kmeans_1d.check(weight=3)
def test_centroids_are_means(student: Any, rng: RandomInputs) -> None:
    """In the end every centroid is the mean of its weights."""
    for init in METHODS:
        weights = skewed(rng, rng.integer(50, 70))
        centroids, labels, _ = expect_clusters(student, weights, 4, init=init, iterations=100)
        for index, centroid in enumerate(centroids):
            members = weights.double()[labels == index]
            if len(members):
                hint = "move each centroid to the mean of its weights until nothing changes"
                check(close(centroid, float(members.mean()), 1e-3, 1e-3), hint)


@kmeans_1d.check(weight=3)
def test_sum_of_squares_never_rises(student: Any, rng: RandomInputs) -> None:
    """More iterations never give a larger within-cluster sum of squares, and few a smaller one."""
    for init in METHODS:
        weights = skewed(rng, 120)
        sums = [
            expect_clusters(student, weights, 6, init=init, iterations=count)[2]
            for count in (1, 2, 3, 5, 8, 50)
        ]
        hint = "neither the assignment nor the mean can raise the sum: something else does"
        check(all(b <= a * (1 + 1e-4) for a, b in itertools.pairwise(sums)), hint)
    weights = calm_weights(rng, 100, 5)
    values = plain(weights)
    start = evenly_spaced(min(values), max(values), 5)
    for count in (1, 2, 4):
        error = expect_clusters(student, weights, 5, iterations=count)[2]
        hint = "an iteration assigns every weight and then moves every centroid"
        check(error <= lloyd(values, start, count).error * (1 + 1e-3), hint)


@kmeans_1d.check(weight=3)
def test_clusters_are_good(student: Any, rng: RandomInputs) -> None:
    """The sum of squares is at most Lloyd's from the same start, and least for clear groups."""
    for _ in range(3):
        k = rng.integer(3, 7)
        weights = calm_weights(rng, 100, k)
        values = plain(weights)
        expected = lloyd(values, evenly_spaced(min(values), max(values), k)).error
        error = expect_clusters(student, weights, k)[2]
        hint = "start linearly, and iterate until nothing changes or `iterations` are done"
        check(error <= expected * (1 + 1e-3), hint)
    k = rng.integer(3, 5)
    groups = [
        10 * i + rng.number(-2, 2) + 0.5 * rng.normal(rng.integer(8, 15)).clamp(-2, 2)
        for i in range(k)
    ]
    weights = torch.cat(groups)
    weights = weights[rng.permutation(len(weights))]
    error = expect_clusters(student, weights, k)[2]
    hint = "k groups that lie far apart should become the k clusters"
    check(error <= least_error(plain(weights), k) * (1 + 1e-3), hint)


@kmeans_1d.check(weight=3)
def test_empty_clusters(student: Any, rng: RandomInputs) -> None:
    """A centroid that loses all its weights does no harm."""
    for _ in range(2):
        near = 0.3 * rng.normal(rng.integer(20, 30))
        far = 50 + 0.3 * rng.normal(rng.integer(10, 20))
        weights = torch.cat([near, far, torch.tensor([rng.number(200, 250)])])
        values, k = plain(weights), rng.integer(7, 10)
        start = evenly_spaced(min(values), max(values), k)
        last = squared_error(values, start)
        for count in (1, 2, 3, 10, 50):
            error = expect_clusters(student, weights, k, iterations=count)[2]
            hint = "the sum of squares rose: keep or move an empty cluster's centroid with care"
            check(error <= last * (1 + 1e-4), hint)
            last = error
        hint = "groups that lie far apart should not share a centroid"
        check(last <= 1.05 * least_error(values, 3), hint)


@kmeans_1d.check(weight=2)
def test_more_clusters_than_values(student: Any, rng: RandomInputs) -> None:
    """With k above the number of distinct weights, each of them is a cluster of its own."""
    distinct = rng.integer(3, 6)
    weights = few_values(rng, distinct, rng.integer(30, 50))
    constant = torch.full((rng.integer(4, 12),), rng.number(-2, 2))
    for each, values in ((weights, distinct), (constant, 1)):
        centroids, labels, _ = expect_clusters(student, each, values + rng.integer(1, 9))
        hint = "never more centroids than distinct weights"
        check(len(centroids) <= values, hint)
        shared = torch.tensor(centroids, dtype=torch.float64)[labels]
        check(allclose(shared, each, atol=1e-4), "evenly spaced values are the centroids already")


@kmeans_1d.check()
def test_no_iteration(student: Any, rng: RandomInputs) -> None:
    """With iterations=0 the starting centroids come back, with the nearest labels."""
    weights, k = skewed(rng, 80), rng.integer(3, 6)
    values = plain(weights)
    hint = "iterations=0: the starting centroids, not yet moved"
    linear = expect_clusters(student, weights, k, iterations=0)[0]
    expected = evenly_spaced(min(values), max(values), k)
    check(len(linear) == k, hint)
    check(all(close(a, b, 1e-4, 1e-4) for a, b in zip(linear, expected, strict=True)), hint)
    forgy = expect_clusters(student, weights, k, init="forgy", iterations=0)[0]
    check(set(forgy) <= set(values), hint)


@kmeans_1d.check()
def test_ties_go_to_the_lower_index(student: Any, rng: RandomInputs) -> None:
    """A weight in the middle between two centroids belongs to the lower one."""
    step, k = rng.choice([0.5, 1.0, 2.0]), rng.integer(3, 5)
    order = rng.permutation(2 * k - 1)
    weights = step * order.float()  # every second one is a centroid, the others are ties
    _, labels, _ = expect_clusters(student, weights, k, iterations=0)
    check(torch.equal(labels, order // 2), "equally near: the lower index")


@kmeans_1d.check(guard=True)
def test_kmeans_is_deterministic(student: Any, rng: RandomInputs) -> None:
    """The same arguments give the same clusters, also in another process."""
    other = student.fresh()
    # different starts often end in the same clusters, so the starts themselves are compared too
    for init, iterations in itertools.product(METHODS, (0, 50)):
        weights = skewed(rng, 90)
        first = expect_clusters(student, weights, 5, init=init, iterations=iterations)
        for again in (student, other):
            centroids, labels, _ = expect_clusters(
                again, weights, 5, init=init, iterations=iterations
            )
            hint = "draw from a generator of your own with a fixed seed"
            check(centroids == first[0] and torch.equal(labels, first[1]), hint)


@kmeans_1d.check(weight=0.5, guard=True)
def test_kmeans_leaves_everything_alone(student: Any, rng: RandomInputs) -> None:
    """The weights and the global random generators stay as they are."""
    weights = skewed(rng, 60)
    ref, before = student.put(weights), student.rng_fingerprint()
    for init in METHODS:
        student.kmeans_1d(ref, 4, init=init)
    check(torch.equal(student.fetch(ref), weights), "do not sort or change the weights in place")
    check(student.rng_fingerprint() == before, "draw from a generator of your own")


@kmeans_1d.check(weight=0.5, guard=True)
def test_kmeans_refuses_an_unknown_start(student: Any, rng: RandomInputs) -> None:
    """An unknown init raises ValueError."""
    expect_value_error(student.kmeans_1d, skewed(rng, 30), 4, init="kmeans++")


# ---- cluster_nonzero -------------------------------------------------------------------------


def expect_shared(student: Any, other: Any, weights: Tensor, mask: Tensor, bits: int) -> Tensor:
    """What decode_clusters makes of cluster_nonzero's codes in `other`, a fresh process."""
    parts = expect_list(student.cluster_nonzero(weights, mask, bits), "cluster_nonzero", length=2)
    centroids = expect_tensor(parts[0], "centroids")
    labels = expect_tensor(parts[1], "labels", shape=weights.shape)
    integers = not (labels.is_floating_point() or labels.is_complex())
    check(integers, "labels are whole numbers")
    decoded = other.decode_clusters(centroids, labels, tuple(weights.shape))
    return expect_tensor(decoded, "the decoded weight", shape=weights.shape, dtype=weights.dtype)


def expect_zeros(decoded: Tensor, weights: Tensor, mask: Tensor) -> None:
    """Zeros exactly where `mask` prunes or a kept weight was 0."""
    check((decoded[~mask] == 0).all(), "pruned weights are exactly 0: mask True means keep")
    kept_zeros = mask & (weights == 0)
    check((decoded[kept_zeros] == 0).all(), "weights that are 0 already stay exactly 0")


def pruned_weights(rng: RandomInputs, *shape: int, share: float = 0.7) -> tuple[Tensor, Tensor]:
    """Weights without two alike, and a mask that keeps the largest 1 - `share` of them."""
    weights = skewed(rng, *shape) - 1.0
    order = weights.abs().flatten().argsort()
    mask = torch.ones(weights.numel(), dtype=torch.bool)
    mask[order[: round(share * weights.numel())]] = False
    return weights, mask.view(shape)


def kept_values(weights: Tensor, mask: Tensor) -> list[float]:
    """The nonzero weights that the mask keeps."""
    return plain(weights[mask & (weights != 0)])


cluster_nonzero = Exercise("s3.cluster_nonzero")


@cluster_nonzero.check(weight=3)
def test_zeros_stay_zero(student: Any, rng: RandomInputs) -> None:
    """Pruned weights decode to exactly 0, and so do kept weights that are 0."""
    other = student.fresh()
    for bits in (1, 2, rng.integer(3, 5)):
        weights, mask = pruned_weights(rng, rng.integer(8, 12), 15)
        weights[mask & (rng.uniform(*weights.shape) < 0.1)] = 0.0
        mask &= rng.uniform(*mask.shape) < 0.9  # prunes some large ones too
        decoded = expect_shared(student, other, weights, mask, bits)
        expect_zeros(decoded, weights, mask)
        nonzero = mask & (weights != 0)
        hint = "kept weights that are not 0 should not be lost: cluster them"
        check(int((decoded[nonzero] != 0).sum()) > 0.7 * int(nonzero.sum()), hint)


@cluster_nonzero.check(weight=3, guard=True)
def test_few_distinct_values(student: Any, rng: RandomInputs) -> None:
    """At most 2^bits distinct nonzero values are left."""
    other = student.fresh()
    for bits in (1, 2, 3, 4):
        weights, mask = pruned_weights(rng, 20, rng.integer(15, 25), share=rng.number(0.1, 0.4))
        values = set(kept_values(expect_shared(student, other, weights, mask, bits), mask))
        check(len(values) <= 2**bits, "at most 2^bits different values besides 0")


@cluster_nonzero.check(weight=4)
def test_shared_weights_are_close(student: Any, rng: RandomInputs) -> None:
    """The clustered weights are as close to the kept ones as k-means gets with 2^bits clusters."""
    other = student.fresh()
    for bits in (2, 3, 4):
        weights, mask = pruned_weights(rng, 10, rng.integer(25, 30))
        values = kept_values(weights, mask)
        start = evenly_spaced(min(values), max(values), 2**bits)
        decoded = expect_shared(student, other, weights, mask, bits)
        error = float((decoded - weights)[mask].double().square().sum())
        bound = max(lloyd(values, start).error, 3 * least_error(values, 2**bits))
        hint = "cluster the kept weights by k-means, all 2^bits centroids for them"
        check(error <= 1.3 * bound, hint)


@cluster_nonzero.check(weight=3)
def test_pruned_weights_do_not_count(student: Any, rng: RandomInputs) -> None:
    """Only kept nonzero weights decide where the centroids lie."""
    other = student.fresh()
    hint = "zeros and pruned weights pull the centroids: cluster only what is kept and not 0"
    for filler in (0.0, 100.0):
        weights = torch.full((40, 10), filler)
        mask = torch.zeros(40, 10, dtype=torch.bool)
        chosen = rng.permutation(400)[:60]
        low, high = rng.number(-3, -2), rng.number(1, 2)
        sides = torch.cat([torch.full((30,), low), torch.full((30,), high)])
        weights.view(-1)[chosen] = sides + 0.05 * rng.normal(60)
        mask.view(-1)[chosen] = True
        for keep in (mask, mask | (weights == 0)):
            decoded = expect_shared(student, other, weights, keep, 1)
            error = float((decoded - weights)[mask].double().abs().max())
            check(error < 0.5, hint)
            check((decoded[~mask] == 0).all(), "zeros stay exactly 0")


@cluster_nonzero.check()
def test_any_shape_and_dtype(student: Any, rng: RandomInputs) -> None:
    """The decoded weight has the shape and dtype of the weight, whatever they are."""
    other = student.fresh()
    for shape in ((rng.integer(30, 50),), (6, 4, 3, 3), (1, rng.integer(20, 30))):
        for dtype in (torch.float32, torch.float64):
            weights, mask = pruned_weights(rng, *shape)
            decoded = expect_shared(student, other, weights.to(dtype), mask, 2)
            expect_zeros(decoded, weights, mask)
            moved = decoded.double()[mask] - weights.double()[mask]
            hint = "labels stay where their weights were: row by row"
            check(float(moved.square().sum()) < 0.5 * float(weights[mask].square().sum()), hint)


@cluster_nonzero.check(weight=2)
def test_fewer_values_than_centroids(student: Any, rng: RandomInputs) -> None:
    """With 2^bits above the number of distinct weights, the weights come back as they were."""
    other = student.fresh()
    for bits, distinct in ((3, 5), (16, 7), (2, 1)):
        weights = few_values(rng, distinct, 48).view(6, 8) + 20.0  # none is 0
        mask = rng.uniform(6, 8) < 0.7
        for value in set(plain(weights)):  # each is kept somewhere
            mask.view(-1)[plain(weights).index(value)] = True
        decoded = expect_shared(student, other, weights, mask, bits)
        expect_zeros(decoded, weights, mask)
        hint = "more centroids than distinct weights: reduce their number"
        check(allclose(decoded[mask], weights[mask], atol=1e-3), hint)
    # Values of very uneven distances: k-means from evenly spaced centroids would join some.
    values = rng.choice([-1.0, 1.0]) * 2.0 ** torch.arange(8)
    weights = values[rng.permutation(8)].repeat(6).view(6, 8)
    mask = torch.ones_like(weights, dtype=torch.bool)
    decoded = expect_shared(student, other, weights, mask, 3)
    check(allclose(decoded, weights, atol=1e-3), "few different weights: each keeps its value")


@cluster_nonzero.check(guard=True)
def test_everything_pruned(student: Any, rng: RandomInputs) -> None:
    """A weight of which nothing is kept decodes to zeros."""
    other = student.fresh()
    weights, mask = pruned_weights(rng, 5, rng.integer(4, 9))
    decoded = expect_shared(student, other, weights, torch.zeros_like(mask), 2)
    check((decoded == 0).all(), "nothing is kept: all zeros")
    decoded = expect_shared(student, other, torch.zeros_like(weights), torch.ones_like(mask), 2)
    check((decoded == 0).all(), "nothing but zeros: all zeros")


@cluster_nonzero.check(weight=0.5, guard=True)
def test_sharing_leaves_inputs_alone(student: Any, rng: RandomInputs) -> None:
    """Neither the weight nor the mask is changed."""
    weights, mask = pruned_weights(rng, 6, 9)
    refs = student.put(weights), student.put(mask)
    student.cluster_nonzero(*refs, 2)
    check(torch.equal(student.fetch(refs[0]), weights), "the weight was changed in place")
    check(torch.equal(student.fetch(refs[1]), mask), "the mask was changed in place")


@cluster_nonzero.check(weight=0.5, guard=True)
def test_sharing_refuses_bad_arguments(student: Any, rng: RandomInputs) -> None:
    """Bits outside 1..32 or not whole, and a mask of another shape, raise ValueError."""
    weights, mask = pruned_weights(rng, 6, 8)
    for bits in (0, -rng.integer(1, 5), 33, 2.5):
        expect_value_error(student.cluster_nonzero, weights, mask, bits)
    expect_value_error(student.cluster_nonzero, weights, mask[:, :7], 2)
    expect_value_error(student.cluster_nonzero, weights, mask[:5], 2)


# ---- centroid_gradient, codebook_step --------------------------------------------------------


def summed(gradient: Tensor, labels: Tensor, k: int) -> list[float]:
    """The sum of the gradient over each label, element by element."""
    sums = [0.0] * k
    for value, label in zip(plain(gradient), labels.flatten().tolist(), strict=True):
        sums[label] += value
    return sums


def uneven_labels(rng: RandomInputs, k: int, *shape: int) -> Tensor:
    """Int64 labels below k of `shape`, small ones more often; 0, 1 and k - 1 occur."""
    labels = torch.minimum(rng.integers(0, k - 1, *shape), rng.integers(0, k - 1, *shape))
    labels.view(-1)[:3] = torch.tensor([0, 1, k - 1])
    return labels


def expect_gradient(
    student: Any, hint: str, gradient: Tensor, labels: Tensor, k: int, rtol: float = 1e-4
) -> None:
    """Check one call of the student's centroid_gradient."""
    value = expect_tensor(
        student.centroid_gradient(gradient, labels, k), "centroid_gradient", (k,), gradient.dtype
    )
    expected = torch.tensor(summed(gradient, labels, k), dtype=torch.float64)
    check(allclose(value, expected, rtol=rtol, atol=rtol), hint)


centroid_gradient = Exercise("s3.centroid_gradient")


@centroid_gradient.check(weight=3)
def test_gradient_is_summed(student: Any, rng: RandomInputs) -> None:
    """The gradient of a centroid is the sum over its weights' gradients."""
    for _ in range(3):
        k, n = rng.integer(3, 7), rng.integer(40, 90)
        labels = uneven_labels(rng, k, n)
        gradient = rng.normal(n, mean=rng.choice([-0.5, 0.5]))
        expect_gradient(student, "the sum per cluster, not the mean", gradient, labels, k)


@centroid_gradient.check(weight=2)
def test_gradient_of_any_shape(student: Any, rng: RandomInputs) -> None:
    """Gradient and labels may have any shape; the dtype of the gradient is kept."""
    for shape in ((rng.integer(5, 9), 8), (4, 3, 3, 3)):
        k = rng.integer(3, 7)
        labels = uneven_labels(rng, k, *shape)
        expect_gradient(student, "one sum per cluster", rng.normal(*shape), labels, k)
        double = rng.normal(*shape).double() + 1e-9
        hint = "float64 gradients are summed in float64"
        expect_gradient(student, hint, double, labels, k, rtol=1e-10)


@centroid_gradient.check(weight=2)
def test_gradient_of_unused_centroids(student: Any, rng: RandomInputs) -> None:
    """A centroid without weights has gradient 0, also the last ones."""
    k, n = rng.integer(3, 5), rng.integer(20, 40)
    labels = uneven_labels(rng, k, n) * 2 + 1
    hint = "k entries, 0 for a centroid that no weight uses"
    expect_gradient(student, hint, rng.normal(n, mean=0.5), labels, 2 * k + rng.integer(2, 5))
    expect_gradient(student, hint, rng.normal(n, mean=0.5), torch.zeros_like(labels), 1)


@centroid_gradient.check(guard=True)
def test_gradient_refuses_labels_outside(student: Any, rng: RandomInputs) -> None:
    """Labels outside 0..k-1, and shapes that differ, raise ValueError."""
    k, n = rng.integer(3, 7), rng.integer(20, 40)
    labels, gradient = uneven_labels(rng, k, n), rng.normal(n)
    for wrong in (k, k + rng.integer(1, 5), -1):
        changed = labels.clone()
        changed[rng.integer(0, n - 1)] = wrong
        expect_value_error(student.centroid_gradient, gradient, changed, k)
    expect_value_error(student.centroid_gradient, gradient[:-1], labels, k)


def expect_step(
    student: Any, hint: str, centroids: Tensor, labels: Tensor, gradient: Tensor, lr: float
) -> None:
    """Check one call of the student's codebook_step against sums in Python."""
    value = expect_tensor(
        student.codebook_step(centroids, labels, gradient, lr),
        "the new centroids",
        centroids.shape,
        centroids.dtype,
    )
    sums = torch.tensor(summed(gradient, labels, len(centroids)), dtype=torch.float64)
    check(allclose(value, centroids.double() - lr * sums, rtol=1e-4, atol=1e-4), hint)


codebook_step = Exercise("s3.codebook_step")


@codebook_step.check(weight=3)
def test_step_moves_centroids(student: Any, rng: RandomInputs) -> None:
    """Every centroid moves by -lr times the sum of its weights' gradients."""
    for shape in ((rng.integer(30, 60),), (rng.integer(5, 9), 7)):
        k = rng.integer(3, 7)
        centroids = rng.normal(k).sort().values
        labels = uneven_labels(rng, k, *shape)
        gradient = rng.normal(*shape, mean=rng.choice([-0.5, 0.5]))
        hint = "centroids - lr * sum of the gradient over each cluster"
        expect_step(student, hint, centroids, labels, gradient, rng.number(0.01, 0.1))


@codebook_step.check(weight=2)
def test_step_keeps_labels(student: Any, rng: RandomInputs) -> None:
    """Centroids keep their places: no sorting and no new assignment, even if they overtake."""
    k = rng.integer(3, 5)
    centroids = torch.arange(k).float()
    labels = uneven_labels(rng, k, 40)
    gradient = torch.where(labels == 0, -1.0, 1.0) * (1 + rng.uniform(40))
    hint = "labels refer to places in the codebook: do not sort it, do not assign anew"
    expect_step(student, hint, centroids, labels, gradient, 1.0)
    unused = torch.cat([centroids, torch.tensor([rng.number(5, 9)])]).double()
    hint = "a centroid without weights stays; the dtype too"
    expect_step(student, hint, unused, labels, gradient.double(), rng.number(0.1, 0.5))


@codebook_step.check(guard=True)
def test_step_returns_new_centroids(student: Any, rng: RandomInputs) -> None:
    """The codebook, labels and gradient that were passed in stay as they are."""
    k = rng.integer(3, 7)
    values = (rng.normal(k), uneven_labels(rng, k, 30), rng.normal(30))
    refs = [student.put(value) for value in values]
    moved = student.codebook_step(*refs, 0.1)
    expect_tensor(moved, "the new centroids", (k,))
    for ref, value in zip(refs, values, strict=True):
        check(torch.equal(student.fetch(ref), value), "return new centroids, change nothing")


# ---- compression_ratio -----------------------------------------------------------------------


def expect_ratio(student: Any, hint: str, n: int, k: int, *args: int, **options: int) -> None:
    """Check one call of the student's compression_ratio; index bits are counted, not computed."""
    bits = options.get("bits", args[0] if args else 32)
    index_bits = next(count for count in range(64) if 2**count >= k)
    expected = n * bits / (n * index_bits + k * bits)
    value = expect_float(student.compression_ratio(n, k, *args, **options), "compression_ratio")
    check(close(value, expected, rtol=1e-6), hint)


compression_ratio = Exercise("s3.compression_ratio")


@compression_ratio.check(weight=2)
def test_ratio_counts_indices_and_codebook(student: Any, rng: RandomInputs) -> None:
    """With k a power of two: n weights against n indices and a codebook of k weights."""
    for _ in range(5):
        k = 2 ** rng.integer(1, 8)
        hint = "n * b / (n * log2 k + k * b): indices and codebook, in bits"
        expect_ratio(student, hint, rng.integer(k, 5 * k), k)


@compression_ratio.check(weight=2)
def test_ratio_uses_whole_index_bits(student: Any, rng: RandomInputs) -> None:
    """Other k round the bits of an index up."""
    for k in (3, 5, 2 ** rng.integer(4, 7) + 1, 2 ** rng.integer(4, 7) - 1):
        hint = "an index takes ceil(log2 k) bits"
        expect_ratio(student, hint, rng.integer(300, 900), k)


@compression_ratio.check(guard=True)
def test_ratio_of_one_centroid(student: Any, rng: RandomInputs) -> None:
    """With k = 1 indices take no bits at all."""
    hint = "k = 1: there is nothing to choose, 0 bits an index"
    expect_ratio(student, hint, rng.integer(10, 90), 1)


@compression_ratio.check()
def test_ratio_of_other_weights(student: Any, rng: RandomInputs) -> None:
    """`bits` is the size of an uncompressed weight and of a codebook entry."""
    for bits in (16, 8, rng.integer(9, 15)):
        hint = "weights and codebook entries take `bits` each"
        expect_ratio(student, hint, rng.integer(50, 90), rng.integer(2, 20), bits=bits)


@compression_ratio.check(weight=0.5, guard=True)
def test_ratio_refuses_wrong_bits(student: Any, rng: RandomInputs) -> None:
    """Bits outside 1..32 or not whole raise ValueError."""
    for bits in (0, -rng.integer(1, 8), 33, math.pi):
        expect_value_error(student.compression_ratio, rng.integer(50, 90), 4, bits)
