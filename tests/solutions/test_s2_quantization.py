"""The quantisation of session 2 against slow references and torch's own; its hand-out."""

from __future__ import annotations

import copy
import itertools
import math
import re
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from shared import probes
from shared.data import load_digits
from shared.models import DigitsCNN, ResNet20
from shared.records import QParams
from tests.solutions import support
from tests.support import ROOT

FOLDER = ROOT / "solutions" / "s2_quantization_pruning"

quantization = support.load(FOLDER, "quantization")
pruning = support.load(FOLDER, "pruning")  # for the hand-out, which is about both

few = settings(max_examples=30)
widths = st.integers(2, 12)
scales = st.integers(-6, 3).map(lambda power: 2.0**power)  # products and quotients stay exact


def draw_from(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def codes(low: int, high: int, *shape: int, seed: int) -> Tensor:
    return torch.randint(low, high + 1, shape, generator=draw_from(seed), dtype=torch.int32)


def code_of(x: Fraction, scale: float, zero_point: int, low: int, high: int) -> int:
    """The definition, in exact arithmetic; Python rounds fractions half to even."""
    return min(max(round(x / Fraction(scale)) + zero_point, low), high)


# ---- the course material -----------------------------------------------------------------------


def test_module_stands_alone() -> None:
    outside = support.outside(support.imported(FOLDER / "quantization.py"), "torch", "numpy")
    assert outside == {"shared.checks", "shared.records"}


def test_docstring_examples_are_true() -> None:
    assert support.expect_true_examples(quantization) > 0


def test_hand_out_gives_the_points_of_the_course() -> None:
    support.expect_points_of_the_course(FOLDER)


def test_worked_example_of_the_hand_out() -> None:
    inputs = quantization.affine_params(-1.0, 2.0, 4)
    outputs = quantization.affine_params(0.0, 1.5, 4)
    weights = quantization.per_channel_params(torch.tensor([[0.7, -0.3]]), 4)
    assert inputs == QParams(0.2, -3)
    assert outputs == QParams(0.1, -8)
    q_input = quantization.quantize(torch.tensor([1.24, -0.42]), inputs, 4)
    q_weight = quantization.quantize(torch.tensor([[0.7, -0.3]]), weights, 4, axis=0)
    q_bias = quantization.quantize_bias(torch.tensor([0.1]), inputs.scale, weights.scale)
    assert q_input.tolist() == [3, -5]
    assert q_weight.tolist() == [[7, -3]]
    assert q_bias.tolist() == [5]
    output = quantization.quantized_linear(q_input, q_weight, q_bias, inputs, weights, outputs, 4)
    assert output.tolist() == [3]
    assert quantization.dequantize(output, outputs).item() == pytest.approx(1.1)
    assert quantization.affine_params(2.0, 6.0, 2) == QParams(2.0, -2)
    assert quantization.quantize(torch.tensor([-9.0]), QParams(1.0, 5), 4).tolist() == [-4]
    one = torch.ones(1)
    weight, bias = quantization.fold_batchnorm(
        2 * one.view(1, 1), 3 * one, 2 * one, one, -one, 4 * one, eps=0.0
    )
    assert (weight.item(), bias.item()) == (2.0, 5.0)
    x = torch.tensor([-9.0, 0.3, 9.0], requires_grad=True)
    y = quantization.fake_quantize(x, QParams(1.0, -1), 3)
    y.backward(torch.tensor([2.0, 3.0, 5.0]))
    assert x.grad is not None
    assert x.grad.tolist() == [0.0, 3.0, 0.0]


def test_worked_example_on_pruning() -> None:
    weight = torch.tensor([0.5, -0.1, 0.3, 0.1, 0.05, -2.0])
    mask = pruning.magnitude_mask(weight, 1 / 3)
    assert mask.tolist() == [True, False, True, True, False, True]
    layers = {"first": torch.tensor([4.0, 3.0]), "second": torch.tensor([1.0, 2.0])}
    masks = pruning.global_masks(layers, 0.5)
    assert masks["first"].tolist() == [True, True]
    assert masks["second"].tolist() == [False, False]
    alone = [pruning.magnitude_mask(weight, 0.5).tolist() for weight in layers.values()]
    assert alone == [[True, False], [False, True]]
    row = torch.tensor([[0.1, -0.9, 0.5, 0.2]])
    assert pruning.nm_mask(row, 2, 4).tolist() == [[False, True, True, False]]
    shares = [pruning.cubic_sparsity(step, 10, 4, 5, 0.0, 0.8) for step in range(10, 31, 5)]
    assert shares == pytest.approx([0.0, 0.4625, 0.7, 0.7875, 0.8])
    convolutions = nn.Conv2d(3, 8, 3, bias=False), nn.Conv2d(8, 16, 3, bias=False)
    assert [layer.weight.numel() for layer in convolutions] == [216, 1152]
    first, _, second = pruning.prune_channels(convolutions[0], None, convolutions[1], [0, 2, 4, 6])
    assert [layer.weight.numel() for layer in (first, second)] == [108, 576]


# ---- ranges and parameters ---------------------------------------------------------------------


@pytest.mark.parametrize("bits", [1, 2, 3, 8, 31, 32])
def test_range_has_a_code_for_every_pattern(bits: int) -> None:
    for signed in (True, False):
        low, high = quantization.quantization_range(bits, signed)
        assert high - low + 1 == 2**bits
        assert (low < 0) == signed
        assert low + high in (-1, 2**bits - 1)
        assert quantization.quantization_range(bits, signed, narrow=True) == (low + 1, high)
        assert all(type(bound) is int for bound in (low, high))


bounds = st.floats(-1e6, 1e6, allow_subnormal=False)


@given(bounds, bounds, st.integers(2, 32), st.booleans())
@settings(max_examples=60)
def test_affine_agrees_with_fractions(a: float, b: float, bits: int, signed: bool) -> None:
    low, high = min(a, b), max(a, b)
    assume(low == high == 0 or max(-low, high) > 1e-3)
    params = quantization.affine_params(low, high, bits, signed=signed)
    qmin, qmax = quantization.quantization_range(bits, signed)
    assert type(params.scale) is float
    assert type(params.zero_point) is int
    assert params.scale > 0
    assert qmin <= params.zero_point <= qmax
    start, end = Fraction(min(low, 0.0)), Fraction(max(high, 0.0))
    if start == end:
        return
    scale = (end - start) / (qmax - qmin)
    assert params.scale == pytest.approx(float(scale), rel=1e-14)
    exact = qmin - start / scale
    if abs(exact - math.floor(exact) - Fraction(1, 2)) > 1e-5:
        assert params.zero_point == min(max(round(exact), qmin), qmax)


@given(st.integers(-40, 40), st.integers(-40, 40), scales)
@settings(max_examples=60)
def test_zero_point_rounds_half_to_even_where_scales_are_exact(
    a: int, b: int, scale: float
) -> None:
    start, end = Fraction(min(a, b, 0), 2), Fraction(max(a, b, 0), 2)
    bits = 4
    # Stretch the upper end until there are 15 steps of exactly `scale`.
    assume(end - start <= 15)
    end = start + 15
    params = quantization.affine_params(float(start) * scale, float(end) * scale, bits)
    assert params == QParams(scale, min(max(round(-8 - start), -8), 7))


@given(bounds, bounds, st.integers(2, 32))
@few
def test_symmetric_scale_reaches_the_larger_bound(a: float, b: float, bits: int) -> None:
    low, high = min(a, b), max(a, b)
    params = quantization.affine_params(low, high, bits, symmetric=True)
    assert params.zero_point == 0
    assert params.scale > 0
    if low or high:
        assert params.scale * (2 ** (bits - 1) - 1) == pytest.approx(max(abs(low), abs(high)))


@pytest.mark.parametrize("low", [0.0, -0.0, 3.0, -3.0, 5e-324, -1e300])
@pytest.mark.parametrize("options", [{}, {"symmetric": True}, {"signed": False}])
def test_no_width_is_no_problem(low: float, options: dict[str, bool]) -> None:
    params = quantization.affine_params(low, low, 8, **options)
    assert 0 < params.scale < math.inf
    code = quantization.quantize(
        torch.tensor([0.0, low], dtype=torch.float64), params, 8, signed=options.get("signed", True)
    )
    zero, _ = quantization.dequantize(code, params).tolist()
    assert zero == 0.0
    assert abs(params.scale * (code[1].item() - params.zero_point) - low) <= params.scale / 2


@given(st.integers(1, 4), st.integers(1, 3), st.integers(-3, 2), widths, st.integers(0, 99))
@few
def test_channel_scales_agree_with_a_loop(
    outputs: int, inputs: int, axis: int, bits: int, seed: int
) -> None:
    weight = torch.randn(outputs, inputs, 2, generator=draw_from(seed))
    weight.select(axis, 0).zero_()
    params = quantization.per_channel_params(weight, bits, axis)
    assert params.scale.dtype == torch.float32
    for channel in range(weight.shape[axis]):
        largest = max(abs(v) for v in weight.select(axis, channel).flatten().tolist())
        expected = largest / (2 ** (bits - 1) - 1)
        assert params.zero_point[channel] == 0
        if channel:
            assert params.scale[channel].item() == pytest.approx(expected, rel=1e-6)
        else:
            assert params.scale[0] > 0


def test_channel_scales_of_other_dtypes_and_shapes() -> None:
    params = quantization.per_channel_params(torch.tensor([1.0, -2.0], dtype=torch.float64), 2)
    assert params.scale.tolist() == [1.0, 2.0]
    assert params.scale.dtype == torch.float64
    tiny = torch.tensor([[1e-6], [1.0]]).half()
    scale = quantization.per_channel_params(tiny, 8).scale
    assert scale[0] == pytest.approx(1e-6 / 127, rel=0.1)


# ---- quantize, dequantize ----------------------------------------------------------------------

reals = st.lists(st.integers(-4000, 4000).map(lambda n: n / 64), min_size=1, max_size=20)


@given(reals, scales, st.integers(-20, 20), st.integers(1, 10), st.booleans())
@settings(max_examples=60)
def test_codes_agree_with_fractions(
    values: list[float], scale: float, zero_point: int, bits: int, signed: bool
) -> None:
    low, high = quantization.quantization_range(bits, signed)
    x = torch.tensor(values)
    actual = quantization.quantize(x, QParams(scale, zero_point), bits, signed=signed)
    assert actual.dtype == torch.int32
    expected = [code_of(Fraction(v), scale, zero_point, low, high) for v in values]
    assert actual.tolist() == expected
    again = quantization.quantize(
        x.double(), QParams(torch.tensor(scale), torch.tensor(zero_point)), bits, signed=signed
    )
    assert torch.equal(again, actual)
    numbers = quantization.dequantize(actual, QParams(scale, zero_point))
    assert numbers.dtype == torch.float32
    assert numbers.tolist() == [scale * (code - zero_point) for code in expected]


@pytest.mark.parametrize("bits", [8, 32])
def test_far_values_saturate_instead_of_wrapping(bits: int) -> None:
    x = torch.tensor([-math.inf, -1e30, -3e9, 3e9, 1e30, math.inf])
    low, high = quantization.quantization_range(bits)
    actual = quantization.quantize(x, QParams(1.0, 3), bits)
    assert actual.tolist() == [low] * 3 + [high] * 3
    wide = quantization.quantize(x, QParams(1e-30, 0), bits, signed=True)
    assert wide.tolist() == [low] * 3 + [high] * 3


@given(st.integers(-3, 2), st.integers(0, 99))
@few
def test_channels_agree_with_torch(axis: int, seed: int) -> None:
    x = 20 * torch.randn(3, 4, 5, generator=draw_from(seed))
    size = x.shape[axis]
    scale = 2.0 ** codes(-4, 1, size, seed=seed)
    zero_point = codes(-9, 9, size, seed=seed + 1)
    reference = torch.quantize_per_channel(
        x, scale.double(), zero_point.long(), axis % 3, torch.qint8
    )
    params = QParams(scale, zero_point)
    actual = quantization.quantize(x, params, 8, axis=axis)
    assert torch.equal(actual, reference.int_repr().int())
    assert torch.equal(quantization.dequantize(actual, params, axis=axis), reference.dequantize())


def test_inputs_of_quantize_are_kept_and_may_need_gradients() -> None:
    x = torch.tensor([1.5, -2.0], requires_grad=True)
    assert quantization.quantize(x, QParams(0.5, 0), 8).tolist() == [3, -4]
    assert x.tolist() == [1.5, -2.0]
    assert quantization.quantize(torch.tensor(2.0), QParams(0.5, 0), 8).shape == ()


# ---- observers ---------------------------------------------------------------------------------


def batches_of(seed: int, count: int = 3) -> list[Tensor]:
    draw = draw_from(seed)
    return [torch.randn(4, 5, generator=draw) * (1 + i) + i for i in range(count)]


def expected_params(low: float, high: float, bits: int) -> QParams:
    """Affine and signed, in exact arithmetic from the bounds on."""
    start, end = Fraction(min(low, 0.0)), Fraction(max(high, 0.0))
    scale = (end - start) / (2**bits - 1)
    near: Any = pytest.approx(float(scale))
    return QParams(near, round(-(2 ** (bits - 1)) - start / scale))


@given(widths, st.integers(0, 99), st.floats(0, 1), st.floats(50, 100))
@few
def test_ranges_agree_with_loops(bits: int, seed: int, momentum: float, p: float) -> None:
    batches = batches_of(seed)
    kept = [batch.clone() for batch in batches]
    least, largest = [b.min().item() for b in batches], [b.max().item() for b in batches]
    low, high = least[0], largest[0]
    for smaller, larger in zip(least[1:], largest[1:]):
        low = momentum * low + (1 - momentum) * smaller
        high = momentum * high + (1 - momentum) * larger
    everything: list[float] = sorted(torch.cat(batches).flatten().tolist())

    def percentile(share: float) -> float:
        position = share * (len(everything) - 1)
        before = min(math.floor(position), len(everything) - 2)
        step = everything[before + 1] - everything[before]
        return everything[before] + (position - before) * step

    ranges = {
        quantization.MinMaxObserver(): (min(least), max(largest)),
        quantization.MovingAverageObserver(momentum): (low, high),
        quantization.PercentileObserver(p): (percentile(1 - p / 100), percentile(p / 100)),
        quantization.PercentileObserver(100): (min(least), max(largest)),
    }
    for observer, (start, end) in ranges.items():
        for batch in batches:
            assert observer.observe(batch) is None
        assert observer.qparams(bits) == expected_params(start, end, bits)
        assert type(observer.qparams(bits).zero_point) is int
    assert all(map(torch.equal, batches, kept))


def squared_error(values: Tensor, params: QParams, bits: int) -> float:
    rounded = quantization.dequantize(quantization.quantize(values, params, bits), params)
    return float((rounded.double() - values.double()).square().sum())


@pytest.mark.slow
@pytest.mark.parametrize("bits", [2, 3, 4, 8])
@pytest.mark.parametrize("kind", ["gaussian", "relu", "outlier", "constant", "uniform"])
def test_least_squares_is_never_above_min_max(bits: int, kind: str) -> None:
    values = torch.randn(4000, generator=draw_from(bits))
    values = {
        "gaussian": values,
        "relu": values.relu(),
        "outlier": torch.cat([values, torch.tensor([-40.0])]),
        "constant": torch.full((10,), 3.0),
        "uniform": torch.linspace(-1, 1, 500),
    }[kind]
    observers = quantization.MSEObserver(), quantization.MinMaxObserver()
    for observer, part in itertools.product(observers, torch.tensor_split(values, 3)):
        observer.observe(part)
    best, widest = (squared_error(values, observer.qparams(bits), bits) for observer in observers)
    assert best <= widest
    if kind in ("gaussian", "relu", "outlier") and bits <= 4:
        assert best < 0.75 * widest


def test_least_squares_is_near_the_best_range_for_a_gaussian() -> None:
    values = torch.randn(5000, generator=draw_from(0))
    observer = quantization.MSEObserver()
    observer.observe(values)
    grid = [i / 8 for i in range(4, 33)]
    best = min(
        squared_error(values, quantization.affine_params(-low, high, 3), 3)
        for low, high in itertools.product(grid, grid)
    )
    assert squared_error(values, observer.qparams(3), 3) < 1.05 * best


OBSERVERS = ["MinMaxObserver", "MovingAverageObserver", "PercentileObserver", "MSEObserver"]


@pytest.mark.parametrize("name", OBSERVERS)
def test_observers_need_something_finite(name: str) -> None:
    observer = getattr(quantization, name)()
    with pytest.raises(ValueError, match=r"finite|observed"):
        observer.qparams(8)
    observer.observe(torch.zeros(3))
    assert observer.qparams(8).scale > 0
    for bits in (1, 33, 2.5, True):
        with pytest.raises(ValueError, match=re.escape(f"2..32, got {bits}")):
            observer.qparams(bits)
    observer.observe(torch.tensor([math.inf]))
    with pytest.raises(ValueError, match="finite"):
        observer.qparams(8)


@pytest.mark.parametrize("name", ["PercentileObserver", "MSEObserver"])
def test_observers_do_not_see_later_changes(name: str) -> None:
    observer, x = getattr(quantization, name)(), torch.tensor([-1.0, 2.0])
    observer.observe(x)
    before = observer.qparams(4)
    x.mul_(100)
    assert observer.qparams(4) == before


# ---- fake_quantize -----------------------------------------------------------------------------


@given(scales, st.integers(2, 8), st.booleans(), st.integers(0, 99))
@few
def test_fake_quantization_agrees_with_torch(
    scale: float, bits: int, signed: bool, seed: int
) -> None:
    low, high = quantization.quantization_range(bits, signed)
    zero_point = int(codes(low, high, 1, seed=seed))
    x = (scale * 2**bits * torch.randn(3, 50, generator=draw_from(seed))).requires_grad_()
    twin = x.detach().clone().requires_grad_()
    cotangent = torch.randn(3, 50, generator=draw_from(seed + 1))
    y = quantization.fake_quantize(x, QParams(scale, torch.tensor(zero_point)), bits, signed)
    reference = torch.fake_quantize_per_tensor_affine(twin, scale, zero_point, low, high)
    assert torch.equal(y, reference)
    y.backward(cotangent)
    torch.autograd.backward(reference, cotangent)
    assert x.grad is not None
    assert twin.grad is not None
    assert torch.equal(x.grad, twin.grad)


def test_fake_quantization_keeps_dtypes_and_finite_gradients() -> None:
    x = torch.tensor([math.inf, 0.4, -math.inf], dtype=torch.float64, requires_grad=True)
    y = quantization.fake_quantize(x, QParams(1.0, 0), 4)
    assert y.dtype == torch.float64
    assert y.tolist() == [7.0, 0.0, -8.0]
    y.backward(torch.tensor([math.inf, 2.0, math.nan], dtype=torch.float64))
    assert x.grad is not None
    assert x.grad.tolist() == [0.0, 2.0, 0.0]


def test_training_through_fake_quantization_moves_to_the_best_code() -> None:
    weight = torch.tensor([0.1], requires_grad=True)
    optimizer = torch.optim.SGD([weight], lr=0.05)
    for _ in range(30):
        optimizer.zero_grad()
        (quantization.fake_quantize(weight, QParams(0.25, 0), 4) - 0.8).square().sum().backward()
        optimizer.step()
    assert quantization.fake_quantize(weight, QParams(0.25, 0), 4).item() in (0.75, 1.0)


# ---- layers on integers ------------------------------------------------------------------------


@given(st.lists(st.integers(-900, 900).map(lambda n: n / 8), min_size=1, max_size=9), scales)
@few
def test_bias_codes_agree_with_fractions(values: list[float], scale: float) -> None:
    weight_scale = 2.0 ** codes(-3, 3, len(values), seed=0)
    expected = [
        code_of(Fraction(v), scale * s, 0, -(2**31), 2**31 - 1)
        for v, s in zip(values, weight_scale.tolist())
    ]
    actual = quantization.quantize_bias(torch.tensor(values), scale, weight_scale)
    assert actual.dtype == torch.int32
    assert actual.tolist() == expected
    one = quantization.quantize_bias(torch.tensor(values), torch.tensor(scale), 0.5)
    assert one.tolist() == [code_of(Fraction(v), scale / 2, 0, -(2**31), 2**31) for v in values]


def test_bias_has_32_bits_and_saturates() -> None:
    bias = torch.tensor([1e30, -1e30, 300.0])
    actual = quantization.quantize_bias(bias, 0.5, 0.5)
    assert actual.tolist() == [2**31 - 1, -(2**31), 1200]


def requantized(total: int, scale: Fraction, zero_point: int, bits: int) -> int:
    """Sum to output code in exact arithmetic."""
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    return int(min(max(round(total * scale) + zero_point, low), high))


@given(
    st.integers(1, 4),
    st.integers(1, 6),
    st.integers(1, 4),
    st.tuples(scales, scales),
    st.tuples(st.integers(-130, 130), st.integers(-9, 9)),
    st.integers(2, 16),
    st.booleans(),
    st.integers(0, 99),
)
@few
def test_linear_agrees_with_loops(
    n: int,
    inputs: int,
    outputs: int,
    both_scales: tuple[float, float],
    zero_points: tuple[int, int],
    bits: int,
    per_channel: bool,
    seed: int,
) -> None:
    q_input = codes(-128, 127, n, inputs, seed=seed)
    q_weight = codes(-127, 127, outputs, inputs, seed=seed + 1)
    q_bias = codes(-5000, 5000, outputs, seed=seed + 2) if seed % 3 else None
    weight_scale: Any = 2.0 ** codes(-9, -4, outputs, seed=seed) if per_channel else 0.125
    zeros: Any = torch.zeros(outputs, dtype=torch.int32) if per_channel else 0
    arguments = (
        *(q_input, q_weight, q_bias, QParams(both_scales[0], zero_points[0])),
        *(QParams(weight_scale, zeros), QParams(both_scales[1], zero_points[1]), bits),
    )
    actual = quantization.quantized_linear(*arguments)
    assert actual.dtype == torch.int32
    for row, o in itertools.product(range(n), range(outputs)):
        total = 0 if q_bias is None else int(q_bias[o])
        for i in range(inputs):
            total += (int(q_input[row, i]) - zero_points[0]) * int(q_weight[o, i])
        scale = weight_scale[o].item() if per_channel else weight_scale
        multiplier = Fraction(both_scales[0]) * Fraction(scale) / Fraction(both_scales[1])
        assert actual[row, o] == requantized(total, multiplier, zero_points[1], bits)
    shaped = quantization.quantized_linear(q_input.reshape(n, 1, inputs), *arguments[1:])
    assert torch.equal(shaped, actual.reshape(n, 1, outputs))
    single = quantization.quantized_linear(q_input[0], *arguments[1:])
    assert torch.equal(single, actual[0])


def test_linear_sums_beyond_float32_are_exact() -> None:
    q_input = torch.tensor([[2**15 - 1, 2**15 - 1, 1]], dtype=torch.int32)
    q_weight = torch.tensor([[2**14 + 1, 2**14 - 1, 1]], dtype=torch.int32)
    q_bias = torch.tensor([-(2**30)], dtype=torch.int32)
    exact = (2**15 - 1) * 2**15 + 1 - 2**30
    actual = quantization.quantized_linear(
        q_input, q_weight, q_bias, QParams(1.0, 0), QParams(1.0, 0), QParams(1.0, 0), bits=32
    )
    assert actual.tolist() == [[exact]]


def unsigned(params: QParams) -> tuple[float, int]:
    """Scale and zero point for torch's quint8, whose codes are 128 larger than int8's."""
    return float(params.scale), int(params.zero_point) + 128


def to_torch(q_input: Tensor, params: QParams) -> Tensor:
    """Input codes as torch's quantised tensor."""
    scale, zero_point = unsigned(params)
    storage = (q_input + 128).to(torch.uint8)
    return torch._make_per_tensor_quantized_tensor(storage, scale, zero_point)


@pytest.mark.parametrize("seed", range(4))
def test_linear_agrees_with_torchs_operator(seed: int) -> None:
    # 7-bit inputs: on older processors torch's kernel saturates a sum of two products to 16 bits.
    q_input, q_weight = codes(-128, -1, 9, 30, seed=seed), codes(-127, 127, 6, 30, seed=seed + 1)
    weight_scale = 2.0 ** codes(-9, -7, 6, seed=seed).double()
    bias = codes(-40, 40, 6, seed=seed).float() / 4
    zeros = torch.zeros(6, dtype=torch.int64)
    inputs, outputs = QParams(0.25, -70), QParams(0.5, -3)
    q_bias = quantization.quantize_bias(bias, inputs.scale, weight_scale)
    actual = quantization.quantized_linear(
        q_input, q_weight, q_bias, inputs, QParams(weight_scale, zeros), outputs
    )
    packed = torch.ops.quantized.linear_prepack(
        torch._make_per_channel_quantized_tensor(q_weight.to(torch.int8), weight_scale, zeros, 0),
        bias,
    )
    reference = torch.ops.quantized.linear(to_torch(q_input, inputs), packed, *unsigned(outputs))
    assert torch.equal(actual, reference.int_repr().int() - 128)


pairs = st.tuples(st.integers(1, 3), st.integers(1, 3))


@given(
    st.tuples(st.integers(1, 2), st.integers(1, 2), st.integers(1, 2)),
    pairs,
    st.tuples(st.integers(1, 5), st.integers(1, 5)),
    pairs,
    st.tuples(st.integers(0, 2), st.integers(0, 2)),
    st.tuples(st.integers(1, 2), st.integers(1, 2)),
    st.integers(0, 99),
)
@few
def test_convolution_agrees_with_loops(
    channels: tuple[int, int, int],
    kernel: tuple[int, int],
    size: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int],
    dilation: tuple[int, int],
    seed: int,
) -> None:
    inputs, outputs, groups = channels
    reach = [d * (k - 1) + 1 for d, k in zip(dilation, kernel)]
    assume(all(s + 2 * p >= r for s, p, r in zip(size, padding, reach)))
    q_input = codes(-128, 127, 2, inputs * groups, *size, seed=seed)
    q_weight = codes(-127, 127, outputs * groups, inputs, *kernel, seed=seed + 1)
    q_bias = codes(-900, 900, outputs * groups, seed=seed + 2) if seed % 3 else None
    weight_scale = 2.0 ** codes(-9, -4, outputs * groups, seed=seed)
    zero_point, output_zero_point = 5 - seed, seed % 7
    actual = quantization.quantized_conv2d(
        *(q_input, q_weight, q_bias, QParams(0.5, zero_point)),
        QParams(weight_scale, torch.zeros(outputs * groups, dtype=torch.int32)),
        QParams(0.25, output_zero_point),
        *(8, stride, padding, dilation, groups),
    )
    height, width = (
        (s + 2 * p - r) // step + 1 for s, p, r, step in zip(size, padding, reach, stride)
    )
    assert actual.shape == (2, outputs * groups, height, width)
    for n, o, row, column in itertools.product(*map(range, actual.shape)):
        total = 0 if q_bias is None else int(q_bias[o])
        for i, r, c in itertools.product(range(inputs), *map(range, kernel)):
            y = row * stride[0] - padding[0] + r * dilation[0]
            x = column * stride[1] - padding[1] + c * dilation[1]
            if 0 <= y < size[0] and 0 <= x < size[1]:  # outside is the number 0
                code = int(q_input[n, o // outputs * inputs + i, y, x])
                total += (code - zero_point) * int(q_weight[o, i, r, c])
        multiplier = 2 * Fraction(weight_scale[o].item())
        assert actual[n, o, row, column] == requantized(total, multiplier, output_zero_point, 8)


@pytest.mark.parametrize("groups", [1, 2])
def test_convolution_agrees_with_torchs_operator(groups: int) -> None:
    q_input = codes(-128, -1, 3, 4, 7, 6, seed=groups)  # 7 bits, as above
    q_weight = codes(-127, 127, 6, 4 // groups, 3, 3, seed=groups + 1)
    weight_scale = 2.0 ** codes(-10, -8, 6, seed=groups).double()
    zeros = torch.zeros(6, dtype=torch.int64)
    bias = codes(-40, 40, 6, seed=groups).float() / 4
    inputs, outputs = QParams(0.25, -70), QParams(0.5, 4)
    q_bias = quantization.quantize_bias(bias, inputs.scale, weight_scale)
    actual = quantization.quantized_conv2d(
        *(q_input, q_weight, q_bias, inputs, QParams(weight_scale, zeros), outputs),
        stride=2,
        padding=1,
        groups=groups,
    )
    packed = torch.ops.quantized.conv2d_prepack(
        torch._make_per_channel_quantized_tensor(q_weight.to(torch.int8), weight_scale, zeros, 0),
        *(bias, [2, 2], [1, 1], [1, 1], groups),
    )
    reference = torch.ops.quantized.conv2d(to_torch(q_input, inputs), packed, *unsigned(outputs))
    assert torch.equal(actual, reference.int_repr().int() - 128)


@given(
    st.integers(1, 4), st.integers(1, 5), st.integers(1, 4), st.integers(2, 9), st.integers(0, 99)
)
@few
def test_dynamic_linear_agrees_with_loops(
    n: int, inputs: int, outputs: int, bits: int, seed: int
) -> None:
    draw = draw_from(seed)
    x, weight = torch.randn(n, inputs, generator=draw), torch.randn(outputs, inputs, generator=draw)
    bias = torch.randn(outputs, generator=draw)
    actual = quantization.dynamic_quantized_linear(x, weight, bias, bits)
    assert actual.dtype == torch.float32
    for row, o in itertools.product(range(n), range(outputs)):
        values, weights = x[row].tolist(), weight[o].tolist()
        low, high = min(*values, 0.0), max(*values, 0.0)
        scale = (high - low) / (2**bits - 1)
        zero_point = round(-(2 ** (bits - 1)) - low / scale)
        weight_scale = max(map(abs, weights)) / (2 ** (bits - 1) - 1)
        total = sum(
            (
                code_of(Fraction(v), scale, zero_point, -(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
                - zero_point
            )
            * round(w / weight_scale)
            for v, w in zip(values, weights)
        )
        expected = total * scale * weight_scale + bias[o].item()
        assert actual[row, o].item() == pytest.approx(expected, rel=1e-5, abs=1e-6)


def test_dynamic_linear_is_close_and_rows_do_not_disturb_each_other() -> None:
    x, weight = torch.randn(2, 3, 50, generator=draw_from(0)), torch.randn(7, 50)
    actual = quantization.dynamic_quantized_linear(x, weight)
    assert actual.shape == (2, 3, 7)
    assert quantization.sqnr_db(F.linear(x, weight), actual) > 35
    loud = torch.cat([x, 1000 * x])
    assert torch.equal(quantization.dynamic_quantized_linear(loud, weight)[:2], actual)
    wide = quantization.dynamic_quantized_linear(x.double(), weight.double(), bits=32)
    assert torch.allclose(wide, F.linear(x.double(), weight.double()), rtol=1e-7)
    zeros = quantization.dynamic_quantized_linear(0 * x, 0 * weight, torch.arange(7.0))
    assert torch.equal(zeros, torch.arange(7.0).expand(2, 3, 7))
    assert torch.equal(
        quantization.dynamic_quantized_linear(x[0, 0], weight), actual[0, 0]
    )  # one vector


# ---- fold_batchnorm, sqnr_db -------------------------------------------------------------------

FOLDABLE: list[tuple[Any, Any, tuple[int, ...]]] = [
    (nn.Linear(3, 4), nn.BatchNorm1d(4), (5, 3)),
    (nn.Linear(3, 4, bias=False), nn.BatchNorm1d(4, eps=0.5), (5, 3)),
    (nn.Conv1d(4, 6, 3, groups=2), nn.BatchNorm1d(6), (2, 4, 7)),
    (nn.Conv2d(4, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6), (2, 4, 5, 5)),
    (nn.Conv2d(4, 4, 3, groups=4), nn.BatchNorm2d(4), (2, 4, 5, 5)),
    (nn.Conv3d(2, 3, 2), nn.BatchNorm3d(3), (2, 2, 3, 3, 3)),
]


@pytest.mark.parametrize("case", range(len(FOLDABLE)))
def test_folding_changes_no_output(case: int) -> None:
    layer, norm = map(copy.deepcopy, FOLDABLE[case][:2])
    shape = FOLDABLE[case][2]
    layer.double()
    norm.double().eval()
    draw = draw_from(case)
    with torch.no_grad():
        for name, tensor in norm.state_dict().items():
            if tensor.dim():
                spread = torch.rand(tensor.shape, generator=draw, dtype=torch.float64)
                tensor.copy_(spread if name == "running_var" else spread - 0.5)
    statistics = (norm.weight, norm.bias, norm.running_mean, norm.running_var)
    arguments: list[Tensor | None] = [layer.weight, layer.bias, *statistics]
    kept = copy.deepcopy(arguments)
    weight, new_bias = quantization.fold_batchnorm(*arguments, norm.eps)
    x = torch.randn(shape, generator=draw, dtype=torch.float64)
    folded = copy.deepcopy(layer)
    folded.weight, folded.bias = nn.Parameter(weight), nn.Parameter(new_bias)
    assert torch.allclose(folded(x), norm(layer(x)), rtol=1e-12, atol=1e-12)
    for before, after in zip(kept, arguments):
        assert (before is None) == (after is None)
        assert before is None or after is None or torch.equal(before, after)
    assert not weight.requires_grad


def test_sqnr_agrees_with_the_definition() -> None:
    reference = torch.randn(4, 5, generator=draw_from(0)).half()
    approximation = reference.float() + 0.01
    signal = sum(v * v for v in reference.double().flatten().tolist())
    noise = sum(v * v for v in (reference.double() - approximation.double()).flatten().tolist())
    actual = quantization.sqnr_db(reference, approximation)
    assert type(actual) is float
    assert actual == pytest.approx(10 * math.log10(signal / noise))
    assert quantization.sqnr_db(reference, reference) == math.inf
    assert quantization.sqnr_db(torch.zeros(3), torch.zeros(3)) == math.inf
    assert quantization.sqnr_db(torch.zeros(3), torch.ones(3)) == -math.inf
    large = torch.full((10,), 1e25)
    assert quantization.sqnr_db(large, 0.9 * large) == pytest.approx(20.0, abs=1e-4)


def test_each_bit_is_worth_six_decibels() -> None:
    values = torch.rand(100_000, generator=draw_from(0)) * 2 - 1
    ratios = []
    for bits in range(3, 10):
        params = quantization.affine_params(-1.0, 1.0, bits)
        rounded = quantization.dequantize(quantization.quantize(values, params, bits), params)
        ratios.append(quantization.sqnr_db(values, rounded))
    assert all(5.5 < b - a < 7 for a, b in itertools.pairwise(ratios))


# ---- quantize_model ----------------------------------------------------------------------------


class ByHand:
    """Quantised layers through torch's own fake quantisation, in float64, for `patched`."""

    def __init__(self, bits: int) -> None:
        self.bits = bits
        self.ranges: dict[nn.Module, tuple[float, float]] = {}
        self.fixed = False

    def __call__(self, layer: nn.Module, x: Tensor) -> Tensor:
        assert isinstance(layer, nn.Conv2d | nn.Linear)
        weight, bias = layer.weight.detach(), layer.bias
        if self.fixed:
            low, high = self.ranges[layer]
            scale = (high - low) / (2**self.bits - 1)
            qmin, qmax = -(2 ** (self.bits - 1)), 2 ** (self.bits - 1) - 1
            zero_point = round(qmin - low / scale)
            x = torch.fake_quantize_per_tensor_affine(x, scale, zero_point, qmin, qmax)
            largest = weight.abs().flatten(1).amax(1)
            weight = torch.fake_quantize_per_channel_affine(
                weight,
                (largest / qmax).float(),
                torch.zeros(len(weight), dtype=torch.int32),
                *(0, -qmax, qmax),
            )
        else:
            low, high = self.ranges.get(layer, (0.0, 0.0))
            self.ranges[layer] = min(low, x.min().item()), max(high, x.max().item())
        product: Any = F.linear if isinstance(layer, nn.Linear) else layer._conv_forward
        result: Tensor = product(x, weight, bias)
        return result


def reference_outputs(model: nn.Module, calibration: list[Tensor], x: Tensor, bits: int) -> Tensor:
    """`x` through `model` with all layers quantised by `ByHand`."""
    twin = copy.deepcopy(model).eval()
    layer_by_hand = ByHand(bits)
    for layer in twin.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            vars(layer)["forward"] = lambda x, layer=layer: layer_by_hand(layer, x)
    with torch.no_grad():
        for batch in calibration:
            twin(batch)
        layer_by_hand.fixed = True
        result: Tensor = twin(x)
    return result


class Deep(nn.Module):
    """Layers in lists and dictionaries, one under two names, one called twice, one never."""

    def __init__(self) -> None:
        super().__init__()
        self.items = nn.ModuleList([nn.Sequential(nn.Linear(6, 6), nn.ReLU())])
        self.table = nn.ModuleDict({"a": nn.Linear(6, 6), "b": self.items[0]})
        self.alias = self.table["a"]
        self.never = nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        total = self.table["a"](self.items[0](x)) + self.table["b"](x)
        result: Tensor = self.alias(total)
        return result


def networks() -> dict[str, tuple[nn.Module, tuple[int, ...]]]:
    torch.manual_seed(0)
    return {
        "one linear": (nn.Linear(5, 3), (5,)),
        "one convolution": (nn.Conv2d(4, 6, 3, 2, 1, groups=2, bias=False), (4, 7, 7)),
        "same padding": (nn.Conv2d(2, 3, 3, padding="same", dilation=2), (2, 6, 6)),
        "circular": (nn.Conv2d(2, 3, 3, padding=1, padding_mode="circular"), (2, 6, 6)),
        "three dimensions": (nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2)), (3, 4)),
        "residual": (probes.Residual(4), (4, 6, 6)),
        "long skip": (probes.LongSkip(), (3, 6, 6)),
        "branches": (probes.MultiBranch(), (4, 6, 6)),
        "grouped": (probes.Grouped(), (4, 9, 9)),
        "depthwise": (probes.DepthwiseSeparable(), (4, 6, 6)),
        "attention": (probes.Attention(8, 2), (5, 8)),
        "reused": (probes.Reused(5, 3), (5,)),
        "tied": (probes.Tied(5), (5,)),
        "unused": (probes.Unused(5), (5,)),
        "deep": (Deep(), (6,)),
        "digits": (DigitsCNN(4), (1, 8, 8)),
        "resnet": (ResNet20(), (3, 8, 8)),
    }


@pytest.mark.slow
@pytest.mark.parametrize("name", networks())
@pytest.mark.parametrize("bits", [4, 8])
def test_model_agrees_with_torchs_fake_quantization(name: str, bits: int) -> None:
    model, shape = networks()[name]
    draw = draw_from(bits)
    batches = [torch.randn(n, *shape, generator=draw) for n in (4, 3)]
    x = 2 * torch.randn(4, *shape, generator=draw)  # some of it saturates
    quantized = quantization.quantize_model(model, batches, bits)
    actual = quantized(x)
    assert isinstance(quantized, quantization.QuantizedModel)
    assert actual.dtype == torch.float32
    assert not actual.requires_grad
    expected = reference_outputs(model, batches, x, bits)
    # A value near a tie may round the other way after sums in another order: allow few of them.
    off = (actual - expected).abs() > 1e-4 * expected.abs().max()
    assert off.float().mean() < 0.02 or quantization.sqnr_db(expected, actual) > 30


def everything_of(model: nn.Module) -> tuple[Any, ...]:
    """What must not change when a network is passed in."""
    return (
        {name: tensor.clone() for name, tensor in model.state_dict().items()},
        {name: (type(module), module.training) for name, module in model.named_modules()},
        {name: id(parameter) for name, parameter in model.named_parameters()},
        [parameter.requires_grad for parameter in model.parameters()],
        sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules()),
    )


def test_model_passed_in_is_not_changed() -> None:
    model = probes.MixedModes(4).train()
    before = everything_of(model)
    generators = support.generator_states()
    quantized = quantization.quantize_model(
        model, [torch.randn(3, 4, 6, 6, generator=draw_from(0))], 8
    )
    assert support.generator_states() == generators
    after = everything_of(model)
    assert after[1:] == before[1:]
    assert all(torch.equal(after[0][name], before[0][name]) for name in before[0])
    assert not any(module.training for module in quantized.modules())
    assert sum(len(m._forward_pre_hooks) for m in quantized.modules()) == 0
    state = copy.deepcopy(quantized.state_dict())
    quantized(torch.randn(2, 4, 6, 6, generator=draw_from(1)))
    assert all(torch.equal(value, state[name]) for name, value in quantized.state_dict().items())


def test_model_is_not_changed_when_forward_raises() -> None:
    model = nn.Sequential(nn.Linear(3, 5), probes.Raises(5)).train()
    before = everything_of(model)[1:]
    with pytest.raises(RuntimeError, match="forward failed"):
        quantization.quantize_model(model, [torch.ones(2, 3)], 8)
    assert everything_of(model)[1:] == before


@pytest.mark.parametrize("bits", [2, 3, 5])
def test_model_has_few_inputs_and_weights(bits: int) -> None:
    layer = nn.Linear(1, 1, bias=False)
    quantized = quantization.quantize_model(layer, [torch.tensor([[-1.0], [2.0]])], bits)
    outputs = quantized(torch.linspace(-50, 50, 5001).unsqueeze(1)).flatten()
    assert len(outputs.unique()) == 2**bits
    ends = quantized(torch.tensor([[-1e9], [-1.0], [2.0], [1e9]])).flatten()
    assert ends[0] == ends[1]
    assert ends[2] == ends[3]
    assert quantized(torch.zeros(1, 1)).item() == 0.0
    wide = nn.Conv2d(2, 3, 9, bias=False)
    quantized = quantization.quantize_model(wide, [torch.rand(4, 2, 9, 9)], bits)
    pixels = torch.eye(162).reshape(162, 2, 9, 9)
    weights = quantized(pixels).flatten(1)  # (162, 3): each weight once
    assert all(len(channel.unique()) <= 2**bits for channel in weights.T)
    assert weights.count_nonzero() > 0


def test_model_stores_codes_in_bytes() -> None:
    quantized = quantization.quantize_model(nn.Linear(9, 9), [torch.ones(1, 9)], 8)
    (weight,) = quantized.parameters()
    assert weight.dtype == torch.int8
    assert weight.abs().max() == 127


def test_loaders_of_every_kind_give_the_same_model() -> None:
    model, x = nn.Linear(3, 2), torch.randn(10, 3, generator=draw_from(0))
    dataset = TensorDataset(x, torch.zeros(10))
    loaders: list[Any] = [
        *([x], [x[:4], x[4:]], [(x, torch.zeros(10))], [[x]], iter([x])),
        *(DataLoader(dataset, 3), DataLoader(TensorDataset(x), 4)),
    ]
    outputs = [quantization.quantize_model(model, loader, 4)(x) for loader in loaders]
    assert all(torch.equal(output, outputs[0]) for output in outputs)


def test_model_of_other_dtypes_and_odd_weights() -> None:
    double = quantization.quantize_model(nn.Linear(3, 2).double(), [torch.rand(4, 3).double()], 8)
    assert double(torch.rand(2, 3).double()).dtype == torch.float64
    tiny = nn.Linear(2, 2)
    with torch.no_grad():
        tiny.weight.copy_(torch.tensor([[0.0, 0.0], [1e-30, 0.0]]))
        tiny.bias.copy_(torch.tensor([0.123, 4.56]))
    quantized = quantization.quantize_model(tiny, [torch.ones(1, 2)], 8)
    assert torch.allclose(quantized(torch.ones(1, 2)), tiny.bias)
    dead = quantization.quantize_model(nn.Linear(2, 2), [torch.zeros(1, 2)], 8)
    assert bool(dead(torch.ones(1, 2)).isfinite().all())


def test_layer_inside_torchs_attention_is_left_working() -> None:
    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
            self.out = nn.Linear(8, 3)

        def forward(self, x: Tensor) -> Tensor:
            result: Tensor = self.out(self.attention(x, x, x, need_weights=False)[0])
            return result

    model, x = Block().eval(), torch.randn(2, 5, 8, generator=draw_from(0))
    actual = quantization.quantize_model(model, [x], 8)(x)
    assert quantization.sqnr_db(model(x), actual) > 25


def trained_on_digits() -> nn.Module:
    """A small network with more than 90 % on held-out digits, after a second."""
    data = load_digits().scaled()
    torch.manual_seed(0)
    model = nn.Sequential(
        *(nn.Conv2d(1, 8, 3, stride=2, padding=1), nn.BatchNorm2d(8), nn.ReLU()),
        *(nn.Flatten(), nn.Linear(128, 32), nn.ReLU(), nn.Linear(32, 10)),
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(25):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(data.train.images), data.train.labels)
        torch.autograd.backward(loss)
        optimizer.step()
    return model.eval()


def test_digits_keep_their_accuracy_with_8_bits_and_most_of_it_with_4() -> None:
    model, data = trained_on_digits(), load_digits().scaled()

    def accuracy(network: Callable[[Tensor], Tensor]) -> float:
        with torch.no_grad():
            right = network(data.test.images).argmax(1) == data.test.labels
        return right.float().mean().item()

    loader = [(data.train.images[:256], data.train.labels[:256])]
    whole, eight, four = (
        accuracy(model),
        *(accuracy(quantization.quantize_model(model, loader, bits)) for bits in (8, 4)),
    )
    assert whole > 0.9
    assert eight > whole - 0.01
    assert four > whole - 0.1


# ---- to_half -----------------------------------------------------------------------------------


def test_half_is_a_copy_with_every_floating_tensor() -> None:
    model = nn.Sequential(
        probes.Tied(3), nn.BatchNorm1d(3), probes.Buffered(3), nn.Linear(3, 2).double()
    )
    before = everything_of(model)
    half = quantization.to_half(model)
    for name, tensor in half.state_dict().items():
        floating = model.state_dict()[name].is_floating_point()
        assert tensor.dtype == (torch.float16 if floating else model.state_dict()[name].dtype)
        assert torch.allclose(tensor.float(), model.state_dict()[name].float(), atol=1e-3)
    assert half[0].first.weight is half[0].second.weight
    after = everything_of(model)
    assert after[1:] == before[1:]
    assert {t.dtype for t in after[0].values()} == {t.dtype for t in before[0].values()}


# ---- binary weights ----------------------------------------------------------------------------


def test_signs_have_no_zero() -> None:
    weight = torch.tensor([[-2.0, -0.0, 0.0], [1e-30, -1e-30, 0.5]], dtype=torch.float64)
    signs = quantization.binarize(weight)
    assert signs.dtype == torch.float64
    assert signs.tolist() == [[-1.0, 1.0, 1.0], [1.0, -1.0, 1.0]]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_random_signs_have_the_right_frequency(dtype: torch.dtype) -> None:
    before = support.generator_states()
    values = torch.tensor([-2.0, -1.0, -0.5, 0.0, 0.75, 1.0, 3.0], dtype=dtype)
    weight = values.repeat(20_000, 1)
    signs = quantization.binarize(weight, stochastic=True, generator=draw_from(0))
    assert signs.dtype == dtype
    assert set(signs.unique().tolist()) == {-1.0, 1.0}
    share = (signs > 0).double().mean(0)
    expected = ((values.double() + 1) / 2).clamp(0, 1)
    assert torch.allclose(share, expected, atol=0.015)
    assert share[[0, 1, 5, 6]].tolist() == [0.0, 0.0, 1.0, 1.0]
    again = quantization.binarize(weight, stochastic=True, generator=draw_from(0))
    assert torch.equal(again, signs)
    first, second = (quantization.binarize(weight, stochastic=True) for _ in range(2))
    assert not torch.equal(first, second)
    assert support.generator_states() == before


def small_classifier() -> Any:
    torch.manual_seed(3)
    return nn.Sequential(
        *(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU()),
        *(nn.Flatten(), nn.Linear(16, 3)),
    )


def test_binary_steps_agree_with_steps_written_out() -> None:
    images = torch.randn(12, 1, 4, 4, generator=draw_from(0))
    targets = torch.arange(12) % 3
    model, twin = small_classifier(), small_classifier()
    with torch.no_grad():
        model[1].weight.fill_(3.0)  # a norm's scale
        twin.load_state_dict(model.state_dict())
        model[0].weight[0, 0, 0, 0] = 0.0
        twin[0].weight[0, 0, 0, 0] = 0.0
    optimizer = torch.optim.SGD(model.parameters(), lr=0.3, momentum=0.9, weight_decay=0.01)
    momentum = {name: torch.zeros_like(p) for name, p in twin.named_parameters()}
    prunable = ("0.weight", "4.weight")
    for step in range(5):
        model[4].weight.grad = torch.full((3, 16), 1e6)  # stale
        loss = quantization.binary_connect_step(
            model, (images, targets), F.cross_entropy, optimizer
        )
        real = {name: p.detach().clone() for name, p in twin.named_parameters()}
        with torch.no_grad():
            for name in prunable:
                weight = twin.get_parameter(name)
                weight.copy_(torch.where(weight < 0, -1.0, 1.0))
        expected = F.cross_entropy(twin(images), targets)
        parameters = dict(twin.named_parameters())
        gradients = torch.autograd.grad(expected, list(parameters.values()))
        assert loss == pytest.approx(expected.item())
        with torch.no_grad():
            for (name, parameter), gradient in zip(parameters.items(), gradients):
                change = gradient + 0.01 * real[name]
                momentum[name] = change if step == 0 else 0.9 * momentum[name] + change
                moved = real[name] - 0.3 * momentum[name]
                parameter.copy_(moved.clamp(-1, 1) if name in prunable else moved)
        for name, parameter in model.named_parameters():
            assert torch.allclose(parameter, parameters[name], atol=1e-6), name
    assert model[1].weight.max() > 1  # norms are not clipped


def test_binary_step_puts_the_weights_back_when_something_raises() -> None:
    model = nn.Sequential(nn.Linear(3, 5), probes.Raises(5).eval())
    before = copy.deepcopy(model.state_dict())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(RuntimeError, match="forward failed"):
        quantization.binary_connect_step(
            model, (torch.ones(1, 3), torch.ones(1, 3)), F.mse_loss, optimizer
        )
    assert all(torch.equal(model.state_dict()[name], before[name]) for name in before)


def test_binary_step_on_a_shared_weight_and_an_embedding() -> None:
    model = nn.Sequential(probes.Tied(3))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    before = {n: p.detach().clone() for n, p in model.named_parameters()}
    batch = (torch.ones(2, 3), torch.zeros(2, 3))
    quantization.binary_connect_step(model, batch, F.mse_loss, optimizer)
    assert all(torch.equal(p, before[n]) for n, p in model.named_parameters())
    lookup = probes.EmbeddingClassifier()
    table = next(m for m in lookup.modules() if isinstance(m, nn.Embedding))
    with torch.no_grad():
        table.weight.fill_(5.0)
    tokens, targets = torch.zeros(2, 3, dtype=torch.int64), torch.zeros(2, dtype=torch.int64)
    optimizer = torch.optim.SGD(lookup.parameters(), lr=0.0)
    quantization.binary_connect_step(lookup, (tokens, targets), F.cross_entropy, optimizer)
    assert torch.equal(table.weight, torch.full_like(table.weight, 5.0))


# ---- bad arguments -----------------------------------------------------------------------------

X = torch.ones(2, 3)
VECTOR = QParams(torch.ones(3), torch.zeros(3, dtype=torch.int32))
ONE = QParams(1.0, 0)
LAYER = {
    "q_input": torch.ones(2, 3, dtype=torch.int32),
    "q_weight": torch.ones(4, 3, dtype=torch.int32),
    "q_bias": torch.ones(4, dtype=torch.int32),
    "input_qparams": ONE,
    "weight_qparams": ONE,
    "output_qparams": ONE,
}
CONVOLUTION = {
    **LAYER,
    "q_input": torch.ones(1, 2, 4, 4, dtype=torch.int32),
    "q_weight": torch.ones(4, 2, 3, 3, dtype=torch.int32),
}
BROKEN = nn.Linear(3, 2)
nn.init.constant_(BROKEN.weight, math.inf)
NORM = {
    "weight": torch.ones(4, 3),
    **dict.fromkeys(("bias", "gamma", "beta", "mean", "var"), torch.ones(4)),
    "eps": 1e-5,
}
USUAL: dict[str, dict[str, Any]] = {
    "quantization_range": {"bits": 8},
    "affine_params": {"low": -1.0, "high": 1.0, "bits": 8},
    "quantize": {"x": X, "qparams": ONE, "bits": 8},
    "dequantize": {"q": X.int(), "qparams": ONE},
    "per_channel_params": {"weight": X, "bits": 8},
    "MovingAverageObserver": {},
    "PercentileObserver": {},
    "fake_quantize": {"x": X, "qparams": ONE, "bits": 8},
    "quantize_bias": {"bias": torch.ones(3), "input_scale": 1.0, "weight_scale": 1.0},
    "quantized_linear": LAYER,
    "quantized_conv2d": CONVOLUTION,
    "dynamic_quantized_linear": {"x": X, "weight": torch.ones(4, 3)},
    "fold_batchnorm": NORM,
    "sqnr_db": {"reference": X, "approximation": X},
    "quantize_model": {"model": nn.Linear(3, 2), "calibration_loader": [X], "bits": 8},
}
BITS_AND_LEAST = {
    **dict.fromkeys(("quantization_range", "quantize", "fake_quantize", "quantized_linear"), 1),
    **dict.fromkeys(("affine_params", "per_channel_params", "dynamic_quantized_linear"), 2),
    "quantized_conv2d": 1,
    "quantize_model": 2,
}
MISTAKES: list[tuple[str, dict[str, Any], str]] = [
    ("affine_params", {"low": 2.0}, "low: expected at most high 1.0, got 2.0"),
    ("affine_params", {"low": -math.inf}, "finite numbers, got (-inf, 1.0)"),
    ("affine_params", {"high": math.nan}, "nan"),
    ("affine_params", {"symmetric": True, "signed": False}, "signed"),
    (
        "quantize",
        {"qparams": QParams(0.0, 0)},
        "qparams.scale: expected positive and finite numbers, got 0.0",
    ),
    ("quantize", {"qparams": QParams(math.inf, 0)}, "inf"),
    ("quantize", {"qparams": VECTOR}, "axis: expected one for qparams"),
    ("quantize", {"qparams": QParams(1.0, torch.zeros(3))}, "axis: expected one for qparams"),
    (
        "quantize",
        {"qparams": VECTOR, "axis": 0},
        "qparams.scale: expected a number or shape (2,), got (3,)",
    ),
    ("quantize", {"axis": 2}, "axis: expected a dimension of a tensor of shape (2, 3), got 2"),
    ("quantize", {"axis": -3}, "-3"),
    ("quantize", {"bits": 32, "signed": False}, "1..31, got 32"),
    ("dequantize", {"qparams": VECTOR}, "axis"),
    ("dequantize", {"qparams": VECTOR, "axis": 0}, "(3,)"),
    ("dequantize", {"qparams": QParams(-1.0, 0)}, "-1.0"),
    ("per_channel_params", {"axis": 2}, "axis"),
    (
        "per_channel_params",
        {"weight": torch.tensor([[math.inf]])},
        "weight: expected finite values",
    ),
    ("MovingAverageObserver", {"momentum": 1.5}, "momentum: expected a number in 0..1, got 1.5"),
    ("MovingAverageObserver", {"momentum": -0.1}, "-0.1"),
    ("PercentileObserver", {"p": 101}, "p: expected a number in 50..100, got 101"),
    ("PercentileObserver", {"p": 0.5}, "0.5"),
    ("fake_quantize", {"qparams": VECTOR}, "qparams.scale: expected one number, got (3,)"),
    ("fake_quantize", {"qparams": QParams(0.0, 0)}, "qparams.scale"),
    ("quantize_bias", {"bias": X}, "bias: expected shape (out,), got (2, 3)"),
    ("quantize_bias", {"weight_scale": torch.ones(2)}, "weight_scale"),
    (
        "quantize_bias",
        {"input_scale": 0.0},
        "input_scale: expected positive and finite numbers, got 0.0",
    ),
    ("quantize_bias", {"input_scale": torch.ones(3)}, "input_scale: expected shape (), got (3,)"),
    ("quantized_linear", {"q_input": torch.ones(2, 4).int()}, "(..., 3), got (2, 4)"),
    ("quantized_linear", {"q_input": X}, "q_input: expected integers, got (2, 3) (float32"),
    ("quantized_linear", {"q_bias": torch.ones(3).int()}, "q_bias: expected shape (4,), got (3,)"),
    ("quantized_linear", {"q_weight": torch.ones(4).int()}, "q_weight"),
    ("quantized_linear", {"input_qparams": VECTOR}, "input_qparams.scale: expected one number"),
    ("quantized_linear", {"weight_qparams": VECTOR}, "(4,), got (3,)"),
    ("quantized_linear", {"weight_qparams": QParams(1.0, 1)}, "zero_point: expected 0"),
    ("quantized_linear", {"output_qparams": QParams(0.0, 0)}, "output_qparams.scale"),
    (
        "quantized_conv2d",
        {"q_input": torch.ones(2, 4, 4).int()},
        "q_input: expected shape (N, in, H, W)",
    ),
    ("quantized_conv2d", {"groups": 2}, "q_input: expected 2 groups of 2 channels, got (1, 2,"),
    ("quantized_conv2d", {"groups": 3}, "groups: expected a divisor of 4, got 3"),
    ("quantized_conv2d", {"dilation": 2}, "at least the kernel's 3"),
    ("quantized_conv2d", {"stride": 0}, "stride"),
    ("quantized_conv2d", {"padding": -1}, "padding"),
    ("quantized_conv2d", {"q_bias": torch.ones(2).int()}, "q_bias"),
    (
        "dynamic_quantized_linear",
        {"weight": torch.ones(4, 2)},
        "x: expected shape (..., 2), got (2, 3)",
    ),
    ("dynamic_quantized_linear", {"bias": torch.ones(3)}, "bias: expected shape (4,), got (3,)"),
    ("dynamic_quantized_linear", {"x": X / 0}, "x: expected finite values, got inf"),
    ("fold_batchnorm", {"weight": torch.ones(4)}, "weight: expected 2 to 5 dimensions, got (4,)"),
    ("fold_batchnorm", {"gamma": torch.ones(3)}, "gamma: expected shape (4,), got (3,)"),
    ("fold_batchnorm", {"bias": torch.ones(4, 1)}, "bias: expected shape (4,), got (4, 1)"),
    ("fold_batchnorm", {"eps": -1.0}, "eps"),
    ("fold_batchnorm", {"var": torch.zeros(4), "eps": 0.0}, "var + eps positive, got 0.0"),
    ("sqnr_db", {"approximation": torch.ones(3)}, "approximation: expected shape (2, 3), got (3,)"),
    ("quantize_model", {"calibration_loader": []}, "calibration_loader"),
    (
        "quantize_model",
        {"calibration_loader": [X / 0]},
        "an input of a layer: expected finite values",
    ),
    ("quantize_model", {"model": BROKEN}, "the weight of a layer: expected finite values"),
]


@pytest.mark.parametrize(("function", "change", "message"), MISTAKES)
def test_bad_arguments_are_refused(function: str, change: dict[str, Any], message: str) -> None:
    getattr(quantization, function)(**USUAL[function])
    with pytest.raises(ValueError, match=re.escape(message)):
        getattr(quantization, function)(**{**USUAL[function], **change})


@pytest.mark.parametrize("function", BITS_AND_LEAST)
def test_bits_are_ints_in_their_range(function: str) -> None:
    least = BITS_AND_LEAST[function]
    for bits in (least - 1, 33, -8, 8.0, "8", None, True):
        with pytest.raises(ValueError, match=re.escape(f"bits: expected an int in {least}..")):
            getattr(quantization, function)(**{**USUAL[function], "bits": bits})
    getattr(quantization, function)(**{**USUAL[function], "bits": 32})
    getattr(quantization, function)(**{**USUAL[function], "bits": least})
