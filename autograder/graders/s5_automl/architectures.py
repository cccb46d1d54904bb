"""The tabulated networks that searches are graded on: 1,350 small ones for the embedded digits.

`benchmarks/architecture_table.py` trained them and wrote `FILE`. A search never sees their names:
every draw hides them behind options and an order of its own, so that what somebody knows of the
table, or of networks, is no help.
"""

from __future__ import annotations

import functools
import itertools
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from autograder.graders.s5_automl.references import Architecture, ReferenceSpace, keeps
from autograder.graders.toolkit import CallbackError, RandomInputs
from shared.spaces import RemoteSpace

CHOICES: dict[str, list[Any]] = {
    "kernel": [1, 3, 5],
    "stride": [1, 2],
    "activation": ["relu", "identity", "tanh"],
    "head": ["mean", "flatten", "max"],
    "first": [2, 3, 4, 6, 9],
    "second": [2, 3, 4, 6, 9],
}
"""Of the networks; the table has all combinations, in the order of `itertools.product`."""
SIZES = tuple(map(len, CHOICES.values()))
FILE = Path(__file__).with_name("architectures.npz")

Numbers = np.ndarray[Any, Any]


@dataclass(frozen=True)
class ArchitectureTable:
    """One row an architecture; shares of right answers, means over the seeds.

    `validation` (n, epochs) after each epoch and `accuracy` (n,) after the last one on validation
    images, `spread` (n,) the standard deviation of the latter over the seeds, `test` (n,) on
    others.
    """

    validation: Numbers
    spread: Numbers
    test: Numbers
    params: Numbers
    macs: Numbers

    @property
    def accuracy(self) -> Numbers:
        """After the last epoch."""
        last: Numbers = self.validation[:, -1]
        return last

    def worth(self, limits: dict[str, float]) -> Numbers:
        """(n,) the accuracy of what is within the limits, 0 of the others."""
        feasible = np.ones(len(self.macs), bool)
        for name, limit in limits.items():
            feasible &= getattr(self, name) <= limit
        return np.where(feasible, self.accuracy, 0.0)


@functools.cache
def table() -> ArchitectureTable:
    """The table, read once a process."""
    with np.load(FILE) as stored:
        validation_images, test_images = stored["images"].tolist()
        validation = stored["validation"] / validation_images
        return ArchitectureTable(
            validation.mean(2),
            validation[:, -1].std(1, ddof=1),
            (stored["test"] / test_images).mean(1),
            stored["params"].astype(int),
            stored["macs"].astype(int),
        )


def limits_at(share: float, *names: str) -> dict[str, float]:
    """Limits of the named costs that about `share` of the table keep, one by one."""
    return {name: float(np.quantile(getattr(table(), name), share)) for name in names}


@dataclass
class Hidden:
    """A draw of the table behind names that mean nothing, and what was asked of it.

    The genes come in an order of their own, and an ordered one may run backwards. Two of them are
    the items of a list.
    """

    space: ReferenceSpace
    order: list[int]
    flipped: list[bool]
    budget: int
    misleading: bool = False
    calls: list[Architecture] = field(default_factory=list)

    def remote(self) -> RemoteSpace:
        """The space as it is handed to a search."""
        return RemoteSpace(self.space.choices, self.space)

    def row(self, arch: Architecture) -> int:
        """The row of the table."""
        code = self.space.encode(arch)
        genes = [0] * len(SIZES)
        for index, place, flipped in zip(code, self.order, self.flipped, strict=True):
            genes[place] = SIZES[place] - 1 - index if flipped else index
        return int(np.ravel_multi_index(genes, SIZES))

    def measured(self, arch: Architecture) -> dict[str, float]:
        """What training this architecture gave; with `misleading`, tests favour the worst."""
        row, known = self.row(arch), table()
        accuracy = float(known.accuracy[row])
        return {
            "accuracy": accuracy,
            "test_accuracy": 1 - accuracy if self.misleading else float(known.test[row]),
            "params": int(known.params[row]),
            "macs": int(known.macs[row]),
        }

    def evaluate(self, arch: Architecture) -> dict[str, float]:
        """The callback of a search: counts, and stops when the budget is spent."""
        if len(self.calls) >= self.budget:
            raise CallbackError("evaluate was called more often than the budget allows")
        try:
            found = self.measured(arch)
        except (ValueError, KeyError, TypeError, IndexError):
            raise CallbackError("evaluate was given no architecture of the space") from None
        self.calls.append(arch)
        return found

    def best_seen(self, limits: dict[str, float]) -> float | None:
        """The highest accuracy of a feasible architecture that was evaluated."""
        seen = [self.measured(arch) for arch in self.calls]
        return max((m["accuracy"] for m in seen if keeps(m, limits)), default=None)

    def progress(self, limits: dict[str, float]) -> float:
        """Mean worth of the later half of what was evaluated, in units of the table's mean."""
        worth = table().worth(limits)
        late = [worth[self.row(arch)] for arch in self.calls[len(self.calls) // 2 :]]
        return float(np.mean(late) / worth.mean()) if late else 0.0


def hidden(rng: RandomInputs, budget: int, misleading: bool = False) -> Hidden:
    """A new draw."""
    order = rng.sample(range(len(SIZES)), len(SIZES))
    flipped = [bool(rng.integer(0, 1)) for _ in order]
    names = rng.sample([f"{a}{b}" for a, b in itertools.product("bdfgkm", "aiou")], len(SIZES))
    options = [
        [f"{name}{number}" for number in range(SIZES[place])]
        for name, place in zip(names, order, strict=True)
    ]
    at = rng.integer(0, len(SIZES) - 2)
    choices: dict[str, Any] = {}
    for index, name in enumerate(names):
        if index == at:
            choices[name] = [options[index], options[index + 1]]
        elif index != at + 1:
            choices[name] = options[index]
    return Hidden(ReferenceSpace(choices), order, flipped, budget, misleading)


def random_regret(limits: dict[str, float], budget: int) -> tuple[float, float]:
    """(highest accuracy within the limits, expected regret of random search).

    Exactly: the chance that none of `budget` draws is feasible and above an accuracy. Without a
    feasible one the regret is the whole accuracy.
    """
    ordered = np.sort(table().worth(limits))[::-1]
    none_above = (1 - np.arange(len(ordered) + 1) / len(ordered)) ** budget
    expected = float((ordered * (none_above[:-1] - none_above[1:])).sum())
    return float(ordered[0]), float(ordered[0]) - expected
