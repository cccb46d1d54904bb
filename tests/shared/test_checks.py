"""Checks of arguments: what fits passes silently, the rest is one line in one style."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from shared import checks


def message(check: Callable[..., object], *arguments: Any, **options: Any) -> str:
    """What a check says, in its style; empty if it passes."""
    try:
        check("size", *arguments, **options)
    except ValueError as error:
        text = str(error)
        assert re.fullmatch(r"size: expected [^\n]+, got [^\n]+ \([^()\n]+\)", text)
        return text
    return ""


@given(st.integers(), st.integers(-5, 5), st.integers(0, 10) | st.none())
def test_ints_are_refused_outside_their_range(value: int, low: int, room: int | None) -> None:
    high = None if room is None else low + room
    fits = value >= low and (high is None or value <= high)
    assert (message(checks.check_int, value, low, high) == "") == fits


@pytest.mark.parametrize("value", [True, False, 1.0, "1", None, math.nan, np.int64(1)])
def test_what_is_no_int(value: object) -> None:
    got = f"{value!r} ({type(value).__name__})"
    assert message(checks.check_int, value, 0) == f"size: expected an int of at least 0, got {got}"
    assert message(checks.check_bits, value) == f"size: expected an int in 1..32, got {got}"


@given(st.integers(-3, 40))
def test_bits(value: int) -> None:
    assert (message(checks.check_bits, value) == "") == (1 <= value <= 32)
    assert (message(checks.check_bits, value, minimum=2) == "") == (2 <= value <= 32)


@given(st.floats())
def test_fractions(value: float) -> None:
    assert (message(checks.check_fraction, value) == "") == (value in (0, 1) or 0 < value < 1)


@pytest.mark.parametrize(
    ("value", "pair"), [(3, (3, 3)), ((1, 2), (1, 2)), ([1, 2], (1, 2)), ((4, 4), (4, 4))]
)
def test_pairs(value: Any, pair: tuple[int, int]) -> None:
    assert checks.check_pair("size", value) == pair


@pytest.mark.parametrize(
    "value", [0, (1, 0), (1,), (1, 2, 3), (), "same", 1.5, (1, 2.0), (True, 1)]
)
def test_what_is_no_pair(value: Any) -> None:
    assert message(checks.check_pair, value)


def test_a_choice() -> None:
    assert message(checks.check_choice, "a", ("a", "b")) == ""
    assert message(checks.check_choice, "c", ("a", "b")) == (
        "size: expected one of a, b, got 'c' (str)"
    )
    assert message(checks.check_choice, ["a"], ("a", "b"))


sizes = st.lists(st.integers(0, 3), max_size=4)


@given(sizes, sizes, st.lists(st.booleans(), min_size=4, max_size=4))
def test_shapes(actual: list[int], expected: list[int], free: list[bool]) -> None:
    """Letters stand for any size, numbers for themselves, and the number of dimensions counts."""
    pattern = [f"D{i}" if free[i] else size for i, size in enumerate(expected)]
    fits = len(actual) == len(expected) and all(
        free[i] or a == e for i, (a, e) in enumerate(zip(actual, expected))
    )
    assert (message(checks.check_shape, torch.empty(actual), *pattern) == "") == fits


def test_the_message_on_a_shape() -> None:
    assert message(checks.check_shape, torch.empty(3), 2) == (
        "size: expected shape (2,), got (3,) (float32 Tensor)"
    )
    assert message(checks.check_shape, torch.empty(3), 2, "C") == (
        "size: expected shape (2, C), got (3,) (float32 Tensor)"
    )


@given(st.integers(-6, 6), st.integers(0, 4))
def test_an_axis_is_what_torch_takes_for_one(axis: int, dimensions: int) -> None:
    tensor = torch.ones([1] * dimensions)
    allowed = range(-dimensions, dimensions)
    assert (message(checks.check_axis, axis, tensor) == "") == (axis in allowed)


@given(st.lists(st.floats(width=32), max_size=5))
def test_finite_and_positive(values: list[float]) -> None:
    tensor = torch.tensor(values)
    finite = all(math.isfinite(value) for value in values)
    assert (message(checks.check_finite, tensor) == "") == finite
    positive = finite and all(value > 0 for value in values)
    assert (message(checks.check_positive, tensor) == "") == positive


def test_a_matrix_is_no_vector_of_scales() -> None:
    assert message(checks.check_positive, torch.ones(2, 2))
    assert message(checks.check_positive, 1.0) == ""


@pytest.mark.parametrize("value", ["0.5", None, [0.5], torch.ones(2), math.nan, 1j, nn.ReLU()])
def test_what_is_no_number(value: object) -> None:
    assert message(checks.check_fraction, value)


def test_long_values_are_cut_and_stay_on_one_line() -> None:
    text = message(checks.check_int, "a\n" * 500, 0)
    assert text.endswith("... (str)")
    assert len(text) < 120
    assert message(checks.check_fraction, nn.Sequential(nn.ReLU(), nn.ReLU()))


@pytest.mark.parametrize("axis", [True, 0.0, "0", None])
def test_what_is_no_axis(axis: object) -> None:
    assert message(checks.check_axis, axis, torch.ones(2))


dtypes = st.sampled_from([torch.uint8, torch.int32, torch.int64, torch.float32, torch.bool])


@given(st.lists(st.integers(0, 9), max_size=5), dtypes, st.integers(0, 9), st.integers(0, 9))
def test_integers(values: list[int], dtype: torch.dtype, low: int, high: int) -> None:
    tensor = torch.tensor(values, dtype=dtype)
    whole = dtype not in (torch.float32, torch.bool)
    fits = whole and all(low <= value <= high for value in values)
    assert (message(checks.check_integers, tensor, low, high) == "") == fits
    assert (message(checks.check_integers, tensor) == "") == whole


@given(sizes, sizes, st.booleans())
def test_masks(actual: list[int], like: list[int], flags: bool) -> None:
    mask = torch.zeros(actual, dtype=torch.bool if flags else torch.uint8)
    fits = flags and actual == like
    assert (message(checks.check_mask, mask, torch.ones(like)) == "") == fits
