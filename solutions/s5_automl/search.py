"""Session 5, search: which of many networks is best, if only a few can be tried.

Every search is given a function `evaluate` that trains and measures a network. That is expensive,
so what counts is how good the network is that a search finds with a `budget` of calls. Feasible
networks keep all limits; what a network costs is known only after it was evaluated.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

import torch

from shared.checks import check_int, refuse

# Import your own functions where you call them, inside a function: should search_space.py not be
# importable, this module still is.

Architecture = dict[str, Any]
Measured = Mapping[str, float]
"""What `evaluate` returns: "accuracy", "test_accuracy" and costs such as "macs", by name."""
Configuration = TypeVar("Configuration")


class Space(Protocol):
    """A search space: what `SearchSpace` of search_space.py can do."""

    choices: Mapping[str, Sequence[Any]]

    def encode(self, arch: Architecture) -> tuple[int, ...]:
        """Genes of an architecture."""

    def decode(self, code: Sequence[int]) -> Architecture:
        """The architecture with these genes."""

    def sample(self, generator: torch.Generator) -> Architecture:
        """A random architecture."""

    def mutate(
        self, arch: Architecture, probability: float, generator: torch.Generator
    ) -> Architecture:
        """A copy with some genes changed."""

    def crossover(
        self, a: Architecture, b: Architecture, generator: torch.Generator
    ) -> Architecture:
        """A child of two parents."""


def random_search(
    space: Space,
    evaluate: Callable[[Architecture], Measured],
    limits: Mapping[str, float],
    budget: int,
    seed: int,
) -> Architecture | None:
    """Return the best feasible of `budget` random architectures.

    The baseline that every other search has to beat at the same budget (Li and Talwalkar 2019).
    "accuracy", measured on validation data, decides which is best. "test_accuracy" is there to be
    reported: who selects by it has no test data any more.

    Args:
        space: where architectures come from.
        evaluate: measures one; every call counts, a repeated one too. What it raises is passed on.
        limits: name of a cost -> the most it may be, see `satisfies`.
        budget: calls of `evaluate`, at least 1.
        seed: of all random draws; the same seed gives the same calls.

    Returns:
        The feasible architecture of highest accuracy among those evaluated, or None.

    Raises:
        ValueError: if `budget` is no int of at least 1, or a limit is none of the costs.
    """
    # BEGIN SOLUTION s5.random_search
    check_int("budget", budget, 1)
    generator = torch.Generator().manual_seed(seed)
    tried = []
    for _ in range(budget):
        arch = space.sample(generator)
        tried.append((arch, evaluate(arch)))
    return _best_feasible(tried, limits)
    # END SOLUTION


def _best_feasible(
    tried: Sequence[tuple[Architecture, Measured]], limits: Mapping[str, float]
) -> Architecture | None:
    """The architecture of highest accuracy among the feasible ones, the first of several."""
    # BEGIN SOLUTION s5.random_search
    from search_space import satisfies

    feasible = [entry for entry in tried if satisfies(entry[1], limits)]
    best = max(feasible, key=lambda entry: entry[1]["accuracy"], default=None)
    return None if best is None else best[0]
    # END SOLUTION


def evolutionary_search(
    space: Space,
    evaluate: Callable[[Architecture], Measured],
    limits: Mapping[str, float],
    budget: int,
    seed: int,
) -> Architecture | None:
    """Return the best feasible architecture that evolution finds with `budget` evaluations.

    A population of random architectures is evaluated. From then on, again and again, two parents
    that won small tournaments have a child, by crossover and mutation, which is evaluated and
    joins the population; the worst one leaves, so that the best are never lost. An infeasible
    architecture ranks below every feasible one, and the further it is above the limits, the lower:
    evolution then finds its way back even if nothing is feasible at first. A child that was
    evaluated before would waste a call.

    How you arrange the rest is yours (Real et al. 2019 let the oldest die instead of the worst;
    Guo et al. 2020 search under limits). Judged is the accuracy that is reached.

    Args:
        space: where architectures come from.
        evaluate: as in `random_search`.
        limits: as in `random_search`.
        budget: calls of `evaluate`, at least 1.
        seed: of all random draws; the same seed gives the same calls.

    Returns:
        The feasible architecture of highest accuracy among those evaluated, or None.

    Raises:
        ValueError: as `random_search` does.
    """
    # BEGIN SOLUTION s5.evolutionary_search
    check_int("budget", budget, 1)
    generator = torch.Generator().manual_seed(seed)
    tried: dict[tuple[int, ...], tuple[Architecture, Measured]] = {}
    population: list[tuple[int, ...]] = []
    size = max(2, min(24, budget // 4))
    for _ in range(budget):
        arch = _next_candidate(space, tried, population, size, generator)
        code = space.encode(arch)
        tried[code] = arch, evaluate(arch)
        if code not in population:
            population.append(code)
        population.sort(key=lambda each: _fitness(tried[each][1], limits), reverse=True)
        del population[size:]
    return _best_feasible(list(tried.values()), limits)
    # END SOLUTION


MUTATION = 0.2
"""Probability of each gene of a child."""
ATTEMPTS = 30
"""To find an architecture that was not evaluated before."""


def _next_candidate(
    space: Space,
    tried: Mapping[tuple[int, ...], object],
    population: Sequence[tuple[int, ...]],
    size: int,
    generator: torch.Generator,
) -> Architecture:
    """A random architecture while the population is small, later a child; a new one if possible."""
    # BEGIN SOLUTION s5.evolutionary_search
    arch = space.sample(generator)
    for _ in range(ATTEMPTS):  # in a small space everything may have been tried
        if len(population) >= size:
            mother, father = (
                population[int(torch.randint(size, (3,), generator=generator).min())]
                for _ in range(2)
            )
            child = space.crossover(space.decode(mother), space.decode(father), generator)
            arch = space.mutate(child, MUTATION, generator)
        else:
            arch = space.sample(generator)
        if space.encode(arch) not in tried:
            break
    return arch
    # END SOLUTION


def _fitness(measured: Measured, limits: Mapping[str, float]) -> tuple[bool, float]:
    """To be compared: feasible ones by accuracy, then the others by how far they are above."""
    # BEGIN SOLUTION s5.evolutionary_search
    from search_space import satisfies

    if satisfies(measured, limits):
        return True, measured["accuracy"]
    return False, -sum(max(measured[name] - limit, 0) / limit for name, limit in limits.items())
    # END SOLUTION


def successive_halving(
    configurations: Sequence[Configuration],
    evaluate: Callable[[Configuration, int], Measured],
    eta: int,
    budget: int,
) -> Configuration:
    """Return the configuration that survives ever longer evaluations.

    Successive halving (Jamieson and Talwalkar 2016): all are evaluated with a small resource, e.g.
    some epochs, the best 1/`eta` of them with a larger one, and so on until one is left. Every
    rung may spend the same share of the budget:

        resource of a rung = floor(budget / (rungs * alive))
        survivors          = max(1, floor(alive / eta))

    Ties are decided by position: the earlier configuration survives.

    Args:
        configurations: at least one.
        evaluate: called with a configuration and an integer resource, returns a dict with its
            "accuracy" then. What it raises is passed on.
        eta: at least 2.
        budget: the sum of all resources is at most this.

    Returns:
        The one that is left.

    Raises:
        ValueError: if there are no configurations, `eta` is below 2, or the budget too small for a
            resource of 1 in the first rung.
    """
    # BEGIN SOLUTION s5.successive_halving
    check_int("eta", eta, 2)
    check_int("budget", budget, 1)
    alive = list(configurations)
    if not alive:
        raise refuse("configurations", "at least one", configurations)
    rungs, left = 0, len(alive)
    while left > 1:
        rungs, left = rungs + 1, max(1, left // eta)
    if budget < rungs * len(alive):
        raise refuse("budget", f"at least {rungs * len(alive)} for all of the first rung", budget)
    while len(alive) > 1:
        resource = budget // (rungs * len(alive))
        accuracies = [evaluate(each, resource)["accuracy"] for each in alive]
        ranking = sorted(range(len(alive)), key=lambda i: -accuracies[i])  # stable: ties stay
        alive = [alive[i] for i in sorted(ranking[: max(1, len(alive) // eta)])]
    return alive[0]
    # END SOLUTION


def optuna_search(
    space: Space,
    evaluate: Callable[[Architecture], Measured],
    limits: Mapping[str, float],
    budget: int,
    seed: int,
) -> Architecture | None:
    """Return the best feasible architecture that Optuna finds with `budget` evaluations.

    Optuna (Akiba et al. 2019) keeps the history and proposes what to try next. Its *ask and tell*
    interface leaves the loop to you: `study.ask()` gives a trial, whose `suggest_categorical` or
    `suggest_int` chooses each gene, `trial.set_constraint(name, value)` says how far it is above a
    limit (feasible at or below 0), and `study.tell(trial, accuracy)` reports. Name the sampler
    (`TPESampler` or `NSGAIISampler`) and give it `seed`. The study stays in memory.

    Args:
        space: where architectures come from.
        evaluate: as in `random_search`.
        limits: as in `random_search`.
        budget: calls of `evaluate`, at least 1.
        seed: of all random draws; the same seed gives the same calls.

    Returns:
        The feasible architecture of highest accuracy among those evaluated, or None.

    Raises:
        ValueError: as `random_search` does.
    """
    # BEGIN SOLUTION s5.optuna_search
    import optuna
    from search_space import satisfies

    check_int("budget", budget, 1)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed))
    tried = []
    for _ in range(budget):
        trial = study.ask()
        code = [
            trial.suggest_categorical(f"gene {place}", list(range(count)))
            for place, count in enumerate(_option_counts(space))
        ]
        arch = space.decode(code)
        measured = evaluate(arch)
        satisfies(measured, limits)  # an unknown limit is refused before it is looked up
        for name, limit in limits.items():
            trial.set_constraint(name, measured[name] - limit)
        study.tell(trial, measured["accuracy"])
        tried.append((arch, measured))
    return _best_feasible(tried, limits)
    # END SOLUTION


def _option_counts(space: Space) -> list[int]:
    """How many options each gene has."""
    counts = []
    for options in space.choices.values():
        is_list_valued = all(isinstance(each, list) for each in options)
        counts += [len(each) for each in options] if is_list_valued else [len(options)]
    return counts
