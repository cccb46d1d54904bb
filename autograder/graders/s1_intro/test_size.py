"""Graders of metrics.py: parameters, bytes, sparsity."""

from __future__ import annotations

import copy
import math
from typing import Any

import torch
from torch import Tensor, nn

from autograder.graders.common import drawn
from autograder.graders.s1_intro.references import (
    normalised_network,
    plain_network,
    zeros_at_random,
)
from autograder.graders.toolkit import (
    Exercise,
    RandomInputs,
    check,
    close,
    expect_float,
    expect_int,
    expect_value_error,
)
from shared import probes

# ---- count_parameters ------------------------------------------------------------------------


def expect_count(student: Any, expected: int, hint: str, model: nn.Module, **options: bool) -> None:
    """Check one call of the student's count_parameters."""
    count = expect_int(student.count_parameters(model, **options), "count_parameters")
    check(count == expected, hint)


count_parameters = Exercise("s1.count_parameters")


@count_parameters.check(weight=2)
def test_counts_weights_and_biases(student: Any, rng: RandomInputs) -> None:
    """Every element of every weight and bias is counted, at any depth, called or not."""
    for model in (plain_network(rng), probes.Unused(rng.integer(3, 9))):
        expected = sum(parameter.numel() for parameter in model.parameters())
        expect_count(student, expected, "add up numel() of all parameters", model)


@count_parameters.check(essential=True, weight=2)
def test_count_leaves_buffers_out(student: Any, rng: RandomInputs) -> None:
    """Running statistics, masks and other buffers are not parameters."""
    hint = "buffers (running statistics, masks) are not parameters: leave state_dict alone"
    for model in (
        normalised_network(rng),
        probes.Buffered(rng.integer(3, 9)),
        probes.MaskedLinear(rng.integer(3, 9), rng.integer(3, 9)),
    ):
        expected = sum(parameter.numel() for parameter in model.parameters())
        expect_count(student, expected, hint, model)


@count_parameters.check(weight=2)
def test_count_takes_shared_parameters_once(student: Any, rng: RandomInputs) -> None:
    """A Parameter that several layers share counts once; two with equal values count twice."""
    n = rng.integer(3, 9)
    hint = "count each Parameter object once, however many names it has"
    expect_count(student, n * n + 2 * n, hint, drawn(probes.Tied(n), rng))
    expect_count(student, n * n + n, hint, drawn(probes.Aliased(n), rng))
    expect_count(student, 3 * n, hint, drawn(probes.TiedEmbedding(n, 3), rng))
    layer = drawn(nn.Linear(n, n), rng)
    twins = nn.Sequential(layer, nn.ReLU(), copy.deepcopy(layer))
    hint = "two Parameters with equal values are still two: compare objects, not numbers"
    expect_count(student, 2 * (n * n + n), hint, twins)


@count_parameters.check()
def test_count_of_trainable_parameters(student: Any, rng: RandomInputs) -> None:
    """With trainable_only, parameters that do not require a gradient are left out."""
    model = plain_network(rng)
    frozen = rng.sample(list(model.parameters()), 2)
    for parameter in frozen:
        parameter.requires_grad_(False)
    expected = sum(p.numel() for p in model.parameters() if p.requires_grad)
    expect_count(student, expected, "look at requires_grad", model, trainable_only=True)
    everything = sum(p.numel() for p in model.parameters())
    expect_count(student, everything, "without trainable_only, frozen ones count too", model)


@count_parameters.check()
def test_count_of_nonzero_elements(student: Any, rng: RandomInputs) -> None:
    """With nonzero_only, exact zeros are left out; both options can be combined."""
    model = zeros_at_random(plain_network(rng), rng)
    with torch.no_grad():
        weight = next(p for p in model.parameters() if p.numel() > 8).flatten()
        weight[:6] = torch.tensor([1e-12, -1e-30, 1e-42, -1e-44, 0.0, -0.0])
    rng.choice(list(model.parameters())).requires_grad_(False)
    hint = "count the elements that are not exactly 0, of either sign"
    nonzero = {
        id(p): sum(value != 0.0 for value in p.flatten().tolist()) for p in model.parameters()
    }
    expect_count(student, sum(nonzero.values()), hint, model, nonzero_only=True)
    both = sum(nonzero[id(p)] for p in model.parameters() if p.requires_grad)
    hint = "trainable_only and nonzero_only together: nonzero elements of trainable parameters"
    expect_count(student, both, hint, model, trainable_only=True, nonzero_only=True)


@count_parameters.check(essential=True)
def test_count_is_exact_when_large(student: Any, rng: RandomInputs) -> None:
    """Counts above 2**24 are exact to the unit."""
    rows = 4097 + 2 * rng.integer(0, 40)
    model = nn.Linear(4096, rows, dtype=torch.float16, device="meta").to_empty(device="cpu")
    with torch.no_grad():
        model.weight.zero_()
        model.bias.zero_()
    hint = "a float32 total cannot hold large counts: add Python ints"
    expect_count(student, 4096 * rows + rows, hint, model)


