"""Draws that several graders of clustering.py need."""

from __future__ import annotations

import torch
from torch import Tensor

from autograder.graders.toolkit import (
    RandomInputs,
)

METHODS = ("linear", "density", "forgy")


def plain(tensor: Tensor) -> list[float]:
    """All values as Python floats, row by row."""
    values: list[float] = tensor.double().flatten().tolist()
    return values


def skewed(rng: RandomInputs, *shape: int) -> Tensor:
    """Float32 weights of both signs with a heavy tail and no two alike, not around 0."""
    values = rng.normal(*shape)
    return values * values.abs() + rng.number(0.5, 2.0)


def few_values(rng: RandomInputs, distinct: int, n: int) -> Tensor:
    """Float32 (n,) with exactly `distinct` values, evenly spaced, each several times."""
    step = rng.choice([0.25, 0.5, 2.0])
    first = step * rng.integer(-8, -1)
    places = (torch.arange(n) % distinct)[rng.permutation(n)]
    return first + step * places.float()
