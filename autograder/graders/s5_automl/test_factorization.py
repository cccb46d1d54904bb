"""Graders of factorization.py: low rank, groups, depthwise separable; all measured by the judge."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from autograder.graders.common import drawn
from autograder.graders.toolkit import (
    Exercise,
    RandomInputs,
    agreements,
    allclose,
    case,
    check,
    describe,
    expect_int,
    expect_value_error,
    fail,
)

Layer = nn.Conv2d | nn.Linear


def layers_of(value: object, name: str, kind: type[Layer]) -> list[Any]:
    """The layers of a Sequential (nested or not) that consists of nothing but `kind`."""
    if not isinstance(value, nn.Sequential):
        fail(f"{name} should return a Sequential of PyTorch's layers, yours is {describe(value)}")
    found = [each for each in value.modules() if not isinstance(each, nn.Sequential)]
    plain = bool(found) and all(type(each) is kind for each in found)
    check(plain, f"a Sequential of {kind.__name__} and nothing else")
    return found


def weights_of(model: nn.Module) -> int:
    """All parameters."""
    return sum(parameter.numel() for parameter in model.parameters())


def outputs(student: Any, model: nn.Module, x: Tensor) -> Tensor:
    """What a returned network makes of `x`, in a process without the student's code."""
    clean = student.clean()
    result = clean.call(clean.put(model.eval()), x)
    if not isinstance(result, Tensor):
        fail("what is returned should map a tensor to a tensor")
    return result.detach()


def reached(student: Any, model: nn.Module, original: nn.Module, x: Tensor, hint: str) -> float:
    """Relative squared error of the outputs of what was returned."""
    with torch.no_grad():
        expected = original(x)
    actual = outputs(student, model, x)
    check(actual.shape == expected.shape, hint)
    check(actual.dtype == expected.dtype, "the dtype of the layer is kept")
    return float((actual - expected).double().square().sum() / expected.double().square().sum())


def expect_bias_last(found: Sequence[Layer], original: Layer) -> None:
    """Only the last layer has a bias, that of the original."""
    hint = "the bias is added once, by the last layer"
    check(all(each.bias is None for each in found[:-1]), hint)
    last = found[-1].bias
    if original.bias is None:
        check(last is None, "no bias comes out of nothing")
    else:
        check(last is not None and allclose(last.detach(), original.bias.detach()), hint)


# ---- svd_factorize ---------------------------------------------------------------------------

svd_factorize = Exercise("s5.svd_factorize")


def linear(rng: RandomInputs, inputs: int, outputs: int, bias: bool = True) -> nn.Linear:
    """A drawn linear layer."""
    return drawn(nn.Linear(inputs, outputs, bias=bias), rng)


def pair_of(student: Any, layer: nn.Linear, rank: int) -> nn.Sequential:
    """The student's factorisation, two linear layers of the right sizes."""
    value = student.svd_factorize(layer, rank)
    found = layers_of(value, "svd_factorize", nn.Linear)
    sizes = [tuple(each.weight.shape) for each in found]
    hint = "two layers, of rank rows and rank columns: rank * (in + out) weights"
    check(sizes == [(rank, layer.in_features), (layer.out_features, rank)], hint)
    expect_bias_last(found, layer)
    return value  # type: ignore[no-any-return]


def product(pair: nn.Sequential) -> Tensor:
    """The matrix that two linear layers are."""
    first, second = layers_of(pair, "svd_factorize", nn.Linear)
    return second.weight.detach().double() @ first.weight.detach().double()  # type: ignore[no-any-return]


@svd_factorize.check(weight=3, essential=True)
def test_best_approximation_of_a_matrix(student: Any, rng: RandomInputs) -> None:
    """No two layers of this rank are nearer to the matrix."""
    for inputs, outs in ((rng.integer(12, 16), 9), (8, rng.integer(12, 16))):
        layer = linear(rng, inputs, outs, bias=False)
        values = torch.linalg.svdvals(layer.weight.detach().double())
        for rank in (1, rng.integer(2, 6)):
            moved = product(pair_of(student, layer, rank)) - layer.weight.detach().double()
            least = float(values[rank:].square().sum())
            hint = "keep the largest singular values, and each with both of its vectors"
            check(float(moved.square().sum()) <= least * (1 + 1e-3) + 1e-9, hint)


