"""Graders of clustering.py: shared weights, their training, what they cost."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from autograder.graders.s3_weight_clustering.clustering_inputs import few_values, plain, skewed
from autograder.graders.s3_weight_clustering.references import (
    evenly_spaced,
    least_error,
    lloyd,
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
)

# ---- cluster_nonzero -------------------------------------------------------------------------


def expect_shared(student: Any, other: Any, weights: Tensor, mask: Tensor, bits: int) -> Tensor:
    """What decode_clusters makes of cluster_nonzero's codes in `other`, a fresh process."""
    parts = expect_list(student.cluster_nonzero(weights, mask, bits), "cluster_nonzero", length=2)
    centroids = expect_tensor(parts[0], "centroids")
    labels = expect_tensor(parts[1], "labels", shape=weights.shape)
    integers = not (labels.is_floating_point() or labels.is_complex())
    check(integers, "labels are whole numbers")
    decoded = other.decode_clusters(centroids, labels, tuple(weights.shape))
    decoded = expect_tensor(decoded, "the decoded weight", shape=weights.shape)
    hint = "the decoded weight has the dtype of the weight"
    check(decoded.dtype in (weights.dtype, torch.float64), hint)  # float64 is free
    return decoded.to(weights.dtype)


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


@cluster_nonzero.check(weight=0.86, guard=True)
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
        weights = weights * {2: 1.0, 3: 2.0**-84, 4: 2.0**60}[bits]  # tiny is not zero
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
    """With 2^bits above the number of distinct weights, it is as close as k-means gets."""
    other = student.fresh()
    uneven = rng.choice([-1.0, 1.0]) * 2.0 ** torch.arange(8)  # of which k-means may join some
    few = {bits: few_values(rng, count, 48) + 20.0 for bits, count in ((3, 5), (16, 7), (2, 1))}
    cases = [*few.items(), (3, uneven.repeat(6)), (4, uneven.repeat(6))]
    for bits, values in cases:
        weights = values[rng.permutation(48)].view(6, 8)
        mask = rng.uniform(6, 8) < 0.7
        for value in set(plain(weights)):  # each is kept somewhere
            mask.view(-1)[plain(weights).index(value)] = True
        decoded = expect_shared(student, other, weights, mask, bits)
        expect_zeros(decoded, weights, mask)
        kept = kept_values(weights, mask)
        start = evenly_spaced(min(kept), max(kept), min(len(set(kept)), 2**bits))
        error = float((decoded - weights)[mask].double().square().sum())
        hint = "more centroids than distinct weights: reduce their number"
        check(error <= 1.3 * lloyd(kept, start).error + 1e-6 * len(kept), hint)


@cluster_nonzero.check(weight=0.28, guard=True)
def test_everything_pruned(student: Any, rng: RandomInputs) -> None:
    """A weight of which nothing is kept decodes to zeros."""
    other = student.fresh()
    weights, mask = pruned_weights(rng, 5, rng.integer(4, 9))
    decoded = expect_shared(student, other, weights, torch.zeros_like(mask), 2)
    check((decoded == 0).all(), "nothing is kept: all zeros")
    decoded = expect_shared(student, other, torch.zeros_like(weights), torch.ones_like(mask), 2)
    check((decoded == 0).all(), "nothing but zeros: all zeros")


@cluster_nonzero.check(weight=0.14, guard=True)
def test_sharing_leaves_inputs_alone(student: Any, rng: RandomInputs) -> None:
    """Neither the weight nor the mask is changed."""
    weights, mask = pruned_weights(rng, 6, 9)
    refs = student.put(weights), student.put(mask)
    student.cluster_nonzero(*refs, 2)
    check(torch.equal(student.fetch(refs[0]), weights), "the weight was changed in place")
    check(torch.equal(student.fetch(refs[1]), mask), "the mask was changed in place")


@cluster_nonzero.check(weight=0.14, guard=True)
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


@centroid_gradient.check(weight=0.2)
def test_summing_leaves_its_arguments_alone(student: Any, rng: RandomInputs) -> None:
    """Sums are right, and gradient and labels unchanged."""
    k, n = rng.integer(3, 7), rng.integer(40, 90)
    values = rng.normal(n, mean=0.5), uneven_labels(rng, k, n)
    live = [student.put(value) for value in values]
    found = expect_tensor(student.centroid_gradient(*live, k), "centroid_gradient", (k,))
    expected = torch.tensor(summed(*values, k), dtype=torch.float64)
    check(allclose(found, expected, rtol=1e-4, atol=1e-4), "the sum per cluster")
    for ref, value in zip(live, values, strict=True):
        check(torch.equal(student.fetch(ref), value), "an argument was changed in place")


@centroid_gradient.check(weight=0.77, guard=True)
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


@codebook_step.check(weight=0.55, guard=True)
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


@compression_ratio.check(weight=0.37, guard=True)
def test_ratio_of_one_centroid(student: Any, rng: RandomInputs) -> None:
    """With k = 1 indices take no bits at all."""
    hint = "k = 1: there is nothing to choose, 0 bits an index"
    expect_ratio(student, hint, rng.integer(10, 90), 1)
    expect_ratio(student, hint, 1, 1)


@compression_ratio.check()
def test_ratio_of_other_weights(student: Any, rng: RandomInputs) -> None:
    """`bits` is the size of an uncompressed weight and of a codebook entry."""
    for bits in (16, 8, rng.integer(9, 15)):
        hint = "weights and codebook entries take `bits` each"
        expect_ratio(student, hint, rng.integer(50, 90), rng.integer(2, 20), bits=bits)


@compression_ratio.check(weight=0.18, guard=True)
def test_ratio_refuses_wrong_bits(student: Any, rng: RandomInputs) -> None:
    """Bits outside 1..32 or not whole raise ValueError."""
    for bits in (0, -rng.integer(1, 8), 33, math.pi):
        expect_value_error(student.compression_ratio, rng.integer(50, 90), 4, bits)
