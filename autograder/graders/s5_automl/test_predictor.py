"""Graders of policies.py: the accuracy predictor, ranked by Kendall's tau."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import torch

from autograder.graders.s5_automl.architectures import SIZES, table
from autograder.graders.toolkit import (
    Exercise,
    Handle,
    RandomInputs,
    check,
    expect_float,
    expect_list,
    expect_value_error,
    fail,
)

Code = tuple[int, ...]


def kendall(a: Sequence[float], b: Sequence[float]) -> float:
    """Kendall's tau-b: pairs in the same order less those in the other, ties taken out."""
    x, y = (torch.tensor(each, dtype=torch.float64) for each in (a, b))
    first = (x[:, None] - x).sign()
    second = (y[:, None] - y).sign()
    total = (first.abs().sum() * second.abs().sum()).sqrt()
    return float((first * second).sum() / total) if total > 0 else 0.0


def new_predictor(student: Any) -> Handle:
    """A predictor of the student's."""
    made = student.AccuracyPredictor()
    if not isinstance(made, Handle):
        fail("AccuracyPredictor() should be an object with the methods fit and predict")
    return made


def predicted(student: Any, made: Handle, codes: Sequence[Code]) -> list[float]:
    """As many finite numbers as there are codes."""
    values = expect_list(student.invoke(made, "predict", list(codes)), "predict", len(codes))
    return [expect_float(value, "a prediction") for value in values]


def tabulated(rng: RandomInputs, known: int, asked: int) -> tuple[list[Code], list[float]]:
    """Codes and accuracies of drawn rows of the table; genes and options in a drawn order."""
    rows = rng.permutation(len(table().macs))[: known + asked].tolist()
    genes = list(itertools.product(*map(range, SIZES)))
    order = rng.sample(range(len(SIZES)), len(SIZES))
    renamed = [rng.sample(range(size), size) for size in SIZES]
    codes = [tuple(renamed[place][genes[row][place]] for place in order) for row in rows]
    return codes, [float(table().accuracy[row]) for row in rows]


def parity(rng: RandomInputs, count: int) -> tuple[list[Code], list[float]]:
    """Codes of three genes whose effects depend on each other: no sum of single effects."""
    codes = [tuple(code) for code in rng.integers(0, 2, count, 5).tolist()]
    effects = rng.normal(3, 3)
    while effects.mean(dim=0).var() > 0.15 * effects.var():  # what the third gene does by itself
        effects = rng.normal(3, 3)
    effect = effects.tolist()
    return codes, [effect[(c[0] + c[1]) % 3][c[2]] + 0.02 * c[3] for c in codes]


def tau(student: Any, codes: Sequence[Code], accuracies: Sequence[float], known: int) -> float:
    """Kendall's tau on what was not shown."""
    made = new_predictor(student)
    student.invoke(made, "fit", list(codes[:known]), list(accuracies[:known]))
    return kendall(predicted(student, made, codes[known:]), accuracies[known:])


KNOWN, ASKED = 250, 300
TABLE = (0.79, 0.745)
"""Kendall's tau that earns everything, and nothing: one effect for each option reaches 0.734."""

accuracy_predictor = Exercise("s5.AccuracyPredictor")


@accuracy_predictor.check(weight=4, essential=True, seconds=30)
def test_predictor_ranks_networks(student: Any, rng: RandomInputs, credit: Any) -> None:
    """Networks that were not shown come in about the right order (Kendall's tau)."""
    codes, accuracies = tabulated(rng, KNOWN, ASKED)
    reached = tau(student, codes, accuracies, KNOWN)
    full, none = TABLE
    hint = f"Kendall's tau is {reached:.2f}; full credit from {full} on"
    credit((reached - none) / (full - none), hint)


@accuracy_predictor.check(weight=3, essential=True, seconds=30)
def test_predictor_sees_interactions(student: Any, rng: RandomInputs) -> None:
    """What a gene does may depend on another one, which a linear model cannot say."""
    codes, accuracies = parity(rng, 330)
    hint = "no sum of one effect for each gene ranks these: let genes interact"
    # right ones reach 0.58 and more, one effect for each option 0.39 at most (60 draws)
    check(tau(student, codes, accuracies, 230) > 0.5, hint)


@accuracy_predictor.check(weight=1, seconds=30)
def test_predictor_keeps_the_order(student: Any, rng: RandomInputs) -> None:
    """Predictions belong to the codes that were asked for, in order, however many there are."""
    codes, accuracies = tabulated(rng, 80, 40)
    made = new_predictor(student)
    student.invoke(made, "fit", codes[:80], accuracies[:80])
    first = predicted(student, made, codes[80:])
    check(len(set(first)) > 10, "different networks have different predictions")
    order = rng.permutation(40).tolist()
    again = predicted(student, made, [codes[80 + place] for place in order])
    near = [abs(again[i] - first[place]) < 1e-4 for i, place in enumerate(order)]
    check(all(near), "a prediction depends on its code alone")
    alone = predicted(student, made, [codes[85]])
    check(abs(alone[0] - first[5]) < 1e-4, "a prediction depends on its code alone")


@accuracy_predictor.check(weight=1, seconds=30)
def test_predictor_learns_anew(student: Any, rng: RandomInputs) -> None:
    """A second fit replaces the first one, and two predictors know nothing of each other."""
    codes, accuracies = parity(rng, 200)
    one, other = new_predictor(student), new_predictor(student)
    student.invoke(one, "fit", codes[:150], accuracies[:150])
    student.invoke(other, "fit", codes[:150], [-a for a in accuracies[:150]])
    for made, sign in ((one, 1), (other, -1)):
        ranked = kendall(predicted(student, made, codes[150:]), accuracies[150:])
        check(sign * ranked > 0.25, "keep what was learnt in the instance")
    student.invoke(one, "fit", codes[:150], [-a for a in accuracies[:150]])
    ranked = kendall(predicted(student, one, codes[150:]), accuracies[150:])
    check(ranked < -0.25, "fit starts anew")


@accuracy_predictor.check(weight=0.9, guard=True)
def test_predictor_refuses(student: Any, rng: RandomInputs) -> None:
    """Nothing to learn from, and numbers that do not fit, raise ValueError."""
    codes, accuracies = tabulated(rng, 10, 0)
    expect_value_error(student.invoke, new_predictor(student), "fit", [], [])
    expect_value_error(student.invoke, new_predictor(student), "fit", codes, accuracies[:-1])
    expect_value_error(student.invoke, new_predictor(student), "fit", codes[:-1], accuracies)
