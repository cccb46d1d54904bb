"""Graders of clustering.py: starts and k-means."""

from __future__ import annotations

import itertools
from typing import Any

import torch
from torch import Tensor

from autograder.graders.s3_weight_clustering.clustering_inputs import (
    METHODS,
    few_values,
    plain,
    skewed,
)
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
    expect_list,
    expect_tensor,
    expect_value_error,
    property_of,
)

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


@kmeans_1d.check(weight=0.88, guard=True)
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
    for scale in (1.0, 2.0**-84, 2.0**60):  # no tolerance of its own decides when to stop
        k = rng.integer(3, 7)
        weights = scale * calm_weights(rng, 100, k)
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


@kmeans_1d.check(essential=True, weight=3)
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


@kmeans_1d.check(weight=0.44, guard=True)
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


@kmeans_1d.check(weight=0.22, guard=True)
def test_kmeans_leaves_everything_alone(student: Any, rng: RandomInputs) -> None:
    """The weights and the global random generators stay as they are."""
    weights = skewed(rng, 60)
    ref, before = student.put(weights), student.rng_fingerprint()
    for init in METHODS:
        student.kmeans_1d(ref, 4, init=init)
    check(torch.equal(student.fetch(ref), weights), "do not sort or change the weights in place")
    check(student.rng_fingerprint() == before, "draw from a generator of your own")


@kmeans_1d.check(weight=0.22, guard=True)
def test_kmeans_refuses_an_unknown_start(student: Any, rng: RandomInputs) -> None:
    """An unknown init raises ValueError."""
    expect_value_error(student.kmeans_1d, skewed(rng, 30), 4, init="kmeans++")
