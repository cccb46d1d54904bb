# Generated from solutions/s2_quantization_pruning/tests/test_public_quantization.py by `autograder release`: change it there.
"""Public tests of quantization.py: small cases whose answers you can work out on paper.

`autograder check s2` runs them. They show the expected values; the hidden graders use other
inputs, so code that fits only these numbers earns nothing there.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from autograder.graders.toolkit import (
    Exercise,
    Optimizer,
    allclose,
    check,
    close,
    expect_float,
    expect_int,
    expect_list,
    expect_record,
    expect_tensor,
    expect_value_error,
)
from shared.records import QParams


def expect_qparams(value: object, scale: float, zero_point: int, hint: str) -> None:
    """`value` is a QParams with these two numbers."""
    found_scale, found_zero_point = expect_record(value, QParams, "the parameters")
    check(close(expect_float(found_scale, "scale"), scale), f"scale {scale}: {hint}")
    zero_is_right = expect_float(found_zero_point, "zero_point") == zero_point
    check(zero_is_right, f"zero point {zero_point}: {hint}")


def linear(weight: list[list[float]], bias: list[float] | None = None) -> nn.Linear:
    """A Linear layer with these weights (out, in)."""
    layer = nn.Linear(len(weight[0]), len(weight), bias=bias is not None)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor(weight))
        if bias is not None:
            layer.bias.copy_(torch.tensor(bias))
    return layer


# ---- from real numbers to codes and back ---------------------------------------------------------


quantization_range = Exercise("s2.quantization_range")


@quantization_range.check(visibility="visible")
def test_range_by_hand(student: Any) -> None:
    """4 bits are -8..7 or 0..15; a narrow range starts one code later."""
    for signed, narrow, expected in (
        (True, False, [-8, 7]),
        (True, True, [-7, 7]),
        (False, False, [0, 15]),
    ):
        bounds = expect_list(student.quantization_range(4, signed, narrow), "the range", length=2)
        found = [expect_int(bound, "a bound") for bound in bounds]
        check(found == expected, f"signed={signed}, narrow={narrow}: {expected}")
    expect_value_error(student.quantization_range, 0)


affine_params = Exercise("s2.affine_params")


@affine_params.check(visibility="visible")
def test_affine_by_hand(student: Any) -> None:
    """From -1 to 2 in three steps of 1: codes -2, -1, 0, 1 stand for -1, 0, 1, 2."""
    expect_qparams(student.affine_params(-1.0, 2.0, 2), 1.0, -1, "3 / 3 and round(-2 + 1)")
    value = student.affine_params(-1.0, 2.0, 2, signed=False)
    expect_qparams(value, 1.0, 1, "codes 0..3: round(0 + 1)")
    value = student.affine_params(-1.0, 3.0, 3, symmetric=True)
    expect_qparams(value, 1.0, 0, "3 / 3, because qmax = 3")


@affine_params.check(visibility="visible")
def test_affine_range_contains_zero(student: Any) -> None:
    """The range 3..6 is widened to 0..6, and a range of no width is no problem."""
    expect_qparams(student.affine_params(3.0, 6.0, 2), 2.0, -2, "0 needs a code")
    expect_qparams(student.affine_params(3.0, 3.0, 2), 1.0, -2, "0..3 once it is widened")
    scale, _ = expect_record(student.affine_params(0.0, 0.0, 8), QParams, "the parameters")
    check(expect_float(scale, "scale") > 0, "any positive scale if all there is is 0")
    expect_value_error(student.affine_params, 1.0, -1.0, 8)


quantize = Exercise("s2.quantize")


@quantize.check(visibility="visible")
def test_quantize_by_hand(student: Any) -> None:
    """Scale 0.5 and zero point 1 on 3 bits: round, add 1, saturate to -4..3."""
    x = torch.tensor([0.0, 0.6, 0.25, 0.75, -9.0, 9.0, math.inf])
    codes = student.quantize(x, QParams(0.5, 1), 3)
    codes = expect_tensor(codes, "the codes", (7,), torch.int32)
    hint = "0, 1.2, 0.5, 1.5, ... round to 0, 1, 0, 2; add 1; then the ends -4 and 3"
    check(codes.tolist() == [1, 2, 1, 3, -4, 3, 3], hint)


@quantize.check(visibility="visible")
def test_quantize_per_channel(student: Any) -> None:
    """Each row, or each column, has its own scale."""
    x = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    qparams = QParams(torch.tensor([1.0, 0.5]), torch.tensor([0, 0]))
    for axis, expected in ((0, [[1, 2], [6, 8]]), (1, [[1, 4], [3, 8]]), (-1, [[1, 4], [3, 8]])):
        codes = student.quantize(x, qparams, 8, axis=axis)
        codes = expect_tensor(codes, "the codes", (2, 2), torch.int32)
        check(codes.tolist() == expected, f"axis {axis}: one scale for each index along it")
    expect_value_error(student.quantize, x, qparams, 8)


dequantize = Exercise("s2.dequantize")


@dequantize.check(visibility="visible")
def test_dequantize_by_hand(student: Any) -> None:
    """Code minus zero point, times scale."""
    codes = torch.tensor([[-4, 1], [3, 0]], dtype=torch.int32)
    numbers = student.dequantize(codes, QParams(0.5, 1))
    numbers = expect_tensor(numbers, "the numbers", (2, 2), torch.float32)
    expected = torch.tensor([[-2.5, 0.0], [1.0, -0.5]])
    check(allclose(numbers, expected), "0.5 * (q - 1)")
    qparams = QParams(torch.tensor([1.0, 0.5]), torch.tensor([0, 1]))
    numbers = student.dequantize(codes, qparams, axis=1)
    numbers = expect_tensor(numbers, "the numbers", (2, 2), torch.float32)
    expected = torch.tensor([[-4.0, 0.0], [3.0, -0.5]])
    check(allclose(numbers, expected), "one scale and zero point for each column")


per_channel_params = Exercise("s2.per_channel_params")


@per_channel_params.check(visibility="visible")
def test_per_channel_by_hand(student: Any) -> None:
    """The largest magnitude of a channel gets the code 7 of 4 bits."""
    weight = torch.tensor([[1.0, -7.0], [0.5, 3.5]])
    for axis, expected in ((0, [1.0, 0.5]), (1, [1 / 7, 1.0])):
        value = student.per_channel_params(weight, 4, axis=axis)
        scale, zero_point = expect_record(value, QParams, "the parameters")
        scale = expect_tensor(scale, "scale", (2,))
        check(allclose(scale, torch.tensor(expected)), f"axis {axis}: largest magnitude / 7")
        zero_point = expect_tensor(zero_point, "zero_point", (2,))
        check(not bool(zero_point.any()), "symmetric: zero points 0")


# ---- observers -----------------------------------------------------------------------------------


min_max_observer = Exercise("s2.MinMaxObserver")


@min_max_observer.check(visibility="visible")
def test_min_max_by_hand(student: Any) -> None:
    """After 0, 2 and then -1 the range is -1..2."""
    observer = student.MinMaxObserver()
    student.invoke(observer, "observe", torch.tensor([0.0, 2.0]))
    student.invoke(observer, "observe", torch.tensor([[-1.0]]))
    value = student.invoke(observer, "qparams", 2)
    expect_qparams(value, 1.0, -1, "the least and the largest of all batches")


moving_average_observer = Exercise("s2.MovingAverageObserver")


@moving_average_observer.check(visibility="visible")
def test_moving_average_by_hand(student: Any) -> None:
    """The first batch sets the range 0..2; then 0.75 * 2 + 0.25 * 6 = 3."""
    observer = student.MovingAverageObserver(momentum=0.75)
    student.invoke(observer, "observe", torch.tensor([0.0, 2.0]))
    expect_qparams(student.invoke(observer, "qparams", 2), 2 / 3, -2, "0..2")
    student.invoke(observer, "observe", torch.tensor([0.0, 6.0]))
    expect_qparams(student.invoke(observer, "qparams", 2), 1.0, -2, "0..3")


percentile_observer = Exercise("s2.PercentileObserver")


@percentile_observer.check(visibility="visible")
def test_percentile_by_hand(student: Any) -> None:
    """Of -100, -1, 0, 2, 100 the middle half is -1..2, in whatever batches they come."""
    observer = student.PercentileObserver(75)
    student.invoke(observer, "observe", torch.tensor([-100.0, 0.0, 2.0]))
    student.invoke(observer, "observe", torch.tensor([100.0, -1.0]))
    value = student.invoke(observer, "qparams", 2)
    expect_qparams(value, 1.0, -1, "25th and 75th percentile of all five values")


mse_observer = Exercise("s2.MSEObserver")


@mse_observer.check(visibility="visible")
def test_least_squares_by_hand(student: Any) -> None:
    """Many values 0, 1, 2, 3 and one 6: on 2 bits, clipping the 6 costs less than steps of 2."""
    values = torch.tensor([0.0, 1.0, 2.0, 3.0]).repeat(100)
    values = torch.cat([values, torch.tensor([6.0])])
    observer = student.MSEObserver()
    student.invoke(observer, "observe", values)
    value = student.invoke(observer, "qparams", 2)
    scale, zero_point = expect_record(value, QParams, "the parameters")
    scale, zero_point = expect_float(scale, "scale"), expect_float(zero_point, "zero_point")
    codes = (torch.round(values / scale) + zero_point).clamp(-2, 1)
    error = ((codes - zero_point) * scale - values).square().sum().item()
    check(error < 100, "0..6 errs by 1 for two hundred values, 0..3 by 3 for one value")


# ---- training with quantisation ------------------------------------------------------------------


fake_quantize = Exercise("s2.fake_quantize")


@fake_quantize.check(visibility="visible")
def test_fake_quantize_by_hand(student: Any) -> None:
    """3 bits, scale 1, zero point -1: numbers -3..4; inside, the gradient passes unchanged."""
    x = torch.tensor([-9.0, 0.3, 2.7, 9.0])
    cotangent = torch.tensor([2.0, 3.0, 4.0, 5.0])
    result, gradients = student.vjp("fake_quantize", (x, QParams(1.0, -1), 3), cotangent)
    result = expect_tensor(result, "the result", (4,), torch.float32)
    check(allclose(result, torch.tensor([-3.0, 0.0, 3.0, 4.0])), "rounded, saturated at -3 and 4")
    gradient = expect_tensor(gradients[0], "the gradient", (4,))
    expected = torch.tensor([0.0, 3.0, 4.0, 0.0])
    check(allclose(gradient, expected), "as it comes inside the range, 0 where x saturates")


# ---- layers on integers --------------------------------------------------------------------------


quantize_bias = Exercise("s2.quantize_bias")


@quantize_bias.check(visibility="visible")
def test_bias_by_hand(student: Any) -> None:
    """In units of 0.125 and 0.25, the bias (1, -0.375) is (8, -1.5), and -1.5 rounds to -2."""
    codes = student.quantize_bias(torch.tensor([1.0, -0.375]), 0.5, torch.tensor([0.25, 0.5]))
    codes = expect_tensor(codes, "the codes", (2,), torch.int32)
    check(codes.tolist() == [8, -2], "bias / (input scale * weight scale)")
    codes = student.quantize_bias(torch.tensor([300.0]), 0.5, 0.5)
    codes = expect_tensor(codes, "the codes", (1,), torch.int32)
    check(codes.tolist() == [1200], "32 bits, not 8")


quantized_linear = Exercise("s2.quantized_linear")


@quantized_linear.check(visibility="visible")
def test_linear_by_hand(student: Any) -> None:
    """Sums 10 and 24, times 1/4: 2.5 and 6 round to 2 and 6; the output zero point is -3."""
    codes = student.quantized_linear(
        torch.tensor([[3, 5]], dtype=torch.int32),
        torch.tensor([[2, -1], [4, 4]], dtype=torch.int32),
        torch.tensor([10, 0], dtype=torch.int32),
        QParams(0.5, 1),
        QParams(0.25, 0),
        QParams(0.5, -3),
    )
    codes = expect_tensor(codes, "the codes", (1, 2), torch.int32)
    hint = "(3 - 1) * 2 - (5 - 1) * 1 + 10 = 10; times 0.5 * 0.25 / 0.5; rounded; minus 3"
    check(codes.tolist() == [[-1, 3]], hint)


@quantized_linear.check(visibility="visible")
def test_linear_neuron_of_the_hand_out(student: Any) -> None:
    """The neuron of the worked example, on 4 bits, has the output code 3."""
    codes = student.quantized_linear(
        torch.tensor([3, -5], dtype=torch.int32),
        torch.tensor([[7, -3]], dtype=torch.int32),
        torch.tensor([5], dtype=torch.int32),
        QParams(0.2, -3),
        QParams(torch.tensor([0.1]), torch.tensor([0])),
        QParams(0.1, -8),
        bits=4,
    )
    codes = expect_tensor(codes, "the codes", (1,), torch.int32)
    check(codes.tolist() == [3], "the sum 53, times 0.2, rounded to 11, minus 8")


quantized_conv2d = Exercise("s2.quantized_conv2d")


@quantized_conv2d.check(visibility="visible")
def test_conv_by_hand(student: Any) -> None:
    """A 1 x 2 kernel over two pixels, padded left and right with the number 0."""
    codes = student.quantized_conv2d(
        torch.tensor([[[[3, 5]]]], dtype=torch.int32),
        torch.tensor([[[[1, 2]]]], dtype=torch.int32),
        None,
        QParams(0.5, 1),
        QParams(1.0, 0),
        QParams(0.5, 0),
        padding=(0, 1),
    )
    codes = expect_tensor(codes, "the codes", (1, 1, 1, 3), torch.int32)
    hint = "codes minus zero point are 2 and 4, and 0 in the padding: 2 * 2, 2 + 4 * 2, 4"
    check(codes.flatten().tolist() == [4, 10, 4], hint)


dynamic_quantized_linear = Exercise("s2.dynamic_quantized_linear")


@dynamic_quantized_linear.check(visibility="visible")
def test_dynamic_by_hand(student: Any) -> None:
    """Inputs and weights that 2 bits hold exactly give the exact result, with the bias."""
    x, weight = torch.tensor([[-1.0, 2.0]]), torch.tensor([[3.0, 0.0], [-0.5, 0.5]])
    result = student.dynamic_quantized_linear(x, weight, torch.tensor([10.0, 0.0]), bits=2)
    result = expect_tensor(result, "the result", (1, 2), torch.float32)
    expected = torch.tensor([[7.0, 1.5]])
    check(allclose(result, expected), "inputs -1..2 in steps of 1, weights in steps of 3 and 0.5")


fold_batchnorm = Exercise("s2.fold_batchnorm")


@fold_batchnorm.check(visibility="visible")
def test_fold_by_hand(student: Any) -> None:
    """w = 2, b = 3 with gamma 2, beta 1, mean -1, var + eps = 4 becomes w = 2, b = 5."""
    one = torch.ones(1)
    arguments = (2 * one.view(1, 1), 3 * one, 2 * one, one, -one, 3 * one, 1.0)
    folded = expect_list(student.fold_batchnorm(*arguments), "the layer", length=2)
    weight = expect_tensor(folded[0], "weight", (1, 1), torch.float32)
    check(allclose(weight, 2 * one.view(1, 1)), "times gamma / sqrt(var + eps) = 1")
    bias = expect_tensor(folded[1], "bias", (1,), torch.float32)
    check(allclose(bias, 5 * one), "(3 + 1) * 1 + 1")
    without = student.fold_batchnorm(arguments[0], None, *arguments[2:])
    bias = expect_tensor(expect_list(without, "the layer", length=2)[1], "bias", (1,))
    check(allclose(bias, 2 * one), "without a bias: (0 + 1) * 1 + 1")


sqnr_db = Exercise("s2.sqnr_db")


@sqnr_db.check(visibility="visible")
def test_sqnr_by_hand(student: Any) -> None:
    """Signal 25 and noise 0.25 are 20 dB apart; without noise it is infinite."""
    reference, approximation = torch.tensor([3.0, 4.0]), torch.tensor([3.0, 3.5])
    ratio = student.sqnr_db(reference, approximation)
    check(close(expect_float(ratio, "sqnr_db"), 20.0), "10 * log10(25 / 0.25)")
    ratio = expect_float(student.sqnr_db(reference, reference), "sqnr_db", finite=False)
    check(ratio == math.inf, "no noise: infinity")


# ---- whole networks ------------------------------------------------------------------------------


quantize_model = Exercise("s2.quantize_model")


@quantize_model.check(visibility="visible")
def test_quantized_layer_by_hand(student: Any) -> None:
    """Calibrated on -1..2 with 2 bits, a layer knows the inputs -1, 0, 1, 2 and saturates."""
    model = linear([[1.0], [-4.0]], [0.5, 0.0])
    result = student.quantize_model(model, [torch.tensor([[-1.0]]), torch.tensor([[2.0]])], 2)
    x = torch.tensor([[-9.0], [-1.0], [0.2], [0.9], [2.0], [9.0]])
    y = expect_tensor(student.call(result, x), "the result's output", (6, 2), torch.float32)
    codes = torch.tensor([-1.0, -1.0, 0.0, 1.0, 2.0, 2.0])
    check(allclose(y[:, 0], codes + 0.5, atol=1e-4), "inputs rounded and saturated, bias kept")
    check(allclose(y[:, 1], -4 * codes, atol=1e-4), "each output has its own weight scale")


@quantize_model.check(visibility="visible")
def test_quantized_network_is_close(student: Any) -> None:
    """8 bits change a small network, at any depth, by little, and the original by nothing."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        block = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1, groups=2), nn.BatchNorm2d(4), nn.ReLU())
        model = nn.Sequential(
            nn.Conv2d(1, 4, 3, stride=2), block, nn.Flatten(), nn.Linear(36, 3)
        ).eval()
        images = torch.randn(32, 1, 8, 8)
    original = student.put(model)
    loader = [(images[:20], torch.zeros(20)), (images[20:], torch.zeros(12))]
    y = student.call(student.quantize_model(original, loader, 8), images)
    y = expect_tensor(y, "the result's output", (32, 3), torch.float32)
    with torch.no_grad():
        expected = model(images)
    noise = (y - expected).square().sum() / expected.square().sum()
    check(bool(noise < 1e-3), "the outputs agree to 30 dB or better")
    state, before = student.state(original), model.state_dict()
    same = all(torch.equal(state[name], before[name]) for name in before)
    check(same, "work on a copy: the model passed in stays as it is")


