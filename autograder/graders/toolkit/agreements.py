"""How a result is compared with the reference's. Each refuses another type with a fact about it."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from autograder.graders.toolkit.exercises import Agreement
from autograder.graders.toolkit.expectations import (
    allclose,
    close,
    expect_bool,
    expect_float,
    expect_int,
    expect_list,
    expect_str,
    expect_tensor,
)


def whole_number(actual: Any, expected: int, name: str) -> bool:
    """A Python int, exactly."""
    return expect_int(actual, name) == expected


def truth(actual: Any, expected: bool, name: str) -> bool:
    """A bool."""
    return expect_bool(actual, name) == expected


def text(actual: Any, expected: str, name: str) -> bool:
    """A str, exactly."""
    return expect_str(actual, name) == expected


def number(rtol: float = 1e-5, atol: float = 1e-8) -> Agreement:
    """A finite number within the tolerances; one-element tensors and arrays are numbers."""

    def agree(actual: Any, expected: float, name: str) -> bool:
        return close(expect_float(actual, name), float(expected), rtol, atol)

    return agree


def tensor(rtol: float = 1e-5, atol: float = 1e-6, dtype: bool = True) -> Agreement:
    """A finite tensor of the expected shape (and dtype), elementwise within the tolerances."""

    def agree(actual: Any, expected: Tensor, name: str) -> bool:
        kind = expected.dtype if dtype else None
        return allclose(expect_tensor(actual, name, expected.shape, kind), expected, rtol, atol)

    return agree


def listed(one: Agreement) -> Agreement:
    """A list or tuple of the expected length, each entry by the agreement `one`."""

    def agree(actual: Any, expected: Any, name: str) -> bool:
        values = expect_list(actual, name, length=len(expected))
        pairs = enumerate(zip(values, expected, strict=True))
        return all(one(value, element, f"{name}[{index}]") for index, (value, element) in pairs)

    return agree