# ---- model_bytes -----------------------------------------------------------------------------


def expect_bytes(student: Any, expected: int, hint: str, *args: Any, **kwargs: Any) -> None:
    """Check one call of the student's model_bytes."""
    size = expect_int(student.model_bytes(*args, **kwargs), "model_bytes")
    check(size == expected, hint)


model_bytes = Exercise("s1.model_bytes")


@model_bytes.check(essential=True, weight=2)
def test_bytes_at_32_bits(student: Any, rng: RandomInputs) -> None:
    """By default a parameter takes 32 bits, whatever its dtype; buffers take nothing."""
    hint = "parameters only, 32 bits each, 8 bits a byte, not in kB"
    for model in (plain_network(rng), normalised_network(rng), probes.Buffered(rng.integer(3, 9))):
        expect_bytes(student, 4 * sum(p.numel() for p in model.parameters()), hint, model)
    half = plain_network(rng).half()
    hint = "`bits` decides, not the dtype in which the parameter is stored now"
    expect_bytes(student, 4 * sum(p.numel() for p in half.parameters()), hint, half)


@model_bytes.check(weight=2)
def test_bytes_round_up_once(student: Any, rng: RandomInputs) -> None:
    """Bits are added up over the whole model and rounded up to bytes once."""
    for bits in rng.sample([1, 2, 3, 5, 6, 7], 3):
        odd = [nn.Linear(2 * rng.integer(1, 4) + 1, 3) for _ in range(6)]
        model = nn.Sequential(*odd)
        total = bits * sum(p.numel() for p in model.parameters())
        hint = "sum the bits of all parameters first, then round up to whole bytes"
        expect_bytes(student, math.ceil(total / 8), hint, model, bits=bits)