@svd_factorize.check(weight=3)
def test_full_rank_is_exact(student: Any, rng: RandomInputs) -> None:
    """At full rank, or the rank that a matrix has, outputs stay as they are."""
    for bias in (True, False):
        layer = linear(rng, 7, rng.integer(8, 12), bias)
        x = rng.normal(5, 7)
        hint = "W = U S V^T: at full rank nothing is lost"
        check(reached(student, pair_of(student, layer, 7), layer, x, hint) < 1e-8, hint)
        low = linear(rng, 12, 10, bias)
        with torch.no_grad():
            low.weight.copy_(rng.normal(10, 3) @ rng.normal(3, 12))
        x = rng.normal(4, 3, 12)
        hint = "a matrix of rank 3 needs no more"
        check(reached(student, pair_of(student, low, 3), low, x, hint) < 1e-8, hint)


@svd_factorize.check(weight=1)
def test_factors_of_any_dtype(student: Any, rng: RandomInputs) -> None:
    """Double precision stays, and weights of any scale."""
    layer = linear(rng, 9, 8).double()
    pair = pair_of(student, layer, 8)
    check(reached(student, pair, layer, rng.normal(4, 9).double(), "in float64") < 1e-18, "float64")
    for scale in (1e-12, 1e12):
        layer = linear(rng, 9, 8, bias=False)
        with torch.no_grad():
            layer.weight.mul_(scale)
        error = reached(student, pair_of(student, layer, 8), layer, rng.normal(4, 9), "any scale")
        check(error < 1e-7, "also very small and very large weights")


@svd_factorize.check(weight=0.35, guard=True)
def test_factorisation_leaves_the_layer_alone(student: Any, rng: RandomInputs) -> None:
    """The layer that was passed in is unchanged."""
    layer = linear(rng, 6, 8)
    live = student.put(layer)
    student.svd_factorize(live, 3)
    state = student.state(live)
    same = all(torch.equal(state[name], value) for name, value in layer.state_dict().items())
    check(same, "return new layers")


@svd_factorize.check(weight=0.35, guard=True)
def test_impossible_ranks(student: Any, rng: RandomInputs) -> None:
    """A rank below 1 or above the smaller side raises ValueError."""
    layer = linear(rng, rng.integer(5, 8), 9)
    for rank in (0, -1, layer.in_features + 1):
        expect_value_error(student.svd_factorize, layer, rank)


# ---- convolutions ----------------------------------------------------------------------------


def conv(rng: RandomInputs, inputs: int, outs: int, **options: Any) -> nn.Conv2d:
    """A drawn convolution."""
    kernel = options.pop("kernel", 3)
    return drawn(nn.Conv2d(inputs, outs, kernel, **options), rng)


def looks(layer: nn.Conv2d) -> tuple[Any, ...]:
    """How a convolution looks at an image."""
    return layer.kernel_size, layer.stride, layer.padding, layer.dilation, layer.padding_mode


VIEWS: tuple[dict[str, Any], ...] = (
    {"padding": 1},
    {"stride": 2, "padding": 1, "bias": False},
    {"kernel": (3, 5), "padding": (1, 2), "stride": (2, 1)},
    {"dilation": 2, "padding": 2},
)

depthwise_separable = Exercise("s5.depthwise_separable")


def separable(student: Any, layer: nn.Conv2d) -> list[nn.Conv2d]:
    """The student's two convolutions."""
    found = layers_of(student.depthwise_separable(layer), "depthwise_separable", nn.Conv2d)
    check(len(found) == 2, "two convolutions: depthwise, then pointwise")
    return found


