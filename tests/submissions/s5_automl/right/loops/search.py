"""Searches: plain loops."""

import torch


def _ok(measured, limits):
    for name in limits:
        if name not in measured:
            raise ValueError(f"no cost {name}")
    return all(measured[name] <= limits[name] for name in limits)


def _budget(budget):
    if budget < 1:
        raise ValueError(f"budget: at least 1, got {budget}")


def random_search(space, evaluate, limits, budget, seed):
    _budget(budget)
    g = torch.Generator()
    g.manual_seed(seed)
    best, best_accuracy = None, None
    for _ in range(budget):
        arch = space.sample(g)
        measured = evaluate(arch)
        if _ok(measured, limits) and (best is None or measured["accuracy"] > best_accuracy):
            best, best_accuracy = arch, measured["accuracy"]
    return best


def evolutionary_search(space, evaluate, limits, budget, seed):
    """The best feasible so far is mutated, with a little chance for the others."""
    _budget(budget)
    g = torch.Generator()
    g.manual_seed(seed)
    seen = {}

    def score(code):
        _, measured = seen[code]
        if _ok(measured, limits):
            return (1, measured["accuracy"])
        over = sum(max(0.0, measured[n] / limits[n] - 1) for n in limits)
        return (0, -over)

    done = 0
    start = max(1, budget // 4)
    while done < budget:
        arch = space.sample(g)
        if done >= start:
            ranked = sorted(seen, key=score, reverse=True)[:10]
            for _ in range(20):
                pick = ranked[int(torch.randint(0, len(ranked), (1,), generator=g))]
                other = ranked[int(torch.randint(0, len(ranked), (1,), generator=g))]
                arch = space.mutate(
                    space.crossover(space.decode(pick), space.decode(other), g), 0.2, g
                )
                if space.encode(arch) not in seen:
                    break
        seen[space.encode(arch)] = (arch, evaluate(arch))
        done += 1
    top = max(seen, key=score)
    return seen[top][0] if score(top)[0] else None


def successive_halving(configurations, evaluate, eta, budget):
    _budget(budget)
    if len(configurations) == 0:
        raise ValueError("no configurations")
    n, rungs = len(configurations), 0
    while n > 1:
        n = max(1, n // eta)
        rungs += 1
    alive = list(range(len(configurations)))
    while len(alive) > 1:
        r = budget // (rungs * len(alive))
        scored = []
        for i in alive:
            scored.append((-evaluate(configurations[i], r)["accuracy"], i))
        scored.sort()
        alive = sorted(i for _, i in scored[: max(1, len(alive) // eta)])
    return configurations[alive[0]]


def optuna_search(space, evaluate, limits, budget, seed):
    import optuna

    _budget(budget)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(
        sampler=optuna.samplers.TPESampler(seed=seed, n_startup_trials=15), direction="maximize"
    )
    best, best_accuracy = None, None
    for _ in range(budget):
        trial = study.ask()
        arch = {}
        for name, options in space.choices.items():
            if isinstance(options[0], list):
                arch[name] = [
                    each[trial.suggest_categorical(f"{name}.{k}", list(range(len(each))))]
                    for k, each in enumerate(options)
                ]
            else:
                arch[name] = options[trial.suggest_categorical(name, list(range(len(options))))]
        measured = evaluate(arch)
        ok = _ok(measured, limits)
        for name in limits:
            trial.set_constraint(name, float(measured[name] - limits[name]))
        study.tell(trial, measured["accuracy"])
        if ok and (best is None or measured["accuracy"] > best_accuracy):
            best, best_accuracy = arch, measured["accuracy"]
    return best
