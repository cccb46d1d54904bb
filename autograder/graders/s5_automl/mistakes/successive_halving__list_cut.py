"""The caller's list of configurations is cut to those that are left.

Source: own.
"""

def _check_budget(budget):
    if type(budget) is not int or budget < 1:
        raise ValueError(f"budget: expected an int of at least 1, got {budget!r}")



def successive_halving(configurations, evaluate, eta, budget):
    _check_budget(budget)
    alive = configurations
    if not alive:
        raise ValueError("configurations: expected at least one")
    rungs, left = 0, len(alive)
    while left > 1:
        rungs, left = rungs + 1, max(1, left // eta)
    while len(alive) > 1:
        resource = budget // (rungs * len(alive))
        scores = [evaluate(each, resource)["accuracy"] for each in alive]
        order = sorted(range(len(alive)), key=lambda i: (-scores[i], i))
        alive[:] = [alive[i] for i in sorted(order[: max(1, len(alive) // eta)])]
    return alive[0]
