"""Graders of quantization.py: whole models, half precision, binary weights."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from autograder.graders.common import drawn, in_order, remote_generator
from autograder.graders.s2_quantization_pruning.quantization_inputs import (
    WRONG_BITS,
    decibels,
    expect_unchanged,
)
from autograder.graders.s2_quantization_pruning.quantization_references import (
    binary_step,
    impulses,
    most_distinct,
    trained_digits,
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
    expect_tensor,
    expect_value_error,
    fail,
    property_of,
)
from shared import probes
from shared.models import MLP
from shared.probes import Tap

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


@quantize_model.check(weight=0.24, guard=True, seconds=30)
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
        expected, ends = network(inner), network(column(1.0, -1.0))
    before = run(student, live, inner)
    hint = "inside the calibrated range 8 bits are nearly exact"
    check(bool(((before - expected).abs() < 0.05 * abs(slope)).all()), hint)
    far = run(student, live, column(1.5, -1.5, 4.0, -4.0, 50.0, -50.0))
    hint = "the range is fixed by the calibration data: inputs beyond it saturate"
    check(bool(((far - ends.repeat(3, 1)).abs() < 0.2 * abs(slope)).all()), hint)
    hint = "static: what is run later, or beside it in the batch, changes nothing"
    check(allclose(run(student, live, inner), before), hint)
    beside = run(student, live, torch.cat([inner, column(90.0)]))
    check(allclose(beside[: len(inner)], before), hint)
    for bits in (9, 16):
        wide = run(student, quantised(student, network, calibration(rng, 12), bits), inner)
        hint = "more than 8 bits are nearer still: their codes do not fit int8"
        check(bool(((wide - expected).abs() < 0.02 * abs(slope)).all()), hint)


@quantize_model.check(weight=0.12, guard=True)
def test_calibration_uses_every_batch(student: Any, rng: RandomInputs) -> None:
    """The range comes from all batches, not from the first or the last one."""
    network, slope = line(rng)
    small, seen = calibration(rng, 2, reach=0.05), calibration(rng, 30)
    live = quantised(student, network, [small[0], *seen, small[1]], 8)
    x = column(-0.5, 0.5)
    with torch.no_grad():
        expected = network(x)
    hint = "go through the whole calibration loader"
    check(bool(((run(student, live, x) - expected).abs() < 0.1 * abs(slope)).all()), hint)


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
            expected, ends = network(inner), network(column(-1.0, 1.0))
        hint = "run the calibration batches through a copy in eval mode"
        near = (run(student, live, inner) - expected).abs() < 0.1 * abs(slope)
        check(bool(near.all()), hint)
        far = (run(student, live, column(-9.0, 9.0)) - ends).abs() < 0.3 * abs(slope)
        check(bool(far.all()), hint)


@quantize_model.check(weight=0.06, guard=True)
def test_calibration_loaders(student: Any, rng: RandomInputs) -> None:
    """A loader gives tensors or pairs of inputs and targets."""
    network, slope = line(rng)
    seen = calibration(rng, 8)
    targets = rng.integers(0, 3, 16)
    everything = torch.cat(seen)
    data = TensorDataset(everything, rng.integers(0, 3, len(everything)))
    x = column(-0.8, 0.1, 0.7)
    with torch.no_grad():
        expected = network(x)
    for loader in (
        seen,
        [(batch, targets) for batch in seen],
        DataLoader(data, batch_size=16),
    ):
        live = quantised(student, network, loader, 8)
        hint = "items are tensors or (inputs, targets); only the inputs are needed"
        check(bool(((run(student, live, x) - expected).abs() < 0.1 * abs(slope)).all()), hint)


@quantize_model.check(weight=0.25)
def test_a_layer_that_calibration_does_not_reach(student: Any, rng: RandomInputs) -> None:
    """A layer that the calibration never reaches stays as it is, and the others are quantised."""
    network = drawn(probes.Unused(rng.integer(4, 6)), rng)
    features = network.linear.in_features
    x = rng.normal(40, features)
    live = quantised(student, network, [x], BITS)
    with torch.no_grad():
        expected = network(x)
    got = run(student, live, x)
    check(not torch.equal(got, expected), "quantise the layers that are reached")
    check(decibels(expected, got) > 3, "the network is far from the one that was given")


@quantize_model.check(weight=0.06, guard=True)
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


@quantize_model.check(weight=0.06, guard=True)
def test_quantize_model_refuses_bad_arguments(student: Any, rng: RandomInputs) -> None:
    """An empty calibration loader and wrong bits raise ValueError."""
    network, _ = line(rng)
    expect_value_error(student.quantize_model, network, [], 8)
    for bits in WRONG_BITS:
        expect_value_error(student.quantize_model, network, calibration(rng, 2), bits)


# ---- dynamic_quantized_linear ----------------------------------------------------------------


def expect_near(student: Any, hint: str, x: Tensor, w: Tensor, bias: Tensor | None) -> None:
    """At 8 bits the result is at least 25 dB above its error."""
    expected = x.double() @ w.double().T + (0.0 if bias is None else bias.double())
    value = student.dynamic_quantized_linear(x, w, *(() if bias is None else (bias,)))
    got = expect_tensor(value, "dynamic_quantized_linear", expected.shape)
    check(got.is_floating_point(), "the result is float")
    check(not torch.equal(got.double(), expected), "quantise input and weight")
    check(decibels(expected, got) > 25, hint)


dynamic_quantized_linear = Exercise("s2.dynamic_quantized_linear")


@dynamic_quantized_linear.check(weight=2)
def test_dynamic_linear_is_nearly_exact(student: Any, rng: RandomInputs) -> None:
    """With 8 bits, the default, the result is close to the float layer's."""
    n, features = rng.integer(5, 8), rng.integer(30, 40)
    for mean, bias in ((0.0, None), (1.5, None), (-1.5, rng.normal(n, std=5.0))):
        x = rng.normal(n, features, mean=mean)
        hint = "quantise input and weight, multiply, go back to floats, add the bias in float"
        expect_near(student, hint, x, rng.normal(n, features), bias)
    hint = "the features are the last dimension, whatever stands before it"
    expect_near(student, hint, rng.normal(2, 3, features), rng.normal(n, features), rng.normal(n))


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


