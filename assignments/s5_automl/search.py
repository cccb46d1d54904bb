# Generated from solutions/s5_automl/search.py by `autograder release`: change it there.
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
    # TODO(s5.random_search): your code; the docstring says what it must do
    raise NotImplementedError("s5.random_search")


def _best_feasible(
    tried: Sequence[tuple[Architecture, Measured]], limits: Mapping[str, float]
) -> Architecture | None:
    """The architecture of highest accuracy among the feasible ones, the first of several."""
    # TODO(s5.random_search): your code; the docstring says what it must do
    raise NotImplementedError("s5.random_search")


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
    # TODO(s5.evolutionary_search): your code; the docstring says what it must do
    raise NotImplementedError("s5.evolutionary_search")


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
    # TODO(s5.evolutionary_search): your code; the docstring says what it must do
    raise NotImplementedError("s5.evolutionary_search")


def _fitness(measured: Measured, limits: Mapping[str, float]) -> tuple[bool, float]:
    """To be compared: feasible ones by accuracy, then the others by how far they are above."""
    # TODO(s5.evolutionary_search): your code; the docstring says what it must do
    raise NotImplementedError("s5.evolutionary_search")


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
    # TODO(s5.successive_halving): your code; the docstring says what it must do
    raise NotImplementedError("s5.successive_halving")


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
    # TODO(s5.optuna_search): your code; the docstring says what it must do
    raise NotImplementedError("s5.optuna_search")


def _option_counts(space: Space) -> list[int]:
    """How many options each gene has."""
    counts = []
    for options in space.choices.values():
        is_list_valued = all(isinstance(each, list) for each in options)
        counts += [len(each) for each in options] if is_list_valued else [len(options)]
    return counts
