"""Public tests of search.py; see test_public_search_space.py."""

from __future__ import annotations

import random
from typing import Any

from autograder.graders.toolkit import CallbackError, Exercise, check, expect_value_error
from shared.spaces import RemoteSpace

CHOICES = {"depth": [1, 2, 3], "width": [4, 8, 16]}


def space(method: str, *arguments: Any) -> Any:
    """The search space of nine networks, as the searches are given it."""
    if method == "encode":
        return tuple(CHOICES[name].index(arguments[0][name]) for name in CHOICES)
    if method == "decode":
        pairs = zip(CHOICES.items(), arguments[0], strict=True)
        return {name: options[index] for (name, options), index in pairs}
    draw = random.Random(arguments[-1])
    if method == "sample":
        return {name: draw.choice(options) for name, options in CHOICES.items()}
    if method == "mutate":
        kept = {name: value for name, value in arguments[0].items() if draw.random() > arguments[1]}
        return space("sample", draw.random()) | kept
    return {name: draw.choice(arguments[:2])[name] for name in CHOICES}


class Trainer:
    """evaluate(arch): deeper and wider is better, and costs depth * width."""

    def __init__(self, budget: int) -> None:
        self.budget, self.calls = budget, 0

    def __call__(self, arch: dict[str, int]) -> dict[str, float]:
        """Measure one."""
        self.calls += 1
        if self.calls > self.budget:
            raise CallbackError("evaluate was called more often than the budget allows")
        size = arch["depth"] * arch["width"]
        return {"accuracy": 1 - 1 / size, "test_accuracy": 1 / size, "macs": size}


def found(student: Any, name: str, limit: float, budget: int) -> Any:
    """What a search returns, within the budget."""
    remote = student.put(RemoteSpace(CHOICES, space))
    trainer = Trainer(budget)
    return getattr(student, name)(remote, trainer, {"macs": limit}, budget, 0)


random_search = Exercise("s5.random_search")


@random_search.check(visibility="visible")
def test_random_search_by_hand(student: Any) -> None:
    """60 draws of nine networks find the best that costs at most 16; none costs at most 3."""
    arch = found(student, "random_search", 16, 60)
    check(arch is not None and arch["depth"] * arch["width"] == 16, "the best within the limit")
    check(found(student, "random_search", 3, 20) is None, "nothing is feasible: None")


evolutionary_search = Exercise("s5.evolutionary_search")


@evolutionary_search.check(visibility="visible")
def test_evolution_by_hand(student: Any) -> None:
    """60 evaluations find the best of nine networks that costs at most 24."""
    arch = found(student, "evolutionary_search", 24, 60)
    check(arch is not None and arch["depth"] * arch["width"] == 24, "the best within the limit")


optuna_search = Exercise("s5.optuna_search")


@optuna_search.check(visibility="visible", seconds=20)
def test_optuna_by_hand(student: Any) -> None:
    """40 evaluations find the best of nine networks that costs at most 32."""
    arch = found(student, "optuna_search", 32, 40)
    check(arch is not None and arch["depth"] * arch["width"] == 32, "the best within the limit")


successive_halving = Exercise("s5.successive_halving")


@successive_halving.check(visibility="visible")
def test_halving_by_hand(student: Any) -> None:
    """Eight configurations and 96 epochs: eight get 4 each, four 8, two 16."""
    calls: list[tuple[int, int]] = []

    def evaluate(configuration: int, resource: int) -> dict[str, float]:
        calls.append((configuration, resource))
        return {"accuracy": configuration / 10}

    check(student.successive_halving(list(range(8)), evaluate, 2, 96) == 7, "the best one is 7")
    check([r for _, r in calls[:8]] == [4] * 8, "the first rung: 96 / (3 * 8) epochs each")
    expect_value_error(student.successive_halving, [], evaluate, 2, 96)
