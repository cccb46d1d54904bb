"""Public tests of clustering.py: small cases whose answers you can work out on paper.

`autograder check s3` runs them. They show the expected values; the hidden graders use other
inputs, so code that fits only these numbers earns nothing there.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from autograder.graders.toolkit import (
    Exercise,
    allclose,
    check,
    close,
    expect_float,
    expect_list,
    expect_tensor,
    expect_value_error,
)

LINE = torch.tensor([1.0, 2.0, 9.0, 10.0, 11.0])


def clusters(result: object, shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """(centroids, labels) of a result, with labels in `shape` that the centroids have."""
    centroids, labels = expect_list(result, "the result", length=2)
    centroids = expect_tensor(centroids, "centroids", dtype=torch.float32)
    check(centroids.dim() == 1, "centroids are a vector")
    labels = expect_tensor(labels, "labels", shape, torch.int64)
    inside = bool((labels >= 0).all()) and bool((labels < len(centroids)).all())
    check(inside, "every label is the index of a centroid")
    return centroids, labels


# ---- k-means -----------------------------------------------------------------------------------


init_centroids = Exercise("s3.init_centroids")


@init_centroids.check(visibility="visible")
def test_linear_start_by_hand(student: Any) -> None:
    """Three centroids from 0 to 8 are 0, 4 and 8; a single one is the middle."""
    weights = torch.tensor([8.0, 0.0, 1.0, 1.0, 2.0])
    start = expect_tensor(student.init_centroids(weights, 3), "init_centroids", (3,), torch.float32)
    check(allclose(start, torch.tensor([0.0, 4.0, 8.0])), "evenly spaced, both ends included")
    one = expect_tensor(student.init_centroids(weights, 1), "init_centroids", (1,))
    check(close(one.item(), 4.0), "the middle between the smallest and the largest weight")
    expect_value_error(student.init_centroids, weights, 3, method="liner")


@init_centroids.check(visibility="visible")
def test_no_more_centroids_than_values(student: Any) -> None:
    """Two different weights get two centroids, whatever k is."""
    weights = torch.tensor([1.0, 1.0, -1.0, 1.0])
    for method in ("linear", "density", "forgy"):
        start = student.init_centroids(weights, 5, method=method)
        start = expect_tensor(start, method)
        check(1 <= len(start) <= 2, "k is at most the number of distinct weights")
        check(bool((start.diff() >= 0).all()), "centroids are sorted")


kmeans_1d = Exercise("s3.kmeans_1d")


@kmeans_1d.check(visibility="visible")
def test_two_clusters_by_hand(student: Any) -> None:
    """1 and 2 have the mean 1.5; 9, 10 and 11 have the mean 10."""
    centroids, labels = clusters(student.kmeans_1d(LINE, 2), (5,))
    check(
        allclose(centroids, torch.tensor([1.5, 10.0])), "each centroid is the mean of its weights"
    )
    check(labels.tolist() == [0, 0, 1, 1, 1], "each label is the nearest centroid's")


@kmeans_1d.check(visibility="visible")
def test_no_iterations(student: Any) -> None:
    """Without iterations the start is kept: 1, 6 and 11, and 1.5 is not a centroid yet."""
    centroids, labels = clusters(student.kmeans_1d(LINE, 3, iterations=0), (5,))
    check(allclose(centroids, torch.tensor([1.0, 6.0, 11.0])), "the centroids of init_centroids")
    check(labels.tolist() == [0, 0, 2, 2, 2], "9 is nearer to 11 than to 6")


@kmeans_1d.check(visibility="visible")
def test_empty_cluster_gets_a_weight(student: Any) -> None:
    """From 0, 5 and 10 the middle one has no weights; still no centroid is NaN."""
    weights = torch.tensor([0.0, 1.0, 9.0, 10.0])
    centroids, labels = clusters(student.kmeans_1d(weights, 3), (4,))
    error = float(((centroids[labels] - weights) ** 2).sum())
    check(error <= 1.0, "two clusters alone would give 4 * 0.5 ** 2 = 1")


# ---- weight sharing ----------------------------------------------------------------------------


cluster_nonzero = Exercise("s3.cluster_nonzero")


@cluster_nonzero.check(visibility="visible")
def test_zeros_stay_zero(student: Any) -> None:
    """With one bit 0, 1, 9, 2, 0.1 (pruned) and 11 become 0, 1.5, 10, 1.5, 0 and 10."""
    weight = torch.tensor([[0.0, 1.0, 9.0], [2.0, 0.1, 11.0]])
    centroids, labels = clusters(student.cluster_nonzero(weight, weight.abs() > 0.5, 1), (2, 3))
    decoded = student.decode_clusters(centroids, labels, (2, 3))
    decoded = expect_tensor(decoded, "decode_clusters", (2, 3), torch.float32)
    check(decoded[1, 1].item() == 0, "a pruned weight becomes exactly 0")
    check(decoded[0, 0].item() == 0, "a kept weight that is 0 stays 0")
    expected = torch.tensor([[0.0, 1.5, 10.0], [1.5, 0.0, 10.0]])
    check(allclose(decoded, expected), "the mean of 1 and 2, and that of 9 and 11")


# ---- fine-tuning and cost ----------------------------------------------------------------------


centroid_gradient = Exercise("s3.centroid_gradient")


@centroid_gradient.check(visibility="visible")
def test_gradient_is_summed(student: Any) -> None:
    """Weights with the gradients 1 and 4 share a centroid, whose gradient is 5."""
    gradient, labels = torch.tensor([1.0, 2.0, 4.0]), torch.tensor([0, 2, 0])
    result = student.centroid_gradient(gradient, labels, 3)
    result = expect_tensor(result, "centroid_gradient", (3,), torch.float32)
    check(allclose(result, torch.tensor([5.0, 0.0, 2.0])), "a sum for each centroid, not a mean")
    expect_value_error(student.centroid_gradient, gradient, labels, 2)


codebook_step = Exercise("s3.codebook_step")


@codebook_step.check(visibility="visible")
def test_step_by_hand(student: Any) -> None:
    """Gradients of 1 for one and three weights move the centroids by 0.5 and 1.5 at lr = 0.5."""
    centroids, labels = torch.tensor([-1.0, 2.0]), torch.tensor([[0, 1], [1, 1]])
    moved = student.codebook_step(centroids, labels, torch.ones(2, 2), 0.5)
    moved = expect_tensor(moved, "codebook_step", (2,), torch.float32)
    check(allclose(moved, torch.tensor([-1.5, 0.5])), "centroid - lr * (sum of its gradients)")


compression_ratio = Exercise("s3.compression_ratio")


@compression_ratio.check(visibility="visible")
def test_ratio_of_the_paper(student: Any) -> None:
    """The paper's example: 16 weights with 4 shared values are 3.2 times smaller."""
    ratio = expect_float(student.compression_ratio(16, 4), "compression_ratio")
    check(close(ratio, 3.2), "16 * 32 bits to 16 * 2 + 4 * 32")
    ratio = expect_float(student.compression_ratio(10, 5), "compression_ratio")
    check(close(ratio, 320 / 190), "5 centroids need 3 bits: 10 * 3 + 5 * 32")
    ratio = expect_float(student.compression_ratio(10, 1), "compression_ratio")
    check(close(ratio, 10.0), "one centroid needs no label at all")
