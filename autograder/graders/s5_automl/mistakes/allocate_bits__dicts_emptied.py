"""Layers are taken out of the caller's dicts, which are empty afterwards.

Source: own.
"""

import itertools


def allocate_bits(sensitivity, sizes, budget_bits):
    if sensitivity.keys() != sizes.keys() or not all(sensitivity.values()):
        raise ValueError("layers and sizes do not fit")
    if sum(sizes[name] * min(each) for name, each in sensitivity.items()) > budget_bits:
        raise ValueError(f"budget_bits: too small, {budget_bits}")

    names = list(sensitivity)
    layers = {name: (sensitivity.pop(name), sizes.pop(name)) for name in names}
    best = None
    for choice in itertools.product(*(layers[name][0] for name in names)):
        used = sum(layers[n][1] * b for n, b in zip(names, choice))
        loss = sum(layers[n][0][b] for n, b in zip(names, choice))
        if used <= budget_bits and (best is None or loss < best[0]):
            best = loss, choice
    if best is None:
        raise ValueError(f"budget_bits: too small, {budget_bits}")
    return dict(zip(names, best[1]))
