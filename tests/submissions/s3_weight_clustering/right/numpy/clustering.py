"""Weight sharing with NumPy: sorted weights, cumulative sums and binary search."""

import operator

import numpy as np
import torch


def _integer(value, name, least, most=None):
    """`value` as an int; ValueError unless it lies between the bounds."""
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if number is None or isinstance(value, bool) or number < least:
        raise ValueError(f"{name}: expected an integer of at least {least}, got {value!r}")
    if most is not None and number > most:
        raise ValueError(f"{name}: expected at most {most}, got {value!r}")
    return number


def _numpy(tensor):
    return tensor.detach().cpu().double().numpy()


def _like(array, tensor):
    return torch.from_numpy(np.ascontiguousarray(array)).to(tensor.dtype).to(tensor.device)


def init_centroids(weights, k, method="linear", seed=0):
    k = _integer(k, "k", 1)
    values = _numpy(weights).ravel()
    if values.size == 0:
        raise ValueError(f"weights: expected at least one, got the shape {tuple(weights.shape)}")
    distinct = np.unique(values)
    k = min(k, distinct.size)
    if method == "linear":
        centroids = np.linspace(distinct[0], distinct[-1], k) if k > 1 else distinct[[0, -1]].mean()
    elif method == "density":
        centroids = np.quantile(values, (np.arange(k) + 0.5) / k)
    elif method == "forgy":
        generator = torch.Generator()
        generator.manual_seed(seed)
        lottery = torch.rand(distinct.size, generator=generator, dtype=torch.float64).numpy()
        centroids = np.sort(distinct[np.argsort(lottery, kind="stable")[:k]])
    else:
        raise ValueError(f"method: expected linear, density or forgy, got {method!r}")
    return _like(np.atleast_1d(centroids), weights)


def kmeans_1d(weights, k, init="linear", iterations=50):
    iterations = _integer(iterations, "iterations", 0)
    start = init_centroids(weights, k, init)
    values = _numpy(weights).ravel()
    ordered = np.sort(values)
    centre = ordered.mean()
    sums = np.concatenate([[0.0], np.cumsum(ordered - centre)])
    centroids = _numpy(start)
    for _ in range(iterations):
        middles = (centroids[1:] + centroids[:-1]) / 2
        cuts = np.concatenate(
            [[0], np.searchsorted(ordered, middles, side="right"), [ordered.size]]
        )
        sizes = np.diff(cuts)
        full = sizes > 0
        means = np.diff(sums[cuts])[full] / sizes[full] + centre
        # A mean lies between the smallest and the largest of its cluster, whatever was rounded.
        means = np.clip(means, ordered[cuts[:-1][full]], ordered[cuts[1:][full] - 1])
        if np.array_equal(means, centroids):
            break
        centroids = means
    result = _like(centroids, weights)
    exact = _numpy(result)
    labels = np.searchsorted((exact[1:] + exact[:-1]) / 2, values, side="left").astype(np.int64)
    return result, torch.from_numpy(labels).to(weights.device).reshape(weights.shape)


def cluster_nonzero(weight, mask, bits):
    """Centroids in ascending order with the zero at its place among them."""
    bits = _integer(bits, "bits", 1, 32)
    if weight.shape != mask.shape:
        raise ValueError(f"mask: expected the shape {tuple(weight.shape)}, got {tuple(mask.shape)}")
    values = _numpy(weight).ravel()
    values = np.where(mask.cpu().numpy().ravel(), values, 0.0)
    nonzero = values[values != 0]
    shared = np.unique(nonzero)
    if shared.size > 2**bits:
        found, _ = kmeans_1d(torch.from_numpy(nonzero).to(weight.dtype), 2**bits, iterations=100)
        shared = _numpy(found)
    middles = (shared[1:] + shared[:-1]) / 2
    decoded = np.zeros_like(values)
    if shared.size:
        decoded[values != 0] = shared[np.searchsorted(middles, nonzero)]
    centroids, labels = np.unique(decoded, return_inverse=True)
    if centroids.size == 0:
        centroids = np.zeros(1)
    labels = torch.from_numpy(labels.astype(np.int64).reshape(weight.shape))
    return _like(centroids, weight), labels.to(weight.device)


def decode_clusters(centroids, labels, shape):
    indices = labels.cpu().numpy().ravel()
    shape = tuple(shape)
    if indices.size != np.prod(shape, dtype=np.int64):
        raise ValueError(f"labels: expected as many as {shape} has, got {indices.size}")
    if indices.size and (indices.min() < 0 or indices.max() >= len(centroids)):
        raise ValueError(f"labels: expected 0..{len(centroids) - 1}, got {np.unique(indices)}")
    return _like(_numpy(centroids)[indices], centroids).reshape(shape)


def centroid_gradient(weight_gradient, labels, k):
    k = _integer(k, "k", 1)
    if weight_gradient.shape != labels.shape:
        raise ValueError(
            f"labels: expected {tuple(weight_gradient.shape)}, got {tuple(labels.shape)}"
        )
    indices = labels.cpu().numpy().ravel()
    if indices.size and (indices.min() < 0 or indices.max() >= k):
        raise ValueError(f"labels: expected 0..{k - 1}, got {np.unique(indices)}")
    sums = np.bincount(indices, weights=_numpy(weight_gradient).ravel(), minlength=k)
    return _like(sums, weight_gradient)


def codebook_step(centroids, labels, weight_gradient, lr):
    gradient = centroid_gradient(weight_gradient, labels, centroids.numel())
    return _like(_numpy(centroids) - lr * _numpy(gradient), centroids)


def compression_ratio(n, k, bits=32):
    n, k = _integer(n, "n", 1), _integer(k, "k", 1)
    bits = _integer(bits, "bits", 1, 32)
    return n * bits / (n * (k - 1).bit_length() + k * bits)
