"""The generator always starts from the same seed.

Source: own.
"""

import torch


def _check_budget(budget):
    if type(budget) is not int or budget < 1:
        raise ValueError(f"budget: expected an int of at least 1, got {budget!r}")


def _keeps(measured, limits):
    unknown = set(limits) - set(measured)
    if unknown:
        raise ValueError(f"limits: {unknown} not measured")
    return all(measured[name] <= limit for name, limit in limits.items())



def random_search(space, evaluate, limits, budget, seed):
    _check_budget(budget)
    generator = torch.Generator().manual_seed(0)
    best, highest = None, -1.0
    for _ in range(budget):
        arch = space.sample(generator)
        measured = evaluate(arch)
        if _keeps(measured, limits) and measured["accuracy"] > highest:
            best, highest = arch, measured["accuracy"]
    return best
