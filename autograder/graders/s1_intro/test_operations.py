"""Graders of metrics.py: MACs, layer by layer, bit operations, activations."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from autograder.graders.common import drawn
from autograder.graders.s1_intro.references import (
    chain,
    normalised_network,
    peak_bytes,
    window_positions,
)
from autograder.graders.toolkit import (
    Case,
    Exercise,
    RandomInputs,
    StudentError,
    agreements,
    case,
    check,
    expect_int,
    expect_list,
    expect_record,
    expect_value_error,
    fail,
)
from shared import probes
from shared.records import LayerCost

Pair = int | tuple[int, int]

# ---- conv2d_macs -----------------------------------------------------------------------------


def macs_by_windows(
    in_channels: int,
    out_channels: int,
    kernel: Pair,
    input_hw: Pair,
    stride: Pair = 1,
    padding: Pair = 0,
    dilation: Pair = 1,
    groups: int = 1,
) -> int:
    """The window positions along each axis, counted one by one, times the products of each."""
    settings = [
        two if isinstance(two, tuple) else (two, two)
        for two in (input_hw, kernel, stride, padding, dilation)
    ]
    rows, columns = (window_positions(*(two[axis] for two in settings)) for axis in (0, 1))
    kernel_h, kernel_w = settings[1]
    return in_channels // groups * kernel_h * kernel_w * out_channels * rows * columns


conv2d_macs = Exercise(
    "s1.conv2d_macs",
    reference=macs_by_windows,
    agreement=agreements.whole_number,
)


def any_channels(rng: RandomInputs) -> tuple[int, int]:
    """Numbers of input and output channels that differ."""
    return rng.integer(2, 9), rng.integer(10, 17)


@conv2d_macs.check(weight=2)
def test_conv_macs_of_a_plain_convolution(rng: RandomInputs) -> Iterator[Case]:
    """Each output value takes one multiply-accumulate per input channel and kernel element."""
    for _ in range(3):
        yield case(*any_channels(rng), rng.choice([1, 3, 5]), rng.integer(7, 15))


@conv2d_macs.check(essential=True, weight=2)
def test_conv_macs_with_groups(rng: RandomInputs) -> Iterator[Case]:
    """In a grouped convolution an output channel sees only its group's input channels."""
    for groups in (2, 3, 6):
        channels = (groups * rng.integer(1, 3), groups * rng.integer(2, 4))
        yield case(*channels, 3, rng.integer(6, 12), groups=groups)


@conv2d_macs.check()
def test_conv_macs_with_stride(rng: RandomInputs) -> Iterator[Case]:
    """A stride leaves fewer output positions, also where it does not divide the size."""
    for stride in (2, 3, 4):
        size = (rng.integer(10, 13), rng.integer(14, 17))
        yield case(*any_channels(rng), 3, size, stride=stride)


@conv2d_macs.check()
def test_conv_macs_with_padding(rng: RandomInputs) -> Iterator[Case]:
    """Padding adds output positions on both sides."""
    for padding in (1, 2, 3):
        yield case(*any_channels(rng), 5, rng.integer(6, 12), padding=padding)


@conv2d_macs.check()
def test_conv_macs_with_dilation(rng: RandomInputs) -> Iterator[Case]:
    """A dilated kernel reaches further and fits fewer positions."""
    for dilation in (2, 3):
        yield case(*any_channels(rng), 3, rng.integer(9, 15), dilation=dilation)


@conv2d_macs.check(weight=2)
def test_conv_macs_of_pairs(rng: RandomInputs) -> Iterator[Case]:
    """Kernel, size, stride, padding and dilation may be (vertical, horizontal) pairs."""
    for _ in range(4):
        yield case(
            *any_channels(rng),
            kernel=(rng.choice([1, 2]), rng.choice([3, 4])),
            input_hw=(rng.integer(9, 12), rng.integer(15, 20)),
            stride=(rng.integer(2, 3), 1),
            padding=(rng.integer(0, 1), rng.integer(2, 3)),
            dilation=(rng.integer(3, 4), rng.integer(1, 2)),
        )


