"""Searches: history in lists, ageing evolution (Real et al. 2019)."""

import collections

import torch


class _History:
    def __init__(self, evaluate, limits, budget):
        if not isinstance(budget, int) or budget < 1:
            raise ValueError(f"budget: {budget}")
        self.evaluate, self.limits, self.left = evaluate, limits, budget
        self.archs, self.scores = [], []

    def __call__(self, arch):
        measured = self.evaluate(arch)
        unknown = [n for n in self.limits if n not in measured]
        if unknown:
            raise ValueError(f"unknown limits {unknown}")
        self.left -= 1
        excess = sum(max(measured[n] / max(v, 1e-12) - 1, 0) for n, v in self.limits.items())
        score = measured["accuracy"] if excess == 0 else -1 - excess
        self.archs.append(arch)
        self.scores.append(score)
        return score, measured

    def best(self):
        top = max(self.scores)
        return self.archs[self.scores.index(top)] if top >= 0 else None


def random_search(space, evaluate, limits, budget, seed):
    history = _History(evaluate, limits, budget)
    generator = torch.Generator().manual_seed(seed)
    while history.left:
        history(space.sample(generator))
    return history.best()


def evolutionary_search(space, evaluate, limits, budget, seed):
    history = _History(evaluate, limits, budget)
    generator = torch.Generator().manual_seed(seed)
    population = collections.deque(maxlen=30)
    known = set()
    while history.left:
        if len(history.scores) < 20:
            child = space.sample(generator)
        else:
            for _ in range(25):
                chosen = torch.randint(len(population), (10,), generator=generator).tolist()
                parent = max((population[i] for i in chosen), key=lambda each: each[0])[1]
                child = space.mutate(parent, 0.25, generator)
                if space.encode(child) not in known:
                    break
        known.add(space.encode(child))
        population.append((history(child)[0], child))
    return history.best()


def successive_halving(configurations, evaluate, eta, budget):
    configurations = list(configurations)
    if not configurations or budget < 1:
        raise ValueError(f"{len(configurations)} configurations, budget {budget}")
    sizes = [len(configurations)]
    while sizes[-1] > 1:
        sizes.append(max(sizes[-1] // eta, 1))
    alive = list(enumerate(configurations))
    for size in sizes:  # the last one alone, too
        resource = budget // (len(sizes) * len(alive))
        accuracy = {i: evaluate(c, resource)["accuracy"] for i, c in alive}
        following = max(1, size // eta)
        keep = sorted(accuracy, key=lambda i: (-accuracy[i], i))[:following]
        alive = [(i, c) for i, c in alive if i in keep]
    return alive[0][1]


def optuna_search(space, evaluate, limits, budget, seed):
    import optuna

    history = _History(evaluate, limits, budget)
    optuna.logging.disable_default_handler()
    sampler = optuna.samplers.TPESampler(seed=seed)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    example = space.encode(space.sample(torch.Generator().manual_seed(seed)))
    counts = []
    for options in space.choices.values():
        counts += [len(o) for o in options] if type(options[0]) is list else [len(options)]
    assert len(counts) == len(example)
    while history.left:
        trial = study.ask({f"{k}": optuna.distributions.CategoricalDistribution(tuple(range(n))) for k, n in enumerate(counts)})
        arch = space.decode([trial.params[f"{k}"] for k in range(len(counts))])
        _, measured = history(arch)
        for name, limit in limits.items():
            trial.set_constraint(name, float(measured[name]) / max(limit, 1e-12) - 1)
        study.tell(trial, measured["accuracy"])
    return history.best()