@depthwise_separable.check(weight=3, essential=True)
def test_separable_structure(student: Any, rng: RandomInputs) -> None:
    """One filter for each input channel, then a 1x1 convolution to the output channels."""
    for options in VIEWS:
        layer = conv(rng, rng.integer(3, 6), rng.integer(7, 9), **options)
        depthwise, pointwise = separable(student, layer)
        hint = "the first one is depthwise: as many groups, inputs and outputs as input channels"
        sizes = depthwise.in_channels, depthwise.out_channels, depthwise.groups
        check(sizes == (layer.in_channels,) * 3, hint)
        sizes = pointwise.in_channels, pointwise.out_channels, pointwise.groups
        hint = "the second one mixes: 1x1, no groups, from the input to the output channels"
        check(sizes == (layer.in_channels, layer.out_channels, 1), hint)
        check(pointwise.kernel_size == (1, 1), hint)
        check(depthwise.kernel_size == layer.kernel_size, "the first one has the layer's kernel")


@depthwise_separable.check(weight=2)
def test_separable_looks_alike(student: Any, rng: RandomInputs) -> None:
    """Outputs have the same size: stride, padding and dilation are the first layer's."""
    for options in VIEWS:
        layer = conv(rng, 4, 6, **options)
        depthwise, pointwise = separable(student, layer)
        check(
            looks(depthwise) == looks(layer), "the first one looks at the image as the layer does"
        )
        plain = looks(pointwise)[:4] == ((1, 1), (1, 1), (0, 0), (1, 1))
        check(plain, "the second one has no stride, padding or dilation of its own")


@depthwise_separable.check(weight=2)
def test_separable_counts(student: Any, rng: RandomInputs) -> None:
    """in * kh * kw + in * out weights, and one bias of the output channels where there was one."""
    for options in VIEWS:
        layer = conv(rng, rng.integer(4, 6), rng.integer(7, 9), **options)
        found = separable(student, layer)
        check(found[0].bias is None, "the bias is added once, by the last layer")
        check((found[1].bias is None) == (layer.bias is None), "a bias where there was one")
        inputs, outs = layer.in_channels, layer.out_channels
        expected = inputs * math.prod(layer.kernel_size) + inputs * outs
        expected += outs if layer.bias is not None else 0
        check(sum(map(weights_of, found)) == expected, "in * kh * kw + in * out weights")


@depthwise_separable.check(weight=0.4)
def test_separable_keeps_float64(student: Any, rng: RandomInputs) -> None:
    """A convolution in float64 becomes two in float64."""
    layer = conv(rng, 4, 6, padding=1).double()
    kinds = {each.weight.dtype for each in separable(student, layer)}
    check(kinds == {torch.float64}, "the dtype stays")


@depthwise_separable.check(weight=0.7, guard=True)
def test_separable_refuses_groups(student: Any, rng: RandomInputs) -> None:
    """A convolution that is grouped already raises ValueError."""
    for groups in (2, 4):
        expect_value_error(student.depthwise_separable, conv(rng, 4, 8, groups=groups))


grouped = Exercise("s5.grouped")


def grouped_conv(student: Any, layer: nn.Conv2d, groups: int) -> nn.Conv2d:
    """The student's grouped convolution."""
    value = student.grouped(layer, groups)
    if type(value) is not nn.Conv2d:
        fail(f"grouped should return one Conv2d, yours is {describe(value)}")
    return value