@conv2d_macs.check(essential=True)
def test_conv_macs_are_exact_when_large(rng: RandomInputs) -> Iterator[Case]:
    """Counts above 2**24 are exact to the unit."""
    channels = (2 * rng.integer(20, 40) + 1, 2 * rng.integer(50, 90) + 1)
    yield case(*channels, 3, 2 * rng.integer(60, 90) + 1)


test_conv_macs_refuse_impossible_convolutions = conv2d_macs.refuses(
    case(6, 5, 3, 8, groups=2),
    case(5, 6, 3, 8, groups=3),
    case(4, 4, 9, 8),
    case(4, 4, 9, 8, stride=3),
    case(4, 4, 3, (8, 2)),
    case(4, 4, 3, (2, 8)),
    case(0, 4, 3, 8),
    case(4, 0, 3, 8),
    title="No channels, groups that do not divide them, kernels that do not fit raise ValueError.",
)


# ---- linear_macs -----------------------------------------------------------------------------


def expect_linear(student: Any, hint: str, *args: int, **kwargs: int) -> None:
    """Check one call of the student's linear_macs."""
    macs = expect_int(student.linear_macs(*args, **kwargs), "linear_macs")
    check(macs == math.prod(args) * kwargs.get("tokens", 1), hint)


linear_macs = Exercise("s1.linear_macs")


@linear_macs.check(weight=2)
def test_linear_macs_of_one_vector(student: Any, rng: RandomInputs) -> None:
    """One multiply-accumulate per weight, none for the bias."""
    hint = "one MAC per weight; bias is not counted, a MAC is one operation"
    n, other = rng.integer(2, 90), rng.integer(2, 90)
    for sizes in ((n, other), (other, n), (n, 1), (1, n)):
        expect_linear(student, hint, *sizes)


@linear_macs.check()
def test_linear_macs_of_tokens(student: Any, rng: RandomInputs) -> None:
    """A layer that is applied to each of several tokens costs that many times more."""
    hint = "every token passes the layer once"
    expect_linear(student, hint, rng.integer(2, 90), rng.integer(2, 90), tokens=rng.integer(2, 50))
    expect_linear(student, hint, rng.integer(2, 90), rng.integer(2, 90), rng.integer(2, 50))


@linear_macs.check(essential=True)
def test_linear_macs_are_exact_when_large(student: Any, rng: RandomInputs) -> None:
    """Counts above 2**24 are exact to the unit."""
    hint = "a float32 total cannot hold large counts: compute with Python ints"
    expect_linear(student, hint, *(2 * rng.integer(2500, 4500) + 1 for _ in range(2)))


test_linear_macs_refuse_sizes_below_1 = linear_macs.refuses(
    case(0, 5),
    case(5, 0),
    case(5, 4, tokens=0),
    title="A layer without inputs, outputs or tokens raises ValueError.",
    weight=0.4,
)


# ---- profile_layers --------------------------------------------------------------------------


def profile(student: Any, model: object, shape: tuple[int, ...]) -> list[LayerCost]:
    """The student's rows, each checked for its form; any sequence will do as `out_shape`."""
    rows = []
    for row in expect_list(student.profile_layers(model, shape), "profile_layers"):
        name, kind, params, macs, out_shape = expect_record(row, LayerCost, "each row")
        size = tuple(expect_list(out_shape, "out_shape"))
        macs, params = expect_int(macs, "macs"), expect_int(params, "params")
        rows.append(LayerCost(name, kind, params, macs, size))
    return rows


