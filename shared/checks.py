"""Checks of arguments, each with one style of message: `name: expected ..., got VALUE (TYPE)`.

All raise ValueError for a value that does not fit and return nothing, except for `check_pair`,
which also gives the pair. A bool is no int here.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from shared.records import QParams

Pair = int | tuple[int, int]
"""One number for height and width, or one for each."""

MAX_BITS = 32

_MOST_SHOWN = 60


def shown(value: object) -> str:
    """A value and its type as messages show them: `0.5 (float)`; of a tensor shape and dtype."""
    if isinstance(value, Tensor) and value.dim():
        return f"{tuple(value.shape)} ({str(value.dtype).removeprefix('torch.')} Tensor)"
    text = " ".join(repr(value.item() if isinstance(value, Tensor) else value).split())
    text = text if len(text) <= _MOST_SHOWN else text[: _MOST_SHOWN - 3] + "..."
    return f"{text} ({type(value).__name__})"


def refuse(name: str, expected: str, actual: object) -> ValueError:
    """The error to raise: argument, what it should be, and the value that it has."""
    return ValueError(f"{name}: expected {expected}, got {shown(actual)}")


def check_int(name: str, value: object, minimum: int, maximum: int | None = None) -> None:
    """`value` is an int from `minimum` to `maximum`, or of any size if that is None."""
    fits = isinstance(value, int) and not isinstance(value, bool)
    if not fits or value < minimum or (maximum is not None and value > maximum):  # type: ignore[operator]
        span = f"of at least {minimum}" if maximum is None else f"in {minimum}..{maximum}"
        raise refuse(name, f"an int {span}", value)


def check_bits(name: str, value: object, minimum: int = 1, maximum: int = MAX_BITS) -> None:
    """`value` is a bit width."""
    check_int(name, value, minimum, maximum)


def check_number(name: str, value: object, minimum: float, maximum: float) -> None:
    """`value` is a number from `minimum` to `maximum`; NaN is none."""
    try:
        fits = bool(minimum <= value <= maximum)  # type: ignore[operator]
    except (TypeError, ValueError, RuntimeError):  # no number, or several
        fits = False
    if not fits:
        raise refuse(name, f"a number in {minimum}..{maximum}", value)


def check_fraction(name: str, value: object) -> None:
    """`value` is a number from 0 to 1."""
    check_number(name, value, 0, 1)


def check_pair(name: str, value: Pair, minimum: int = 1) -> tuple[int, int]:
    """`value` as (height, width), e.g. 3 as (3, 3); both are ints of at least `minimum`."""
    pair = tuple(value) if isinstance(value, list | tuple) else (value, value)
    if len(pair) != 2:
        raise refuse(name, "an int or a pair of ints", value)
    for number in pair:
        check_int(name, number, minimum)
    return pair[0], pair[1]


def check_choice(name: str, value: object, choices: Iterable[str]) -> None:
    """`value` is one of `choices`."""
    known = tuple(choices)
    if not isinstance(value, str) or value not in known:
        raise refuse(name, f"one of {', '.join(known)}", value)


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
        raise refuse(name, f"shape ({expected})", tensor)


def check_mask(name: str, mask: Tensor, like: Tensor) -> None:
    """`mask` is a bool tensor in the shape of `like`."""
    if mask.dtype != torch.bool or mask.shape != like.shape:
        raise refuse(name, f"bool of shape {tuple(like.shape)}", mask)


def check_integers(
    name: str, tensor: Tensor, minimum: int | None = None, maximum: int | None = None
) -> None:
    """`tensor` holds integers (no bools), each in `minimum`..`maximum` where these are given."""
    whole = not (tensor.is_floating_point() or tensor.is_complex() or tensor.dtype == torch.bool)
    if not whole:
        raise refuse(name, "integers", tensor)
    outside = torch.zeros(tensor.shape, dtype=torch.bool, device=tensor.device)
    if minimum is not None:
        outside |= tensor < minimum
    if maximum is not None:
        outside |= tensor > maximum
    if outside.any():
        raise refuse(name, f"integers in {minimum}..{maximum}", tensor[outside][0])


def check_axis(name: str, axis: object, tensor: Tensor) -> None:
    """`axis` is a dimension of `tensor`; -1 is the last one."""
    fits = isinstance(axis, int) and not isinstance(axis, bool)
    if not fits or not -tensor.dim() <= axis < tensor.dim():  # type: ignore[operator]
        raise refuse(name, f"a dimension of a tensor of shape {tuple(tensor.shape)}", axis)


def check_finite(name: str, tensor: Tensor) -> None:
    """Every value of `tensor` is finite."""
    finite = torch.isfinite(tensor)
    if not bool(finite.all()):
        raise refuse(name, "finite values", tensor[~finite][0])


def check_positive(name: str, value: float | Tensor) -> None:
    """`value`, a number or a vector of numbers, is positive and finite throughout."""
    numbers = torch.as_tensor(value, dtype=torch.float64)
    if numbers.dim() > 1:
        raise refuse(name, "a number or a vector", value)
    wrong = numbers[~(numbers.isfinite() & (numbers > 0))]
    if wrong.numel():
        raise refuse(name, "positive and finite numbers", wrong[0])


# ---- quantisation --------------------------------------------------------------------------------


def check_along(name: str, value: float | Tensor, like: Tensor, axis: int | None) -> None:
    """`value` is a number, or a vector with an entry for each index of `like` along `axis`."""
    shape = tuple(torch.as_tensor(value).shape)
    if shape and axis is None:
        raise refuse("axis", f"one for {name} of shape {shape}", axis)
    if shape and axis is not None and shape != (like.shape[axis],):
        raise refuse(name, f"a number or shape ({like.shape[axis]},)", value)


def check_qparams(name: str, qparams: QParams, like: Tensor, axis: int | None = None) -> None:
    """`qparams` are numbers, or vectors with an entry for each index of `like` along `axis`."""
    check_positive(f"{name}.scale", qparams.scale)
    if axis is not None:
        check_axis("axis", axis, like)
    check_along(f"{name}.scale", qparams.scale, like, axis)
    check_along(f"{name}.zero_point", qparams.zero_point, like, axis)


def check_per_tensor(name: str, qparams: QParams) -> tuple[float, int]:
    """`qparams` are one scale and one zero point; both as Python numbers."""
    check_positive(f"{name}.scale", qparams.scale)
    for part, value in (("scale", qparams.scale), ("zero_point", qparams.zero_point)):
        if isinstance(value, Tensor) and value.dim():
            raise refuse(f"{name}.{part}", "one number", value)
    return float(qparams.scale), int(qparams.zero_point)


def check_weight_codes(
    q_input: Tensor, q_weight: Tensor, q_bias: Tensor | None, weight_qparams: QParams
) -> None:
    """Codes of inputs, weights (out, ...) and bias are integers that fit; weights centred at 0."""
    check_integers("q_input", q_input)
    check_integers("q_weight", q_weight)
    if q_bias is not None:
        check_integers("q_bias", q_bias)
        check_shape("q_bias", q_bias, len(q_weight))
    check_qparams("weight_qparams", weight_qparams, q_weight, axis=0)
    if bool(torch.as_tensor(weight_qparams.zero_point).any()):
        raise refuse("weight_qparams.zero_point", "0", weight_qparams.zero_point)


def check_linear(x_name: str, x: Tensor, weight_name: str, weight: Tensor) -> None:
    """`x` (..., in) and `weight` (out, in) are those of a linear layer."""
    check_shape(weight_name, weight, "out", "in")
    if not x.dim() or x.shape[-1] != weight.shape[1]:
        raise refuse(x_name, f"shape (..., {weight.shape[1]})", x)


def check_convolution(
    x_name: str,
    x: Tensor,
    weight_name: str,
    weight: Tensor,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
) -> None:
    """`x` (N, in, H, W) and `weight` (out, in/groups, kh, kw) are those of a convolution."""
    check_shape(x_name, x, "N", "in", "H", "W")
    check_shape(weight_name, weight, "out", "in/groups", "kh", "kw")
    check_int("groups", groups, 1)
    if len(weight) % groups:
        raise refuse("groups", f"a divisor of {len(weight)}", groups)
    if x.shape[1] != groups * weight.shape[1]:
        raise refuse(x_name, f"{groups} groups of {weight.shape[1]} channels", x)
    check_pair("stride", stride)
    pads, spacings = check_pair("padding", padding, minimum=0), check_pair("dilation", dilation)
    for size, kernel, pad, spacing in zip(x.shape[2:], weight.shape[2:], pads, spacings):
        if size + 2 * pad < spacing * (kernel - 1) + 1:
            raise refuse(x_name, f"at least the kernel's {kernel} pixels", x)
