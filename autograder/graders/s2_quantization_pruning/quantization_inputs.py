"""Draws and comparisons that several graders of quantization.py need."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from autograder.graders.toolkit import (
    RandomInputs,
    check,
    expect_float,
    expect_int,
    expect_record,
    expect_tensor,
)
from shared.records import QParams

WRONG_BITS = (0, 33, -1, 2.5)


def expect_unchanged(student: Any, name: str, *args: object) -> None:
    """Call the student's function; every tensor among `args` must keep its numbers."""
    live = [student.put(arg) if isinstance(arg, Tensor) else arg for arg in args]
    getattr(student, name)(*live)
    for before, after in zip(args, live, strict=True):
        if isinstance(before, Tensor):
            same = torch.equal(student.fetch(after), before)
            check(same, "work on a copy: an argument was changed")


def whole(value: object, name: str) -> int:
    """`value` as an int: a Python int, or a tensor of no dimensions with a whole number."""
    if isinstance(value, Tensor) and value.dim() == 0 and value.item() == round(value.item()):
        value = int(value.item())
    return expect_int(value, name)


def expect_params(value: object, name: str) -> tuple[float, int]:
    """(scale, zero point) of a whole tensor, the scale positive."""
    scale, zero_point = expect_record(value, QParams, name)
    scale = expect_float(scale, "scale")
    check(scale > 0, "a scale is positive")
    return scale, whole(zero_point, "zero point")


def expect_codes(value: object, name: str, expected: Tensor, hint: str) -> None:
    """Codes have to be int32, of the right shape, and exactly `expected`."""
    got = expect_tensor(value, name, expected.shape, torch.int32)
    check(torch.equal(got.to(torch.int64), expected), hint)


def power_of_two(rng: RandomInputs) -> float:
    """A scale by which float32 divides exactly."""
    return float(2.0 ** rng.integer(-6, 2))


def some_scale(rng: RandomInputs) -> float:
    """A scale that float32 holds exactly, between 0.01 and 0.5."""
    return float(rng.uniform(1, low=0.01, high=0.5))


def scales(rng: RandomInputs, count: int) -> Tensor:
    """Float32 scales (count,), no two alike."""
    return (0.02 * 1.7 ** torch.arange(count))[rng.permutation(count)] * rng.number(0.8, 1.2)


def nonzero(rng: RandomInputs, largest: int) -> int:
    """A zero point that is not 0, of either sign."""
    return rng.choice([-1, 1]) * rng.integer(2, largest)


def all_bits(rng: RandomInputs, lowest: int = 1) -> list[int]:
    """Some numbers of bits, small and large."""
    return [lowest, 8, rng.integer(3, 7), rng.integer(9, 24), rng.integer(25, 31), 32]


def real_of(codes: Tensor, scale: float, zero_point: int) -> Tensor:
    """The numbers in float64 that codes stand for."""
    return (codes.double() - zero_point) * scale


def decibels(reference: Tensor, approximation: Tensor) -> float:
    """Signal to noise in dB, summed exactly."""
    pairs = list(zip(reference.flatten().tolist(), approximation.flatten().tolist(), strict=True))
    noise = math.fsum((r - a) ** 2 for r, a in pairs)
    return 10 * math.log10(math.fsum(r * r for r, _ in pairs) / noise)
