"""Graders of quantization.py: fake quantisation, integer layers, folded batch norm."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from autograder.graders.s2_quantization_pruning.quantization_inputs import (
    WRONG_BITS,
    expect_codes,
    expect_unchanged,
    nonzero,
    power_of_two,
    real_of,
    scales,
    some_scale,
)
from autograder.graders.s2_quantization_pruning.quantization_references import (
    Layer,
    code_range,
    codes_of,
    conv_steps,
    folded,
    linear_steps,
    right_codes,
    untied,
)
from autograder.graders.toolkit import (
    Exercise,
    RandomInputs,
    allclose,
    check,
    expect_list,
    expect_tensor,
    expect_value_error,
)
from shared.records import QParams

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
    expected = faked(x, scale, zero_point, bits, **kw)
    slack = 1e-3 * scale + 1e-5 * x.abs().double()
    check(bool(((got.double() - expected).abs() <= slack).all()), hint)


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


@fake_quantize.check(weight=0.44, guard=True)
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


@fake_quantize.check(essential=True, weight=2)
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


@fake_quantize.check(weight=0.11, guard=True)
def test_fake_quantize_leaves_its_input_alone(student: Any, rng: RandomInputs) -> None:
    """The input keeps its numbers."""
    params = QParams(some_scale(rng), nonzero(rng, 40))
    expect_unchanged(student, "fake_quantize", rng.normal(4, 5, std=9.0), params, 8)


@fake_quantize.check(weight=0.11, guard=True)
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
    expected = torch.tensor([INT32[1], INT32[0]] * 2)
    hint = "clamp to the int32 range before converting: float32 cannot hold 2**31 - 1"
    expect_codes(student.quantize_bias(x, a, b), "quantize_bias", expected, hint)


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
    expected = folded(w, bias, norm, eps)
    for name, got, right in zip(("weight", "bias"), parts, expected, strict=True):
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
    hint = "sqrt(var + eps): eps belongs inside the root, and may be any number"
    for eps in (1e-3, rng.number(0.01, 0.1)):
        norm = gamma, beta, mean, var * eps
        expect_folded(student, hint, rng.normal(n, 3, 2, 2), rng.normal(n), norm, eps)
    norm = gamma, beta, mean, var
    expect_folded(student, hint, rng.normal(n, 3, 2, 2), rng.normal(n), norm, 0.0)


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


@fold_batchnorm.check(weight=0.33, guard=True)
def test_folding_leaves_its_inputs_alone(student: Any, rng: RandomInputs) -> None:
    """Weight, bias and statistics are unchanged."""
    n = rng.integer(3, 6)
    w, bias = rng.normal(n, 3, 2, 2), rng.normal(n)
    expect_unchanged(student, "fold_batchnorm", w, bias, *drawn_norm(rng, n), 1e-3)


@fold_batchnorm.check(weight=0.33, guard=True)
def test_folding_refuses_other_lengths(student: Any, rng: RandomInputs) -> None:
    """A bias, or vectors of the norm, of another length than the layer raise ValueError."""
    n = rng.integer(3, 6)
    w, vectors = rng.normal(n, 3, 2, 2), [rng.normal(n), *drawn_norm(rng, n)]
    for channels in (n + 1, 1):
        for place, other in enumerate([rng.normal(channels), *drawn_norm(rng, channels)]):
            wrong = [*vectors[:place], other, *vectors[place + 1 :]]
            expect_value_error(student.fold_batchnorm, w, *wrong, 1e-5)
        expect_value_error(student.fold_batchnorm, w, vectors[0], *drawn_norm(rng, channels), 1e-5)
    expect_value_error(student.fold_batchnorm, w, vectors[0][1:], *vectors[1:], 1e-5)
