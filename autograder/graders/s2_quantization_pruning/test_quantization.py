"""Graders of quantization.py: codes, observers, integer layers, quantised and binary networks."""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from autograder.graders.s1_intro.references import drawn, in_order
from autograder.graders.s2_quantization_pruning.quantization_references import (
    Layer,
    affine,
    along,
    binary_step,
    code_range,
    codes_of,
    conv_steps,
    folded,
    impulses,
    linear_steps,
    most_distinct,
    right_codes,
    squared_error,
    trained_digits,
    untied,
)
from autograder.graders.toolkit import (
    CallbackError,
    Exercise,
    Handle,
    Optimizer,
    RandomInputs,
    StudentError,
    allclose,
    check,
    close,
    expect_float,
    expect_int,
    expect_list,
    expect_record,
    expect_tensor,
    expect_value_error,
    fail,
    property_of,
)
from shared import probes
from shared.models import MLP
from shared.probes import Tap
from shared.records import QParams

WRONG_BITS = (0, 33, -1, 2.5)

# ---- what several exercises need -------------------------------------------------------------


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


def expect_codes(value: object, name: str, wanted: Tensor, hint: str) -> None:
    """Codes have to be int32, of the right shape, and exactly `wanted`."""
    got = expect_tensor(value, name, wanted.shape, torch.int32)
    check(torch.equal(got.to(torch.int64), wanted), hint)


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


# ---- quantization_range ----------------------------------------------------------------------


def expect_range(student: Any, hint: str, wanted: tuple[int, int], *args: Any, **kw: Any) -> None:
    """Check one call of the student's quantization_range."""
    value = student.quantization_range(*args, **kw)
    ends = expect_list(value, "quantization_range", length=2)
    check([expect_int(end, "each end") for end in ends] == list(wanted), hint)


def all_bits(rng: RandomInputs, lowest: int = 1) -> list[int]:
    """Some numbers of bits, small and large."""
    return [lowest, 8, rng.integer(3, 7), rng.integer(9, 24), rng.integer(25, 31), 32]


quantization_range = Exercise("s2.quantization_range")


@quantization_range.check(weight=2)
def test_signed_range(student: Any, rng: RandomInputs) -> None:
    """By default 2**bits signed codes: one more below zero than above."""
    hint = "from -2**(bits - 1) to 2**(bits - 1) - 1: 2**bits codes, 0 among them"
    for bits in all_bits(rng):
        expect_range(student, hint, code_range(bits), bits)


@quantization_range.check(weight=1.5)
def test_unsigned_range(student: Any, rng: RandomInputs) -> None:
    """Unsigned codes start at 0."""
    hint = "unsigned codes go from 0 to 2**bits - 1"
    for bits in all_bits(rng):
        expect_range(student, hint, code_range(bits, signed=False), bits, signed=False)


@quantization_range.check(weight=1.5)
def test_narrow_range(student: Any, rng: RandomInputs) -> None:
    """A narrow range lacks the lowest code, signed or not."""
    for bits in all_bits(rng, lowest=2):
        for signed in (True, False):
            low, high = code_range(bits, signed)
            hint = "narrow leaves out the lowest code, and only that one"
            expect_range(student, hint, (low + 1, high), bits, signed=signed, narrow=True)


@quantization_range.check(weight=0.5, guard=True)
def test_range_refuses_wrong_bits(student: Any) -> None:
    """A number of bits that is not an integer in 1..32 raises ValueError."""
    for bits in WRONG_BITS:
        expect_value_error(student.quantization_range, bits)


# ---- affine_params ---------------------------------------------------------------------------


def ends_without_tie(
    rng: RandomInputs,
    bits: int,
    low: tuple[float, float],
    high: tuple[float, float],
    signed: bool = True,
) -> tuple[tuple[float, float], tuple[float, int]]:
    """(low, high) and the (scale, zero point) of it with 0, which rounding cannot mistake."""
    lowest, highest = code_range(bits, signed)
    while True:
        bottom, top = rng.number(*low), rng.number(*high)
        scale = (max(top, 0.0) - min(bottom, 0.0)) / (highest - lowest)
        place = lowest - min(bottom, 0.0) / scale
        if abs(place % 1 - 0.5) > 0.01:
            return (bottom, top), (scale, round(place))


def expect_affine(
    student: Any, hint: str, wanted: tuple[float, int], *args: Any, **kwargs: Any
) -> None:
    """Check one call of the student's affine_params."""
    scale, zero_point = expect_params(student.affine_params(*args, **kwargs), "affine_params")
    check(close(scale, wanted[0], rtol=1e-6, atol=0.0), f"scale: {hint}")
    check(zero_point == wanted[1], f"zero point: {hint}")


affine_params = Exercise("s2.affine_params")


@affine_params.check(weight=2)
def test_affine_range_around_zero(student: Any, rng: RandomInputs) -> None:
    """A range around zero is divided into 2**bits - 1 steps, and zero has a code."""
    hint = "(high - low) / (qmax - qmin), and round(qmin - low / scale), not truncated"
    for bits in (8, 8, 8, rng.integer(2, 7), rng.integer(9, 12)):
        ends, wanted = ends_without_tie(rng, bits, (-5, -0.5), (0.5, 5))
        expect_affine(student, hint, wanted, *ends, bits)


@affine_params.check(weight=2)
def test_affine_range_on_one_side(student: Any, rng: RandomInputs) -> None:
    """A range on one side of zero is widened until it contains zero."""
    hint = "the range always contains 0, so that zero is represented exactly"
    for low, high in (((0.5, 2.0), (3.0, 5.0)), ((-5.0, -3.0), (-2.0, -0.5))):
        for bits in (8, rng.integer(3, 12)):
            ends, wanted = ends_without_tie(rng, bits, low, high)
            expect_affine(student, hint, wanted, *ends, bits)


@affine_params.check(weight=1.5)
def test_affine_zero_point_rounds_half_to_even(student: Any, rng: RandomInputs) -> None:
    """A zero point halfway between two codes goes to the even one."""
    lowest, highest = code_range(8)
    for parity, negative in itertools.product((0, 1), (True, False)):
        scale = power_of_two(rng)
        half = rng.integer(5, 55) if negative else rng.integer(70, 110)
        steps = 2 * half + parity + 0.5
        low, high = -steps * scale, (highest - lowest - steps) * scale
        hint = "round half to even, as Python's round does"
        expect_affine(student, hint, (scale, round(lowest + steps)), low, high, 8)


@affine_params.check(weight=2)
def test_symmetric_params(student: Any, rng: RandomInputs) -> None:
    """A symmetric range uses the larger magnitude and the zero point 0."""
    for sign in (-1, 1):
        bits, large, small = rng.integer(2, 12), rng.number(2, 5), rng.number(0.1, 1.5)
        low, high = (-large, small) if sign < 0 else (-small, large)
        hint = "symmetric: max(|low|, |high|) / qmax (not / |qmin|), zero point 0"
        wanted = large / code_range(bits)[1], 0
        expect_affine(student, hint, wanted, low, high, bits, symmetric=True)


@affine_params.check()
def test_unsigned_params(student: Any, rng: RandomInputs) -> None:
    """With unsigned codes the zero point lies in 0..2**bits - 1."""
    for bits in (8, rng.integer(3, 7)):
        ends, wanted = ends_without_tie(rng, bits, (-5, -0.5), (0.5, 5), signed=False)
        hint = "signed=False: qmin is 0"
        expect_affine(student, hint, wanted, *ends, bits, signed=False)


@affine_params.check()
def test_affine_range_of_one_number(student: Any, rng: RandomInputs) -> None:
    """A range of one number, zero included, is safe."""
    number = rng.number(0.5, 5)
    lowest, highest = code_range(8)
    scale = number / (highest - lowest)
    hint = "low == high: the range from 0 to that number"
    expect_affine(student, hint, (scale, lowest), number, number, 8)
    expect_affine(student, hint, (scale, highest), -number, -number, 8)
    for symmetric in (False, True):
        value = student.affine_params(0.0, 0.0, 8, symmetric=symmetric)
        _, zero_point = expect_params(value, "affine_params")
        check(lowest <= zero_point <= highest, "the zero point is a code")


@affine_params.check(weight=0.5)
def test_affine_params_with_many_bits(student: Any, rng: RandomInputs) -> None:
    """With many bits the zero point is still right to the last digit."""
    for bits in (rng.integer(24, 26), 28):
        ends, wanted = ends_without_tie(rng, bits, (-5, -0.5), (0.5, 5))
        hint = "compute in float64 (Python floats): float32 has only 24 bits"
        expect_affine(student, hint, wanted, *ends, bits)


@affine_params.check(weight=0.5, guard=True)
def test_affine_params_refuses_bad_arguments(student: Any, rng: RandomInputs) -> None:
    """low > high, bounds that are not finite, wrong bits, unsigned symmetric: ValueError."""
    high = rng.number(1, 2)
    for bits in (1, *WRONG_BITS):
        expect_value_error(student.affine_params, -high, high, bits)
    expect_value_error(student.affine_params, high, high - 0.5, 8)
    for bad in (math.inf, math.nan):
        expect_value_error(student.affine_params, -high, bad, 8)
        expect_value_error(student.affine_params, -bad, high, 8)
    expect_value_error(student.affine_params, -high, high, 8, symmetric=True, signed=False)


# ---- quantize --------------------------------------------------------------------------------


def expect_quantised(
    student: Any, hint: str, x: Tensor, scale: float, zero_point: int, bits: int, **kwargs: Any
) -> None:
    """Check one call of the student's quantize, per tensor; no number is near a tie."""
    value = student.quantize(x, QParams(scale, zero_point), bits, **kwargs)
    wanted = codes_of(x, scale, zero_point, bits, kwargs.get("signed", True))
    expect_codes(value, "quantize", wanted, hint)


quantize = Exercise("s2.quantize")