@model_bytes.check(weight=2)
def test_bytes_with_bits_per_name(student: Any, rng: RandomInputs) -> None:
    """`bits` may map each parameter's name to its own number of bits."""
    middle = 8 * rng.integer(1, 4)  # whole bytes, so that it does not matter where one rounds
    model = nn.Sequential(nn.Linear(8, middle), nn.ReLU(), nn.Linear(middle, 8))
    bits = {name: rng.integer(1, 32) for name, _ in model.named_parameters()}
    total = sum(bits[name] * p.numel() for name, p in model.named_parameters())
    hint = "look each name of named_parameters() up in the mapping"
    expect_bytes(student, total // 8, hint, model, bits)


@model_bytes.check(weight=2)
def test_bytes_of_shared_parameters(student: Any, rng: RandomInputs) -> None:
    """A shared parameter is stored once, and either of its names may stand in the mapping."""
    n = 8 * rng.integer(1, 2)
    model = probes.Tied(n)
    hint = "a Parameter with two names is stored once"
    expect_bytes(student, 4 * (n * n + 2 * n), hint, model)
    for name in ("first.weight", "second.weight"):
        bits = {name: rng.integer(1, 32), "first.bias": 5, "second.bias": 11}
        hint = "either name of a shared parameter is enough in the mapping"
        expect_bytes(student, (bits[name] * n * n + 16 * n) // 8, hint, model, bits=bits)


@model_bytes.check(essential=True)
def test_bytes_are_exact_when_large(student: Any, rng: RandomInputs) -> None:
    """Sizes above 2**24 bits are exact to the byte."""
    rows = 513 + 8 * rng.integer(0, 4)
    model = nn.Linear(1024, rows)
    hint = "a float32 total cannot hold that many bits: add Python ints"
    expect_bytes(student, 4 * 1024 * rows + (rows + 7) // 8, hint, model, {"weight": 32, "bias": 1})


@model_bytes.check(weight=0.5, guard=True)
def test_bytes_refuse_wrong_names(student: Any, rng: RandomInputs) -> None:
    """A mapping that misses a parameter, or names one that does not exist, raises ValueError."""
    model = probes.Unused(rng.integer(3, 9))
    bits = {name: 8 for name, _ in model.named_parameters()}
    missing = dict.fromkeys(list(bits)[1:], 8)
    expect_value_error(student.model_bytes, model, missing)
    expect_value_error(student.model_bytes, model, {**bits, "linear.wieght": 8})


@model_bytes.check(weight=0.5, guard=True)
def test_bytes_refuse_wrong_bits(student: Any, rng: RandomInputs) -> None:
    """Numbers of bits below 1 or not whole raise ValueError, also inside a mapping."""
    model = nn.Linear(rng.integer(3, 9), 2)
    for bits in (0, -rng.integer(1, 8), 2.5):
        expect_value_error(student.model_bytes, model, bits)
        expect_value_error(student.model_bytes, model, {"weight": 8, "bias": bits})


# ---- sparsity --------------------------------------------------------------------------------


def expect_sparsity(student: Any, expected: float, hint: str, subject: object) -> None:
    """Check one call of the student's sparsity."""
    value = expect_float(student.sparsity(subject), "sparsity")
    check(close(value, expected, rtol=1e-5, atol=1e-6), hint)


def share_of_zeros(*tensors: Tensor) -> float:
    """The share of exact zeros in all `tensors` together."""
    values = [float(value) for tensor in tensors for value in tensor.detach().flatten()]
    return sum(value == 0.0 for value in values) / len(values)


sparsity = Exercise("s1.sparsity")


@sparsity.check(weight=2)
def test_sparsity_of_a_tensor(student: Any, rng: RandomInputs) -> None:
    """Of a tensor with any number of dimensions, the share of zeros is returned."""
    for shape in ((rng.integer(20, 60),), (7, rng.integer(3, 9)), (4, 3, rng.integer(2, 5), 3)):
        tensor = rng.normal(*shape) * (rng.uniform(*shape) < rng.number(0.3, 0.8))
        expect_sparsity(student, share_of_zeros(tensor), "zeros divided by all elements", tensor)


@sparsity.check()
def test_sparsity_counts_exact_zeros(student: Any, rng: RandomInputs) -> None:
    """Tiny values are not zero, -0.0 is."""
    tensor = rng.normal(8, rng.integer(4, 9))
    tensor[0] = 1e-12
    tensor[1] = rng.choice([-1e-30, -1e-42, 1e-44])  # the last two below normal precision
    tensor[2] = -0.0
    tensor[3] = 0.0
    hint = "compare with exactly 0: 1e-12 is a value that has to be stored, -0.0 is zero"
    expect_sparsity(student, 2 / 8, hint, tensor)


@sparsity.check(essential=True, weight=2)
def test_sparsity_of_a_model_is_that_of_its_weights(student: Any, rng: RandomInputs) -> None:
    """Of a model, only parameters with 2 or more dimensions count: no biases, norms or buffers."""
    model = zeros_at_random(normalised_network(rng), rng)
    with torch.no_grad():
        model.get_parameter("3.bias").zero_()
    weights = [p for p in model.parameters() if p.dim() >= 2]
    hint = "leave out biases and norms (fewer than 2 dimensions)"
    expect_sparsity(student, share_of_zeros(*weights), hint, model)
    masked = probes.MaskedLinear(2 * rng.integer(2, 5), rng.integer(3, 9))
    expect_sparsity(student, 0.0, "a mask in a buffer is not a parameter", masked)


@sparsity.check()
def test_sparsity_weighs_layers_by_their_size(student: Any, rng: RandomInputs) -> None:
    """A large layer counts for more than a small one."""
    small, large = nn.Linear(3, rng.integer(2, 4)), nn.Linear(20, rng.integer(20, 30))
    model = drawn(nn.Sequential(small, large), rng)
    with torch.no_grad():
        small.weight.zero_()
    hint = "divide all zeros by all elements; do not average over layers"
    expect_sparsity(student, share_of_zeros(small.weight, large.weight), hint, model)


@sparsity.check()
def test_sparsity_takes_shared_weights_once(student: Any, rng: RandomInputs) -> None:
    """A weight that two layers share counts once."""
    vocabulary = rng.integer(5, 9)
    tied = probes.Tied(4)
    model = drawn(nn.Sequential(tied, nn.Linear(4, vocabulary, bias=False)), rng)
    with torch.no_grad():
        tied.first.weight.zero_()
    expected = 16 / (16 + 4 * vocabulary)
    expect_sparsity(student, expected, "count each Parameter object once", model)


@sparsity.check(weight=0.3)
def test_sparsity_leaves_the_tensor_alone(student: Any, rng: RandomInputs) -> None:
    """The share is right, and the tensor is unchanged."""
    tensor = rng.normal(7, 9) * (rng.uniform(7, 9) < 0.6)
    live = student.put(tensor)
    expect_sparsity(student, share_of_zeros(tensor), "zeros divided by all elements", live)
    check(torch.equal(student.fetch(live), tensor), "the tensor was changed in place")


@sparsity.check(weight=0.77, guard=True)
def test_sparsity_of_nothing(student: Any, rng: RandomInputs) -> None:
    """Without any element to look at, the sparsity is 0.0."""
    hint = "of an empty tensor, or a model without weights, the sparsity is 0.0"
    expect_sparsity(student, 0.0, hint, torch.zeros(0))
    expect_sparsity(student, 0.0, hint, nn.Sequential(nn.BatchNorm1d(rng.integer(2, 5))))