to_half = Exercise("s2.to_half")


@to_half.check(visibility="visible")
def test_half_by_hand(student: Any) -> None:
    """Parameters and running statistics become float16, the counter stays int64."""
    half = student.to_half(nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)))
    tensors = dict(half.state_dict()) if isinstance(half, nn.Module) else student.state(half)
    counter = tensors.pop("1.num_batches_tracked")
    check(counter.dtype == torch.int64, "an integer buffer has no half")
    floating = {tensor.dtype for tensor in tensors.values()}
    check(floating == {torch.float16}, "every floating parameter and buffer")


# ---- binary weights ------------------------------------------------------------------------------


binarize = Exercise("s2.binarize")


@binarize.check(visibility="visible")
def test_binarize_by_hand(student: Any) -> None:
    """The binary weight is the sign, and the sign of zero is +1."""
    signs = student.binarize(torch.tensor([-0.1, 0.0, 0.2, -3.0]))
    signs = expect_tensor(signs, "the signs", (4,), torch.float32)
    check(signs.tolist() == [-1.0, 1.0, 1.0, -1.0], "only -1 and +1; 0 counts as positive")


binary_connect_step = Exercise("s2.binary_connect_step")


@binary_connect_step.check(visibility="visible")
def test_binary_step_by_hand(student: Any) -> None:
    """Weights (0.3, -0.98) count as (1, -1); the gradient there moves the real ones."""
    model = student.put(linear([[0.3, -0.98]], [1.5]))
    optimizer = student.put(Optimizer("SGD", model, {"lr": 0.1}))
    batch = (torch.tensor([[1.0, 0.5]]), torch.tensor([[1.0]]))
    student.binary_connect_step(model, batch, F.mse_loss, optimizer)
    state = student.state(model)
    hint = "output 1 - 0.5 + 1.5 = 2, its gradient 2: weights move by -0.2 and -0.1, then clip"
    check(allclose(state["weight"], torch.tensor([[0.1, -1.0]])), hint)
    check(allclose(state["bias"], torch.tensor([1.3])), "a bias moves, and is not clipped")
