# Generated from solutions/s1_intro/tests/test_public_metrics.py by `autograder release`: change it there.
"""Public tests of metrics.py: small cases whose answers you can work out on paper.

`autograder check s1` runs them. They show the expected values; the hidden graders use other
inputs, so code that fits only these numbers earns nothing there.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from autograder.graders.toolkit import (
    Exercise,
    check,
    close,
    expect_float,
    expect_int,
    expect_list,
    expect_record,
    expect_value_error,
)
from shared import probes
from shared.records import LayerCost


def linear(weight: Tensor, bias: Tensor | None = None) -> nn.Linear:
    """A Linear layer with these weights (out, in)."""
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None)
    with torch.no_grad():
        layer.weight.copy_(weight)
        if bias is not None:
            layer.bias.copy_(bias)
    return layer


# ---- size ----------------------------------------------------------------------------------


count_parameters = Exercise("s1.count_parameters")


@count_parameters.check(visibility="visible")
def test_count_by_hand(student: Any) -> None:
    """Linear(3, 4) has 4 * 3 weights and 4 biases; batch norm has a weight and a bias only."""
    count = student.count_parameters(nn.Linear(3, 4))
    check(expect_int(count, "count_parameters") == 16, "weight 4 * 3, bias 4")
    count = student.count_parameters(nn.BatchNorm2d(5))
    check(expect_int(count, "count_parameters") == 10, "running statistics are buffers")


@count_parameters.check(visibility="visible")
def test_count_options(student: Any) -> None:
    """Frozen parameters and exact zeros can be left out."""
    model = linear(torch.tensor([[1.0, 0.0], [-0.0, 1e-12]]), bias=torch.zeros(2))
    model.bias.requires_grad_(False)
    count = student.count_parameters(model, trainable_only=True)
    check(expect_int(count, "count_parameters") == 4, "the bias does not require a gradient")
    count = student.count_parameters(model, nonzero_only=True)
    check(expect_int(count, "count_parameters") == 2, "1.0 and 1e-12 are not zero, -0.0 is")


@count_parameters.check(visibility="visible")
def test_shared_weight_counts_once(student: Any) -> None:
    """Two 5x5 layers with one weight and a bias each have 25 + 2 * 5 parameters."""
    count = student.count_parameters(probes.Tied(5))
    check(expect_int(count, "count_parameters") == 35, "one Parameter object counts once")


model_bytes = Exercise("s1.model_bytes")


@model_bytes.check(visibility="visible")
def test_bytes_by_hand(student: Any) -> None:
    """16 parameters take 64 bytes at 32 bits, and 6 bytes at 3 bits."""
    model = nn.Linear(3, 4)
    check(expect_int(student.model_bytes(model), "model_bytes") == 64, "32 bits by default")
    size = student.model_bytes(model, bits=3)
    check(expect_int(size, "model_bytes") == 6, "16 * 3 = 48 bits")


@model_bytes.check(visibility="visible")
def test_bytes_round_up_once(student: Any) -> None:
    """9 weights of 1 bit and 3 biases of 4 bits are 21 bits: 3 bytes, not 2 + 2."""
    size = student.model_bytes(nn.Linear(3, 3), {"weight": 1, "bias": 4})
    check(expect_int(size, "model_bytes") == 3, "sum the bits, then round up once")
    expect_value_error(student.model_bytes, nn.Linear(3, 3), {"weight": 1})


sparsity = Exercise("s1.sparsity")


@sparsity.check(visibility="visible")
def test_sparsity_by_hand(student: Any) -> None:
    """Two of four elements are exactly zero; a model's biases are left out."""
    share = student.sparsity(torch.tensor([0.0, -0.0, 1e-12, 5.0]))
    check(close(expect_float(share, "sparsity"), 0.5), "0.0 and -0.0 are zero, 1e-12 is not")
    model = linear(torch.tensor([[1.0, 0.0], [2.0, 3.0]]), bias=torch.zeros(2))
    share = student.sparsity(model)
    check(close(expect_float(share, "sparsity"), 0.25), "weights only: 1 of 4")


# ---- operations ------------------------------------------------------------------------------


conv2d_macs = Exercise("s1.conv2d_macs")


@conv2d_macs.check(visibility="visible")
def test_conv_by_hand(student: Any) -> None:
    """8 filters of 3x3 on one 8x8 channel, padded: 8 * 8 * 8 outputs of 9 products."""
    macs = student.conv2d_macs(1, 8, kernel=3, input_hw=8, padding=1)
    check(expect_int(macs, "conv2d_macs") == 4608, "8 * 64 * 9")
    macs = student.conv2d_macs(1, 8, kernel=3, input_hw=8, stride=2, padding=1)
    check(expect_int(macs, "conv2d_macs") == 1152, "stride 2 leaves 4 x 4 outputs")


