"""Session 3, clustering: many weights share few values (Han et al., Deep Compression, 2016).

A layer keeps a *codebook* of k centroids and, for every weight, the *label* (index) of its
centroid. Weights are numbers on a line, so a cluster is an interval, and sorted centroids make
"the nearest one" a binary search.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from shared.checks import check_bits, check_choice, check_int, check_integers, check_shape

METHODS = ("linear", "density", "forgy")


def _distinct(weights: Tensor) -> tuple[Tensor, Tensor]:
    """The different weights, ascending, as float64 (n,), and how often each occurs, int64 (n,).

    ValueError if there are no weights.
    """
    if weights.numel() == 0:
        raise ValueError(f"weights: expected at least one element, got {tuple(weights.shape)}")
    values, counts = weights.detach().double().unique(return_counts=True)
    return values, counts


def _nearest(values: Tensor, centroids: Tensor) -> Tensor:
    """The index of the centroid nearest to each value, the lower one of two equally near.

    `centroids` (k,) are sorted; both are float64, and the int64 result has the shape of `values`.

    >>> _nearest(torch.tensor([-1.0, 0.5, 0.6]), torch.tensor([0.0, 1.0]))
    tensor([0, 0, 1])
    """
    middles = (centroids[:-1] + centroids[1:]) / 2
    return torch.searchsorted(middles, values.contiguous())  # how many middles lie below a value


# ---- k-means -----------------------------------------------------------------------------------


def init_centroids(weights: Tensor, k: int, method: str = "linear", seed: int = 0) -> Tensor:
    """Return the centroids that k-means starts from, sorted (Han et al. 2016, section 3.2).

    - "linear": evenly spaced from the smallest to the largest weight, both included; for k = 1
      the middle between them. Large weights, which are rare but matter, get centroids as well.
    - "density": the quantiles (i + 1/2) / k, i = 0..k-1, of the weights (linear interpolation
      between neighbours), so that about equally many weights lie around each centroid.
    - "forgy": k different values among the weights, drawn by a `torch.Generator` with `seed`.

    Args:
        weights: floating, any shape, at least one element; not changed.
        k: how many, at least 1; if there are fewer distinct weights, as many as those.
        method: one of the three names.
        seed: for "forgy" only; the same seed gives the same centroids.

    Returns:
        (min(k, distinct),) in the dtype and on the device of `weights`.

    Raises:
        ValueError: if `weights` is empty, `k` below 1 or `method` unknown.

    >>> init_centroids(torch.tensor([0.0, 1.0, 1.0, 2.0, 8.0]), 3)
    tensor([0., 4., 8.])
    """
    # BEGIN SOLUTION s3.init_centroids
    check_int("k", k, 1)
    check_choice("method", method, METHODS)
    distinct, counts = _distinct(weights)
    k = min(k, len(distinct))
    share = (torch.arange(k, dtype=torch.float64, device=weights.device) + 0.5) / k
    if method == "linear":
        if k > 1:
            share = (share - share[0]) / (share[-1] - share[0])  # 0..1, ends included
        centroids = (1 - share) * distinct[0] + share * distinct[-1]  # exact at both ends
    elif method == "density":
        values = distinct.repeat_interleave(counts)
        place = share * (len(values) - 1)
        below, above = values[place.floor().long()], values[place.ceil().long()]
        centroids = below + place.frac() * (above - below)
    else:
        chosen = torch.randperm(len(distinct), generator=torch.Generator().manual_seed(seed))[:k]
        centroids = distinct[chosen.to(weights.device)].sort().values
    return centroids.to(weights.dtype)
    # END SOLUTION


def kmeans_1d(
    weights: Tensor, k: int, init: str = "linear", iterations: int = 50
) -> tuple[Tensor, Tensor]:
    """Return (centroids, labels) that make the within-cluster sum of squares small.

    Minimises sum_i (w_i - c_label(i))^2 (Han et al. 2016, equation 2). One iteration assigns every
    weight to its nearest centroid, then moves every centroid to the mean of its weights (Lloyd's
    algorithm); neither step can raise the sum. A centroid that lost all its weights has no mean:
    give it a weight that is badly served where it is. Stops early once nothing changes. The
    same arguments always give the same result.

    Args:
        weights: floating, any shape, at least one element; not changed.
        k: clusters, at least 1; never more than there are distinct weights.
        init: method of `init_centroids`.
        iterations: at most so many, at least 0. With 0 the centroids are those of
            `init_centroids`, and only the labels are computed.

    Returns:
        centroids: (at most k,), sorted, in the dtype of `weights`.
        labels: int64 in the shape of `weights`: the nearest of the *returned* centroids, of two
            equally near ones the lower index.

    Raises:
        ValueError: if `weights` is empty, `k` below 1, `iterations` below 0 or `init` unknown.

    >>> kmeans_1d(torch.tensor([1.0, 2.0, 9.0, 10.0, 11.0]), 2)
    (tensor([ 1.5000, 10.0000]), tensor([0, 0, 1, 1, 1]))
    """
    # BEGIN SOLUTION s3.kmeans_1d
    check_int("iterations", iterations, 0)
    check_choice("init", init, METHODS)
    centroids = init_centroids(weights, k, init).double()
    distinct, counts = _distinct(weights)
    if iterations and len(centroids) == len(distinct):
        centroids, iterations = distinct, 0  # nothing is better
    for _ in range(iterations):
        owner, before = _nearest(distinct, centroids), centroids
        sizes = torch.bincount(owner, counts.double(), len(centroids))
        sums = torch.bincount(owner, counts * distinct, len(centroids))
        means = sums / sizes.clamp_min(1)
        empty = sizes == 0
        if empty.any():  # to weights that are far from their means, so that the sum still falls
            far = (distinct - means[owner]).abs().argsort(descending=True, stable=True)
            means[empty] = distinct[far[: int(empty.sum())]]
        centroids = means.sort().values
        if torch.equal(centroids, before):
            break
    centroids = centroids.to(weights.dtype)
    return centroids, _nearest(weights.detach().double(), centroids.double())
    # END SOLUTION


# ---- weight sharing ----------------------------------------------------------------------------


def cluster_nonzero(weight: Tensor, mask: Tensor, bits: int) -> tuple[Tensor, Tensor]:
    """Return (centroids, labels) of a pruned weight: zeros stay zeros, the rest is shared.

    Pruned weights become 0, and a kept weight that is 0 stays 0: zeros are not clustered, so they
    cost no centroid but one, which is exactly 0. Here `centroids[0]` is that 0 and
    `centroids[1:]` are the at most 2**bits centroids of the nonzero weights. `decode_clusters`
    gives the clustered weight back.

    Args:
        weight: floating, any shape, possibly all pruned; not changed.
        mask: bool in the shape of `weight`, True where a weight is kept.
        bits: 1..32, bits of the label of a nonzero weight.

    Returns:
        centroids: (at most 1 + 2**bits,) in the dtype of `weight`.
        labels: int64 in the shape of `weight`.

    Raises:
        ValueError: if `bits` is no int in 1..32 or the shape of `mask` is another.

    >>> weight = torch.tensor([[0.0, 1.0, 9.0], [2.0, 0.1, 11.0]])
    >>> cluster_nonzero(weight, weight.abs() > 0.5, bits=1)
    (tensor([ 0.0000,  1.5000, 10.0000]), tensor([[0, 1, 2],
            [1, 0, 2]]))
    """
    # BEGIN SOLUTION s3.cluster_nonzero
    check_bits("bits", bits)
    check_shape("mask", mask, *weight.shape)
    weight = weight.detach()
    shared = mask.bool() & (weight != 0)
    centroids = weight.new_zeros(1)
    labels = torch.zeros(weight.shape, dtype=torch.int64, device=weight.device)
    if shared.any():
        means, owner = kmeans_1d(weight[shared], 2**bits)
        centroids = torch.cat([centroids, means])
        labels[shared] = owner + 1
    return centroids, labels
    # END SOLUTION


def decode_clusters(centroids: Tensor, labels: Tensor, shape: Sequence[int]) -> Tensor:
    """Return the weight of `shape` that `cluster_nonzero` described: the centroid of each label.

    Args:
        centroids: (k,).
        labels: integers in 0..k-1, any shape with as many elements as `shape`.
        shape: of the result, whose dtype is that of `centroids`.

    Raises:
        ValueError: if a label is outside 0..k-1 or `labels` does not fill `shape`.

    >>> decode_clusters(torch.tensor([0.0, 1.5]), torch.tensor([0, 1, 1, 0]), (2, 2))
    tensor([[0.0000, 1.5000],
            [1.5000, 0.0000]])
    """
    # BEGIN SOLUTION s3.cluster_nonzero
    check_integers("labels", labels, 0, len(centroids) - 1)
    if labels.numel() != math.prod(shape):
        raise ValueError(f"labels: expected {math.prod(shape)} elements, got {labels.numel()}")
    return centroids[labels.long()].reshape(tuple(shape))
    # END SOLUTION


# ---- fine-tuning and cost ----------------------------------------------------------------------


def centroid_gradient(weight_gradient: Tensor, labels: Tensor, k: int) -> Tensor:
    """Return the gradient of the loss with respect to each of `k` centroids.

    A centroid stands in the place of all its weights, so by the chain rule its gradient is the
    *sum* of theirs, dL/dc_k = sum_ij dL/dW_ij 1(I_ij = k) (Han et al. 2016, equation 3). A
    cluster without weights gets 0.

    Args:
        weight_gradient: floating, any shape; not changed.
        labels: integers in 0..k-1 in the same shape.
        k: number of centroids, at least 1.

    Returns:
        (k,) in the dtype of `weight_gradient`.

    Raises:
        ValueError: if the shapes differ, `k` is below 1 or a label outside 0..k-1.

    >>> centroid_gradient(torch.tensor([1.0, 2.0, 4.0]), torch.tensor([0, 2, 0]), 3)
    tensor([5., 0., 2.])
    """
    # BEGIN SOLUTION s3.centroid_gradient
    check_int("k", k, 1)
    check_shape("labels", labels, *weight_gradient.shape)
    check_integers("labels", labels, 0, k - 1)
    gradient = weight_gradient.detach().flatten().double()
    sums = torch.bincount(labels.flatten(), weights=gradient, minlength=k)
    return sums.to(weight_gradient.dtype)
    # END SOLUTION


def codebook_step(centroids: Tensor, labels: Tensor, weight_gradient: Tensor, lr: float) -> Tensor:
    """Return the centroids after one step of gradient descent; the labels stay as they are.

    c_k - lr * dL/dc_k (Han et al. 2016, section 3.3). To keep the 0 of `cluster_nonzero` at 0, the
    caller sets the gradient of pruned weights to 0.

    Args:
        centroids: floating (k,); not changed.
        labels: integers in 0..k-1.
        weight_gradient: floating, in the shape of `labels`.
        lr: learning rate.

    Returns:
        New centroids, (k,) in the dtype of `centroids`.

    Raises:
        ValueError: as `centroid_gradient` does.

    >>> labels = torch.tensor([[0, 1], [1, 1]])
    >>> codebook_step(torch.tensor([-1.0, 2.0]), labels, torch.ones(2, 2), lr=0.5)
    tensor([-1.5000,  0.5000])
    """
    # BEGIN SOLUTION s3.codebook_step
    # In double precision, so that rounding comes once, at the end.
    gradient = centroid_gradient(weight_gradient.double(), labels, len(centroids))
    return (centroids.detach().double() - lr * gradient).to(centroids.dtype)
    # END SOLUTION


def compression_ratio(n: int, k: int, bits: int = 32) -> float:
    """Return by which factor sharing `k` values makes `n` weights of `bits` bits smaller.

    r = n b / (n log2(k) + k b) (Han et al. 2016, equation 1): in place of n weights there are n
    labels and k centroids. A label takes whole bits, ceil(log2(k)) of them, and none for k = 1.

    Args:
        n: number of weights, at least 1.
        k: number of centroids, at least 1.
        bits: of a weight and of a centroid, 1..32.

    Raises:
        ValueError: for any other argument.

    >>> compression_ratio(16, 4)  # 16 * 32 bits to 16 * 2 + 4 * 32
    3.2
    """
    # BEGIN SOLUTION s3.compression_ratio
    check_int("n", n, 1)
    check_int("k", k, 1)
    check_bits("bits", bits)
    label_bits = (k - 1).bit_length()  # ceil(log2(k)) without rounding errors
    return n * bits / (n * label_bits + k * bits)
    # END SOLUTION