@to_half.check(weight=0.33, guard=True)
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


def expect_binary(value: object, w: Tensor) -> Tensor:
    """A tensor like `w` that holds -1 and 1 only."""
    got = expect_tensor(value, "binarize", w.shape, w.dtype)
    check(bool((got.abs() == 1).all()), "every weight becomes -1 or +1")
    return got


binarize = Exercise("s2.binarize")


@binarize.check(essential=True, weight=2)
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
    return expect_binary(student.binarize(w, True, remote_generator(student, seed)), w)


@binarize.check(weight=2)
def test_stochastic_probabilities(student: Any, rng: RandomInputs) -> None:
    """With chance, +1 comes with the probability clip((w + 1) / 2, 0, 1)."""
    points = torch.tensor([-3.0, -1.0, -0.6, -0.2, 0.0, 0.3, 0.8, 1.0, 2.5])
    got = stochastic(student, points.repeat(20_000, 1), rng.seed())
    share = (got == 1).double().mean(dim=0)
    expected = torch.tensor([0.0, 0.0, 0.2, 0.4, 0.5, 0.65, 0.9, 1.0, 1.0])
    hint = "P(+1) = clip((w + 1) / 2, 0, 1), a straight line between -1 and 1"
    check(bool(((share - expected).abs() < 0.02).all()), hint)
    certain = (expected == 0) | (expected == 1)
    check(torch.equal(share[certain], expected[certain].double()), hint)


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
    one = remote_generator(student, seed)
    both = [expect_binary(student.binarize(w, True, one), w) for _ in range(2)]
    check(not torch.equal(*both), "every call goes on drawing where the last one stopped")
    free = [expect_binary(student.binarize(w, True), w) for _ in range(2)]
    check(student.rng_fingerprint() == before, "without a generator, too, leave global ones alone")
    check(not torch.equal(*free), "without a generator every call draws other numbers")


@binarize.check(weight=0.5, guard=True)
def test_binarize_leaves_its_input_alone(student: Any, rng: RandomInputs) -> None:
    """The weight keeps its numbers."""
    w = rng.normal(4, 5)
    expect_unchanged(student, "binarize", w)
    live = student.put(w)
    student.binarize(live, True, remote_generator(student, rng.seed()))
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
    expected = copy.deepcopy(model)
    own = getattr(torch.optim, kind)(expected.parameters(), **options)
    for batch in batches:
        binary_step(expected, batch, F.cross_entropy, own)
    expect_state(student.state(live), expected, hint)


def expect_state(state: dict[str, Tensor], expected: nn.Module, hint: str) -> None:
    """The parameters have to be those of `expected`."""
    for name, right in expected.state_dict().items():
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
    expected = copy.deepcopy(model)
    binary_step(expected, batch, F.cross_entropy, torch.optim.SGD(expected.parameters(), rate))
    hint = "zero the gradients before the backward pass"
    expect_state(student.state(live), expected, hint)
