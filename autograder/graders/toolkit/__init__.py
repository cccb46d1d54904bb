"""What a grader is written with: markers, random draws and checks on returned values.

A grader is a pytest function with the fixture `student` (the student's functions, called in the
worker), `rng` (keyed random draws) and, for partial credit, `credit`:

    @exercise("s1.sparsity")
    @weight(2)
    def test_counts_exact_zeros(student, rng):
        \"\"\"The share of exact zeros of a tensor is returned.\"\"\"
        tensor = rng.normal(6, 7)
        tensor[0] = 0.0
        value = expect_float(student.sparsity(tensor), "sparsity")
        check(close(value, 1 / 6), "count elements that are exactly 0, divide by all elements")

The first line of the docstring is the property that the student reads; the text of `check` is
the hint. Neither may hold an input or an expected value. `assert condition, "hint"` works too.
"""

from __future__ import annotations

import dataclasses
import math
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn, TypeVar

import numpy as np
import torch
from gradescope_utils.autograder_utils import decorators as gradescope
from torch import Tensor

from autograder.graders.toolkit.failures import StudentError, StudentFailure
from autograder.records import Visibility

__all__ = [
    "Draws",
    "Failure",
    "StudentError",
    "StudentFailure",
    "allclose",
    "check",
    "close",
    "exercise",
    "expect_bool",
    "expect_dict",
    "expect_float",
    "expect_int",
    "expect_list",
    "expect_record",
    "expect_str",
    "expect_tensor",
    "expect_value_error",
    "fail",
    "guard",
    "limit",
    "number",
    "property_of",
    "reads_thresholds",
    "visibility",
    "weight",
]

Grader = TypeVar("Grader", bound=Callable[..., Any])
T = TypeVar("T")


# ---- markers -------------------------------------------------------------------------------


def weight(value: float) -> Callable[[Grader], Grader]:
    """Gradescope's decorator: the test's share of its exercise's points, 1 by default."""
    return gradescope.weight(value)  # type: ignore[no-any-return]


def number(value: str) -> Callable[[Grader], Grader]:
    """Gradescope's decorator: the place of the test in its list."""
    return gradescope.number(value)  # type: ignore[no-any-return]


def visibility(value: Visibility | str) -> Callable[[Grader], Grader]:
    """Gradescope's decorator: when the student sees the test; by default the exercise's."""
    return gradescope.visibility(Visibility(value))  # type: ignore[no-any-return]


def exercise(exercise_id: str) -> Callable[[Grader], Grader]:
    """Say which exercise of course.yaml a test belongs to."""

    def mark(function: Grader) -> Grader:
        function.__exercise__ = exercise_id  # type: ignore[attr-defined]
        return function

    return mark


def guard(function: Grader) -> Grader:
    """Mark a check that a degenerate answer passes too (raises ValueError, input unchanged).

    Its weight counts only if an ordinary test of the same exercise earned credit.
    """
    function.__guard__ = True  # type: ignore[attr-defined]
    return function


def limit(seconds: float) -> Callable[[Grader], Grader]:
    """Give one test another time limit than course.yaml's `test_seconds`."""

    def mark(function: Grader) -> Grader:
        function.__seconds__ = seconds  # type: ignore[attr-defined]
        return function

    return mark


def reads_thresholds(*_names: str) -> Callable[[Grader], Grader]:
    """State which thresholds of its exercise a test reads: "name" or, in order, "lower < higher".

    Nothing happens at run time: course.yaml is compared with the source when it is read.
    """
    return lambda function: function


# ---- random draws ----------------------------------------------------------------------------


class Draws:
    """Reproducible, unpredictable inputs: everything is derived from one keyed seed.

    Tensors come from a `torch.Generator`, Python objects from a `random.Random`; both are local,
    the global generators are never touched.
    """

    def __init__(self, seed: bytes) -> None:
        self.generator = torch.Generator().manual_seed(int.from_bytes(seed[:8], "little") >> 1)
        self.random = random.Random(seed)

    def normal(self, *shape: int, mean: float = 0.0, std: float = 1.0) -> Tensor:
        """Float32 Gaussian of `shape`."""
        return torch.randn(*shape, generator=self.generator) * std + mean

    def uniform(self, *shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        """Float32 uniform in [low, high) of `shape`."""
        return torch.rand(*shape, generator=self.generator) * (high - low) + low

    def integers(self, low: int, high: int, *shape: int) -> Tensor:
        """Int64 uniform in low..high, both included, of `shape`."""
        return torch.randint(low, high + 1, shape, generator=self.generator)

    def permutation(self, n: int) -> Tensor:
        """Int64 permutation of 0..n-1."""
        return torch.randperm(n, generator=self.generator)

    def integer(self, low: int, high: int) -> int:
        """One Python int in low..high, both included."""
        return self.random.randint(low, high)

    def number(self, low: float, high: float) -> float:
        """One Python float in low..high."""
        return self.random.uniform(low, high)

    def choice(self, options: Sequence[T]) -> T:
        """One of `options`."""
        return self.random.choice(options)

    def sample(self, options: Sequence[T], count: int) -> list[T]:
        """`count` different positions of `options`."""
        return self.random.sample(options, count)

    def seed(self) -> int:
        """A seed for another generator, 0..2**31-1."""
        return self.random.randrange(2**31)


# ---- checks ------------------------------------------------------------------------------------


class Failure(Exception):
    """A property does not hold; the text is the hint that the student reads."""


def fail(hint: str) -> NoReturn:
    """End the test as failed."""
    raise Failure(hint)


def check(condition: object, hint: str) -> None:
    """Fail with `hint` unless `condition` is True (a bool, or a tensor holding one bool)."""
    if isinstance(condition, Tensor | np.ndarray | np.bool_):
        condition = bool(condition)
    if condition is not True:
        raise Failure(hint)


def close(a: float, b: float, rtol: float = 1e-5, atol: float = 1e-8) -> bool:
    """Whether two finite numbers agree (equal infinities do, NaN never does)."""
    if not (math.isfinite(a) and math.isfinite(b)):
        return a == b
    return abs(a - b) <= atol + rtol * abs(b)


def allclose(a: Tensor, b: Tensor, rtol: float = 1e-5, atol: float = 1e-6) -> bool:
    """Whether two tensors have one shape and agree elementwise; NaN never agrees."""
    if a.shape != b.shape or a.is_complex() != b.is_complex():
        return False
    dtype = torch.complex128 if a.is_complex() else torch.float64
    return torch.allclose(a.to(dtype), b.to(dtype), rtol=rtol, atol=atol)


def expect_int(value: object, name: str) -> int:
    """`value` as a Python int; bools, floats and tensors are refused."""
    if isinstance(value, bool) or not isinstance(value, int):
        fail(f"{name} should be a Python int, yours is {describe(value)}")
    return value


def expect_float(value: object, name: str, finite: bool = True) -> float:
    """`value` as a float; ints and tensors or arrays with one element are accepted."""
    if isinstance(value, Tensor) and value.numel() == 1 and not value.is_complex():
        value = value.item()
    if isinstance(value, np.ndarray) and value.size == 1 and value.dtype.kind in "iuf":
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, int | float):
        fail(f"{name} should be a number, yours is {describe(value)}")
    if finite and not math.isfinite(value):
        fail(f"{name} should be finite, yours is {value}")
    return float(value)


