"""The first population is not counted: the budget is for the children alone.

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



def evolutionary_search(space, evaluate, limits, budget, seed):
    _check_budget(budget)
    generator = torch.Generator().manual_seed(seed)
    tried = {}

    def fitness(code):
        measured = tried[code][1]
        if _keeps(measured, limits):
            return 1, measured["accuracy"]
        return 0, -sum(max(measured[n] / v - 1, 0) for n, v in limits.items())

    population, calls = [], 0
    size = max(1, min(20, budget // 4))
    while calls < budget:
        arch = space.sample(generator)
        if len(population) >= size:
            for _ in range(30):
                i, j = torch.randint(size, (3, 2), generator=generator).amin(0).tolist()
                a, b = tried[population[i]][0], tried[population[j]][0]
                arch = space.mutate(space.crossover(a, b, generator), 0.2, generator)
                if space.encode(arch) not in tried:
                    break
        code = space.encode(arch)
        tried[code] = arch, evaluate(arch)
        calls += len(tried) > size
        if code not in population:
            population.append(code)
        population.sort(key=fitness, reverse=True)
        del population[size:]
    best = max(tried, key=fitness)
    return tried[best][0] if fitness(best)[0] else None
