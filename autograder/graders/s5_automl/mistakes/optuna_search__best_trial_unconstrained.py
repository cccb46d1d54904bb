"""The best trial is returned, whether it keeps the limits or not.

Source: own.
"""

import optuna


def _check_budget(budget):
    if type(budget) is not int or budget < 1:
        raise ValueError(f"budget: expected an int of at least 1, got {budget!r}")


def _keeps(measured, limits):
    unknown = set(limits) - set(measured)
    if unknown:
        raise ValueError(f"limits: {unknown} not measured")
    return all(measured[name] <= limit for name, limit in limits.items())



def optuna_search(space, evaluate, limits, budget, seed):
    _check_budget(budget)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(
        direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed)
    )
    counts = []
    for options in space.choices.values():
        nested = isinstance(options[0], list)
        counts += [len(each) for each in options] if nested else [len(options)]
    best, highest = None, -1.0
    for _ in range(budget):
        trial = study.ask()
        code = [trial.suggest_categorical(str(k), list(range(n))) for k, n in enumerate(counts)]
        arch = space.decode(code)
        measured = evaluate(arch)
        kept = _keeps(measured, limits)
        for name, limit in limits.items():
            trial.set_constraint(name, measured[name] - limit)
        study.tell(trial, measured["accuracy"])
        if measured["accuracy"] > highest:
            best, highest = arch, measured["accuracy"]
    return best