@conv2d_macs.check(visibility="visible")
def test_conv_in_groups(student: Any) -> None:
    """A depthwise 3x3 convolution of 4 channels on 5x5 costs 4 * 3 * 3 outputs of 9 products."""
    macs = student.conv2d_macs(4, 4, kernel=(3, 3), input_hw=(5, 5), groups=4)
    check(expect_int(macs, "conv2d_macs") == 324, "each output channel sees one input channel")
    expect_value_error(student.conv2d_macs, 4, 6, 3, 5, groups=4)


linear_macs = Exercise("s1.linear_macs")


@linear_macs.check(visibility="visible")
def test_linear_by_hand(student: Any) -> None:
    """A 3-to-4 linear layer costs 12 MACs, and 5 times that for 5 tokens."""
    check(expect_int(student.linear_macs(3, 4), "linear_macs") == 12, "in * out, no bias")
    check(expect_int(student.linear_macs(3, 4, tokens=5), "linear_macs") == 60, "per token")


bit_operations = Exercise("s1.bit_operations")


@bit_operations.check(visibility="visible")
def test_bit_operations_by_hand(student: Any) -> None:
    """12 MACs of 8-bit weights with 4-bit activations are 384 bit operations."""
    count = student.bit_operations(12, 8, 4)
    check(expect_int(count, "bit_operations") == 384, "12 * 8 * 4")


# ---- a whole network ---------------------------------------------------------------------------


profile_layers = Exercise("s1.profile_layers")


@profile_layers.check(visibility="visible")
def test_profile_of_the_worked_example(student: Any) -> None:
    """The network of the hand-out has the five rows of its table, whatever the batch size."""
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(64, 10)
    )
    rows = expect_list(student.profile_layers(model, (2, 1, 8, 8)), "profile_layers", length=5)
    found = [expect_record(row, LayerCost, "each row") for row in rows]
    expected = [
        ("0", "Conv2d", 40, 2304, (2, 4, 8, 8)),
        ("1", "ReLU", 0, 0, (2, 4, 8, 8)),
        ("2", "MaxPool2d", 0, 0, (2, 4, 4, 4)),
        ("3", "Flatten", 0, 0, (2, 64)),
        ("4", "Linear", 650, 640, (2, 10)),
    ]
    for part, (field, hint) in enumerate(
        {
            "name": "names of model.named_modules()",
            "kind": "the class name",
            "params": "the layer's own parameters, bias included",
            "macs": "for one sample: divide by the batch size",
            "out_shape": "with the batch dimension",
        }.items()
    ):
        column = [tuple(row[part]) if field == "out_shape" else row[part] for row in found]
        check(column == [row[part] for row in expected], f"{field}: {hint}")


@profile_layers.check(visibility="visible")
def test_profile_sees_every_product(student: Any) -> None:
    """A layer that is called twice has two rows, and a product outside a layer is counted."""
    rows = expect_list(student.profile_layers(probes.Reused(5, calls=2), (1, 5)), "the rows")
    names = [expect_record(row, LayerCost, "each row")[0] for row in rows]
    check(names == ["linear", "relu", "linear", "relu"], "one row for every call")
    rows = expect_list(student.profile_layers(probes.FunctionalLinear(5, 3), (1, 5)), "the rows")
    total = sum(expect_record(row, LayerCost, "each row")[3] for row in rows)
    check(total == 40, "the layer's 5 * 5 and F.linear's 5 * 3")


@profile_layers.check(visibility="visible")
def test_profile_restores_modes(student: Any) -> None:
    """A frozen batch norm in a network in training is frozen afterwards, and no hook is left."""
    model = student.put(probes.MixedModes(4).train())
    before = student.modes(model)
    student.profile_layers(model, (1, 4, 6, 6))
    check(student.modes(model) == before, "restore the flag of each submodule, not of the root")
    check(student.hook_count(model) == 0, "remove your hooks in `finally`")


peak_activation_bytes = Exercise("s1.peak_activation_bytes")


@peak_activation_bytes.check(visibility="visible")
def test_peak_of_a_chain(student: Any) -> None:
    """Linear 3 to 4, then ReLU: at most two tensors of 4 floats at once, 32 bytes."""
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU())
    peak = student.peak_activation_bytes(model, (1, 3))
    check(expect_int(peak, "peak_activation_bytes") == 32, "the input is no longer needed")
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(inplace=True))
    peak = student.peak_activation_bytes(model, (1, 3))
    check(expect_int(peak, "peak_activation_bytes") == 28, "in place: 3 + 4 floats, then 4")


@peak_activation_bytes.check(visibility="visible")
def test_peak_keeps_the_skip_connection(student: Any) -> None:
    """In a residual block the input is alive until it is added: three tensors at once."""
    peak = student.peak_activation_bytes(probes.Residual(channels=2), (1, 2, 3, 3))
    hint = "input, input of the batch norm and its output: 3 tensors of 2 * 3 * 3 floats"
    check(expect_int(peak, "peak_activation_bytes") == 216, hint)
