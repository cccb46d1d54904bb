"""Checks of arguments, each with one style of message: `name: expected ..., got ...`.

All raise ValueError for a value that does not fit and return nothing, except for `check_pair`,
which also gives the pair. A bool is no int here.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

Pair = int | tuple[int, int]
"""One number for height and width, or one for each."""

MAX_BITS = 32


def check_int(name: str, value: object, minimum: int, maximum: int | None = None) -> None:
    """`value` is an int from `minimum` to `maximum`, or of any size if that is None."""
    fits = isinstance(value, int) and not isinstance(value, bool)
    if not fits or value < minimum or (maximum is not None and value > maximum):  # type: ignore[operator]
        span = f"of at least {minimum}" if maximum is None else f"in {minimum}..{maximum}"
        raise ValueError(f"{name}: expected an int {span}, got {value!r}")


def check_bits(name: str, value: object, minimum: int = 1, maximum: int = MAX_BITS) -> None:
    """`value` is a bit width."""
    check_int(name, value, minimum, maximum)


def check_fraction(name: str, value: float) -> None:
    """`value` is a number from 0 to 1; NaN is none."""
    if not 0 <= value <= 1:
        raise ValueError(f"{name}: expected a number in 0..1, got {value!r}")


def check_pair(name: str, value: Pair, minimum: int = 1) -> tuple[int, int]:
    """`value` as (height, width), e.g. 3 as (3, 3); both are ints of at least `minimum`."""
    pair = tuple(value) if isinstance(value, list | tuple) else (value, value)
    if len(pair) != 2:
        raise ValueError(f"{name}: expected an int or a pair of ints, got {value!r}")
    for number in pair:
        check_int(name, number, minimum)
    return pair[0], pair[1]


def check_choice(name: str, value: object, choices: Iterable[str]) -> None:
    """`value` is one of `choices`."""
    known = tuple(choices)
    if value not in known:
        raise ValueError(f"{name}: expected one of {', '.join(known)}, got {value!r}")


def check_shape(name: str, tensor: Tensor, *sizes: int | str) -> None:
    """`tensor` has as many dimensions as there are `sizes`; a letter stands for any size.

    `check_shape("targets", targets, n, "C")` takes (n, 1), (n, 10), and so on.
    """
    actual = tuple(tensor.shape)
    fits = len(actual) == len(sizes) and all(
        isinstance(size, str) or size == number for size, number in zip(sizes, actual)
    )
    if not fits:
        expected = ", ".join(map(str, sizes)) + ("," if len(sizes) == 1 else "")
        raise ValueError(f"{name}: expected shape ({expected}), got {actual}")


def check_axis(name: str, axis: int, tensor: Tensor) -> None:
    """`axis` is a dimension of `tensor`; -1 is the last one."""
    if not -tensor.dim() <= axis < tensor.dim():
        shape = tuple(tensor.shape)
        raise ValueError(f"{name}: expected a dimension of a tensor of shape {shape}, got {axis}")


def check_finite(name: str, tensor: Tensor) -> None:
    """Every value of `tensor` is finite."""
    finite = torch.isfinite(tensor)
    if not bool(finite.all()):
        raise ValueError(f"{name}: expected finite values, got {tensor[~finite][0].item()}")


def check_positive(name: str, value: float | Tensor) -> None:
    """`value`, a number or a vector of numbers, is positive and finite throughout."""
    numbers = torch.as_tensor(value, dtype=torch.float64)
    if numbers.dim() > 1:
        shape = tuple(numbers.shape)
        raise ValueError(f"{name}: expected a number or a vector, got shape {shape}")
    wrong = numbers[~(numbers.isfinite() & (numbers > 0))]
    if wrong.numel():
        raise ValueError(f"{name}: expected positive and finite numbers, got {wrong[0].item()}")
