"""A budget below 1 is accepted.

Source: own.
"""

def successive_halving(configurations, evaluate, eta, budget):
    if budget < 1:
        return configurations[0]
    alive = list(configurations)
    if not alive:
        raise ValueError("configurations: expected at least one")
    rungs, left = 0, len(alive)
    while left > 1:
        rungs, left = rungs + 1, max(1, left // eta)
    while len(alive) > 1:
        resource = budget // (rungs * len(alive))
        scores = [evaluate(each, resource)["accuracy"] for each in alive]
        order = sorted(range(len(alive)), key=lambda i: (-scores[i], i))
        alive = [alive[i] for i in sorted(order[: max(1, len(alive) // eta)])]
    return alive[0]
