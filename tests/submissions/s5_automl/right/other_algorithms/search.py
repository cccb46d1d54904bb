"""Searches: an archive of everything, children of the elite."""

import torch
from search_space import satisfies


def _check(budget):
    if not budget >= 1:
        raise ValueError(f"budget {budget}")


def _winner(archive, limits):
    feasible = [(m["accuracy"], -i) for i, (_, m) in enumerate(archive) if satisfies(m, limits)]
    return archive[-max(feasible)[1]][0] if feasible else None


def random_search(space, evaluate, limits, budget, seed):
    _check(budget)
    generator = torch.Generator().manual_seed(seed)
    return _winner([(a, evaluate(a)) for a in (space.sample(generator) for _ in range(budget))], limits)


def evolutionary_search(space, evaluate, limits, budget, seed):
    """Generations of ten; parents by rank from all that was ever evaluated."""
    _check(budget)
    generator = torch.Generator().manual_seed(seed)
    archive, codes = [], set()

    def rank(entry):
        m = entry[1]
        excess = [m[n] / v for n, v in limits.items() if m[n] > v] if satisfies(m, limits) is False else []
        return (-len(excess), -sum(excess), m["accuracy"])

    def spend(arch):
        archive.append((arch, evaluate(arch)))
        codes.add(space.encode(arch))

    for _ in range(min(budget, max(10, budget // 5))):
        spend(space.sample(generator))
    while len(archive) < budget:
        elite = [a for a, _ in sorted(archive, key=rank, reverse=True)[:8]]
        for _ in range(min(10, budget - len(archive))):
            for _ in range(40):
                i, j = torch.randint(len(elite), (2,), generator=generator).tolist()
                child = space.crossover(elite[i], elite[j], generator)
                child = space.mutate(child, 0.2, generator)
                if space.encode(child) not in codes:
                    break
            spend(child)
    return _winner(archive, limits)


def successive_halving(configurations, evaluate, eta, budget):
    _check(budget)
    if not configurations:
        raise ValueError("nothing to choose from")

    def rungs(n):
        return 0 if n <= 1 else 1 + rungs(max(1, n // eta))

    total = rungs(len(configurations))

    def play(alive):
        if len(alive) == 1:
            return alive[0]
        resource = budget // (total * len(alive))
        results = [evaluate(c, resource)["accuracy"] for c in alive]
        threshold = sorted(results, reverse=True)[max(1, len(alive) // eta) - 1]
        above = [k for k, r in enumerate(results) if r > threshold]
        equal = [k for k, r in enumerate(results) if r == threshold]
        keep = sorted(above + equal[: max(1, len(alive) // eta) - len(above)])
        return play([alive[k] for k in keep])

    return play(list(configurations))


def optuna_search(space, evaluate, limits, budget, seed):
    import optuna

    _check(budget)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    sampler = optuna.samplers.NSGAIISampler(seed=seed, population_size=max(2, min(12, budget // 5)))
    study = optuna.create_study(sampler=sampler, direction="maximize")
    archive = []
    lengths = [
        len(each)
        for options in space.choices.values()
        for each in (options if isinstance(options[0], list) else [options])
    ]
    for _ in range(budget):
        trial = study.ask()
        arch = space.decode(
            [trial.suggest_categorical(f"g{k}", tuple(range(n))) for k, n in enumerate(lengths)]
        )
        measured = evaluate(arch)
        satisfies(measured, limits)
        for name, limit in limits.items():
            trial.set_constraint(name, float(measured[name]) - limit)
        study.tell(trial, measured["accuracy"])
        archive.append((arch, measured))
    return _winner(archive, limits)
