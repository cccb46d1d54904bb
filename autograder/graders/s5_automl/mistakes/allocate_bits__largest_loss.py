"""The choice with the largest loss is kept.

Source: curriculum list.
"""

import itertools


def allocate_bits(sensitivity, sizes, budget_bits):
    if sensitivity.keys() != sizes.keys() or not all(sensitivity.values()):
        raise ValueError("layers and sizes do not fit")
    if sum(sizes[name] * min(each) for name, each in sensitivity.items()) > budget_bits:
        raise ValueError(f"budget_bits: too small, {budget_bits}")

    names = list(sensitivity)
    best = None
    for choice in itertools.product(*(sensitivity[name] for name in names)):
        used = sum(sizes[n] * b for n, b in zip(names, choice))
        loss = sum(sensitivity[n][b] for n, b in zip(names, choice))
        if used <= budget_bits and (best is None or loss > best[0]):
            best = loss, choice
    if best is None:
        raise ValueError(f"budget_bits: too small, {budget_bits}")
    return dict(zip(names, best[1]))
