"""A negative number of samples is not refused with ValueError.

Source: one-line mutants that survived, and misses of corpora from outside.
"""


def split(n: int, validation_fraction: float, seed: int) -> tuple[list[int], list[int]]:
    check_fraction("validation_fraction", validation_fraction)
    order = torch.randperm(n, generator=torch.Generator().manual_seed(seed)).tolist()
    held_out = round(n * validation_fraction)
    return (order[held_out:], order[:held_out])
