"""Checks on what a student's function returned; each fails with a hint for the student."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

import numpy as np
import torch
from torch import Tensor

from autograder.graders.toolkit.failures import Failure, LeftChanged, StudentError


def fail(hint: str) -> NoReturn:
    """End the test as failed."""
    raise Failure(hint)


ADVICE = "Worth checking: "


def check(condition: object, hint: str) -> None:
    """Fail unless `condition` is True (a bool, or a tensor holding one bool).

    `hint` says what is right, as in "each output channel sees in_channels / groups inputs". The
    student reads it as advice: what the mistake was is not known here.
    """
    if isinstance(condition, Tensor | np.ndarray | np.bool_):
        condition = bool(condition)
    if condition is not True:
        raise Failure(ADVICE + hint)


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
        expected, actual = ", ".join(map(str, keys)), ", ".join(map(str, value))[:200]
        fail(f"{name} should have the keys {expected}; yours has {actual}")
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
    name = getattr(function, "__name__", "the function")
    try:
        function(*args, **kwargs)
    except StudentError as error:
        if error.is_value_error:
            return
        if error.kind == "NotImplementedError" or isinstance(error, LeftChanged):
            raise
        fail(f"{name} should raise ValueError for a bad argument, yours raised {error.kind}")
    fail(f"{name} should raise ValueError for a bad argument, yours returned a value")


@contextmanager
def property_of(part: str) -> Iterator[None]:
    """Prefix the hint of every failure inside with the part of the result that it is about."""
    try:
        yield
    except Failure as failure:
        raise Failure(f"{part}: {failure}") from None


MAX_RENDERED = 200


def rendered(value: object) -> str:
    """A value as a public check shows it: short, and never more than a line."""
    if isinstance(value, Tensor):
        if value.numel() > 64:
            return describe(value)
        kind = "" if value.dtype in (torch.float32, torch.int64) else f", dtype={value.dtype}"
        return f"tensor({_numbers(value.detach().tolist())}{kind})"
    if isinstance(value, float):
        return f"{value:.6g}"
    if callable(value) and not isinstance(value, torch.nn.Module):
        return f"a {type(value).__name__}"
    text = " ".join(repr(value).split())
    return text if len(text) <= MAX_RENDERED else f"{text[:MAX_RENDERED]}…"


def _numbers(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_numbers, value))}]"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


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