@grouped.check(weight=3, essential=True)
def test_grouped_structure(student: Any, rng: RandomInputs) -> None:
    """One convolution with these groups, between the same channels."""
    for groups in (2, 3, 6):
        layer = conv(rng, 6, 6 * rng.integer(2, 3), padding=1)
        result = grouped_conv(student, layer, groups)
        check(result.groups == groups, "groups is a property of the convolution")
        same = (result.in_channels, result.out_channels) == (layer.in_channels, layer.out_channels)
        check(same, "input and output channels stay")
        shape = (layer.out_channels, layer.in_channels // groups, *layer.kernel_size)
        check(tuple(result.weight.shape) == shape, "a 1/groups of the weights")


@grouped.check(weight=2)
def test_grouped_looks_alike(student: Any, rng: RandomInputs) -> None:
    """Kernel, stride, padding and dilation stay."""
    for options in VIEWS:
        layer = conv(rng, 4, 8, **options)
        result = grouped_conv(student, layer, 2)
        check(result.groups == 2, "groups is a property of the convolution")
        check(looks(result) == looks(layer), "it looks at the image as the layer does")
        check(result.weight.dtype == layer.weight.dtype, "the dtype stays")


@grouped.check(weight=2)
def test_grouped_counts(student: Any, rng: RandomInputs) -> None:
    """Parameters are those of a grouped convolution, with a bias where there was one."""
    for bias in (True, False):
        layer = conv(rng, 8, 12, bias=bias)
        for groups in (1, 2, 4):
            result = grouped_conv(student, layer, groups)
            expected = 12 * 8 // groups * 9 + (12 if bias else 0)
            check((result.bias is not None) == bias, "a bias where there was one")
            check(weights_of(result) == expected, "in / groups * out * kh * kw weights")


@grouped.check(weight=0.4)
def test_grouped_keeps_float64_and_the_layer(student: Any, rng: RandomInputs) -> None:
    """Groups of a convolution in float64 are float64, and the one passed in is unchanged."""
    layer = conv(rng, 4, 8, padding=1).double()
    live = student.put(layer)
    result = student.grouped(live, 2)
    check(type(result) is nn.Conv2d and result.groups == 2, "one convolution with these groups")
    check(tuple(result.weight.shape) == (8, 2, 3, 3), "a 1/groups of the weights")
    check(result.weight.dtype == torch.float64, "the dtype stays")
    after = student.fetch(live)
    check(type(after) is nn.Conv2d and after.groups == 1, "return a new layer")
    state = after.state_dict()
    same = all(torch.equal(state[name], value) for name, value in layer.state_dict().items())
    check(same, "return a new layer")


@grouped.check(weight=0.35, guard=True)
def test_grouped_refuses_other_numbers(student: Any, rng: RandomInputs) -> None:
    """Groups that do not divide both numbers of channels raise ValueError."""
    for inputs, outs, groups in ((6, 8, 3), (8, 6, 4), (6, 6, 4), (4, 4, 0)):
        expect_value_error(student.grouped, conv(rng, inputs, outs), groups)


@grouped.check(weight=0.35, guard=True)
def test_grouped_refuses_groups(student: Any, rng: RandomInputs) -> None:
    """A convolution that is grouped already raises ValueError."""
    expect_value_error(student.grouped, conv(rng, 8, 8, groups=2), rng.choice([2, 4]))


# ---- low_rank_conv ---------------------------------------------------------------------------

low_rank_conv = Exercise("s5.low_rank_conv")


def low_rank(student: Any, layer: nn.Conv2d, rank: int) -> nn.Sequential:
    """The student's factorisation: convolutions, of no more weights than Tucker-2 or spatial."""
    value = student.low_rank_conv(layer, rank)
    found = layers_of(value, "low_rank_conv", nn.Conv2d)
    check(2 <= len(found) <= 3, "two or three convolutions, one after the other")
    expect_bias_last(found, layer)
    (height, width), inputs, outs = layer.kernel_size, layer.in_channels, layer.out_channels
    first, second = min(rank, inputs), min(rank, outs)
    tucker = inputs * first + first * second * height * width + second * outs
    spatial = [
        r * (inputs * a + outs * b)
        for a, b in ((height, width), (width, height))
        for r in [min(rank, inputs * a, outs * b)]
    ]
    weights = sum(each.weight.numel() for each in found)
    hint = "rank channels between the layers: no more weights than a factorisation has"
    check(weights <= max(tucker, *spatial), hint)
    return value  # type: ignore[no-any-return]


def of_rank(rng: RandomInputs, layer: nn.Conv2d, rank: int) -> nn.Conv2d:
    """The layer with a weight that is a sum of `rank` products of four vectors."""
    sizes = layer.weight.shape
    vectors = [rng.normal(rank, size) for size in sizes]
    with torch.no_grad():
        layer.weight.copy_(torch.einsum("ra,rb,rc,rd->abcd", *vectors))
    return layer


@low_rank_conv.check(weight=4, essential=True)
def test_kernels_of_low_rank_are_exact(student: Any, rng: RandomInputs) -> None:
    """A kernel that has this rank loses nothing."""
    for options in ({"padding": 1}, {"padding": 1, "bias": False}):
        layer = conv(rng, rng.integer(8, 10), rng.integer(11, 13), **options)
        for rank in (1, rng.integer(2, 3)):
            of_rank(rng, layer, rank)
            x = rng.normal(2, layer.in_channels, 6, 7)
            hint = "the largest singular vectors, each with what belongs to it"
            error = reached(student, low_rank(student, layer, rank), layer, x, hint)
            check(error < 1e-7, hint)


@low_rank_conv.check(weight=3)
def test_low_rank_looks_alike(student: Any, rng: RandomInputs) -> None:
    """Stride, padding, dilation and kernels of two sizes are kept."""
    for options in VIEWS:
        layer = of_rank(rng, conv(rng, 7, 9, **options), 2)
        x = rng.normal(2, 7, rng.integer(9, 12), 10)
        hint = "outputs have the same size, and look at the same places"
        error = reached(student, low_rank(student, layer, 2), layer, x, hint)
        check(error < 1e-7, hint)


@low_rank_conv.check(weight=2)
def test_large_ranks_lose_nothing(student: Any, rng: RandomInputs) -> None:
    """A rank above what the kernel can have is as good as the largest one."""
    layer = conv(rng, 4, rng.integer(5, 6), padding=1)
    x = rng.normal(2, 4, 6, 6)
    for rank in (18, rng.integer(40, 1000)):
        hint = "more than there is means all of it"
        error = reached(student, low_rank(student, layer, rank), layer, x, hint)
        check(error < 1e-7, hint)


@low_rank_conv.check(weight=3)
def test_error_falls_with_the_rank(student: Any, rng: RandomInputs) -> None:
    """Kernels of any rank are approximated about as well as Tucker-2 or the spatial way can."""
    layer = conv(rng, 10, 12, padding=1, bias=False)
    weight = layer.weight.detach()
    decay = torch.logspace(0, -1.5, 10)
    with torch.no_grad():
        layer.weight.mul_(decay[:, None, None]).mul_(torch.logspace(0, -1, 12)[:, None, None, None])
    x = rng.normal(8, 10, 8, 8)
    errors = []
    for rank in (2, 4, 8):
        hint = "keep what is largest of the kernel"
        errors.append(reached(student, low_rank(student, layer, rank), layer, x, hint))
        bound = max(_tucker_error(weight, rank), _spatial_error(weight, rank))
        check(errors[-1] <= 1.6 * bound + 1e-6, hint)
    check(errors[0] > errors[1] > errors[2], "a higher rank has a smaller error")


def _tucker_error(weight: Tensor, rank: int) -> float:
    """Relative squared error of the projection on the largest singular vectors of both sides."""
    w = weight.double()
    for side in (0, 1):
        matrix = w.transpose(0, side).flatten(1)
        u = torch.linalg.svd(matrix, full_matrices=False).U[:, :rank]
        w = (u @ u.T @ matrix).view(w.transpose(0, side).shape).transpose(0, side)
    return float((w - weight).square().sum() / weight.square().sum())


def _spatial_error(weight: Tensor, rank: int) -> float:
    """Relative squared error of the best sum of `rank` vertical times horizontal filters."""
    worst = 0.0
    for order in ((1, 2, 0, 3), (1, 3, 0, 2)):
        w = weight.double().permute(order)
        values = torch.linalg.svdvals(w.flatten(2).flatten(0, 1)).square()
        worst = max(worst, float(values[rank:].sum() / values.sum()))
    return worst


@low_rank_conv.check(weight=0.5)
def test_low_rank_keeps_float64(student: Any, rng: RandomInputs) -> None:
    """A convolution in float64 becomes some in float64."""
    layer = of_rank(rng, conv(rng, 7, 9, padding=1), 2).double()
    x = rng.normal(2, 7, 6, 5).double()
    hint = "the same factorisation in float64"
    check(reached(student, low_rank(student, layer, 2), layer, x, hint) < 1e-7, hint)


@low_rank_conv.check(weight=0.4, guard=True)
def test_low_rank_leaves_the_layer_alone(student: Any, rng: RandomInputs) -> None:
    """The convolution that was passed in is unchanged."""
    layer = conv(rng, 5, 6)
    live = student.put(layer)
    student.low_rank_conv(live, 2)
    state = student.state(live)
    same = all(torch.equal(state[name], value) for name, value in layer.state_dict().items())
    check(same, "return new layers")


@low_rank_conv.check(weight=0.8, guard=True)
def test_low_rank_refuses(student: Any, rng: RandomInputs) -> None:
    """A rank below 1 and a convolution that is grouped already raise ValueError."""
    for rank in (0, -rng.integer(1, 5)):
        expect_value_error(student.low_rank_conv, conv(rng, 4, 6), rank)
    expect_value_error(student.low_rank_conv, conv(rng, 4, 8, groups=2), 2)


# ---- rank_for_energy -------------------------------------------------------------------------


def rank_slowly(values: Tensor, energy: float) -> int:
    """Add squares until there is enough."""
    squares = [value * value for value in values.double().tolist()]
    total = math.fsum(squares)
    for rank in range(1, len(squares) + 1):
        if math.fsum(squares[:rank]) >= energy * total:
            return rank
    return len(squares)


rank_for_energy = Exercise(
    "s5.rank_for_energy", reference=rank_slowly, agreement=agreements.whole_number
)


def descending(rng: RandomInputs, count: int) -> Tensor:
    """Singular values of very different sizes."""
    return (rng.uniform(count, low=0.1, high=1.0) ** 2).sort(descending=True).values


def between(values: Tensor, rank: int) -> float:
    """A share of energy that `rank` values have and `rank` - 1 have not, well inside."""
    held = values.double().square().cumsum(0) / values.double().square().sum()
    before = float(held[rank - 2]) if rank > 1 else 0.0
    return 0.5 * before + 0.5 * float(held[rank - 1])


@rank_for_energy.check(weight=3, essential=True)
def test_rank_by_squares(rng: RandomInputs) -> Any:
    """The smallest rank whose squared singular values hold the share."""
    for _ in range(3):
        values = descending(rng, rng.integer(8, 15))
        for rank in (1, rng.integer(2, 3), rng.integer(4, 7)):
            yield case(values, between(values, rank))


@rank_for_energy.check(weight=1)
def test_shares_that_are_met(rng: RandomInputs) -> Any:
    """A share that is held exactly is enough."""
    scale = rng.choice([0.5, 1.0, 4.0])
    values = scale * torch.tensor([2.0, 2.0, 2.0, 2.0])
    for share, rank in ((0.25, 1), (0.5, 2), (0.75, 3), (1.0, 4)):
        yield case(values, share).gives(rank)
    yield case(torch.tensor([scale]), 1.0).gives(1)


@rank_for_energy.check(weight=1)
def test_all_energy(rng: RandomInputs) -> Any:
    """All of the energy: every singular value that is not 0."""
    # of powers of two: in whatever order their squares are added, nothing is rounded
    values = 2.0 ** rng.integers(-3, 3, rng.integer(5, 8)).sort(descending=True).values
    zeros = torch.cat([values, torch.zeros(rng.integer(2, 4))])
    yield case(values, 1.0).gives(len(values))
    yield case(zeros, 1.0).gives(len(values))


@rank_for_energy.check(weight=1)
def test_energy_of_any_scale(rng: RandomInputs) -> Any:
    """Singular values may be very large or very small: their squares must not overflow."""
    values = descending(rng, 9)
    for scale in (1e-25, 1e25):
        for rank in (2, rng.integer(3, 5)):
            yield case(values * scale, between(values, rank)).gives(rank)


@rank_for_energy.check(weight=0.3)
def test_rank_leaves_the_values_alone(student: Any, rng: RandomInputs) -> None:
    """The rank is right, and the singular values are unchanged."""
    values, rank = 3 * descending(rng, 9), rng.integer(2, 5)
    live = student.put(values)
    found = student.rank_for_energy(live, between(values, rank))
    check(expect_int(found, "rank_for_energy") == rank, "the smallest rank with this share")
    check(torch.equal(student.fetch(live), values), "the singular values were changed in place")


test_energy_outside = rank_for_energy.refuses(
    case(torch.tensor([3.0, 1.0]), -0.1),
    case(torch.tensor([3.0, 1.0]), 1.1),
    title="An energy outside 0..1 raises ValueError.",
    weight=0.5,
)
