"""kthvalue(0) raises when nothing is to be pruned.

Source: curriculum list.
"""


def magnitude_mask(weight, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError(f"sparsity must be in 0..1, got {sparsity}")
    magnitudes = weight.detach().abs().flatten()
    count = round(sparsity * magnitudes.numel())
    threshold = magnitudes.kthvalue(count).values
    ties = magnitudes == threshold
    spare = count - int((magnitudes < threshold).sum())
    mask = (magnitudes > threshold) | (ties & (ties.cumsum(0) > spare))
    return mask.reshape(weight.shape)