def profiled_network(rng: RandomInputs) -> tuple[nn.Sequential, tuple[int, ...], list[LayerCost]]:
    """A network in training mode, an input shape with a batch above 1, and its rows by hand."""
    batch, n = rng.integer(2, 5), 2 * rng.integer(4, 6)
    a, b, classes = 2 * rng.integer(2, 4), 2 * rng.integer(2, 4), rng.integer(3, 9)
    network = nn.Sequential(
        nn.Sequential(nn.Conv2d(3, a, 3, padding=1, bias=False), nn.BatchNorm2d(a)),
        nn.ReLU(),
        nn.Conv2d(a, b, 3, stride=2, padding=2, dilation=2, groups=2),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(4 * b, classes),
    )
    half = window_positions(n, 3, 2, 2, 2)
    wide, narrow = (batch, a, n, n), (batch, b, half, half)
    rows = [
        LayerCost("0.0", "Conv2d", 27 * a, 27 * a * n * n, wide),
        LayerCost("0.1", "BatchNorm2d", 2 * a, 0, wide),
        LayerCost("1", "ReLU", 0, 0, wide),
        LayerCost("2", "Conv2d", 9 * a // 2 * b + b, 9 * a // 2 * b * half * half, narrow),
        LayerCost("3", "AdaptiveAvgPool2d", 0, 0, (batch, b, 2, 2)),
        LayerCost("4", "Flatten", 0, 0, (batch, 4 * b)),
        LayerCost("5", "Linear", (4 * b + 1) * classes, 4 * b * classes, (batch, classes)),
    ]
    return drawn(network, rng), (batch, 3, n, n), rows


profile_layers = Exercise("s1.profile_layers")


@profile_layers.check(weight=2)
def test_profile_has_a_row_per_layer(student: Any, rng: RandomInputs) -> None:
    """Every module without children has a row with its name and class, in call order."""
    model, shape, expected = profiled_network(rng)
    rows = profile(student, model, shape)
    check([row.name for row in rows] == [row.name for row in expected], "names of named_modules()")
    check([row.kind for row in rows] == [row.kind for row in expected], "kind: the class name")


@profile_layers.check(essential=True, weight=2)
def test_profile_counts_macs_of_one_sample(student: Any, rng: RandomInputs) -> None:
    """MACs of convolutions (stride, padding, dilation, groups) and Linear, whatever the batch."""
    model, shape, expected = profiled_network(rng)
    rows = profile(student, model, shape)
    hint = "MACs of one sample: not times the batch, groups divided out once, no bias, no factor 2"
    check([row.macs for row in rows] == [row.macs for row in expected], hint)


@profile_layers.check(essential=True)
def test_profile_gives_parameters_and_shapes(student: Any, rng: RandomInputs) -> None:
    """A row holds its layer's own parameters and the output shape with the batch."""
    model, shape, expected = profiled_network(rng)
    rows = profile(student, model, shape)
    hint = "params: the layer's own parameters, bias included, buffers not"
    check([row.params for row in rows] == [row.params for row in expected], hint)
    hint = "out_shape: the shape of the layer's output, with the batch dimension"
    check([row.out_shape for row in rows] == [row.out_shape for row in expected], hint)


@profile_layers.check(weight=2)
def test_profile_has_a_row_per_call(student: Any, rng: RandomInputs) -> None:
    """A layer that is called several times has a row for each call, under its first name."""
    n, calls = rng.integer(3, 9), rng.integer(2, 4)
    rows = profile(student, probes.Reused(n, calls), (2, n))
    linear = LayerCost("linear", "Linear", n * n + n, n * n, (2, n))
    relu = LayerCost("relu", "ReLU", 0, 0, (2, n))
    hint = "one row per call, in call order: a reused layer works each time it is called"
    check(rows == [linear, relu] * calls, hint)
    rows = profile(student, probes.Aliased(n), (3, n))
    hint = "a layer with two names is listed under the first one"
    check([row.name for row in rows if row.kind == "Linear"] == ["first", "first"], hint)


@profile_layers.check(weight=2)
def test_profile_counts_functional_products(student: Any, rng: RandomInputs) -> None:
    """Convolutions and matrix products that a forward calls without a layer are counted too."""
    n, width = rng.integer(3, 9), rng.integer(3, 9)
    hint = "products outside a layer (F.conv2d, F.linear, @) cost MACs as well"
    for model, shape, expected in (
        (probes.FunctionalLinear(n, width), (3, n), n * n + n * width),
        (probes.FunctionalConv(4, 6, groups=2), (2, 4, 8, 8), 2 * 9 * 6 * 4 * 4),
        (probes.MatrixProduct(n, width), (2, 5, n), 5 * n * width + 5 * 5 * width),
        (probes.WrittenOutAttention(), (3, n, width), 2 * n * n * width),
    ):
        rows = profile(student, model, shape)
        check(sum(row.macs for row in rows) == expected, hint)


@profile_layers.check()
def test_profile_runs_in_eval_mode(student: Any, rng: RandomInputs) -> None:
    """The network is measured in eval mode, as it will be used."""
    n, classes = rng.integer(3, 9), rng.integer(3, 9)
    model = probes.Auxiliary(n, classes).train()
    rows = profile(student, model, (2, n))
    names = [row.name for row in rows if row.macs > 0]
    check(names == ["body", "head"], "switch to eval mode before the forward pass")


@profile_layers.check(essential=True)
def test_profile_is_exact_when_large(student: Any, rng: RandomInputs) -> None:
    """Counts above 2**24 are exact to the unit."""
    a = 2 * rng.integer(28, 32) + 1
    model = nn.Sequential(nn.Conv2d(33, a, 3, padding=1))
    rows = profile(student, model, (1, 33, 33, 33))
    hint = "a float32 total cannot hold large counts: compute with Python ints"
    check([row.macs for row in rows] == [33 * 9 * a * 33 * 33], hint)


@profile_layers.check(weight=0.5)
def test_profile_follows_the_dtype(student: Any, rng: RandomInputs) -> None:
    """The dummy input has the dtype of the network's parameters."""
    model, shape, expected = profiled_network(rng)
    rows = profile(student, model.double(), shape)
    check([row.macs for row in rows] == [row.macs for row in expected], "MACs of a float64 network")


@profile_layers.check(essential=True, weight=0.51, guard=True)
def test_profile_restores_modes(student: Any, rng: RandomInputs) -> None:
    """Every submodule is in its earlier train or eval mode, also after a forward that raised."""
    hint = "note the mode of each submodule, not only the root's, and restore it in `finally`"
    mixed, raising = probes.MixedModes(4).train(), probes.Raises(rng.integer(3, 9)).train()
    mixed.frozen.eval()
    raising.frozen.eval()
    before = [{name: each.training for name, each in m.named_modules()} for m in (mixed, raising)]
    model = student.put(mixed)
    student.profile_layers(model, (2, 4, 6, 6))
    check(student.modes(model) == before[0], hint)
    model = student.put(raising)
    profile_of_failure(student, model, raising.first.in_features)
    check(student.modes(model) == before[1], hint)


@profile_layers.check(essential=True, weight=0.51, guard=True)
def test_profile_removes_its_hooks(student: Any, rng: RandomInputs) -> None:
    """No hook stays behind, also after a forward that raised."""
    hint = "remove every hook in `finally`"
    n = rng.integer(3, 9)
    model = student.put(probes.Reused(n))
    student.profile_layers(model, (2, n))
    check(student.hook_count(model) == 0, hint)
    model = student.put(probes.Hooked(n))
    student.profile_layers(model, (2, n))
    check(student.hook_count(model) == 1, "hooks that the owner had set stay: remove only yours")
    model = student.put(probes.Raises(n))
    profile_of_failure(student, model, n)
    check(student.hook_count(model) == 0, hint)


def profile_of_failure(student: Any, model: object, features: int) -> None:
    """Profile a network whose forward raises RuntimeError, which has to come through."""
    try:
        student.profile_layers(model, (2, features))
    except StudentError as error:
        if error.kind == "NotImplementedError":
            raise
        check(error.kind == "RuntimeError", "let the exception of forward through as it is")
    else:
        fail("forward raised; let its exception through")


@profile_layers.check(weight=0.25, guard=True)
def test_profile_leaves_the_network_alone(student: Any, rng: RandomInputs) -> None:
    """Weights and running statistics are as before, and no gradient is recorded."""
    recording: list[bool] = []
    network = nn.Sequential(
        normalised_network(rng), probes.GradTap(lambda on, _: recording.append(on))
    )
    model = student.put(network.train())
    generators = student.rng_fingerprint()
    student.profile_layers(model, (4, 3, 8, 8))
    check(student.rng_fingerprint() == generators, "zeros as input draw no random numbers")
    after = student.state(model)
    unchanged = all(torch.equal(after[name], old) for name, old in network.state_dict().items())
    check(unchanged, "running statistics changed: measure in eval mode")
    check(not any(recording), "profile under torch.no_grad()")


# ---- bit_operations, peak_activation_bytes ---------------------------------------------------

bit_operations = Exercise("s1.bit_operations")


@bit_operations.check(weight=3)
def test_bit_operations_multiply(student: Any, rng: RandomInputs) -> None:
    """MACs times the bits of the weight times the bits of the activation."""
    for _ in range(4):
        macs, bits, other = rng.integer(10, 5000), rng.integer(1, 32), rng.integer(1, 32)
        count = expect_int(student.bit_operations(macs, bits, other), "bit_operations")
        check(count == macs * bits * other, "a b1 x b2 bit product costs b1 * b2 bit operations")


@bit_operations.check(essential=True)
def test_bit_operations_are_exact_when_large(student: Any, rng: RandomInputs) -> None:
    """Counts above 2**24 are exact to the unit."""
    macs = 2 * rng.integer(10**9, 10**10) + 1
    count = expect_int(student.bit_operations(macs, 7, 9), "bit_operations")
    check(count == macs * 63, "a float total cannot hold large counts: compute with Python ints")


@bit_operations.check(weight=0.44, guard=True)
def test_bit_operations_refuse_wrong_bits(student: Any, rng: RandomInputs) -> None:
    """Numbers of bits below 1 or not whole, and of MACs below 0, raise ValueError."""
    macs = rng.integer(10, 1000)
    for wrong in (-1, -macs):
        expect_value_error(student.bit_operations, wrong, 8, 8)
    for bits in (0, -rng.integer(1, 8), 2.5):
        expect_value_error(student.bit_operations, macs, bits, 8)
        expect_value_error(student.bit_operations, macs, 8, bits)


def expect_peak(
    student: Any, expected: int, hint: str, model: nn.Module, shape: tuple[int, ...]
) -> None:
    """Check one call of the student's peak_activation_bytes."""
    peak = expect_int(student.peak_activation_bytes(model, shape), "peak_activation_bytes")
    check(peak == expected, hint)


def convolutions(*channels: int) -> nn.Sequential:
    """3x3 convolutions that keep the image size, without bias."""
    pairs = itertools.pairwise(channels)
    return nn.Sequential(*(nn.Conv2d(a, b, 3, padding=1, bias=False) for a, b in pairs))


peak_activation_bytes = Exercise("s1.peak_activation_bytes")


@peak_activation_bytes.check(weight=3)
def test_peak_of_a_chain(student: Any, rng: RandomInputs) -> None:
    """In a chain the peak is the largest input plus output of a layer; earlier ones are freed."""
    hint = "input and output of the running layer; what nobody needs any more is freed"
    for _ in range(3):
        channels = [rng.integer(1, 12) for _ in range(5)]
        sizes = {name: 4 * 36 * c for name, c in zip("xabcd", channels, strict=True)}
        expected = peak_bytes(sizes, chain("x a b c d"))
        expect_peak(student, expected, hint, convolutions(*channels), (1, channels[0], 6, 6))


@peak_activation_bytes.check(weight=2)
def test_peak_includes_the_model_input(student: Any, rng: RandomInputs) -> None:
    """The input of the network takes memory like any other tensor; weights are not activations."""
    c = rng.integer(20, 40)
    hint = "the network's input is alive while its first layer runs; parameters do not count"
    expect_peak(student, 4 * 36 * (c + 2), hint, convolutions(c, 2, 3), (1, c, 6, 6))


@peak_activation_bytes.check(weight=2)
def test_peak_keeps_what_is_needed_later(student: Any, rng: RandomInputs) -> None:
    """A tensor that a later operator reads is alive until then."""
    width = rng.integer(2, 5)
    tokens = 3 * width
    sizes = {"x": 4 * tokens * width, "out": 4 * tokens * width}
    sizes |= dict.fromkeys(("product", "scaled", "softmax"), 4 * tokens * tokens)
    steps = [*chain("x product scaled softmax"), (("softmax", "x"), "out")]
    hint = "a tensor is freed after its last reader, not after its first"
    shape = (1, tokens, width)
    expect_peak(student, peak_bytes(sizes, steps), hint, probes.WrittenOutAttention(), shape)


@peak_activation_bytes.check()
def test_peak_of_a_skip_connection(student: Any, rng: RandomInputs) -> None:
    """A skip connection is alive beside the layers that it skips; concatenating makes a copy."""
    wide, depth = rng.integer(5, 9), rng.integer(2, 4)
    body = [f"body{i}" for i in range(depth)]
    sizes = {"x": 4 * 36 * 2, "out": 4 * 36 * 2, "cat": 8 * 36 * wide}
    sizes |= dict.fromkeys(("stem", *body), 4 * 36 * wide)
    through = chain(" ".join(["x", "stem", *body]))
    steps = [*through, (("stem", body[-1]), "cat"), (("cat",), "out")]
    hint = "operators outside layers (torch.cat, +) have inputs and outputs too"
    expected = peak_bytes(sizes, steps)
    expect_peak(student, expected, hint, probes.LongSkip(2, wide, depth), (1, 2, 6, 6))


@peak_activation_bytes.check(weight=2)
def test_peak_of_views_and_in_place_results(student: Any, rng: RandomInputs) -> None:
    """A view, or a result written in place, takes no memory of its own."""
    a, wide = rng.integer(2, 5), rng.integer(8, 16)
    steps = [*chain("x a b")]
    sizes = {"x": 4 * 36 * a, "a": 4 * 36 * wide, "b": 4 * 36 * a}
    hint = "an in-place ReLU writes into its input's memory"
    expect_peak(student, peak_bytes(sizes, steps), hint, probes.InPlace(a, wide), (1, a, 6, 6))
    hint = "flatten, transpose and chunk are views: compare storages"
    sizes = {"x": 4 * 36 * a, "a": 8 * 36 * a, "b": 4 * 36 * a}
    expect_peak(student, peak_bytes(sizes, steps), hint, probes.Views(a), (1, a, 6, 6))


@peak_activation_bytes.check()
def test_peak_follows_dtype_and_batch(student: Any, rng: RandomInputs) -> None:
    """Bytes per element come from the dtype, and the whole batch is held."""
    a, b, batch = rng.integer(2, 9), rng.integer(2, 9), rng.integer(2, 4)
    hint = "input_shape includes the batch, and an element takes as many bytes as its dtype"
    shape = (batch, a, 6, 6)
    expect_peak(student, 4 * batch * 36 * (a + b), hint, convolutions(a, b), shape)
    expect_peak(student, 8 * batch * 36 * (a + b), hint, convolutions(a, b).double(), shape)


@peak_activation_bytes.check()
def test_peak_keeps_the_output_for_the_caller(student: Any, rng: RandomInputs) -> None:
    """The output is needed until the end, even if operators follow that it does not depend on."""
    c, wide, wider = rng.integer(2, 4), rng.integer(5, 9), rng.integer(20, 30)
    sizes = {"x": 4 * 36 * c, "out": 4 * 36 * wide, "aside": 4 * 36 * wider, "end": 0}
    steps = [(("x",), "out"), (("x",), "aside"), (("aside",), "aside"), (("out",), "end")]
    hint = "who called the network reads its output after the last operator"
    model = probes.OutputFirst(c, wide, wider)
    expect_peak(student, peak_bytes(sizes, steps), hint, model, (1, c, 6, 6))


@peak_activation_bytes.check()
def test_peak_leaves_workspaces_out(student: Any, rng: RandomInputs) -> None:
    """What an operator computes beside its result and nobody reads takes no memory."""
    a, b = rng.integer(2, 5), rng.integer(20, 30)
    sizes = {"x": 4 * 36 * a, "a": 4 * 36 * b, "pooled": 4 * 9 * b}
    hint = "the indices of max pooling are a workspace, as long as nobody reads them"
    model = nn.Sequential(*convolutions(a, b), nn.MaxPool2d(2))
    expect_peak(student, peak_bytes(sizes, chain("x a pooled")), hint, model, (1, a, 6, 6))


@peak_activation_bytes.check(essential=True, guard=True)
def test_peak_leaves_modes_and_hooks_alone(student: Any, rng: RandomInputs) -> None:
    """Every submodule is in its earlier train or eval mode, and no hook stays behind."""
    channels = rng.integer(3, 5)
    network = probes.MixedModes(channels).train()
    network.frozen.eval()
    before = {name: module.training for name, module in network.named_modules()}
    model = student.put(network)
    student.peak_activation_bytes(model, (2, channels, 6, 6))
    hint = "note the mode of each submodule, not only the root's, and restore it in `finally`"
    check(student.modes(model) == before, hint)
    check(student.hook_count(model) == 0, "remove every hook in `finally`")
