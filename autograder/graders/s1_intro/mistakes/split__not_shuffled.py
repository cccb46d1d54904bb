"""The last samples are taken without shuffling.

Source: own.
"""


def split(n, validation_fraction, seed):
    if n < 0:
        raise ValueError(f"n must not be negative, got {n}")
    if not 0 <= validation_fraction <= 1:
        raise ValueError(f"validation_fraction must be in 0..1, got {validation_fraction}")
    order = list(range(n - 1, -1, -1))
    size = round(n * validation_fraction)
    return order[size:], order[:size]
