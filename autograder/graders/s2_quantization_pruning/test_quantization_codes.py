"""Graders of quantization.py: ranges, parameters, codes."""

from __future__ import annotations

import itertools
import math
from typing import Any

import torch
from torch import Tensor

from autograder.graders.s2_quantization_pruning.quantization_inputs import (
    WRONG_BITS,
    all_bits,
    expect_codes,
    expect_params,
    expect_unchanged,
    nonzero,
    power_of_two,
    real_of,
    scales,
    some_scale,
)
from autograder.graders.s2_quantization_pruning.quantization_references import (
    along,
    code_range,
    codes_of,
    untied,
)
from autograder.graders.toolkit import (
    Exercise,
    RandomInputs,
    allclose,
    check,
    close,
    expect_int,
    expect_list,
    expect_record,
    expect_tensor,
    expect_value_error,
)
from shared.records import QParams

# ---- quantization_range ----------------------------------------------------------------------


def expect_range(student: Any, hint: str, expected: tuple[int, int], *args: Any, **kw: Any) -> None:
    """Check one call of the student's quantization_range."""
    value = student.quantization_range(*args, **kw)
    ends = expect_list(value, "quantization_range", length=2)
    check([expect_int(end, "each end") for end in ends] == list(expected), hint)


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
    student: Any, hint: str, expected: tuple[float, int], *args: Any, **kwargs: Any
) -> None:
    """Check one call of the student's affine_params."""
    scale, zero_point = expect_params(student.affine_params(*args, **kwargs), "affine_params")
    check(close(scale, expected[0], rtol=1e-6, atol=0.0), f"scale: {hint}")
    check(zero_point == expected[1], f"zero point: {hint}")


affine_params = Exercise("s2.affine_params")


@affine_params.check(essential=True, weight=2)
def test_affine_range_around_zero(student: Any, rng: RandomInputs) -> None:
    """A range around zero is divided into 2**bits - 1 steps, and zero has a code."""
    hint = "(high - low) / (qmax - qmin), and round(qmin - low / scale), not truncated"
    for bits in (8, 8, 8, rng.integer(2, 7), rng.integer(9, 12)):
        (low, high), (scale, zero_point) = ends_without_tie(rng, bits, (-5, -0.5), (0.5, 5))
        for unit in (1.0, 2.0**-84, 2.0**84):
            expected = unit * scale, zero_point
            expect_affine(student, hint, expected, unit * low, unit * high, bits)


@affine_params.check(essential=True, weight=2)
def test_affine_range_on_one_side(student: Any, rng: RandomInputs) -> None:
    """A range on one side of zero is widened until it contains zero."""
    hint = "the range always contains 0, so that zero is represented exactly"
    for low, high in (((0.5, 2.0), (3.0, 5.0)), ((-5.0, -3.0), (-2.0, -0.5))):
        for bits in (8, rng.integer(3, 12)):
            ends, expected = ends_without_tie(rng, bits, low, high)
            expect_affine(student, hint, expected, *ends, bits)


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
        expected = large / code_range(bits)[1], 0
        expect_affine(student, hint, expected, low, high, bits, symmetric=True)


@affine_params.check()
def test_unsigned_params(student: Any, rng: RandomInputs) -> None:
    """With unsigned codes the zero point lies in 0..2**bits - 1."""
    for bits in (8, rng.integer(3, 7)):
        ends, expected = ends_without_tie(rng, bits, (-5, -0.5), (0.5, 5), signed=False)
        hint = "signed=False: qmin is 0"
        expect_affine(student, hint, expected, *ends, bits, signed=False)


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
        ends, expected = ends_without_tie(rng, bits, (-5, -0.5), (0.5, 5))
        hint = "compute in float64 (Python floats): float32 has only 24 bits"
        expect_affine(student, hint, expected, *ends, bits)


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
    expected = codes_of(x, scale, zero_point, bits, kwargs.get("signed", True))
    expect_codes(value, "quantize", expected, hint)


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


@dequantize.check(weight=0.23, guard=True)
def test_dequantize_leaves_its_input_alone(student: Any, rng: RandomInputs) -> None:
    """The codes keep their numbers."""
    codes = rng.integers(-128, 127, 4, 5).to(torch.int32)
    expect_unchanged(student, "dequantize", codes, QParams(some_scale(rng), nonzero(rng, 40)))


@dequantize.check(weight=0.23, guard=True)
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
    expected = torch.tensor(largest, dtype=torch.float64) / code_range(bits)[1]
    scale = expect_channel_params(student.per_channel_params(w, bits, *given), len(largest))
    check(allclose(scale, expected, rtol=1e-5, atol=0.0), hint)


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
    """A channel of zeros gets a positive scale; the others keep theirs, however small."""
    w = channel_weight(rng, 4, 3, 3, axis=0)
    w[1] = 0.0
    w[2] *= 2.0**-84
    scale = expect_channel_params(student.per_channel_params(w, 8), 4)
    for channel in (0, 2, 3):
        expected = float(w[channel].abs().max()) / 127
        near = close(float(scale[channel]), expected, atol=0.0)
        check(near, "only the channel of zeros is special")


@per_channel_params.check(weight=0.25, guard=True)
def test_per_channel_params_leaves_its_input_alone(student: Any, rng: RandomInputs) -> None:
    """The weight keeps its numbers."""
    expect_unchanged(student, "per_channel_params", rng.normal(4, 5), 8)


@per_channel_params.check(weight=0.25, guard=True)
def test_per_channel_params_refuses_wrong_bits(student: Any, rng: RandomInputs) -> None:
    """A number of bits that is not an integer in 1..32 raises ValueError."""
    for bits in WRONG_BITS:
        expect_value_error(student.per_channel_params, rng.normal(3, 4), bits)