@quantize.check(weight=2)
def test_quantises_inside_the_range(student: Any, rng: RandomInputs) -> None:
    """Codes are round(x / scale) + zero_point, int32."""
    for bits in (8, 8, rng.integer(4, 6), rng.integer(9, 11)):
        low, high = code_range(bits)
        scale, zero_point = some_scale(rng), nonzero(rng, high // 2)
        x = untied(rng, scale, low - zero_point, high - zero_point, 3, 5, 4)
        hint = "round x / scale to the nearest integer, then add the zero point"
        expect_quantised(student, hint, x, scale, zero_point, bits)


@quantize.check(weight=2)
def test_quantize_saturates(student: Any, rng: RandomInputs) -> None:
    """Numbers outside the range, however large, get the lowest or highest code."""
    for sign in (-1, 1):
        bits = rng.integer(4, 8)
        low, high = code_range(bits)
        scale, zero_point = some_scale(rng), sign * rng.integer(2, high)
        near = untied(rng, scale, 3 * low, 3 * high, 60)
        huge = torch.tensor([1e6, 3e9, 1e10, 1e19, 1e30, math.inf])
        hint = "add the zero point first, then clamp, and convert to integers last"
        expect_quantised(student, hint, near, scale, zero_point, bits)
        expect_quantised(student, hint, torch.cat([huge, -huge]), scale, zero_point, bits)


@quantize.check(weight=1.5)
def test_quantize_rounds_half_to_even(student: Any, rng: RandomInputs) -> None:
    """x / scale halfway between two integers goes to the even one, whatever the zero point."""
    for zero_point in (0, 2 * rng.integer(-9, 9) + 1):
        scale = power_of_two(rng)
        x = (torch.arange(-20, 20) + 0.5) * scale
        hint = "round half to even (torch.round), and before the zero point is added"
        expect_quantised(student, hint, x, scale, zero_point, 8)


@quantize.check(weight=2)
def test_quantize_per_channel(student: Any, rng: RandomInputs) -> None:
    """With an axis each slice has a scale and a zero point of its own."""
    n = rng.integer(3, 5)
    for axis in (0, 1, -1):
        step, zeros = scales(rng, n), rng.integers(-30, 30, n)

        def draw(index: int, part: Tensor, step: Tensor = step) -> Tensor:
            return untied(rng, float(step[index]), -150, 150, *part.shape)

        def code(index: int, part: Tensor, step: Tensor = step, zeros: Tensor = zeros) -> Tensor:
            return codes_of(part, float(step[index]), int(zeros[index]), 8)

        x = along(axis, torch.zeros(n, n, n), draw)
        value = student.quantize(x, QParams(step, zeros.to(torch.int32)), 8, axis=axis)
        hint = "view scale and zero point so that they vary along `axis` only"
        expect_codes(value, "quantize", along(axis, x, code), hint)


@quantize.check()
def test_quantize_unsigned(student: Any, rng: RandomInputs) -> None:
    """With signed=False codes saturate at 0 and 2**bits - 1."""
    bits = rng.integer(4, 8)
    _, high = code_range(bits, signed=False)
    scale, zero_point = some_scale(rng), rng.integer(2, high - 1)
    x = untied(rng, scale, -2 * high, 2 * high, 60)
    hint = "signed=False: clamp to 0..2**bits - 1"
    expect_quantised(student, hint, x, scale, zero_point, bits, signed=False)


@quantize.check(weight=0.5)
def test_quantize_float64(student: Any, rng: RandomInputs) -> None:
    """Numbers in float64 are quantised alike."""
    scale, zero_point = some_scale(rng), nonzero(rng, 40)
    x = untied(rng, scale, -150, 150, 4, 6).double()
    expect_quantised(student, "int32 codes for every input dtype", x, scale, zero_point, 8)


@quantize.check(weight=0.5)
def test_quantize_to_32_bits(student: Any, rng: RandomInputs) -> None:
    """With 32 bits, too, numbers outside the range get the lowest or highest code."""
    x = torch.tensor([1e10, -1e10, 1e30, -1e30, 3.0, -2.0])
    zero_point = nonzero(rng, 1000)
    hint = "clamp in float64 or int64: float32 cannot hold 2**31 - 1"
    expect_quantised(student, hint, x, power_of_two(rng) / 8, zero_point, 32)


@quantize.check(weight=0.5, guard=True)
def test_quantize_leaves_its_input_alone(student: Any, rng: RandomInputs) -> None:
    """The tensor that is quantised keeps its numbers."""
    params = QParams(some_scale(rng), nonzero(rng, 40))
    expect_unchanged(student, "quantize", rng.normal(4, 5, std=9.0), params, 8)


@quantize.check(weight=0.5, guard=True)
def test_quantize_refuses_bad_arguments(student: Any, rng: RandomInputs) -> None:
    """Wrong bits, vectors without an axis or of another length raise ValueError."""
    x = rng.normal(4, 4)
    for bits in WRONG_BITS:
        expect_value_error(student.quantize, x, QParams(0.1, 0), bits)
    vectors = QParams(scales(rng, 4), torch.zeros(4, dtype=torch.int32))
    expect_value_error(student.quantize, x, vectors, 8)
    expect_value_error(student.quantize, x[:3], vectors, 8, axis=0)


# ---- dequantize ------------------------------------------------------------------------------


def real_of(codes: Tensor, scale: float, zero_point: int) -> Tensor:
    """The numbers in float64 that codes stand for."""
    return (codes.double() - zero_point) * scale


dequantize = Exercise("s2.dequantize")


@dequantize.check(weight=2)
def test_dequantize_per_tensor(student: Any, rng: RandomInputs) -> None:
    """Codes become scale * (code - zero_point), float32; the zero point becomes exactly 0."""
    for zero_point in (0, nonzero(rng, 120), nonzero(rng, 120)):
        codes = rng.integers(-128, 127, 3, 4, 5).to(torch.int32)
        codes[0, 0, 0] = zero_point
        scale = some_scale(rng)
        value = student.dequantize(codes, QParams(scale, zero_point))
        got = expect_tensor(value, "dequantize", codes.shape, torch.float32)
        hint = "subtract the zero point, then multiply by the scale"
        check(allclose(got, real_of(codes, scale, zero_point)), hint)
        check(float(got[0, 0, 0]) == 0.0, hint)


@dequantize.check(weight=2)
def test_dequantize_per_channel(student: Any, rng: RandomInputs) -> None:
    """With an axis each slice has a scale and a zero point of its own."""
    n = rng.integer(3, 5)
    for axis in (0, 1, -1):
        step, zeros = scales(rng, n), rng.integers(-30, 30, n)

        def real(index: int, part: Tensor, step: Tensor = step, zeros: Tensor = zeros) -> Tensor:
            return real_of(part, float(step[index]), int(zeros[index]))

        codes = rng.integers(-128, 127, n, n, n).to(torch.int32)
        value = student.dequantize(codes, QParams(step, zeros.to(torch.int32)), axis=axis)
        got = expect_tensor(value, "dequantize", codes.shape, torch.float32)
        hint = "view scale and zero point so that they vary along `axis` only"
        check(allclose(got, along(axis, codes, real)), hint)


@dequantize.check(weight=0.25)
def test_dequantize_wide_codes(student: Any, rng: RandomInputs) -> None:
    """With 32 bits the difference of code and zero point may not fit 32 bits itself."""
    low, high = code_range(32)
    scale = some_scale(rng)
    codes = torch.tensor([low, high, rng.integer(low, high)]).to(torch.int32)
    for zero_point in (low, high):
        got = expect_tensor(student.dequantize(codes, QParams(scale, zero_point)), "dequantize")
        hint = "subtract in float64 or int64: int32 wraps"
        check(allclose(got, real_of(codes, scale, zero_point)), hint)


@dequantize.check(weight=0.25, guard=True)
def test_dequantize_leaves_its_input_alone(student: Any, rng: RandomInputs) -> None:
    """The codes keep their numbers."""
    codes = rng.integers(-128, 127, 4, 5).to(torch.int32)
    expect_unchanged(student, "dequantize", codes, QParams(some_scale(rng), nonzero(rng, 40)))


@dequantize.check(weight=0.25, guard=True)
def test_dequantize_refuses_bad_arguments(student: Any, rng: RandomInputs) -> None:
    """Vectors without an axis, or of another length than it, raise ValueError."""
    codes = rng.integers(-128, 127, 3, 4).to(torch.int32)
    vectors = QParams(scales(rng, 4), torch.zeros(4, dtype=torch.int32))
    expect_value_error(student.dequantize, codes, vectors)
    expect_value_error(student.dequantize, codes, vectors, axis=0)


# ---- per_channel_params ----------------------------------------------------------------------


def expect_channel_params(value: object, count: int) -> Tensor:
    """The scales (count,); zero points have to be zeros."""
    scale, zero_point = expect_record(value, QParams, "per_channel_params")
    scale = expect_tensor(scale, "scale", (count,))
    zeros = expect_tensor(zero_point, "zero point", (count,))
    check(not bool(zeros.any()), "symmetric: every zero point is 0")
    check(bool((scale > 0).all()), "a scale is positive, also where every weight is 0")
    return scale


def channel_weight(rng: RandomInputs, *shape: int, axis: int) -> Tensor:
    """A weight whose slices along `axis` have different ranges, one all negative."""
    factor = scales(rng, shape[axis])
    result = along(axis, rng.normal(*shape), lambda i, part: part * factor[i])
    result.select(axis, 0).abs_().neg_()
    return result


def expect_channel_scales(
    student: Any, hint: str, w: Tensor, bits: int, axis: int, *given: int
) -> None:
    """Check one call of the student's per_channel_params, which is told `given`."""
    largest = [max(map(abs, part.flatten().tolist())) for part in w.unbind(axis)]
    wanted = torch.tensor(largest, dtype=torch.float64) / code_range(bits)[1]
    scale = expect_channel_params(student.per_channel_params(w, bits, *given), len(largest))
    check(allclose(scale, wanted, rtol=1e-5, atol=0.0), hint)


per_channel_params = Exercise("s2.per_channel_params")


@per_channel_params.check(weight=2)
def test_scales_per_output_channel(student: Any, rng: RandomInputs) -> None:
    """By default each output channel has the scale max |w| / qmax."""
    hint = "largest magnitude of each slice along axis 0, divided by qmax"
    n = rng.integer(3, 6)
    for shape in ((n, n), (n, 4, 3, 3), (n, n, 1, n)):
        expect_channel_scales(
            student, hint, channel_weight(rng, *shape, axis=0), rng.integer(2, 9), 0
        )


@per_channel_params.check(weight=1.5)
def test_scales_along_another_axis(student: Any, rng: RandomInputs) -> None:
    """With `axis` each slice along that axis has a scale of its own."""
    n = rng.integer(3, 6)
    for axis in (1, -1):
        w = channel_weight(rng, n, n, n, axis=axis)
        hint = "reduce over every dimension but `axis`"
        expect_channel_scales(student, hint, w, 8, axis, axis)


@per_channel_params.check()
def test_scale_of_a_channel_of_zeros(student: Any, rng: RandomInputs) -> None:
    """A channel of zeros gets a positive scale, and the others keep theirs."""
    w = channel_weight(rng, 4, 3, 3, axis=0)
    w[1] = 0.0
    scale = expect_channel_params(student.per_channel_params(w, 8), 4)
    for channel in (0, 2, 3):
        wanted = float(w[channel].abs().max()) / 127
        check(close(float(scale[channel]), wanted), "only the channel of zeros is special")


@per_channel_params.check(weight=0.25, guard=True)
def test_per_channel_params_leaves_its_input_alone(student: Any, rng: RandomInputs) -> None:
    """The weight keeps its numbers."""
    expect_unchanged(student, "per_channel_params", rng.normal(4, 5), 8)


@per_channel_params.check(weight=0.25, guard=True)
def test_per_channel_params_refuses_wrong_bits(student: Any, rng: RandomInputs) -> None:
    """A number of bits that is not an integer in 1..32 raises ValueError."""
    for bits in WRONG_BITS:
        expect_value_error(student.per_channel_params, rng.normal(3, 4), bits)


# ---- observers -------------------------------------------------------------------------------

NEAR = 0.02  # share of the range by which an end may be off: rounding the zero point, and more


def new_observer(student: Any, kind: str, *args: object) -> Handle:
    """An observer of the student's."""
    observer = getattr(student, kind)(*args)
    if not isinstance(observer, Handle):
        fail(f"{kind}(...) should be an object with the methods observe and qparams")
    return observer


def watching(student: Any, kind: str, seen: Sequence[Tensor], *args: object) -> Handle:
    """An observer that was shown `seen`, one tensor after the other."""
    observer = new_observer(student, kind, *args)
    for x in seen:
        student.invoke(observer, "observe", x)
    return observer


def expect_ends(
    student: Any, hint: str, observer: Handle, ends: tuple[float, float], bits: int = 8
) -> None:
    """The observer's parameters span about the range `ends`, which has 0 inside.

    The exact formula of scale and zero point belongs to affine_params; here an end may be off by
    the rounding of the zero point.
    """
    value = student.invoke(observer, "qparams", bits)
    scale, zero_point = expect_params(value, "qparams")
    lowest, highest = code_range(bits)
    span = ends[1] - ends[0]
    slack = NEAR * span + 0.5 * span / (highest - lowest)
    check(lowest <= zero_point <= highest, "signed parameters: the zero point is a signed code")
    low, high = (lowest - zero_point) * scale, (highest - zero_point) * scale
    check(abs(low - ends[0]) < slack and abs(high - ends[1]) < slack, hint)


def ends_of(*seen: Tensor) -> tuple[float, float]:
    """The smallest and the largest of all numbers."""
    numbers = [number for x in seen for number in x.flatten().tolist()]
    return min(numbers), max(numbers)


def lopsided(rng: RandomInputs, *shape: int) -> Tensor:
    """Numbers around 0 whose positive side reaches further, or the other way round."""
    x = rng.uniform(*shape, low=-1.0, high=rng.number(2.0, 4.0))
    x.view(-1)[:2] = torch.tensor([-0.5, 1.5])  # both signs, however few there are
    return x * rng.choice([-1, 1]) * rng.number(0.5, 3.0)


def expect_apart(student: Any, rng: RandomInputs, kind: str, *args: object) -> None:
    """Two observers know nothing of each other, nor of themselves after another was made."""
    first, second = lopsided(rng, 50), 5 * lopsided(rng, 50)
    one = watching(student, kind, [first], *args)
    other = watching(student, kind, [second], *args)
    hint = "keep what was seen in the instance (self), not in the class or a default argument"
    expect_ends(student, hint, one, ends_of(first))
    expect_ends(student, hint, other, ends_of(second))


def expect_zero_inside(student: Any, rng: RandomInputs, kind: str, *args: object) -> None:
    """Also where everything seen lies on one side of 0, the range contains 0."""
    x = rng.uniform(60, low=2.0, high=3.0)
    for sign in (-1, 1):
        observer = watching(student, kind, [sign * x], *args)
        low, high = ends_of(sign * x)
        ends = min(low, 0.0), max(high, 0.0)
        expect_ends(student, "affine parameters: widen the range until it holds 0", observer, ends)


def expect_memory(student: Any, rng: RandomInputs, kind: str, *args: object) -> None:
    """What was seen is remembered as it was seen."""
    x = lopsided(rng, 5, 20)
    live, observer = student.put(x), new_observer(student, kind, *args)
    student.invoke(observer, "observe", live)
    check(torch.equal(student.fetch(live), x), "observe changes nothing")
    student.invoke(live, "mul_", 10.0)
    hint = "a loader may use its memory again: keep a copy (clone) of what was seen"
    expect_ends(student, hint, observer, ends_of(x))


def expect_argument_error(student: Any, kind: str, argument: float) -> None:
    """A wrong argument raises ValueError, at the latest when parameters are asked for."""

    def use() -> None:
        observer = watching(student, kind, [torch.tensor([-1.0, 2.0])] * 2, argument)
        student.invoke(observer, "qparams", 8)

    expect_value_error(use)


def expect_unseen_raises(student: Any, kind: str, *args: object) -> None:
    """Parameters of an observer that has seen nothing raise an error, and one that says so."""
    try:
        student.invoke(new_observer(student, kind, *args), "qparams", 8)
    except StudentError as error:
        if error.kind == "NotImplementedError":
            raise
        accidents = ("AttributeError", "TypeError", "NameError", "UnboundLocalError", "IndexError")
        check(error.kind not in accidents, "before any observe: raise ValueError and say why")
    else:
        fail("before any observe there are no parameters: raise ValueError")


min_max_observer = Exercise("s2.MinMaxObserver")


@min_max_observer.check(weight=2)
def test_min_max_of_everything_seen(student: Any, rng: RandomInputs) -> None:
    """The range is from the smallest to the largest number of all tensors seen."""
    narrow, wide = lopsided(rng, 4, 6), 4 * lopsided(rng, 3, 5, 2)
    low, high = wide.clamp(max=0.3), wide.clamp(min=-0.2)
    for seen in ([wide], [narrow, wide], [wide, narrow], [low, narrow, high]):
        observer = watching(student, "MinMaxObserver", seen)
        hint = "keep the smallest and the largest number of all calls"
        expect_ends(student, hint, observer, ends_of(*seen))


@min_max_observer.check()
def test_min_max_can_be_read_at_any_time(student: Any, rng: RandomInputs) -> None:
    """Parameters can be asked for between two tensors, and with any number of bits."""
    first, second = lopsided(rng, 30), 3 * lopsided(rng, 30)
    observer = watching(student, "MinMaxObserver", [first])
    for bits in (8, 4, 8, rng.integer(5, 12)):
        hint = "qparams(bits) depends on what was seen and on bits, nothing else"
        expect_ends(student, hint, observer, ends_of(first), bits)
    student.invoke(observer, "observe", second)
    expect_ends(student, "go on after qparams was called", observer, ends_of(first, second))


@min_max_observer.check()
def test_min_max_observers_are_apart(student: Any, rng: RandomInputs) -> None:
    """Two observers do not share what they have seen."""
    expect_apart(student, rng, "MinMaxObserver")


@min_max_observer.check()
def test_min_max_range_contains_zero(student: Any, rng: RandomInputs) -> None:
    """The range contains 0, also where everything seen lies on one side of it."""
    expect_zero_inside(student, rng, "MinMaxObserver")


@min_max_observer.check(weight=0.5, guard=True)
def test_min_max_before_any_observe(student: Any) -> None:
    """Before any observe, qparams raises an error."""
    expect_unseen_raises(student, "MinMaxObserver")


def smoothed(seen: Sequence[Tensor], momentum: float) -> tuple[float, float]:
    """The moving average of the ends of each tensor; the first one sets it."""
    low, high = ends_of(seen[0])
    for x in seen[1:]:
        batch_low, batch_high = ends_of(x)
        low = momentum * low + (1 - momentum) * batch_low
        high = momentum * high + (1 - momentum) * batch_high
    return low, high


def growing(rng: RandomInputs, count: int) -> list[Tensor]:
    """Tensors of different sizes whose ranges differ much."""
    factors = [rng.number(0.3, 0.6) * 3.0**i for i in range(count)]
    return [factor * lopsided(rng, 10 + 7 * i) for i, factor in enumerate(factors)]


moving_average_observer = Exercise("s2.MovingAverageObserver")


@moving_average_observer.check(weight=2)
def test_moving_average_of_the_ends(student: Any, rng: RandomInputs) -> None:
    """Each tensor moves both ends: momentum * old + (1 - momentum) * new."""
    for momentum in (rng.number(0.7, 0.85), rng.number(0.2, 0.4)):
        seen = rng.sample(growing(rng, 3), 3)
        observer = watching(student, "MovingAverageObserver", seen, momentum)
        hint = "momentum weighs the old end, 1 - momentum the end of the new tensor"
        expect_ends(student, hint, observer, smoothed(seen, momentum))


@moving_average_observer.check()
def test_moving_average_starts_with_the_first(student: Any, rng: RandomInputs) -> None:
    """The first tensor sets the range, without any average."""
    seen = [lopsided(rng, 40)]
    observer = watching(student, "MovingAverageObserver", seen, 0.9)
    expect_ends(student, "start with the first range, not with 0", observer, ends_of(*seen))


@moving_average_observer.check()
def test_moving_average_default_momentum(student: Any, rng: RandomInputs) -> None:
    """The momentum is 0.9 by default."""
    seen = growing(rng, 3)
    observer = watching(student, "MovingAverageObserver", seen)
    expect_ends(student, "momentum is 0.9 by default", observer, smoothed(seen, 0.9))
    expect_ends(student, "use the bits of qparams(bits)", observer, smoothed(seen, 0.9), 5)


@moving_average_observer.check()
def test_moving_average_observers_are_apart(student: Any, rng: RandomInputs) -> None:
    """Two observers do not share what they have seen."""
    expect_apart(student, rng, "MovingAverageObserver", 0.8)


@moving_average_observer.check(weight=0.5)
def test_moving_average_range_contains_zero(student: Any, rng: RandomInputs) -> None:
    """The range contains 0, also where everything seen lies on one side of it."""
    expect_zero_inside(student, rng, "MovingAverageObserver", 0.8)


@moving_average_observer.check(weight=0.25, guard=True)
def test_moving_average_refuses_wrong_momentum(student: Any, rng: RandomInputs) -> None:
    """A momentum outside 0..1 raises ValueError."""
    expect_argument_error(student, "MovingAverageObserver", -rng.number(0.1, 0.5))
    expect_argument_error(student, "MovingAverageObserver", 1 + rng.number(0.1, 0.5))


@moving_average_observer.check(weight=0.5, guard=True)
def test_moving_average_before_any_observe(student: Any) -> None:
    """Before any observe, qparams raises an error."""
    expect_unseen_raises(student, "MovingAverageObserver", 0.9)


def percentile_ends(p: float, *seen: Tensor) -> tuple[float, float]:
    """The (100 - p)th and the pth percentile of all numbers, by linear interpolation."""
    ordered: list[float] = sorted(number for x in seen for number in x.flatten().tolist())

    def at(percent: float) -> float:
        place = percent / 100 * (len(ordered) - 1)
        below = min(math.floor(place), len(ordered) - 2)
        return ordered[below] + (place - below) * (ordered[below + 1] - ordered[below])

    return at(100 - p), at(p)


percentile_observer = Exercise("s2.PercentileObserver")


@percentile_observer.check(weight=2)
def test_percentiles_leave_outliers_out(student: Any, rng: RandomInputs) -> None:
    """The range goes from the (100 - p)th to the pth percentile, whatever the outliers are."""
    for p in (rng.number(97, 98), rng.number(88, 92)):
        x = lopsided(rng, 40, 25)
        x[0, :2] = torch.tensor([-100.0, 300.0])
        x[3, :3] = torch.tensor([50.0, -200.0, 80.0])
        observer = watching(student, "PercentileObserver", [x], p)
        hint = "p in percent, on both sides: the (100 - p)th and the pth percentile of the values"
        expect_ends(student, hint, observer, percentile_ends(p, x))


@percentile_observer.check(weight=2)
def test_percentiles_of_everything_seen(student: Any, rng: RandomInputs) -> None:
    """Percentiles are those of all numbers of all tensors together."""
    seen = [lopsided(rng, 300), 4 * lopsided(rng, 10, 10), lopsided(rng, 7, 20)]
    for order in (seen, seen[::-1]):
        observer = watching(student, "PercentileObserver", order, 93.0)
        hint = "collect all numbers: neither the last tensor's nor an average of percentiles"
        expect_ends(student, hint, observer, percentile_ends(93.0, *seen))


@percentile_observer.check()
def test_percentiles_are_interpolated(student: Any, rng: RandomInputs) -> None:
    """Between two numbers percentiles are interpolated linearly."""
    x = (torch.arange(9.0) - 4 + rng.uniform(9, low=-0.1, high=0.1))[rng.permutation(9)]
    for p in (rng.number(79, 82), rng.number(92, 95)):
        observer = watching(student, "PercentileObserver", [x], p)
        hint = "interpolate between the two closest numbers"
        expect_ends(student, hint, observer, percentile_ends(p, x))


@percentile_observer.check(weight=0.5)
def test_hundredth_percentile(student: Any, rng: RandomInputs) -> None:
    """With p = 100 the range holds everything."""
    seen = [lopsided(rng, 50), 2 * lopsided(rng, 50)]
    observer = watching(student, "PercentileObserver", seen, 100.0)
    for bits in (8, 5):
        hint = "p = 100: from the smallest to the largest number"
        expect_ends(student, hint, observer, ends_of(*seen), bits)


@percentile_observer.check(weight=0.5)
def test_percentile_observers_are_apart(student: Any, rng: RandomInputs) -> None:
    """Two observers do not share what they have seen."""
    expect_apart(student, rng, "PercentileObserver", 100.0)


@percentile_observer.check(weight=0.5)
def test_percentile_range_contains_zero(student: Any, rng: RandomInputs) -> None:
    """The range contains 0, also where everything seen lies on one side of it."""
    expect_zero_inside(student, rng, "PercentileObserver", 100.0)


@percentile_observer.check(weight=0.25)
def test_percentile_observer_keeps_a_copy(student: Any, rng: RandomInputs) -> None:
    """What happens to a tensor after it was observed does not matter."""
    expect_memory(student, rng, "PercentileObserver", 100.0)


@percentile_observer.check(weight=0.25, guard=True)
def test_percentile_refuses_wrong_p(student: Any, rng: RandomInputs) -> None:
    """A p outside 0..100 raises ValueError."""
    expect_argument_error(student, "PercentileObserver", -rng.number(0.5, 9))
    expect_argument_error(student, "PercentileObserver", 100 + rng.number(0.5, 9))


@percentile_observer.check(weight=0.5, guard=True)
def test_percentile_before_any_observe(student: Any) -> None:
    """Before any observe, qparams raises an error."""
    expect_unseen_raises(student, "PercentileObserver", 99.0)


def error_shares(
    student: Any, seen: Sequence[Tensor], all_bits: Sequence[int], apart: bool = False
) -> list[float]:
    """The observer's squared error on what it has seen, in units of min-max's.

    With `apart` another observer sees something else, and the tensors change afterwards.
    """
    x = torch.cat([each.flatten() for each in seen])
    live = [student.put(each) for each in seen]
    observer = new_observer(student, "MSEObserver")
    for each in live:
        student.invoke(observer, "observe", each)
    if apart:
        watching(student, "MSEObserver", [100 * x])
        for each in live:
            student.invoke(each, "mul_", 0.1)
    shares = []
    for bits in all_bits:
        params = expect_params(student.invoke(observer, "qparams", bits), "qparams")
        lowest, highest = code_range(bits)
        check(lowest <= params[1] <= highest, "the zero point is a signed code")
        plain = affine(*ends_of(x), bits)
        scale, zero_point = expect_params(plain, "reference")
        shares.append(squared_error(x, params, bits) / squared_error(x, (scale, zero_point), bits))
    return shares


mse_observer = Exercise("s2.MSEObserver")


@mse_observer.check(weight=2)
def test_mse_beats_min_max_on_gaussians(student: Any, rng: RandomInputs) -> None:
    """On Gaussian numbers with 2 to 4 bits the squared error is clearly below min-max's."""
    x = rng.normal(3000, std=rng.number(0.2, 3.0))
    shares = error_shares(student, [x], (2, 3, 4))
    hint = "search for the range of least squared error: clipping the tails pays with few bits"
    check(max(shares) < 0.9, hint)


@mse_observer.check(weight=1.5)
def test_mse_is_never_above_min_max(student: Any, rng: RandomInputs) -> None:
    """On other numbers the squared error is never above min-max's."""
    hint = "the range from min to max is a candidate too; judge each by the error it causes"
    uniform, relu = lopsided(rng, 500), rng.normal(500).clamp(min=0.0)
    for x in (uniform, relu, rng.normal(500, mean=1.0), 5 + uniform.abs()):
        shares = error_shares(student, [x], (3, 8))
        check(max(shares) < 1.01, hint)


@mse_observer.check(weight=1.5)
def test_mse_of_everything_seen(student: Any, rng: RandomInputs) -> None:
    """The error counts on everything that was seen, not on the last tensor only."""
    narrow, wide = rng.normal(300, std=0.05), lopsided(rng, 400)
    for seen in ([wide, narrow], [narrow, wide], [narrow, wide, narrow]):
        shares = error_shares(student, seen, (4, 8), apart=True)
        hint = "keep a copy of what every call has seen, for this observer alone"
        check(max(shares) < 1.01, hint)


@mse_observer.check(weight=0.5, guard=True)
def test_mse_before_any_observe(student: Any) -> None:
    """Before any observe, qparams raises an error."""
    expect_unseen_raises(student, "MSEObserver")


# ---- fake_quantize ---------------------------------------------------------------------------


def faked(x: Tensor, scale: float, zero_point: int, bits: int, signed: bool = True) -> Tensor:
    """Numbers in float64 after quantisation and back."""
    return real_of(codes_of(x, scale, zero_point, bits, signed), scale, zero_point)


def fake_gradient(student: Any, x: Tensor, cotangent: Tensor, *args: Any) -> tuple[object, Tensor]:
    """The output of the student's fake_quantize and the gradient of its input."""
    output, (gradient,) = student.vjp("fake_quantize", [x, *args], cotangent)
    return output, expect_tensor(gradient, "the gradient", x.shape)


def expect_faked(
    student: Any, hint: str, x: Tensor, scale: float, zero_point: int, bits: int, **kw: bool
) -> None:
    """Check the values of one call; saturated numbers may lose digits of their own size."""
    value = student.fake_quantize(x, QParams(scale, zero_point), bits, **kw)
    got = expect_tensor(value, "fake_quantize", x.shape, x.dtype)
    wanted = faked(x, scale, zero_point, bits, **kw)
    slack = 1e-3 * scale + 1e-5 * x.abs().double()
    check(bool(((got.double() - wanted).abs() <= slack).all()), hint)


fake_quantize = Exercise("s2.fake_quantize")


@fake_quantize.check(weight=2)
def test_fake_quantize_values(student: Any, rng: RandomInputs) -> None:
    """The result is what quantising and dequantising gives, in the dtype of the input."""
    for bits in (8, rng.integer(3, 5)):
        low, high = code_range(bits)
        scale, zero_point = some_scale(rng), nonzero(rng, high)
        x = untied(rng, scale, 3 * low, 3 * high, 8, 9)
        hint = "scale * (clamp(round(x / scale) + zero_point) - zero_point)"
        expect_faked(student, hint, x, scale, zero_point, bits)


@fake_quantize.check(weight=2, guard=True)
def test_fake_quantize_passes_gradients_inside(student: Any, rng: RandomInputs) -> None:
    """Inside the range the gradient passes as if nothing had been rounded."""
    for bits in (8, rng.integer(3, 5)):
        low, high = code_range(bits)
        scale, zero_point = some_scale(rng), nonzero(rng, high - 1)
        x = untied(rng, scale, low + 1 - zero_point, high - 1 - zero_point, 8, 9)
        cotangent = rng.normal(8, 9)
        _, gradient = fake_gradient(student, x, cotangent, QParams(scale, zero_point), bits)
        hint = (
            "straight-through: inside the range hand on the incoming gradient, element by element"
        )
        check(allclose(gradient, cotangent), hint)


@fake_quantize.check(weight=2)
def test_fake_quantize_stops_gradients_outside(student: Any, rng: RandomInputs) -> None:
    """Where the code saturates the gradient is zero, and only there."""
    for sign in (-1, 1):
        bits = rng.integer(3, 8)
        low, high = code_range(bits)
        scale, zero_point = some_scale(rng), sign * rng.integer(2, high)
        steps = rng.integers(3 * low, 3 * high, 90) + rng.uniform(90, low=-0.4, high=0.4)
        codes = steps + zero_point
        x = steps[((codes - low).abs() > 0.6) & ((codes - high).abs() > 0.6)] * scale
        inside = (x / scale + zero_point > low) & (x / scale + zero_point < high)
        cotangent = rng.normal(len(x))
        _, gradient = fake_gradient(student, x, cotangent, QParams(scale, zero_point), bits)
        hint = "no gradient where x lies outside scale * (qmin - zp) .. scale * (qmax - zp)"
        check(not bool(gradient[~inside].any()), hint)
        check(allclose(gradient[inside], cotangent[inside]), "the gradient passes inside the range")


@fake_quantize.check(weight=0.75)
def test_fake_quantize_unsigned(student: Any, rng: RandomInputs) -> None:
    """With signed=False values and gradients follow the unsigned range."""
    bits = rng.integer(3, 6)
    _, high = code_range(bits, signed=False)
    scale, zero_point = some_scale(rng), rng.integer(1, high // 2)
    x = untied(rng, scale, -2 * high, 2 * high, 70)
    hint = "signed=False: codes 0..2**bits - 1"
    expect_faked(student, hint, x, scale, zero_point, bits, signed=False)
    inner = untied(rng, scale, 1 - zero_point, high - 1 - zero_point, 40)
    cotangent = rng.normal(40)
    _, gradient = fake_gradient(student, inner, cotangent, QParams(scale, zero_point), bits, False)
    check(allclose(gradient, cotangent), hint)


@fake_quantize.check(weight=0.75)
def test_fake_quantize_rounds_half_to_even(student: Any, rng: RandomInputs) -> None:
    """Ties go to the even multiple, whatever the zero point."""
    for zero_point in (0, 2 * rng.integer(-9, 9) + 1):
        scale = power_of_two(rng)
        x = (torch.arange(-20, 20) + 0.5) * scale
        hint = "round half to even (torch.round), and before the zero point is added"
        expect_faked(student, hint, x, scale, zero_point, 8)


@fake_quantize.check(weight=0.5)
def test_fake_quantize_keeps_the_dtype(student: Any, rng: RandomInputs) -> None:
    """Numbers in float64 stay float64."""
    scale, zero_point = some_scale(rng), nonzero(rng, 40)
    x = untied(rng, scale, -150, 150, 5, 6).double()
    expect_faked(student, "keep the dtype of the input", x, scale, zero_point, 8)


@fake_quantize.check(weight=0.5, guard=True)
def test_fake_quantize_leaves_its_input_alone(student: Any, rng: RandomInputs) -> None:
    """The input keeps its numbers."""
    params = QParams(some_scale(rng), nonzero(rng, 40))
    expect_unchanged(student, "fake_quantize", rng.normal(4, 5, std=9.0), params, 8)


@fake_quantize.check(weight=0.5, guard=True)
def test_fake_quantize_refuses_wrong_bits(student: Any, rng: RandomInputs) -> None:
    """A number of bits that is not an integer in 1..32 raises ValueError."""
    for bits in WRONG_BITS:
        expect_value_error(student.fake_quantize, rng.normal(3), QParams(0.1, 0), bits)


# ---- quantize_bias ---------------------------------------------------------------------------

INT32 = code_range(32)


quantize_bias = Exercise("s2.quantize_bias")


@quantize_bias.check(weight=1.5)
def test_bias_codes(student: Any, rng: RandomInputs) -> None:
    """A bias is divided by input scale * weight scale and rounded: int32, no zero point."""
    for reach in (100, 4000):
        a, b = some_scale(rng), some_scale(rng)
        x = untied(rng, a * b, -reach, reach, 12)
        hint = "round(bias / (input_scale * weight_scale)); 32 bits, no zero point"
        expect_codes(
            student.quantize_bias(x, a, b), "quantize_bias", codes_of(x, a * b, 0, 32), hint
        )


@quantize_bias.check(weight=1.5)
def test_bias_codes_per_channel(student: Any, rng: RandomInputs) -> None:
    """With a weight scale for each channel every bias has its own step."""
    n = rng.integer(4, 9)
    a, step = some_scale(rng), scales(rng, n)
    parts = [untied(rng, a * float(each), -1000, 1000, 1) for each in step]
    codes = [codes_of(part, a * float(each), 0, 32) for part, each in zip(parts, step, strict=True)]
    value = student.quantize_bias(torch.cat(parts), a, step)
    hint = "weight_scale may be a tensor (C,): one step for each channel"
    expect_codes(value, "quantize_bias", torch.cat(codes), hint)


@quantize_bias.check()
def test_bias_rounds_half_to_even(student: Any, rng: RandomInputs) -> None:
    """Ties go to the even code, and large codes are exact."""
    a, b = power_of_two(rng), power_of_two(rng)
    ties = torch.arange(-12, 12) + 0.5
    large = rng.integers(2**20, 2**24 - 1, 6).float()
    x = torch.cat([ties, large, -large]) * (a * b)
    hint = "round half to even; 32 bits are enough for every code here"
    expect_codes(student.quantize_bias(x, a, b), "quantize_bias", codes_of(x, a * b, 0, 32), hint)


@quantize_bias.check()
def test_bias_saturates(student: Any, rng: RandomInputs) -> None:
    """A bias that does not fit gets the lowest or highest int32."""
    a, b = power_of_two(rng) * 1e-3, power_of_two(rng) * 1e-3
    x = torch.tensor([1e6, -1e6, 1e12, -1e12])
    wanted = torch.tensor([INT32[1], INT32[0]] * 2)
    hint = "clamp to the int32 range before converting: float32 cannot hold 2**31 - 1"
    expect_codes(student.quantize_bias(x, a, b), "quantize_bias", wanted, hint)


@quantize_bias.check(weight=0.25, guard=True)
def test_quantize_bias_leaves_its_input_alone(student: Any, rng: RandomInputs) -> None:
    """Bias and scales keep their numbers."""
    expect_unchanged(student, "quantize_bias", rng.normal(5), 0.1, scales(rng, 5))


@quantize_bias.check(weight=0.25, guard=True)
def test_quantize_bias_refuses_other_lengths(student: Any, rng: RandomInputs) -> None:
    """Another number of weight scales than of biases raises ValueError."""
    expect_value_error(student.quantize_bias, rng.normal(5), 0.1, scales(rng, 4))


# ---- integer layers --------------------------------------------------------------------------


def centred(
    rng: RandomInputs,
    inputs: tuple[int, ...],
    weight: tuple[int, ...],
    *,
    input_zero_point: int = 0,
    output_zero_point: int = 0,
    bias: bool = False,
    per_channel: bool = False,
    reach: int = 60,
) -> Layer:
    """An integer layer whose outputs mostly lie within `reach` steps of the zero point."""
    depth = math.prod(weight[1:])
    typical = 74.0 * 73.0 * math.sqrt(depth)  # deviations of uniform codes
    step = some_scale(rng)
    factors = 2.0 ** (torch.arange(weight[0]) % 3)[rng.permutation(weight[0])]
    return Layer(
        inputs=rng.integers(-128, 127, *inputs).to(torch.int32),
        weight=rng.integers(-127, 127, *weight).to(torch.int32),
        bias=rng.integers(-round(typical), round(typical), weight[0]).to(torch.int32)
        if bias
        else None,
        input_scale=step,
        input_zero_point=input_zero_point,
        weight_scale=(factors * 0.01).tolist() if per_channel else 0.01,
        output_scale=step * 0.01 * typical / reach * 2,
        output_zero_point=output_zero_point,
    )


def exact_layer(layer: Layer, multiplier: float) -> Layer:
    """`layer` with scales that are powers of two."""
    return Layer(
        layer.inputs,
        layer.weight,
        layer.bias,
        0.5,
        layer.input_zero_point,
        0.25,
        0.125 / multiplier,
        layer.output_zero_point,
    )


Geometry = Mapping[str, Any]  # stride, padding, dilation: ints or pairs; groups
NO_GEOMETRY: Geometry = {}


def expect_layer(
    student: Any,
    name: str,
    hint: str,
    layer: Layer,
    bits: int | None = None,
    exact: bool = False,
    geometry: Geometry = NO_GEOMETRY,
) -> None:
    """Check one call of the student's quantized_linear or quantized_conv2d."""
    steps = {"quantized_linear": linear_steps, "quantized_conv2d": conv_steps}[name](
        layer, **geometry
    )
    options = geometry if bits is None else {**geometry, "bits": bits}
    value = getattr(student, name)(*layer.arguments(), **options)
    got = expect_tensor(value, name, steps.shape, torch.int32)
    check(right_codes(got, steps, layer.output_zero_point, bits or 8, exact), hint)


INPUT_HINT = "subtract the input zero point: its part of every sum is zero_point * sum of weights"
OUTPUT_HINT = "add the bias to the sums, rescale by s_in * s_w / s_out, add the output zero point"
CHANNEL_HINT = "with a scale for each output channel the rescaling differs between channels"
CLAMP_HINT = "add the output zero point, then saturate to the signed range of `bits`"
ROUND_HINT = "rescale, round half to even, and add the zero point after that"
EXACT_HINT = "sum in integers (or float64): float32 has only 24 bits"


def layer_sizes(rng: RandomInputs) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Shapes of input and weight of a Linear layer with as many samples as outputs."""
    n, features = rng.integer(4, 7), rng.integer(12, 24)
    return (n, features), (n, features)


quantized_linear = Exercise("s2.quantized_linear")


@quantized_linear.check(weight=1.5)
def test_linear_sums_and_rescales(student: Any, rng: RandomInputs) -> None:
    """Sums of integer products are rescaled by input scale * weight scale / output scale."""
    hint = "sum of products of codes, times s_in * s_w / s_out, rounded"
    expect_layer(student, "quantized_linear", hint, centred(rng, *layer_sizes(rng)))


@quantized_linear.check(weight=2)
def test_linear_input_zero_point(student: Any, rng: RandomInputs) -> None:
    """The input zero point stands for a real zero."""
    for sign in (-1, 1):
        layer = centred(rng, *layer_sizes(rng), input_zero_point=sign * rng.integer(20, 100))
        expect_layer(student, "quantized_linear", INPUT_HINT, layer)


@quantized_linear.check(weight=2)
def test_linear_bias_and_output_zero_point(student: Any, rng: RandomInputs) -> None:
    """The bias is added to the sums, the output zero point to the codes."""
    for sign in (-1, 1):
        layer = centred(
            rng, *layer_sizes(rng), bias=True, output_zero_point=sign * rng.integer(15, 50)
        )
        expect_layer(student, "quantized_linear", OUTPUT_HINT, layer)


@quantized_linear.check(weight=2)
def test_linear_scales_per_channel(student: Any, rng: RandomInputs) -> None:
    """Each output feature may have a weight scale of its own."""
    for bias in (False, True):
        layer = centred(
            rng, *layer_sizes(rng), input_zero_point=nonzero(rng, 60), bias=bias, per_channel=True
        )
        expect_layer(student, "quantized_linear", CHANNEL_HINT, layer)


@quantized_linear.check()
def test_linear_saturates(student: Any, rng: RandomInputs) -> None:
    """Results outside the range get the lowest or highest code of `bits`."""
    for bits in (None, 4, 6):
        layer = centred(rng, *layer_sizes(rng), output_zero_point=nonzero(rng, 6), reach=250)
        expect_layer(student, "quantized_linear", CLAMP_HINT, layer, bits)


@quantized_linear.check()
def test_linear_rounds_half_to_even(student: Any, rng: RandomInputs) -> None:
    """Ties of the rescaled sum go to the even number, whatever the zero point."""
    layer = Layer(
        inputs=rng.integers(-9, 9, 9, 4).to(torch.int32),
        weight=rng.integers(-3, 3, 5, 4).to(torch.int32),
        bias=rng.integers(-9, 9, 5).to(torch.int32),
        input_scale=1.0,
        input_zero_point=nonzero(rng, 3),
        weight_scale=1.0,
        output_scale=1.0,
        output_zero_point=2 * rng.integer(-4, 4) + 1,
    )
    layer = exact_layer(layer, 0.5)
    expect_layer(student, "quantized_linear", ROUND_HINT, layer, exact=True)


def large_sums(rng: RandomInputs, inputs: tuple[int, ...], weight: tuple[int, ...]) -> Layer:
    """Sums above 2**24 that the bias brings back to a few steps of the output."""
    q_input = rng.integers(90, 127, *inputs).to(torch.int32)
    q_weight = rng.integers(90, 127, *weight).to(torch.int32)
    products = q_input.flatten(1).to(torch.int64) @ q_weight.flatten(1).to(torch.int64).T
    offset = rng.integers(-50, 50, weight[0])
    bias = (offset - products[0]).to(torch.int32)
    return exact_layer(Layer(q_input, q_weight, bias, 1.0, 0, 1.0, 1.0, nonzero(rng, 9)), 1.0)


@quantized_linear.check()
def test_linear_sums_exactly(student: Any, rng: RandomInputs) -> None:
    """Large sums are exact to the last unit."""
    features = rng.integer(4000, 4500)
    layer = large_sums(rng, (2, features), (3, features))
    expect_layer(student, "quantized_linear", EXACT_HINT, layer, exact=True)


@quantized_linear.check(weight=0.5)
def test_linear_leading_dimensions(student: Any, rng: RandomInputs) -> None:
    """Any dimensions before the features are kept."""
    features = rng.integer(8, 12)
    for shape in ((2, 3, features), (features,)):
        layer = centred(rng, shape, (4, features), input_zero_point=nonzero(rng, 60), bias=True)
        hint = "the features are the last dimension; the others are kept"
        expect_layer(student, "quantized_linear", hint, layer)


def expect_layer_unchanged(student: Any, name: str, layer: Layer) -> None:
    """Inputs, weight and bias keep their codes."""
    expect_unchanged(student, name, *layer.arguments())


def expect_layer_errors(student: Any, name: str, layer: Layer) -> None:
    """Wrong bits, and codes, biases and scales that do not fit, raise ValueError."""
    function = getattr(student, name)
    q_input, q_weight, q_bias, *params = layer.arguments()
    assert isinstance(q_weight, Tensor)
    assert isinstance(q_bias, Tensor)
    for bits in WRONG_BITS:
        expect_value_error(function, *layer.arguments(), bits=bits)
    expect_value_error(function, q_input, q_weight[:, 1:], q_bias, *params)
    expect_value_error(function, q_input, q_weight, q_bias[1:], *params)
    vectors = QParams(torch.full((len(q_weight) - 1,), 0.1), torch.zeros(len(q_weight) - 1).int())
    expect_value_error(function, q_input, q_weight, q_bias, params[0], vectors, params[2])


@quantized_linear.check(weight=0.25, guard=True)
def test_linear_leaves_its_inputs_alone(student: Any, rng: RandomInputs) -> None:
    """Codes and bias are unchanged."""
    layer = centred(rng, *layer_sizes(rng), input_zero_point=nonzero(rng, 60), bias=True)
    expect_layer_unchanged(student, "quantized_linear", layer)


@quantized_linear.check(weight=0.25, guard=True)
def test_linear_refuses_bad_arguments(student: Any, rng: RandomInputs) -> None:
    """Wrong bits, and shapes that do not match, raise ValueError."""
    expect_layer_errors(student, "quantized_linear", centred(rng, *layer_sizes(rng), bias=True))


def image_sizes(
    rng: RandomInputs, groups: int = 1, kernel: tuple[int, int] = (3, 3)
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Shapes of images and weight of a convolution, nothing square but perhaps the kernel."""
    channels, height = 2 * groups, rng.integer(6, 8)
    return (2, channels, height, height + 2), (2 * groups, channels // groups, *kernel)


quantized_conv2d = Exercise("s2.quantized_conv2d")


@quantized_conv2d.check(weight=1.5)
def test_conv_sums_and_rescales(student: Any, rng: RandomInputs) -> None:
    """Sums of integer products are rescaled; the kernel need not be square."""
    for kernel in ((3, 3), (2, 3), (1, 1)):
        hint = "sum of products of codes, times s_in * s_w / s_out, rounded"
        layer = centred(rng, *image_sizes(rng, kernel=kernel))
        expect_layer(student, "quantized_conv2d", hint, layer)


@quantized_conv2d.check(weight=2)
def test_conv_pads_with_the_zero_point(student: Any, rng: RandomInputs) -> None:
    """Outside the image the real input is zero: the code is the input zero point."""
    for sign, padding in ((-1, 1), (1, 2)):
        layer = centred(rng, *image_sizes(rng), input_zero_point=sign * rng.integer(20, 100))
        expect_layer(student, "quantized_conv2d", INPUT_HINT, layer)
        hint = "pad with the code of zero, which is the input zero point and not 0"
        expect_layer(student, "quantized_conv2d", hint, layer, geometry={"padding": padding})


@quantized_conv2d.check(weight=1.5)
def test_conv_geometry(student: Any, rng: RandomInputs) -> None:
    """Stride, padding, dilation and groups mean what they mean in torch."""
    geometries: tuple[Geometry, ...] = (
        {"stride": 2, "padding": 1},
        {"stride": 3},
        {"dilation": 2, "padding": 2},
        {"groups": 2},
        {"groups": 3, "stride": 2, "padding": 1},
        {"stride": (1, 2)},
        {"padding": (2, 0)},
        {"dilation": (1, 2)},
    )
    for geometry in geometries:
        groups = geometry.get("groups", 1)
        layer = centred(rng, *image_sizes(rng, groups), input_zero_point=nonzero(rng, 60))
        hint = f"{' and '.join(geometry)}: as in torch.nn.functional.conv2d"
        expect_layer(student, "quantized_conv2d", hint, layer, geometry=geometry)


@quantized_conv2d.check(weight=1.5)
def test_conv_bias_and_output_zero_point(student: Any, rng: RandomInputs) -> None:
    """The bias is added to the sums, the output zero point to the codes."""
    for sign in (-1, 1):
        layer = centred(
            rng, *image_sizes(rng), bias=True, output_zero_point=sign * rng.integer(15, 50)
        )
        expect_layer(student, "quantized_conv2d", OUTPUT_HINT, layer, geometry={"padding": 1})


@quantized_conv2d.check(weight=1.5)
def test_conv_scales_per_channel(student: Any, rng: RandomInputs) -> None:
    """Each output channel may have a weight scale of its own."""
    n = rng.integer(3, 4)
    layer = centred(
        rng, (n, 2, n, n), (n, 2, 1, 1), bias=True, per_channel=True, input_zero_point=7
    )
    expect_layer(student, "quantized_conv2d", CHANNEL_HINT, layer)
    layer = centred(rng, *image_sizes(rng, 2), per_channel=True, input_zero_point=nonzero(rng, 60))
    expect_layer(
        student, "quantized_conv2d", CHANNEL_HINT, layer, geometry={"padding": 1, "groups": 2}
    )


@quantized_conv2d.check()
def test_conv_saturates(student: Any, rng: RandomInputs) -> None:
    """Results outside the range get the lowest or highest code of `bits`."""
    for bits in (None, 4, 6):
        layer = centred(rng, *image_sizes(rng), output_zero_point=nonzero(rng, 6), reach=250)
        expect_layer(student, "quantized_conv2d", CLAMP_HINT, layer, bits)


@quantized_conv2d.check()
def test_conv_rounds_half_to_even(student: Any, rng: RandomInputs) -> None:
    """Ties of the rescaled sum go to the even number, whatever the zero point."""
    layer = Layer(
        inputs=rng.integers(-9, 9, 2, 2, 5, 6).to(torch.int32),
        weight=rng.integers(-2, 2, 3, 2, 2, 2).to(torch.int32),
        bias=rng.integers(-9, 9, 3).to(torch.int32),
        input_scale=1.0,
        input_zero_point=nonzero(rng, 3),
        weight_scale=1.0,
        output_scale=1.0,
        output_zero_point=2 * rng.integer(-4, 4) + 1,
    )
    layer = exact_layer(layer, 0.5)
    expect_layer(student, "quantized_conv2d", ROUND_HINT, layer, exact=True)


@quantized_conv2d.check()
def test_conv_sums_exactly(student: Any, rng: RandomInputs) -> None:
    """Large sums are exact to the last unit."""
    channels = rng.integer(440, 480)
    layer = large_sums(rng, (1, channels, 3, 3), (2, channels, 3, 3))
    expect_layer(student, "quantized_conv2d", EXACT_HINT, layer, exact=True)


@quantized_conv2d.check(weight=0.25, guard=True)
def test_conv_leaves_its_inputs_alone(student: Any, rng: RandomInputs) -> None:
    """Codes and bias are unchanged."""
    layer = centred(rng, *image_sizes(rng), input_zero_point=nonzero(rng, 60), bias=True)
    expect_layer_unchanged(student, "quantized_conv2d", layer)


@quantized_conv2d.check(weight=0.25, guard=True)
def test_conv_refuses_bad_arguments(student: Any, rng: RandomInputs) -> None:
    """Wrong bits, and shapes that do not match, raise ValueError."""
    expect_layer_errors(student, "quantized_conv2d", centred(rng, *image_sizes(rng), bias=True))


# ---- fold_batchnorm --------------------------------------------------------------------------

Norm = tuple[Tensor, Tensor, Tensor, Tensor]  # gamma, beta, mean, var


def drawn_norm(rng: RandomInputs, n: int, smallest: float = 0.2) -> Norm:
    """Batch norm of `n` channels; gamma has both signs."""
    gamma = rng.uniform(n, low=0.5, high=2.0) * (rng.integers(0, 1, n) * 2 - 1)
    return gamma, rng.normal(n), rng.normal(n), rng.uniform(n, low=smallest, high=3.0)


def expect_folded(
    student: Any, hint: str, w: Tensor, bias: Tensor | None, norm: Norm, eps: float
) -> None:
    """Check weight and bias of one call of the student's fold_batchnorm."""
    value = student.fold_batchnorm(w, bias, *norm, eps)
    parts = expect_list(value, "fold_batchnorm", length=2)
    wanted = folded(w, bias, norm, eps)
    for name, got, right in zip(("weight", "bias"), parts, wanted, strict=True):
        tensor = expect_tensor(got, f"the {name}", right.shape, w.dtype)
        check(allclose(tensor, right, rtol=1e-4, atol=1e-5), f"{name}: {hint}")


fold_batchnorm = Exercise("s2.fold_batchnorm")


@fold_batchnorm.check(weight=2)
def test_folds_into_a_convolution(student: Any, rng: RandomInputs) -> None:
    """The layer alone gives what it gave before with batch norm behind it."""
    n = rng.integer(3, 6)
    for shape in ((n, 4, 3, 3), (n, n, n, n)):
        norm = drawn_norm(rng, n)
        hint = "w * gamma / sqrt(var + eps), and (bias - mean) * gamma / sqrt(var + eps) + beta"
        expect_folded(student, hint, rng.normal(*shape), rng.normal(n), norm, 1e-5)


@fold_batchnorm.check(weight=1.5)
def test_folds_without_a_bias(student: Any, rng: RandomInputs) -> None:
    """A layer without a bias has one afterwards."""
    n = rng.integer(3, 6)
    hint = "without a bias: start from 0, the result has a bias"
    expect_folded(student, hint, rng.normal(n, 2, 3, 3), None, drawn_norm(rng, n), 1e-5)


@fold_batchnorm.check()
def test_folding_keeps_eps(student: Any, rng: RandomInputs) -> None:
    """Where the variance is small, eps matters."""
    n = rng.integer(3, 6)
    gamma, beta, mean, var = drawn_norm(rng, n)
    for eps in (1e-3, rng.number(0.01, 0.1)):
        norm = gamma, beta, mean, var * eps
        hint = "sqrt(var + eps): eps belongs inside the root, and may be any number"
        expect_folded(student, hint, rng.normal(n, 3, 2, 2), rng.normal(n), norm, eps)


@fold_batchnorm.check()
def test_folds_into_weights_of_2_to_5_dimensions(student: Any, rng: RandomInputs) -> None:
    """Linear layers and convolutions of 1, 2 and 3 dimensions are all folded alike."""
    n = rng.integer(2, 4)
    for dims in (2, 3, 5):
        norm = drawn_norm(rng, n)
        hint = "scale along dimension 0, however many there are"
        expect_folded(student, hint, rng.normal(*([n] * dims)), rng.normal(n), norm, 1e-5)


@fold_batchnorm.check(weight=0.5)
def test_folding_keeps_the_dtype(student: Any, rng: RandomInputs) -> None:
    """Parameters in float64 stay float64."""
    n = rng.integer(3, 6)
    gamma, beta, mean, var = (part.double() for part in drawn_norm(rng, n))
    w = rng.normal(n, 3, 2, 2).double()
    for bias in (rng.normal(n).double(), None):
        expect_folded(student, "keep the dtype", w, bias, (gamma, beta, mean, var), 1e-5)


@fold_batchnorm.check(weight=0.5, guard=True)
def test_folding_leaves_its_inputs_alone(student: Any, rng: RandomInputs) -> None:
    """Weight, bias and statistics are unchanged."""
    n = rng.integer(3, 6)
    w, bias = rng.normal(n, 3, 2, 2), rng.normal(n)
    expect_unchanged(student, "fold_batchnorm", w, bias, *drawn_norm(rng, n), 1e-3)


@fold_batchnorm.check(weight=0.5, guard=True)
def test_folding_refuses_other_lengths(student: Any, rng: RandomInputs) -> None:
    """Another number of channels in the norm than in the layer raises ValueError."""
    n = rng.integer(3, 6)
    w, bias = rng.normal(n, 3, 2, 2), rng.normal(n)
    for channels in (n + 1, 1):
        expect_value_error(student.fold_batchnorm, w, bias, *drawn_norm(rng, channels), 1e-5)
    expect_value_error(student.fold_batchnorm, w, bias[1:], *drawn_norm(rng, n), 1e-5)


# ---- sqnr_db ---------------------------------------------------------------------------------


def decibels(reference: Tensor, approximation: Tensor) -> float:
    """Signal to noise in dB, summed exactly."""
    pairs = list(zip(reference.flatten().tolist(), approximation.flatten().tolist(), strict=True))
    noise = math.fsum((r - a) ** 2 for r, a in pairs)
    return 10 * math.log10(math.fsum(r * r for r, _ in pairs) / noise)


sqnr_db = Exercise("s2.sqnr_db")


@sqnr_db.check(weight=2)
def test_signal_to_noise(student: Any, rng: RandomInputs) -> None:
    """Ten times the decimal logarithm of signal power over noise power."""
    for noise in (0.3, 0.01, 3.0):
        reference = rng.normal(6, 7, mean=rng.choice([-2.0, 2.0]))
        approximation = reference + noise * rng.uniform(6, 7, low=-0.5, high=1.0)
        value = expect_float(student.sqnr_db(reference, approximation), "sqnr_db")
        hint = "10 * log10(sum of reference**2 / sum of (reference - approximation)**2)"
        check(close(value, decibels(reference, approximation), rtol=1e-4, atol=1e-3), hint)


@sqnr_db.check()
def test_no_noise_is_infinite(student: Any, rng: RandomInputs) -> None:
    """Without any noise the ratio is +infinity; with very little it is not."""
    reference = rng.normal(5, 8)
    value = expect_float(student.sqnr_db(reference, reference.clone()), "sqnr_db", finite=False)
    check(value == math.inf, "no noise: return math.inf")
    approximation = reference.clone()
    approximation[0, 0] += 1e-3
    value = expect_float(student.sqnr_db(reference, approximation), "sqnr_db")
    hint = "add nothing to the noise: only a noise of exactly 0 is special"
    check(close(value, decibels(reference, approximation), rtol=1e-4, atol=1e-2), hint)


@sqnr_db.check(weight=0.5, guard=True)
def test_sqnr_refuses_other_shapes(student: Any, rng: RandomInputs) -> None:
    """Tensors of different shapes raise ValueError, also where they could be broadcast."""
    expect_value_error(student.sqnr_db, rng.normal(4, 3), rng.normal(3, 4))
    expect_value_error(student.sqnr_db, rng.normal(4, 1), rng.normal(4))


# ---- quantize_model --------------------------------------------------------------------------


def ignore(_training: object, _batch: object) -> None:
    """Nothing: a Tap with a function of the judge's keeps a network in the student's process."""


def quantised(student: Any, model: nn.Module, loader: object, bits: int) -> Handle:
    """The student's quantised network, in eval mode if it has modes."""
    result = student.quantize_model(student.put(model), loader, bits)
    if isinstance(result, nn.Module):  # of stock layers: hooks of theirs have not crossed
        wrapped = nn.Sequential(Tap(ignore), model)
        result = student.quantize_model(student.put(wrapped), loader, bits)
    if not isinstance(result, Handle):
        fail("quantize_model should return a network that can be called")
    try:
        student.invoke(result, "eval")
    except StudentError as error:
        if error.kind != "AttributeError":
            raise
    return result


def run(student: Any, network: Handle, x: Tensor) -> Tensor:
    """What the quantised network gives for a float batch."""
    output = expect_tensor(student.call(network, x), "the output of the quantised network")
    check(output.is_floating_point(), "the quantised network takes floats and returns floats")
    check(len(output) == len(x), "the output has one row for each sample")
    return output


quantize_model = Exercise("s2.quantize_model")


@quantize_model.check(weight=2, guard=True, seconds=30)
def test_quantised_network_keeps_its_accuracy(student: Any, rng: RandomInputs) -> None:
    """With 8 bits a trained network keeps its accuracy, with 6 bits nearly all of it."""
    case = trained_digits(rng)
    images, labels = case.held_out

    def right(logits: Tensor) -> float:
        return float((logits.argmax(dim=1) == labels).double().mean())

    with torch.no_grad():
        before = right(case.model(images))
    for bits, drop in ((8, 0.02), (6, 0.05)):
        network = quantised(student, case.model, in_order(*case.seen, 64), bits)
        logits = run(student, network, images)
        check(logits.shape == (len(images), 10), "the output has the shape of the network's")
        hint = "the quantised network is less accurate than it should be"
        check(right(logits) >= before - drop, hint)


BITS = 3  # where different numbers are counted
WEIGHT_HINT = "weights of every Conv2d and Linear take at most 2**bits values in a channel"
INPUT_LEVELS_HINT = "inputs of every Conv2d and Linear are quantised: at most 2**bits values"


def identity(features: int) -> nn.Linear:
    """A Linear layer that passes its input on."""
    layer = nn.Linear(features, features, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.eye(features))
    return layer


def tapped(layer: nn.Module, outputs: list[Tensor]) -> nn.Sequential:
    """`layer`, deep inside, whose outputs are collected."""
    return nn.Sequential(
        nn.Sequential(nn.Sequential(layer)), Tap(lambda _, output: outputs.append(output))
    )


def outputs_of(
    student: Any, network: nn.Module, seen: Tensor, x: Tensor, outputs: list[Tensor]
) -> Tensor:
    """What the tapped layer, or without outputs of it the network, gives for `x`."""
    quantised_network = quantised(student, network, list(torch.split(seen, 16)), BITS)
    outputs.clear()
    result = run(student, quantised_network, x)
    return torch.cat([each.flatten(1) for each in outputs]) if outputs else result


@quantize_model.check(weight=1.5)
def test_quantised_weights(student: Any, rng: RandomInputs) -> None:
    """Each channel of each layer, the first and the last included, has at most 2**bits weights."""
    n, seen = 36, torch.zeros(0)
    outputs: list[Tensor] = []
    last = drawn(nn.Linear(n, 4), rng)
    inner = drawn(nn.Linear(n, n), rng)
    first = drawn(nn.Conv2d(4, 3, 3), rng)
    conv = impulses(4, 3, rng.number(0.5, 2.0))
    seen = conv.flatten(1)
    networks = (
        (nn.Sequential(tapped(first, outputs), nn.Flatten(), nn.Linear(3, 2)), conv),
        (nn.Sequential(identity(n), tapped(inner, outputs), nn.Linear(n, 2)), seen),
        (nn.Sequential(identity(n), nn.ReLU(), nn.Sequential(last)), seen),
    )
    for place, (network, x) in zip(("first", "inner", "last"), networks, strict=True):
        with property_of(f"the {place} layer"):
            values = outputs_of(student, network, x, x, outputs)
            check(most_distinct(values) <= 2**BITS, WEIGHT_HINT)


@quantize_model.check(weight=1.5)
def test_quantised_inputs(student: Any, rng: RandomInputs) -> None:
    """Each layer, the first and the last included, sees at most 2**bits different inputs."""
    outputs: list[Tensor] = []
    first = drawn(nn.Conv2d(1, 3, 1), rng)
    inner = drawn(nn.Conv2d(1, 3, 1), rng)
    mix, mlp = nn.Conv2d(2, 1, 1), MLP((2, 1, 4))
    with torch.no_grad():
        for parameter in (*mix.parameters(), *mlp.layers[0].parameters()):
            numbers = [1.0, rng.number(0.3, 0.4)] if parameter.dim() > 1 else [0.01]
            parameter.copy_(torch.tensor(numbers).reshape(parameter.shape))
    images, pairs = rng.uniform(400, 1, 1, 1), rng.uniform(400, 2)
    ends = torch.tensor([0.0, 1.0])
    networks = (
        (nn.Sequential(tapped(first, outputs), nn.Flatten(), nn.Linear(3, 2)), images),
        (
            nn.Sequential(mix, tapped(inner, outputs), nn.Flatten(), nn.Linear(3, 2)),
            pairs[:, :, None, None],
        ),
        (mlp, pairs),
    )
    for place, (network, x) in zip(("first", "inner", "last"), networks, strict=True):
        x[:2] = ends.reshape(2, *[1] * (x.dim() - 1))
        with property_of(f"the {place} layer"):
            values = outputs_of(student, network, x, x, outputs)
            channels = values.reshape(len(x), -1)
            check(most_distinct(channels) <= 2**BITS, INPUT_LEVELS_HINT)
            check(most_distinct(channels) > 2, "2**bits levels, over the range of calibration")


def line(rng: RandomInputs) -> tuple[nn.Sequential, float]:
    """y = w * x + b as a network, and w."""
    layer = nn.Linear(1, 1)
    slope = rng.choice([-1, 1]) * rng.number(1.0, 2.0)
    with torch.no_grad():
        layer.weight.fill_(slope)
        layer.bias.fill_(rng.number(-0.5, 0.5))
    return nn.Sequential(layer), slope


def column(*numbers: float) -> Tensor:
    """Samples (N, 1)."""
    return torch.tensor(numbers).reshape(-1, 1)


def calibration(rng: RandomInputs, count: int, reach: float = 1.0) -> list[Tensor]:
    """Batches (16, 1) that fill [-reach, reach]."""
    ends = column(-reach, reach)
    return [torch.cat([rng.uniform(14, 1, low=-reach, high=reach), ends]) for _ in range(count)]


@quantize_model.check(weight=1.5)
def test_quantised_network_saturates(student: Any, rng: RandomInputs) -> None:
    """Inputs outside the calibrated range count as its end: nothing is calibrated in use."""
    network, slope = line(rng)
    live = quantised(student, network, calibration(rng, 12), 8)
    with torch.no_grad():
        inner = column(-0.9, -0.4, 0.0, 0.3, 0.8)
        wanted, ends = network(inner), network(column(1.0, -1.0))
    before = run(student, live, inner)
    hint = "inside the calibrated range 8 bits are nearly exact"
    check(bool(((before - wanted).abs() < 0.05 * abs(slope)).all()), hint)
    far = run(student, live, column(1.5, -1.5, 4.0, -4.0, 50.0, -50.0))
    hint = "the range is fixed by the calibration data: inputs beyond it saturate"
    check(bool(((far - ends.repeat(3, 1)).abs() < 0.2 * abs(slope)).all()), hint)
    hint = "static: what is run later, or beside it in the batch, changes nothing"
    check(allclose(run(student, live, inner), before), hint)
    beside = run(student, live, torch.cat([inner, column(90.0)]))
    check(allclose(beside[: len(inner)], before), hint)


@quantize_model.check(guard=True)
def test_calibration_uses_every_batch(student: Any, rng: RandomInputs) -> None:
    """The range comes from all batches, not from the first or the last one."""
    network, slope = line(rng)
    small, seen = calibration(rng, 2, reach=0.05), calibration(rng, 30)
    live = quantised(student, network, [small[0], *seen, small[1]], 8)
    x = column(-0.5, 0.5)
    with torch.no_grad():
        wanted = network(x)
    hint = "go through the whole calibration loader"
    check(bool(((run(student, live, x) - wanted).abs() < 0.1 * abs(slope)).all()), hint)


@quantize_model.check(weight=0.5)
def test_calibration_in_eval_mode(student: Any, rng: RandomInputs) -> None:
    """A network in training mode is calibrated in eval mode: no dropout, fixed statistics."""
    body, slope = line(rng)
    norm = nn.BatchNorm1d(1)
    norm.running_var = torch.tensor([rng.number(3.0, 5.0)])
    seen, inner = calibration(rng, 12), column(-0.8, -0.3, 0.2, 0.9)
    for first in (nn.Dropout(0.5), norm):
        network = nn.Sequential(copy.deepcopy(first), body)
        live = quantised(student, network.train(), seen, 8)
        network.eval()
        with torch.no_grad():
            wanted, ends = network(inner), network(column(-1.0, 1.0))
        hint = "run the calibration batches through a copy in eval mode"
        near = (run(student, live, inner) - wanted).abs() < 0.1 * abs(slope)
        check(bool(near.all()), hint)
        far = (run(student, live, column(-9.0, 9.0)) - ends).abs() < 0.3 * abs(slope)
        check(bool(far.all()), hint)


@quantize_model.check(weight=0.5, guard=True)
def test_calibration_loaders(student: Any, rng: RandomInputs) -> None:
    """A loader gives tensors or pairs of inputs and targets."""
    network, slope = line(rng)
    seen = calibration(rng, 8)
    targets = rng.integers(0, 3, 16)
    everything = torch.cat(seen)
    data = TensorDataset(everything, rng.integers(0, 3, len(everything)))
    x = column(-0.8, 0.1, 0.7)
    with torch.no_grad():
        wanted = network(x)
    for loader in (
        seen,
        [(batch, targets) for batch in seen],
        DataLoader(data, batch_size=16),
    ):
        live = quantised(student, network, loader, 8)
        hint = "items are tensors or (inputs, targets); only the inputs are needed"
        check(bool(((run(student, live, x) - wanted).abs() < 0.1 * abs(slope)).all()), hint)


@quantize_model.check(weight=0.5, guard=True)
def test_quantize_model_leaves_the_network_alone(student: Any, rng: RandomInputs) -> None:
    """Parameters, buffers, modes and hooks of the network that was passed in are unchanged."""
    network = drawn(probes.MixedModes(4, 3), rng)
    live = student.put(network)
    modes, hooks, state = student.modes(live), student.hook_count(live), student.state(live)
    student.quantize_model(live, [rng.normal(8, 4, 5, 5) for _ in range(3)], 4)
    check(student.modes(live) == modes, "a mode of the network was changed")
    check(student.hook_count(live) == hooks, "hooks were left behind")
    after = student.state(live)
    check(after.keys() == state.keys(), "the network got other parameters")
    same = all(torch.equal(after[name], value) for name, value in state.items())
    check(same, "quantise a copy: parameters or running statistics were changed")


@quantize_model.check(weight=0.5, guard=True)
def test_quantize_model_refuses_bad_arguments(student: Any, rng: RandomInputs) -> None:
    """An empty calibration loader and wrong bits raise ValueError."""
    network, _ = line(rng)
    expect_value_error(student.quantize_model, network, [], 8)
    for bits in WRONG_BITS:
        expect_value_error(student.quantize_model, network, calibration(rng, 2), bits)


# ---- dynamic_quantized_linear ----------------------------------------------------------------


def expect_near(student: Any, hint: str, x: Tensor, w: Tensor, bias: Tensor | None) -> None:
    """At 8 bits the result is at least 25 dB above its error."""
    wanted = x.double() @ w.double().T + (0.0 if bias is None else bias.double())
    value = student.dynamic_quantized_linear(x, w, *(() if bias is None else (bias,)))
    got = expect_tensor(value, "dynamic_quantized_linear", wanted.shape)
    check(got.is_floating_point(), "the result is float")
    check(not torch.equal(got.double(), wanted), "quantise input and weight")
    check(decibels(wanted, got) > 25, hint)


dynamic_quantized_linear = Exercise("s2.dynamic_quantized_linear")


@dynamic_quantized_linear.check(weight=2)
def test_dynamic_linear_is_nearly_exact(student: Any, rng: RandomInputs) -> None:
    """With 8 bits, the default, the result is close to the float layer's."""
    n, features = rng.integer(5, 8), rng.integer(30, 40)
    for mean, bias in ((0.0, None), (1.5, None), (-1.5, rng.normal(n, std=5.0))):
        x = rng.normal(n, features, mean=mean)
        hint = "quantise input and weight, multiply, go back to floats, add the bias in float"
        expect_near(student, hint, x, rng.normal(n, features), bias)


@dynamic_quantized_linear.check(weight=1.5)
def test_dynamic_linear_measures_each_input(student: Any, rng: RandomInputs) -> None:
    """The range of the input is found anew in every call."""
    features = rng.integer(30, 40)
    w = rng.normal(4, features)
    for size in (1.0, 1e3, 1e-3, 10.0):
        hint = "dynamic: take the range from this very input"
        expect_near(student, hint, rng.normal(6, features, std=size), w, None)


@dynamic_quantized_linear.check(weight=1.5)
def test_dynamic_linear_uses_the_bits(student: Any, rng: RandomInputs) -> None:
    """Weights take at most 2**bits values a row, and so do the inputs."""
    n = rng.integer(50, 60)
    for bits in (3, 4):
        rows = student.dynamic_quantized_linear(
            torch.eye(n) * rng.number(0.5, 2.0), rng.normal(5, n), None, bits
        )
        rows = expect_tensor(rows, "dynamic_quantized_linear", (n, 5))
        check(most_distinct(rows) <= 2**bits, "at most 2**bits different weights")
        check(most_distinct(rows) > 2 ** (bits - 1), "use all of the codes")
        x = rng.normal(1, n)
        passed = student.dynamic_quantized_linear(x, torch.eye(n), None, bits)
        passed = expect_tensor(passed, "dynamic_quantized_linear", (1, n))
        check(most_distinct(passed, 0) <= 2**bits, "at most 2**bits different inputs")


@dynamic_quantized_linear.check(weight=0.5)
def test_dynamic_linear_of_zeros(student: Any, rng: RandomInputs) -> None:
    """An input of zeros gives the bias."""
    bias = rng.normal(4)
    value = student.dynamic_quantized_linear(torch.zeros(3, 5), rng.normal(4, 5), bias)
    got = expect_tensor(value, "dynamic_quantized_linear", (3, 4))
    hint = "a range without width must not divide by zero; zero is represented exactly"
    check(allclose(got, bias.repeat(3, 1)), hint)


@dynamic_quantized_linear.check(weight=0.25, guard=True)
def test_dynamic_linear_leaves_its_inputs_alone(student: Any, rng: RandomInputs) -> None:
    """Input, weight and bias keep their numbers."""
    name = "dynamic_quantized_linear"
    expect_unchanged(student, name, rng.normal(3, 5), rng.normal(4, 5), rng.normal(4))


@dynamic_quantized_linear.check(weight=0.25, guard=True)
def test_dynamic_linear_refuses_bad_arguments(student: Any, rng: RandomInputs) -> None:
    """Wrong bits, and shapes that do not match, raise ValueError."""
    x, w, bias = rng.normal(3, 5), rng.normal(4, 5), rng.normal(4)
    for bits in WRONG_BITS:
        expect_value_error(student.dynamic_quantized_linear, x, w, bias, bits)
    expect_value_error(student.dynamic_quantized_linear, x[:, 1:], w, bias)
    expect_value_error(student.dynamic_quantized_linear, x, w, bias[1:])


# ---- to_half ---------------------------------------------------------------------------------


def halved(student: Any, model: nn.Module) -> dict[str, Tensor]:
    """The parameters and buffers of what the student's to_half returns, by name."""
    result = student.to_half(student.put(model))
    if isinstance(result, Handle):
        result = student.invoke(result, "state_dict")
        check(isinstance(result, dict), "to_half should return a network")
        return dict(result)
    if not isinstance(result, nn.Module):
        fail("to_half should return a network")
    return {**dict(result.named_parameters()), **dict(result.named_buffers())}


to_half = Exercise("s2.to_half")


@to_half.check(weight=2)
def test_every_floating_tensor_is_halved(student: Any, rng: RandomInputs) -> None:
    """Every floating parameter and buffer is float16 with the rounded numbers."""
    nested = nn.Sequential(
        nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3)), nn.Linear(3, 4), nn.LayerNorm(4)
    )
    for model in (drawn(nested, rng), drawn(probes.Buffered(rng.integer(3, 6)), rng)):
        after = halved(student, model)
        for name, before in {**model.state_dict(), **dict(model.named_buffers())}.items():
            if not before.is_floating_point():
                continue
            check(name in after or name == "mask", "keep the names of parameters and buffers")
            if name in after:
                check(after[name].dtype == torch.float16, "every floating tensor is float16")
                check(torch.equal(after[name], before.half()), "round the numbers to float16")


@to_half.check()
def test_counters_are_not_halved(student: Any, rng: RandomInputs) -> None:
    """Buffers of integers are kept."""
    model = drawn(nn.Sequential(nn.Conv2d(1, 3, 1), nn.BatchNorm2d(3)), rng)
    counter = model.get_buffer("1.num_batches_tracked").fill_(rng.integer(3000, 4000))
    after = halved(student, model)
    check("1.num_batches_tracked" in after, "keep the names of parameters and buffers")
    got = after["1.num_batches_tracked"]
    check(got.dtype == torch.int64 and torch.equal(got, counter), "integers stay integers")
    check(after["0.weight"].dtype == torch.float16, "every floating tensor is float16")


@to_half.check(guard=True)
def test_to_half_leaves_the_network_alone(student: Any, rng: RandomInputs) -> None:
    """The network that was passed in keeps its numbers and dtypes."""
    model = drawn(nn.Sequential(nn.Conv2d(1, 3, 1), nn.BatchNorm2d(3)), rng)
    live = student.put(model)
    student.to_half(live)
    after = student.state(live)
    for name, before in model.state_dict().items():
        same = after[name].dtype == before.dtype and torch.equal(after[name], before)
        check(same, "half() works in place: halve a copy")


# ---- binarize --------------------------------------------------------------------------------


def generator(student: Any, seed: int) -> Handle:
    """A seeded torch.Generator in the student's process: that of a loader over there."""
    own = torch.Generator().manual_seed(seed)
    data = TensorDataset(torch.zeros(1))
    loader = student.put(DataLoader(data, batch_size=1, shuffle=True, generator=own))
    result = student.get(Handle(loader.name, "DataLoader"), "generator")
    if not isinstance(result, Handle):
        fail("your code changed what a loader is")
    return result


def expect_binary(value: object, w: Tensor) -> Tensor:
    """A tensor like `w` that holds -1 and 1 only."""
    got = expect_tensor(value, "binarize", w.shape, w.dtype)
    check(bool((got.abs() == 1).all()), "every weight becomes -1 or +1")
    return got


binarize = Exercise("s2.binarize")


@binarize.check(weight=2)
def test_signs(student: Any, rng: RandomInputs) -> None:
    """Without chance, weights become their sign, and zero becomes +1."""
    w = rng.normal(4, 3, 3, 3)
    w[0, 0], w[1, 1] = 0.0, -0.0
    for dtype in (torch.float32, torch.float64):
        got = expect_binary(student.binarize(w.to(dtype)), w.to(dtype))
        check(bool((got[w > 0] == 1).all() and (got[w < 0] == -1).all()), "the sign of each weight")
        check(bool((got[w == 0] == 1).all()), "sign(0) is +1, where torch.sign gives 0")


def stochastic(student: Any, w: Tensor, seed: int) -> Tensor:
    """One stochastic binarisation with a fresh generator."""
    return expect_binary(student.binarize(w, True, generator(student, seed)), w)


@binarize.check(weight=2)
def test_stochastic_probabilities(student: Any, rng: RandomInputs) -> None:
    """With chance, +1 comes with the probability clip((w + 1) / 2, 0, 1)."""
    points = torch.tensor([-3.0, -1.0, -0.6, -0.2, 0.0, 0.3, 0.8, 1.0, 2.5])
    got = stochastic(student, points.repeat(20_000, 1), rng.seed())
    share = (got == 1).double().mean(dim=0)
    wanted = torch.tensor([0.0, 0.0, 0.2, 0.4, 0.5, 0.65, 0.9, 1.0, 1.0])
    hint = "P(+1) = clip((w + 1) / 2, 0, 1), a straight line between -1 and 1"
    check(bool(((share - wanted).abs() < 0.02).all()), hint)
    certain = (wanted == 0) | (wanted == 1)
    check(torch.equal(share[certain], wanted[certain].double()), hint)


@binarize.check()
def test_stochastic_uses_the_generator(student: Any, rng: RandomInputs) -> None:
    """The same generator gives the same weights, another seed others; global ones stay."""
    w, seed = rng.uniform(20, 30, low=-0.9, high=0.9), rng.seed()
    before = student.rng_fingerprint()
    first = stochastic(student, w, seed)
    hint = "draw from `generator`, and from nothing else"
    check(student.rng_fingerprint() == before, hint)
    check(torch.equal(stochastic(student, w, seed), first), hint)
    check(not torch.equal(stochastic(student, w, seed + 1), first), hint)
    one = generator(student, seed)
    both = [expect_binary(student.binarize(w, True, one), w) for _ in range(2)]
    check(not torch.equal(*both), "every call goes on drawing where the last one stopped")
    student.binarize(w, True)
    check(student.rng_fingerprint() == before, "without a generator, too, leave global ones alone")


@binarize.check(weight=0.5, guard=True)
def test_binarize_leaves_its_input_alone(student: Any, rng: RandomInputs) -> None:
    """The weight keeps its numbers."""
    w = rng.normal(4, 5)
    expect_unchanged(student, "binarize", w)
    live = student.put(w)
    student.binarize(live, True, generator(student, rng.seed()))
    check(torch.equal(student.fetch(live), w), "work on a copy: the weight was changed")


# ---- binary_connect_step ---------------------------------------------------------------------

Batch = tuple[Tensor, Tensor]


def normed_network(rng: RandomInputs) -> nn.Sequential:
    """A small convolutional network with a norm; weights in -1.2..1.2, some exactly 0."""
    network = nn.Sequential(
        nn.Conv2d(1, 4, 3),
        nn.GroupNorm(2, 4),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(16, 3),
    )
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(rng.uniform(*parameter.shape, low=-1.2, high=1.2))
            if parameter.dim() > 1:
                parameter.view(-1)[:5] = 0.0
    return network


def image_batch(rng: RandomInputs) -> Batch:
    """Images and labels for `normed_network`."""
    return rng.normal(8, 1, 4, 4), rng.integers(0, 2, 8)


def expect_steps(
    student: Any,
    hint: str,
    model: nn.Module,
    batches: Sequence[Batch],
    kind: str,
    options: dict[str, Any],
) -> None:
    """Check the parameters after some steps of the student's binary_connect_step."""
    live = student.put(model)
    optimizer = student.put(Optimizer(kind, live, options))
    for batch in batches:
        student.binary_connect_step(live, batch, F.cross_entropy, optimizer)
    wanted = copy.deepcopy(model)
    own = getattr(torch.optim, kind)(wanted.parameters(), **options)
    for batch in batches:
        binary_step(wanted, batch, F.cross_entropy, own)
    expect_state(student.state(live), wanted, hint)


def expect_state(state: dict[str, Tensor], wanted: nn.Module, hint: str) -> None:
    """The parameters have to be those of `wanted`."""
    for name, right in wanted.state_dict().items():
        check(name in state, "the network keeps its parameters")
        check(allclose(state[name], right, rtol=1e-4, atol=1e-5), hint)


binary_connect_step = Exercise("s2.binary_connect_step")


@binary_connect_step.check(weight=2)
def test_gradients_of_binary_weights_update_real_ones(student: Any, rng: RandomInputs) -> None:
    """The gradient is taken at the binary weights; the real ones are updated."""
    hint = "forward and backward with the signs, then put the real weights back and step"
    model = normed_network(rng)
    options = {"lr": rng.number(0.01, 0.05)}
    expect_steps(student, hint, model, [image_batch(rng)], "SGD", options)


@binary_connect_step.check(weight=1.5)
def test_real_weights_are_clipped(student: Any, rng: RandomInputs) -> None:
    """After the step weights lie in [-1, 1]; a large step shows it."""
    hint = "clip the real weights to [-1, 1] after the step, and nothing but the weights"
    model = normed_network(rng)
    expect_steps(student, hint, model, [image_batch(rng)], "SGD", {"lr": rng.number(2.0, 4.0)})


@binary_connect_step.check()
def test_only_prunable_weights_are_binary(student: Any, rng: RandomInputs) -> None:
    """Biases, norms and embeddings are neither binarised nor clipped."""
    model = probes.EmbeddingClassifier(9, 4, 3)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(rng.uniform(*parameter.shape, low=-2.0, high=2.0))
    batch = rng.integers(0, 8, 10, 5), rng.integers(0, 2, 10)
    hint = "only weights of Linear and Conv layers are binary and clipped"
    expect_steps(student, hint, model, [batch], "SGD", {"lr": rng.number(0.05, 0.2)})


@binary_connect_step.check(weight=1.5)
def test_binary_steps_follow_each_other(student: Any, rng: RandomInputs) -> None:
    """Several steps with momentum and weight decay, or Adam, are those of the real weights."""
    hint = "each step starts from the real weights and from gradients of this batch only"
    batches = [image_batch(rng) for _ in range(3)]
    momentum = {"lr": 0.02, "momentum": 0.9, "weight_decay": 0.05}
    for kind, options in (("SGD", {"lr": 0.05}), ("SGD", momentum), ("Adam", {"lr": 0.01})):
        expect_steps(student, hint, normed_network(rng), batches, kind, options)


@binary_connect_step.check(weight=0.5)
def test_old_gradients_do_not_count(student: Any, rng: RandomInputs) -> None:
    """Gradients that were there before the step do not matter."""
    model, rate = normed_network(rng), rng.number(0.02, 0.05)
    live = student.put(model)
    optimizer = student.put(Optimizer("SGD", live, {"lr": rate}))
    unbroken = iter([False])

    def interrupt(*_: object) -> None:
        if not next(unbroken, True):
            raise CallbackError("the step is interrupted")

    student.invoke(Handle(optimizer.name, "SGD"), "register_step_pre_hook", student.put(interrupt))
    try:  # leaves the gradients of another batch behind
        student.binary_connect_step(live, image_batch(rng), F.cross_entropy, optimizer)
    except StudentError as error:
        if error.kind != "JudgeError":
            raise
    student.invoke(Handle(live.name, "Sequential"), "load_state_dict", model.state_dict())
    batch = image_batch(rng)
    student.binary_connect_step(live, batch, F.cross_entropy, optimizer)
    wanted = copy.deepcopy(model)
    binary_step(wanted, batch, F.cross_entropy, torch.optim.SGD(wanted.parameters(), rate))
    hint = "zero the gradients before the backward pass"
    expect_state(student.state(live), wanted, hint)
