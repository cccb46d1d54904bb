"""Graders of search.py: successive halving."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from autograder.graders.s5_automl.architectures import table
from autograder.graders.toolkit import (
    CallbackError,
    Exercise,
    RandomInputs,
    StudentError,
    check,
    expect_value_error,
    fail,
)

Curve = Callable[[int, int], float]
"""Accuracy of configuration number `int` after a resource."""


@dataclass
class Trainer:
    """The callback: knows the configurations by name, counts what they cost."""

    names: Sequence[str]
    curve: Curve
    budget: int
    calls: list[tuple[int, int]] = field(default_factory=list)

    def evaluate(self, configuration: Any, resource: Any) -> dict[str, float]:
        """Accuracy of one configuration after `resource`."""
        if configuration not in self.names:
            raise CallbackError("evaluate was given none of the configurations")
        if type(resource) is not int or resource < 1:
            raise CallbackError("evaluate needs a resource that is an int of at least 1")
        if sum(r for _, r in self.calls) + resource > self.budget:
            raise CallbackError("the sum of all resources is above the budget")
        number = list(self.names).index(configuration)
        self.calls.append((number, resource))
        return {"accuracy": self.curve(number, resource)}


def sizes_of_rungs(count: int, eta: int) -> list[int]:
    """Configurations alive in each rung, until one is left."""
    sizes = [count]
    while sizes[-1] > 1:
        sizes.append(max(1, sizes[-1] // eta))
    return sizes


def counts_of_rungs(count: int, eta: int) -> set[int]:
    """Usual readings of "rungs": halvings, with or without one for the last survivor."""
    halvings = len(sizes_of_rungs(count, eta)) - 1
    logarithm = next(k for k in range(64) if eta**k >= count)
    return {halvings, halvings + 1, logarithm, logarithm + 1}


def _rank(curve: Curve, resource: int, number: int) -> tuple[float, int]:
    return -curve(number, resource), number


def survivor(curve: Curve, count: int, eta: int, budget: int, rungs: int) -> tuple[int, list[Any]]:
    """(who is left, the calls) with a given number of rungs, without a rung for the last one."""
    alive, calls = list(range(count)), []
    for size, following in zip(*(sizes_of_rungs(count, eta)[i:] for i in (0, 1)), strict=False):
        resource = budget // (rungs * size)
        calls += [(number, resource) for number in alive]
        order = sorted(alive, key=functools.partial(_rank, curve, resource))
        alive = sorted(order[:following])
    return alive[0], calls


def halved(student: Any, rng: RandomInputs, curve: Curve, count: int, eta: int, budget: int) -> Any:
    """(number of what the student's halving returns, the trainer)."""
    names = rng.sample([f"net{number}" for number in range(10 * count)], count)
    trainer = Trainer(names, curve, budget)
    result = student.successive_halving(names, trainer.evaluate, eta, budget)
    if result not in names:
        fail("successive_halving should return one of the configurations")
    return names.index(result), trainer


def right_answers(curve: Curve, count: int, eta: int, budget: int) -> set[int]:
    """Survivors under all readings."""
    return {survivor(curve, count, eta, budget, r)[0] for r in counts_of_rungs(count, eta)}


def outdated_answers(curve: Curve, count: int, eta: int, budget: int) -> set[int]:
    """Survivors under all readings, if the first or the best accuracy so far decides."""
    found = set()
    for rungs in counts_of_rungs(count, eta):
        spent = [budget // (rungs * size) for size in sizes_of_rungs(count, eta)]

        def first(number: int, _resource: int, least: int = spent[0]) -> float:
            return curve(number, least)

        def best(number: int, resource: int, spent: Sequence[int] = tuple(spent)) -> float:
            return max(curve(number, each) for each in spent if each <= resource)

        found |= {survivor(each, count, eta, budget, rungs)[0] for each in (first, best)}
    return found


def crossing(rng: RandomInputs, count: int, eta: int, budget: int) -> Curve:
    """Curves that cross, so that outdated accuracies let another one survive."""
    while True:
        start, end = shuffled_ranks(rng, count), shuffled_ranks(rng, count)

        def curve(n: int, r: int, start: Any = start, end: Any = end) -> float:
            share = min(r / 60, 1.0)
            return float((1 - share) * start[n] + share * end[n])

        arguments = curve, count, eta, budget
        if not outdated_answers(*arguments) & right_answers(*arguments):
            return curve


def constant(accuracies: Sequence[float]) -> Curve:
    """The resource does not matter."""
    return lambda number, _resource: accuracies[number]


def shuffled_ranks(rng: RandomInputs, count: int) -> list[float]:
    """Different accuracies in no order."""
    return [(rank + 1) / (count + 2) for rank in rng.permutation(count).tolist()]


successive_halving = Exercise("s5.successive_halving")


@successive_halving.check(weight=3, essential=True)
def test_the_best_survives(student: Any, rng: RandomInputs) -> None:
    """The configuration that is best at every resource is returned."""
    for eta, count in ((2, 8), (3, 9), (2, rng.integer(9, 15)), (4, rng.integer(17, 30))):
        ranks = shuffled_ranks(rng, count)
        budget = count * rng.integer(8, 20)
        best, _ = halved(student, rng, constant(ranks), count, eta, budget)
        check(ranks[best] == max(ranks), "survivors are those of the highest accuracy")


@successive_halving.check(weight=3, essential=True)
def test_schedule_of_the_rungs(student: Any, rng: RandomInputs) -> None:
    """Rungs have the sizes and resources that eta and the budget give, the same for all in one."""
    for eta, count in ((2, 16), (3, 27), (3, rng.integer(10, 24)), (4, rng.integer(18, 40))):
        ranks = shuffled_ranks(rng, count)
        budget = count * rng.integer(12, 40) + rng.integer(0, count - 1)
        _, trainer = halved(student, rng, constant(ranks), count, eta, budget)
        calls = sorted(trainer.calls)
        schedules = []
        for rungs in counts_of_rungs(count, eta):
            winner, expected = survivor(constant(ranks), count, eta, budget, rungs)
            schedules += [sorted(expected), sorted([*expected, (winner, budget // rungs)])]
        hint = "rungs are the halvings that it takes; all of a rung get the same whole resource"
        check(calls in schedules, hint)


@successive_halving.check(weight=2)
def test_later_rungs_know_better(student: Any, rng: RandomInputs) -> None:
    """Who survives a rung is decided by what was measured in that rung."""
    for eta, count in ((2, 8), (3, 18)):
        budget = 24 * count
        curve = crossing(rng, count, eta, budget)
        found, _ = halved(student, rng, curve, count, eta, budget)
        hint = "compare the accuracies of this rung, neither the first nor the best ones ever"
        check(found in right_answers(curve, count, eta, budget), hint)


@successive_halving.check(weight=1)
def test_ties_go_to_the_first(student: Any, rng: RandomInputs) -> None:
    """Of equally accurate configurations the earlier one survives."""
    for eta, count in ((2, 8), (3, 12)):
        few = [rng.choice([0.25, 0.5]) for _ in range(count)]
        few[rng.integer(1, count // 2)] = few[count - 1] = 0.5
        found, _ = halved(student, rng, constant(few), count, eta, 20 * count)
        check(found == few.index(0.5), "the earlier configuration survives a tie")
    found, _ = halved(student, rng, lambda _n, _r: 0.5, 7, 2, 200)
    check(found == 0, "all alike: the first one")


@successive_halving.check(weight=2)
def test_regret_of_halving(student: Any, rng: RandomInputs) -> None:
    """On tabulated networks, what survives is close to the best of those that were started."""
    known = table()
    epochs = known.validation.shape[1]
    regrets, chances = [], []
    for _ in range(5):
        rows = rng.permutation(len(known.macs))[:27].tolist()

        def curve(n: int, r: int, rows: Any = rows) -> float:
            return float(known.validation[rows[n], min(r, epochs) - 1])

        found, _ = halved(student, rng, curve, 27, 3, 27 * 3 * 2)
        reached = [float(known.accuracy[row]) for row in rows]
        regrets.append(max(reached) - reached[found])
        chances.append(max(reached) - sum(reached) / len(reached))
    hint = "give more and more epochs to fewer and fewer networks"
    check(sum(regrets) < 0.2 * sum(chances), hint)


@successive_halving.check(weight=0.6)
def test_one_configuration(student: Any, rng: RandomInputs) -> None:
    """A single configuration is returned, and one of two that differ, the better one."""
    found, _ = halved(student, rng, lambda _n, _r: 0.5, 1, 2, 10)
    check(found == 0, "there is only one")
    ranks = rng.sample([0.1, 0.9], 2)
    found, _ = halved(student, rng, lambda n, _r: ranks[n], 2, rng.integer(2, 4), 10)
    check(ranks[found] == 0.9, "the better one of two")


@successive_halving.check(weight=0.4)
def test_halving_leaves_the_configurations_alone(student: Any, rng: RandomInputs) -> None:
    """The best survives, and the list of configurations is unchanged."""
    names = rng.sample([f"net{number}" for number in range(90)], 9)
    ranks = shuffled_ranks(rng, len(names))
    trainer = Trainer(names, constant(ranks), 180)
    live = student.put(names)
    result = student.successive_halving(live, trainer.evaluate, 3, 180)
    check(result == names[ranks.index(max(ranks))], "survivors are those of the highest accuracy")
    check(list(student.fetch(live)) == names, "copy the list before it is cut or sorted")


@successive_halving.check(weight=0.4)
def test_halving_passes_exceptions_on(student: Any, rng: RandomInputs) -> None:
    """What evaluate raises ends the search."""
    halved(student, rng, lambda n, _r: n / 10, 8, 2, 100)

    def breaks(_configuration: Any, _resource: Any) -> dict[str, float]:
        raise CallbackError("the training of this network failed")

    try:
        student.successive_halving(["a", "b", "c"], breaks, 2, 100)
    except StudentError as error:
        if error.kind == "NotImplementedError":
            raise
        check(error.kind == "JudgeError", "let the exception of evaluate through as it is")
    else:
        fail("evaluate raised an exception, and the search went on")


@successive_halving.check(weight=1, guard=True)
def test_halving_refuses(student: Any, rng: RandomInputs) -> None:
    """No configurations, and a budget below 1, raise ValueError."""
    trainer = Trainer(["a"], lambda _n, _r: math.nan, 10)
    expect_value_error(student.successive_halving, [], trainer.evaluate, 2, 10)
    for budget in (0, -rng.integer(1, 9)):
        expect_value_error(student.successive_halving, ["a", "b"], trainer.evaluate, 2, budget)
