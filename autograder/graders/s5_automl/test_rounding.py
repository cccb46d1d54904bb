"""Graders of policies.py: gptq, which rounds weights so that outputs change least."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from autograder.graders.toolkit import (
    Exercise,
    RandomInputs,
    allclose,
    check,
    expect_list,
    expect_record,
    expect_tensor,
    expect_value_error,
)
from shared.records import QParams

gptq = Exercise("s5.gptq")
Codes = tuple[Tensor, Tensor]


def top(bits: int) -> int:
    """The largest code of the narrow symmetric range."""
    return int(2 ** (bits - 1)) - 1


def scales(weight: Tensor, bits: int, group: int | None) -> Tensor:
    """Largest magnitude of each row, or group of columns, over the largest code."""
    parts = weight.double().reshape(len(weight), -1, group or weight.shape[1])
    found: Tensor = parts.abs().amax(2) / top(bits)
    return found if group else found[:, 0]


def quantised(
    student: Any,
    weight: Tensor,
    hessian: Tensor,
    bits: int,
    group: int | None = None,
    **options: Any,
) -> Codes:
    """(codes, scale) of one call, checked for their form and the scale's values."""
    if group is not None:
        options["group"] = group
    parts = expect_list(student.gptq(weight, hessian, bits, **options), "gptq", length=2)
    codes = expect_tensor(parts[0], "codes", weight.shape)
    whole = not (codes.is_floating_point() or codes.is_complex() or codes.dtype == torch.bool)
    check(whole, "codes are integers")
    check(int(codes.abs().max()) <= top(bits), "codes are within the narrow symmetric range")
    scale, zero_point = expect_record(parts[1], QParams, "the parameters")
    expected = scales(weight, bits, group)
    scale = expect_tensor(scale, "scale", expected.shape)
    positive = expected > 0
    hint = "the largest magnitude of the original weights over the largest code, 2^(bits-1) - 1"
    check(allclose(scale[positive], expected[positive], rtol=1e-4, atol=0.0), hint)
    check(not bool(torch.as_tensor(zero_point).any()), "symmetric: zero points 0")
    return codes, scale


def restored(codes: Tensor, scale: Tensor) -> Tensor:
    """The weight that codes stand for, float64."""
    wide = scale.double() if scale.dim() == 2 else scale.double()[:, None]
    width = codes.shape[1] // wide.shape[1]
    return codes.double() * wide.repeat_interleave(width, 1)


def rounded(weight: Tensor, bits: int, group: int | None) -> Tensor:
    """Plain rounding to the nearest code, as a weight."""
    wide = scales(weight, bits, group)
    wide = wide if wide.dim() == 2 else wide[:, None]
    wide = wide.repeat_interleave(weight.shape[1] // wide.shape[1], 1)
    return (weight.double() / wide).round().clamp(-top(bits), top(bits)) * wide


def correlated(rng: RandomInputs, inputs: int) -> Tensor:
    """Inputs (n, in) that a few directions explain."""
    mixed = rng.normal(400, 5) @ rng.normal(5, inputs)
    return mixed + 0.3 * rng.normal(400, inputs)


def error(weight: Tensor, other: Tensor, x: Tensor) -> float:
    """Squared error of the outputs."""
    return float((x.double() @ (weight.double() - other).T).square().sum())


@gptq.check(weight=5, essential=True)
def test_outputs_change_less(student: Any, rng: RandomInputs) -> None:
    """With correlated inputs the outputs' squared error is at most half of plain rounding's."""
    for bits in (3, 4):
        weight, x = rng.normal(rng.integer(16, 20), 32), correlated(rng, 32)
        codes, scale = quantised(student, weight, x.T @ x, bits)
        plain = error(weight, rounded(weight, bits, None), x)
        hint = "make up for the error of a column in the columns that are still free"
        check(error(weight, restored(codes, scale), x) <= 0.5 * plain, hint)


@gptq.check(weight=2)
def test_uncorrelated_inputs(student: Any, rng: RandomInputs) -> None:
    """With a diagonal Hessian nothing can be made up for: plain rounding."""
    for bits in (2, rng.integer(3, 5), 8):
        weight = rng.normal(7, 10)
        hessian = torch.diag(rng.uniform(10, low=0.5, high=4.0))
        codes, _ = quantised(student, weight, hessian, bits)
        exact = weight.double() / scales(weight, bits, None)[:, None]
        far = ((exact - exact.floor()) - 0.5).abs() > 1e-3  # not near a tie
        hint = "with a diagonal Hessian each weight is rounded on its own"
        check(bool((codes.double() == exact.round())[far].all()), hint)


@gptq.check(weight=2)
def test_groups_of_columns(student: Any, rng: RandomInputs) -> None:
    """Each group of columns has a scale of its own, and outputs change less there, too."""
    shares = []
    for group in (8, 16, 8, 16, 8, 16):
        weight = rng.normal(18, 32) * torch.logspace(-1, 1, 32)[rng.permutation(32)]
        x = correlated(rng, 32) / weight.abs().amax(0)
        codes, scale = quantised(student, weight, x.T @ x, 4, group)
        plain = error(weight, rounded(weight, 4, group), x)
        shares.append(error(weight, restored(codes, scale), x) / plain)
    for group in (1, 32):
        quantised(student, rng.normal(6, 32), torch.eye(32), 4, group)
    hint = "scales of the original weights, by groups of columns at their original places"
    # one share varies: 0.44 in the median, above 0.75 for one draw in a hundred
    check(sum(shares) / len(shares) <= 0.75, hint)


@gptq.check(weight=1)
def test_dead_columns(student: Any, rng: RandomInputs) -> None:
    """An input that is always 0 gets codes 0, and does not stop the others."""
    weight, x = rng.normal(16, 24), correlated(rng, 24)
    dead = rng.permutation(24)[:3]
    x[:, dead] = 0.0
    weight[:, dead] = weight[:, dead].clamp(-0.5, 0.5)
    codes, scale = quantised(student, weight, x.T @ x, 4)
    check(not bool(codes[:, dead].any()), "a diagonal entry of 0: codes 0")
    plain = error(weight, rounded(weight, 4, None), x)
    check(error(weight, restored(codes, scale), x) <= 0.6 * plain, "the others are as good as ever")


@gptq.check(weight=0.5, guard=True)
def test_rounding_leaves_arguments_alone(student: Any, rng: RandomInputs) -> None:
    """Neither the weight nor the Hessian is changed."""
    weight, x = rng.normal(6, 8), correlated(rng, 8)
    refs = student.put(weight), student.put(x.T @ x)
    student.gptq(*refs, 4)
    check(torch.equal(student.fetch(refs[0]), weight), "the weight was changed in place")
    check(torch.equal(student.fetch(refs[1]), x.T @ x), "the Hessian was changed in place")


@gptq.check(weight=0.5, guard=True)
def test_rounding_refuses(student: Any, rng: RandomInputs) -> None:
    """A group that does not divide, a Hessian of another size, below 2 bits: ValueError."""
    weight = rng.normal(6, 8)
    for group in (3, 16):
        expect_value_error(student.gptq, weight, torch.eye(8), 4, group=group)
    for hessian in (torch.eye(7), torch.eye(9), torch.eye(8)[:6]):
        expect_value_error(student.gptq, weight, hessian, 4)
    for bits in (1, 0, -3):  # a narrow range of 1 bit holds only 0
        expect_value_error(student.gptq, weight, torch.eye(8), bits)