def expect_bool(value: object, name: str) -> bool:
    """`value` as a bool."""
    if not isinstance(value, bool):
        fail(f"{name} should be True or False, yours is {describe(value)}")
    return value


def expect_str(value: object, name: str) -> str:
    """`value` as a str."""
    if not isinstance(value, str):
        fail(f"{name} should be a str, yours is {describe(value)}")
    return value


def expect_list(value: object, name: str, length: int | None = None) -> list[Any]:
    """`value` as a list (tuples are accepted), of `length` if given."""
    if not isinstance(value, list | tuple):
        fail(f"{name} should be a list, yours is {describe(value)}")
    if length is not None and len(value) != length:
        fail(f"{name} should have {length} entries, yours has {len(value)}")
    return list(value)


def expect_dict(value: object, name: str, keys: Sequence[Any] | None = None) -> dict[Any, Any]:
    """`value` as a dict, with exactly `keys` if given."""
    if not isinstance(value, dict):
        fail(f"{name} should be a dict, yours is {describe(value)}")
    if keys is not None and set(value) != set(keys):
        wanted = ", ".join(map(str, keys))
        fail(f"{name} should have the keys {wanted}; yours has {', '.join(map(str, value))[:200]}")
    return value


def expect_tensor(
    value: object,
    name: str,
    shape: Sequence[int] | None = None,
    dtype: torch.dtype | None = None,
    finite: bool = True,
) -> Tensor:
    """`value` as a tensor of exactly this shape and dtype (where given), finite by default."""
    if not isinstance(value, Tensor):
        fail(f"{name} should be a torch.Tensor, yours is {describe(value)}")
    if shape is not None and tuple(value.shape) != tuple(shape):
        fail(f"{name} should have shape {tuple(shape)}, yours has {tuple(value.shape)}")
    if dtype is not None and value.dtype != dtype:
        fail(f"{name} should have dtype {dtype}, yours has {value.dtype}")
    if finite and value.is_floating_point() and not bool(torch.isfinite(value).all()):
        fail(f"{name} should be finite, yours holds NaN or infinity")
    return value


def expect_record(value: object, record: type, name: str) -> tuple[Any, ...]:
    """The field values of `record`: from the record, an equal dataclass or a plain tuple."""
    names = [field.name for field in dataclasses.fields(record)]
    if isinstance(value, record):
        return tuple(getattr(value, each) for each in names)
    if isinstance(value, list | tuple) and len(value) == len(names):
        return tuple(value)
    fail(f"{name} should be {record.__name__}({', '.join(names)}), yours is {describe(value)}")


def expect_value_error(function: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
    """The call must raise ValueError (the builtin or a subclass); anything else fails the test."""
    try:
        function(*args, **kwargs)
    except StudentError as error:
        if error.is_value_error:
            return
        if error.kind == "NotImplementedError":
            raise
        fail(f"a bad argument should raise ValueError, yours raised {error.kind}")
    fail("a bad argument should raise ValueError, yours returned a value")


@contextmanager
def property_of(part: str) -> Iterator[None]:
    """Prefix the hint of every failure inside with the part of the result that it is about."""
    try:
        yield
    except Failure as failure:
        raise Failure(f"{part}: {failure}") from None


def describe(value: object) -> str:
    """What a value is, without showing what it holds."""
    if isinstance(value, Tensor):
        return f"a tensor of shape {tuple(value.shape)} and dtype {value.dtype}"
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape} and dtype {value.dtype}"
    if value is None:
        return "None"
    kind = getattr(value, "type_name", None) or type(value).__name__
    return f"{'an' if kind[:1].lower() in 'aeiou' else 'a'} {kind}"
