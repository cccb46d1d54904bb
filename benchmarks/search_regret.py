"""Regret of session 5's searches on the tabulated networks, against random search.

    python -m benchmarks.search_regret                  # the model solution, 40 draws each
    python -m benchmarks.search_regret --folder tests/submissions/s5_automl/right/loops

Every draw hides the table behind other names and limits (as the graders do). Printed are the mean
regret, its standard deviation over the draws, and the share of random search's expected regret.
"""

from __future__ import annotations

import argparse
import importlib
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from autograder.graders.s5_automl.architectures import hidden, limits_at, random_regret, table
from autograder.graders.toolkit import RandomInputs
from benchmarks.common import ROOT

SHARE = 0.6
BUDGETS = (60, 100)
SEARCHES = ("random_search", "evolutionary_search", "optuna_search")


def regrets(search: Any, budget: int, draws: int) -> tuple[list[float], float]:
    """(regret of each draw, mean expected regret of random search on the same draws)."""
    found, expected = [], 0.0
    for draw in range(draws):
        rng = RandomInputs(draw.to_bytes(8, "little") * 2)
        drawn = hidden(rng, budget)
        limits = limits_at(SHARE, rng.choice(["macs", "params"]))
        best, chance = random_regret(limits, budget)
        arch = search(drawn.remote(), drawn.evaluate, limits, budget, draw)
        found.append(best - (drawn.measured(arch)["accuracy"] if arch is not None else 0.0))
        expected += chance / draws
    return found, expected


def halving_regrets(search: Any, draws: int) -> tuple[list[float], float]:
    """Of 27 networks and 162 epochs; the other is that of a network chosen by chance."""
    known, found, chances = table(), [], 0.0
    for draw in range(draws):
        rows = np.random.default_rng(draw).permutation(len(known.macs))[:27]

        def evaluate(place: int, resource: int, rows: Any = rows) -> dict[str, float]:
            epoch = min(resource, known.validation.shape[1]) - 1
            return {"accuracy": float(known.validation[rows[place], epoch])}

        reached = known.accuracy[rows]
        winner = search(list(range(27)), evaluate, 3, 162)
        found.append(float(reached.max() - reached[winner]))
        chances += float(reached.max() - reached.mean()) / draws
    return found, chances


def row(name: str, budget: object, found: Sequence[float], expected: float) -> str:
    """One line of the table."""
    mean, spread = statistics.mean(found), statistics.stdev(found)
    numbers = f"{mean:8.4f} {spread:8.4f} {expected:9.4f} {mean / expected:7.2f}"
    return f"{name:22} {budget!s:>7} {numbers}"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--folder", type=Path, default=ROOT / "solutions" / "s5_automl")
    parser.add_argument("--draws", type=int, default=40)
    options = parser.parse_args()
    sys.path.insert(0, str(options.folder.resolve()))
    module = importlib.import_module("search")
    known = table()
    print(
        f"{len(known.macs)} networks, accuracy {known.accuracy.min():.3f} to"
        f" {known.accuracy.max():.3f}; spread over the seeds of one network: median"
        f" {np.median(known.spread):.4f}, of the best hundred"
        f" {np.median(known.spread[known.accuracy.argsort()[-100:]]):.4f}"
    )
    print(f"{'search':22} {'budget':>7} {'regret':>8} {'std':>8} {'baseline':>9} {'share':>7}")
    for name in SEARCHES:
        for budget in BUDGETS:
            found, expected = regrets(getattr(module, name), budget, options.draws)
            print(row(name, budget, found, expected), flush=True)
    found, expected = halving_regrets(module.successive_halving, options.draws)
    print(row("successive_halving", "162 ep.", found, expected))


if __name__ == "__main__":
    main()
