"""Tiny weights are taken for zeros.

Source: one-line mutants that survived, and misses of corpora from outside.
"""


def cluster_nonzero(weight: Tensor, mask: Tensor, bits: int) -> tuple[Tensor, Tensor]:
    check_bits("bits", bits)
    check_shape("mask", mask, *weight.shape)
    weight = weight.detach()
    shared = mask.bool() & (weight.abs() > 1e-08)
    centroids = weight.new_zeros(1)
    labels = torch.zeros(weight.shape, dtype=torch.int64, device=weight.device)
    if shared.any():
        means, owner = kmeans_1d(weight[shared], 2**bits)
        centroids = torch.cat([centroids, means])
        labels[shared] = owner + 1
    return (centroids, labels)
