"""Graders of pruning.py: whole channels, and how sensitive layers are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from autograder.graders.common import built
from autograder.graders.s2_quantization_pruning.pruning_inputs import UNTOUCHED, share_outside
from autograder.graders.s2_quantization_pruning.pruning_references import (
    columns_picked,
    convolutional_network,
    expect_layer,
    expect_values,
    filled,
    inputs_picked,
    layer_weights,
    magnitude_reference,
    numbers,
    picked,
    same_numbers,
    small_network,
    tied,
)
from autograder.graders.toolkit import (
    CallbackError,
    Exercise,
    RandomInputs,
    StudentError,
    allclose,
    check,
    close,
    expect_dict,
    expect_float,
    expect_list,
    expect_tensor,
    expect_value_error,
)
from shared.probes import EmbeddingClassifier, InEvalMode

# ---- channel_importance ----------------------------------------------------------------------


def norms_by_channel(values: Tensor, norm: float, dim: int) -> Tensor:
    """The p-norm of each slice along `dim`, summed number by number."""
    found = []
    for index in range(values.shape[dim]):
        magnitudes = [abs(v) for v in values.select(dim, index).flatten().tolist()]
        if math.isinf(norm):
            found.append(max(magnitudes))
        else:
            found.append(math.fsum(v**norm for v in magnitudes) ** (1 / norm))
    return torch.tensor(found, dtype=torch.float64)


def expect_norms(student: Any, hint: str, values: Tensor, dim: int, *norms: float) -> None:
    """Check the student's channel_importance along `dim` for each norm."""
    for norm in norms:
        found = student.channel_importance(values, norm, dim=dim)
        found = expect_tensor(found, "channel_importance", (values.shape[dim],), values.dtype)
        check(allclose(found, norms_by_channel(values, norm, dim), rtol=1e-4, atol=1e-5), hint)


def channel_weights(rng: RandomInputs) -> list[Tensor]:
    """Weights of a Linear layer and of a convolution; dimensions differ, so do the channels."""
    return [rng.normal(4, rng.integer(5, 9)), rng.normal(rng.integer(5, 7), 3, 2, 4)]


channel_importance = Exercise("s2.channel_importance")


@channel_importance.check(weight=2)
def test_importance_of_output_channels(student: Any, rng: RandomInputs) -> None:
    """By default the importance of an output channel is the sum of its magnitudes."""
    for values in channel_weights(rng):
        found = student.channel_importance(values)
        found = expect_tensor(found, "channel_importance", (values.shape[0],), values.dtype)
        hint = "one number a channel of dimension 0: sum magnitudes over all other dimensions"
        check(allclose(found, norms_by_channel(values, 1, 0), rtol=1e-4, atol=1e-5), hint)


@channel_importance.check(weight=1.5)
def test_importance_in_other_norms(student: Any, rng: RandomInputs) -> None:
    """Any p-norm: the p-th root of the sum of the p-th powers of magnitudes."""
    hint = "(sum |w|^p)^(1/p): magnitudes, a sum and no mean, and the root at the end"
    for values in channel_weights(rng):
        expect_norms(student, hint, values, 0, 2, 3, rng.number(0.5, 0.9))


@channel_importance.check()
def test_importance_in_the_maximum_norm(student: Any, rng: RandomInputs) -> None:
    """With norm = infinity the importance is the largest magnitude."""
    for values in channel_weights(rng):
        expect_norms(student, "the largest magnitude, not the largest value", -values, 0, math.inf)


@channel_importance.check()
def test_importance_of_input_channels(student: Any, rng: RandomInputs) -> None:
    """With dim = 1 there is one number for each input channel; dim may be any dimension."""
    hint = "dim is the dimension that stays: sum over all others"
    for values in channel_weights(rng):
        for dim in sorted({1, values.dim() - 1}):
            expect_norms(student, hint, values, dim, 1, 2)


@channel_importance.check(weight=0.4)
def test_importance_keeps_float64(student: Any, rng: RandomInputs) -> None:
    """The importance of a weight in float64 is float64."""
    for values in channel_weights(rng):
        expect_norms(student, "the same norm in float64", values.double(), 0, 1, 2)


@channel_importance.check(weight=0.3, guard=True)
def test_importance_leaves_the_weight_alone(student: Any, rng: RandomInputs) -> None:
    """The weight is unchanged."""
    for values in channel_weights(rng):
        live = student.put(values)
        student.channel_importance(live, 2)
        check(torch.equal(student.fetch(live), values), UNTOUCHED)


@channel_importance.check(weight=0.3, guard=True)
def test_importance_refuses_bad_norms(student: Any, rng: RandomInputs) -> None:
    """A norm of 0 and a negative one raise ValueError."""
    values = channel_weights(rng)[0]
    for norm in (0, -rng.number(0.5, 2)):
        expect_value_error(student.channel_importance, values, norm)


# ---- prune_channels --------------------------------------------------------------------------


def some_channels(rng: RandomInputs, channels: int, groups: int = 1) -> list[int]:
    """Ascending indices, not just the first ones; equally many, but others, in each group."""
    size = channels // groups
    count = rng.integer(max(1, size // 2 - 1), size - 2)
    while True:
        parts = [sorted(rng.sample(range(size), count)) for _ in range(groups)]
        if parts[-1] != list(range(count)) and (groups == 1 or parts[0] != parts[-1]):
            return [group * size + index for group, part in enumerate(parts) for index in part]


def convolution(rng: RandomInputs, channels: int, bias: bool = True, groups: int = 1) -> nn.Conv2d:
    """A convolution of 4 inputs to `channels` outputs with stride, padding, dilation."""
    layer = nn.Conv2d(
        4,
        channels,
        (3, 2),
        stride=rng.integer(2, 3),
        padding=rng.integer(1, 2),
        dilation=2,
        groups=groups,
        bias=bias,
    )
    filled(layer, rng)
    return layer


GEOMETRY = ("kernel_size", "stride", "padding", "dilation")


def expect_conv(value: object, like: nn.Conv2d, name: str, **sizes: int) -> nn.Conv2d:
    """`value` as a Conv2d with these sizes and the geometry of the old one."""
    layer = expect_layer(value, nn.Conv2d, name)
    assert isinstance(layer, nn.Conv2d)
    for attribute, size in sizes.items():
        check(getattr(layer, attribute) == size, f"{name}: {attribute} is that of the new tensors")
    for attribute in GEOMETRY:
        hint = f"{name}: kernel size, stride, padding and dilation stay"
        check(getattr(layer, attribute) == getattr(like, attribute), hint)
    return layer


def expect_pruned_conv(value: object, old: nn.Conv2d, kept: Sequence[int]) -> None:
    """The pruned convolution: filters and biases of the kept channels."""
    layer = expect_conv(
        value,
        old,
        "conv",
        out_channels=len(kept),
        in_channels=old.in_channels,
        groups=old.groups,
    )
    bias = None if old.bias is None else picked(old.bias, kept)
    hint = "conv: keep the filters and biases of the kept output channels (dimension 0)"
    expect_values(layer, hint, weight=picked(old.weight, kept), bias=bias)


def three(result: object) -> list[Any]:
    """(conv, bn, next_layer)."""
    return expect_list(result, "prune_channels", length=3)


prune_channels = Exercise("s2.prune_channels")


@prune_channels.check(essential=True, weight=1.5)
def test_channels_of_the_convolution(student: Any, rng: RandomInputs) -> None:
    """The convolution loses the filters and biases of the other channels, and nothing else."""
    for bias in (True, False):
        channels = rng.integer(6, 9)
        conv, kept = convolution(rng, channels, bias), some_channels(rng, channels)
        found = three(student.prune_channels(conv, None, None, torch.tensor(kept)))
        expect_pruned_conv(found[0], conv, kept)
        check(found[1] is None and found[2] is None, "None for bn or next_layer comes back as None")


@prune_channels.check(weight=1.5)
def test_channels_of_batch_norm(student: Any, rng: RandomInputs) -> None:
    """Batch norm loses weight, bias and running statistics of the other channels."""
    channels = rng.integer(6, 9)
    conv, kept = convolution(rng, channels, False), some_channels(rng, channels)
    norm = nn.BatchNorm2d(channels, eps=rng.number(0.01, 0.1))
    filled(norm, rng)
    found = three(student.prune_channels(conv, norm, None, torch.tensor(kept)))
    layer = expect_layer(found[1], nn.BatchNorm2d, "bn")
    assert isinstance(layer, nn.BatchNorm2d)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    check(layer.num_features == len(kept), "bn: num_features is that of the new tensors")
    hint = "bn: weight and bias of the kept channels"
    expect_values(layer, hint, weight=picked(norm.weight, kept), bias=picked(norm.bias, kept))
    expect_values(
        layer,
        "bn: running mean and variance belong to channels too",
        running_mean=picked(norm.running_mean, kept),
        running_var=picked(norm.running_var, kept),
    )
    check(close(layer.eps, norm.eps, rtol=1e-6), "bn: eps stays")


@prune_channels.check(essential=True, weight=1.5)
def test_channels_of_the_next_convolution(student: Any, rng: RandomInputs) -> None:
    """The convolution that follows loses the inputs of the other channels, and keeps its bias."""
    channels = rng.integer(6, 9)
    conv, kept = convolution(rng, channels), some_channels(rng, channels)
    # as many outputs as inputs: slicing the wrong dimension must not show by its shape
    following = nn.Conv2d(channels, channels, 3, stride=2, padding=1)
    filled(following, rng)
    found = three(student.prune_channels(conv, None, following, torch.tensor(kept)))
    layer = expect_conv(
        found[2],
        following,
        "next_layer",
        in_channels=len(kept),
        out_channels=channels,
        groups=1,
    )
    hint = "next_layer: slice its input channels (dimension 1), and leave its bias alone"
    weights = inputs_picked(following.weight, 1, channels, kept)
    expect_values(layer, hint, weight=weights, bias=following.bias)


@prune_channels.check(weight=1.5)
def test_channels_of_the_next_linear_layer(student: Any, rng: RandomInputs) -> None:
    """A Linear layer that follows loses the columns of the other channels, channel by channel."""
    for pixels in (rng.integer(3, 6), 1):
        channels = rng.integer(6, 9)
        conv, kept = convolution(rng, channels), some_channels(rng, channels)
        following = nn.Linear(channels * pixels, rng.integer(3, 6))
        filled(following, rng)
        found = three(student.prune_channels(conv, None, following, torch.tensor(kept)))
        layer = expect_layer(found[2], nn.Linear, "next_layer")
        assert isinstance(layer, nn.Linear)
        sizes = (layer.in_features, layer.out_features)
        hint = "next_layer: in_features is (kept channels) * (pixels of a channel)"
        check(sizes == (len(kept) * pixels, following.out_features), hint)
        hint = "next_layer: columns are channel-major, all pixels of a channel side by side"
        weights = columns_picked(following.weight, channels, kept)
        expect_values(layer, hint, weight=weights, bias=following.bias)


@prune_channels.check()
def test_channels_of_a_depthwise_layer(student: Any, rng: RandomInputs) -> None:
    """A depthwise convolution that follows loses its own outputs of the other channels."""
    for each in (1, 2):  # outputs of a channel
        channels = rng.integer(6, 9)
        conv, kept = convolution(rng, channels), some_channels(rng, channels)
        following = nn.Conv2d(channels, each * channels, 3, padding=1, groups=channels)
        filled(following, rng)
        found = three(student.prune_channels(conv, None, following, torch.tensor(kept)))
        outputs = [index * each + turn for index in kept for turn in range(each)]
        layer = expect_conv(
            found[2],
            following,
            "next_layer",
            in_channels=len(kept),
            out_channels=len(outputs),
            groups=len(kept),
        )
        assert following.bias is not None
        hint = "next_layer: a depthwise layer has filters and biases of each channel; keep its own"
        expect_values(
            layer,
            hint,
            weight=picked(following.weight, outputs),
            bias=picked(following.bias, outputs),
        )


@prune_channels.check()
def test_channels_of_grouped_layers(student: Any, rng: RandomInputs) -> None:
    """Grouped convolutions keep their groups, with equally many channels in each."""
    groups = 2
    channels = groups * rng.integer(3, 5)
    conv = convolution(rng, channels, groups=groups)
    following = nn.Conv2d(channels, groups * rng.integer(2, 3), 3, groups=groups)
    filled(following, rng)
    kept = some_channels(rng, channels, groups)
    found = three(student.prune_channels(conv, None, following, torch.tensor(kept)))
    expect_pruned_conv(found[0], conv, kept)
    layer = expect_conv(
        found[2],
        following,
        "next_layer",
        in_channels=len(kept),
        out_channels=following.out_channels,
        groups=groups,
    )
    hint = "next_layer: a filter reads only its own group; count the kept channels within it"
    weights = inputs_picked(following.weight, groups, channels, kept)
    expect_values(layer, hint, weight=weights, bias=following.bias)


@prune_channels.check()
def test_channels_by_a_mask(student: Any, rng: RandomInputs) -> None:
    """`keep` may be a bool mask, True = keep; the layers are those of the indices."""
    channels = rng.integer(6, 9)
    conv, kept = convolution(rng, channels), some_channels(rng, channels)
    following = nn.Conv2d(channels, 3, 1)
    filled(following, rng)
    mask = torch.tensor([index in kept for index in range(channels)])
    found = three(student.prune_channels(conv, None, following, mask))
    expect_pruned_conv(found[0], conv, kept)
    layer = expect_conv(found[2], following, "next_layer", in_channels=len(kept))
    weights = inputs_picked(following.weight, 1, channels, kept)
    expect_values(layer, "slice with the mask, not with its numbers 0 and 1", weight=weights)


@prune_channels.check(weight=0.5)
def test_channels_in_double_precision(student: Any, rng: RandomInputs) -> None:
    """Float64 layers stay float64."""
    channels = rng.integer(6, 9)
    conv, kept = convolution(rng, channels).double(), some_channels(rng, channels)
    following = nn.Linear(channels, 3).double()
    found = three(student.prune_channels(conv, None, following, torch.tensor(kept)))
    for value, kind, name in ((found[0], nn.Conv2d, "conv"), (found[2], nn.Linear, "next_layer")):
        layer = expect_layer(value, kind, name)
        check(layer.weight.dtype == torch.float64, "keep the dtype of the layers")
    expect_pruned_conv(found[0], conv, kept)


@prune_channels.check(weight=0.42, guard=True)
def test_channels_leave_the_layers_alone(student: Any, rng: RandomInputs) -> None:
    """The layers that were passed in are unchanged."""
    channels = rng.integer(6, 9)
    conv, norm, following = (
        convolution(rng, channels),
        nn.BatchNorm2d(channels),
        nn.Conv2d(channels, 3, 1),
    )
    filled(norm, rng)
    live = [student.put(layer) for layer in (conv, norm, following)]
    student.prune_channels(*live, torch.tensor(some_channels(rng, channels)))
    for ref, layer in zip(live, (conv, norm, following), strict=True):
        hint = "make new layers: an argument was changed"
        check(same_numbers(student.state(ref), numbers(layer)), hint)
        after = student.fetch(ref)
        check(type(after) is type(layer), hint)
        check(after.extra_repr() == layer.extra_repr(), hint)


@prune_channels.check(weight=0.42, guard=True)
def test_channels_refuse_bad_indices(student: Any, rng: RandomInputs) -> None:
    """No channel, a channel twice, and a channel that is not there raise ValueError."""
    channels = rng.integer(6, 9)
    conv, norm = convolution(rng, channels), nn.BatchNorm2d(channels)
    twice = sorted([*some_channels(rng, channels), 1, 1])
    empty = torch.zeros(0, dtype=torch.int64)
    nothing = torch.zeros(channels, dtype=torch.bool)
    other_length = torch.ones(channels + 1, dtype=torch.bool)
    for keep in (
        empty,
        nothing,
        torch.tensor(twice),
        torch.tensor([0, channels]),
        other_length,
        other_length[: channels - 1],
    ):
        expect_value_error(student.prune_channels, conv, norm, None, keep)


@prune_channels.check(weight=0.21, guard=True)
def test_channels_refuse_uneven_groups(student: Any, rng: RandomInputs) -> None:
    """Unequally many channels of the groups of a grouped layer raise ValueError."""
    size = rng.integer(3, 4)
    channels = 2 * size
    uneven = torch.tensor([0, 1, size])
    plain = convolution(rng, channels)
    grouped = convolution(rng, channels, groups=2)
    expect_value_error(student.prune_channels, grouped, None, None, uneven)
    following = nn.Conv2d(channels, 4, 3, groups=2)
    expect_value_error(student.prune_channels, plain, None, following, uneven)
    even_count = torch.tensor([0, 1, 2, size])  # divisible by the groups, and still uneven
    expect_value_error(student.prune_channels, grouped, None, None, even_count)


# ---- sensitivity_scan ------------------------------------------------------------------------


class Judge:
    """What the scan evaluates with: keeps the networks that it is shown, returns new numbers."""

    def __init__(self, rng: RandomInputs, fails_at: int = 0) -> None:
        self._rng = rng
        self._fails_at = fails_at
        self.calls = 0
        self.seen: dict[float, dict[str, Tensor]] = {}

    def __call__(self, model: object) -> float:
        """A number that no other call gets; the call `fails_at` raises."""
        self.calls += 1
        if self.calls == self._fails_at:
            raise CallbackError("the evaluation failed")
        if not isinstance(model, nn.Module):
            raise CallbackError("evaluate is called with the network, its layers as they were")
        value = self.calls + self._rng.integer(1, 63) / 64
        self.seen[value] = numbers(model)
        return value


def grid_of(rng: RandomInputs) -> list[float]:
    """Sparsities in no order, the largest first; the last one is not 0."""
    return [rng.number(0.8, 0.95), rng.number(0.2, 0.4), 0.0, rng.number(0.5, 0.7)]


def scanned(
    student: Any, network: nn.Module, judge: Judge, grid: list[float]
) -> dict[str, list[float]]:
    """The student's scan, checked for its form."""
    found = expect_dict(student.sensitivity_scan(network, judge, grid), "sensitivity_scan")
    names = list(layer_weights(network))
    hint = "one entry for the weight of each Linear and convolution layer: no biases, no norms"
    check(found.keys() == set(names), hint)
    return {
        name: [
            expect_float(value, "each value")
            for value in expect_list(found[name], "each entry", length=len(grid))
        ]
        for name in names
    }


def expect_scan(student: Any, network: nn.Module, judge: Judge, grid: list[float]) -> None:
    """Check every network that the scan evaluates."""
    found = scanned(student, network, judge, grid)
    before = numbers(network)
    for name, values in found.items():
        for sparsity, value in zip(grid, values, strict=True):
            check(value in judge.seen, "the values are what evaluate returned, as it returned them")
            shown = judge.seen[value]
            check(shown.keys() == before.keys(), "evaluate gets the network itself")
            hint = "prune one weight at a time: restore each before the next"
            others = [other for other in before if other != name]
            check(all(torch.equal(shown[other], before[other]) for other in others), hint)
            kept = magnitude_reference(before[name], sparsity)
            hint = (
                "each point starts from the original weight: round(sparsity * n) smallest "
                "magnitudes are 0, in the order of the grid"
            )
            check(torch.equal(shown[name], before[name].where(kept, torch.zeros(()))), hint)


sensitivity_scan = Exercise("s2.sensitivity_scan")


@sensitivity_scan.check(weight=3)
def test_scan_prunes_one_weight_at_a_time(student: Any, rng: RandomInputs) -> None:
    """Each value is that of the network with one weight pruned, and all others as they were."""
    for network in (convolutional_network(rng), small_network(rng)):
        expect_scan(student, network, Judge(rng), grid_of(rng))


@sensitivity_scan.check()
def test_scan_prunes_as_magnitude_mask_does(student: Any, rng: RandomInputs) -> None:
    """Ties go by position, and magnitudes are ranked at any scale."""
    for scale in (2.0**-84, 2.0**84):
        network = small_network(rng)
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.mul_(scale)
        expect_scan(student, network, Judge(rng), grid_of(rng))
    network = small_network(rng)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(tied(rng, 2, *parameter.shape))
    expect_scan(student, network, Judge(rng), grid_of(rng))


@sensitivity_scan.check(weight=0.5)
def test_scan_at_the_ends(student: Any, rng: RandomInputs) -> None:
    """Sparsity 1 removes a whole weight, sparsity 0 nothing."""
    network, judge = small_network(rng), Judge(rng)
    found = scanned(student, network, judge, [0.0, 1.0])
    before = numbers(network)
    for name, (whole, gone) in found.items():
        check(gone in judge.seen and whole in judge.seen, "the values are what evaluate returned")
        check(not bool(judge.seen[gone][name].any()), "sparsity 1: all weights are 0")
        check(same_numbers(judge.seen[whole], before), "sparsity 0: all weights are kept")


@sensitivity_scan.check()
def test_scan_of_prunable_weights_only(student: Any, rng: RandomInputs) -> None:
    """Embeddings, norms and biases are not scanned."""
    network, judge = built(lambda: EmbeddingClassifier(7, 4, 3), rng), Judge(rng)
    scanned(student, network, judge, [0.5])
    check(judge.calls > 0, "call evaluate")


@sensitivity_scan.check(weight=2)
def test_scan_restores_the_weights(student: Any, rng: RandomInputs) -> None:
    """After the scan every weight is as before, bit by bit."""
    network, judge = convolutional_network(rng), Judge(rng)
    live = student.put(network)
    student.sensitivity_scan(live, judge, [rng.number(0.2, 0.4), rng.number(0.6, 0.9)])
    pruned = [shown for shown in judge.seen.values() if not same_numbers(shown, numbers(network))]
    check(bool(pruned), "evaluate the pruned network")
    hint = "restore the weights after the last point as well"
    check(same_numbers(student.state(live), numbers(network)), hint)


@sensitivity_scan.check(weight=1.5)
def test_scan_restores_after_an_error(student: Any, rng: RandomInputs) -> None:
    """The weights are restored even when evaluate raises."""
    for fails_at in (rng.integer(2, 3), 5):
        network, judge = small_network(rng), Judge(rng, fails_at)
        live = student.put(network)
        grid = [rng.number(0.6, 0.9), rng.number(0.4, 0.5), rng.number(0.2, 0.3)]
        try:
            student.sensitivity_scan(live, judge, grid)
        except StudentError as error:
            if error.kind == "NotImplementedError":
                raise
        check(judge.calls >= fails_at, "call evaluate for each point of the grid")
        hint = "evaluate may raise: restore the weights in a finally block"
        check(same_numbers(student.state(live), numbers(network)), hint)


@sensitivity_scan.check(weight=0.44, guard=True)
def test_scan_keeps_the_modes(student: Any, rng: RandomInputs) -> None:
    """Every submodule stays in training or eval mode, whatever evaluate makes of it."""
    network = convolutional_network(rng).train()
    network[1].eval()
    live = student.put(network)
    before = student.modes(live)
    student.sensitivity_scan(live, Judge(rng), [0.5])
    check(student.modes(live) == before, "leave the modes of the network as they are")
    student.sensitivity_scan(live, student.put(InEvalMode()), [0.5])
    check(student.modes(live) == before, "evaluate may change modes: put each submodule's back")


@sensitivity_scan.check(weight=0.44, guard=True)
def test_scan_refuses_bad_sparsity(student: Any, rng: RandomInputs) -> None:
    """A sparsity outside 0..1 in the grid raises ValueError."""
    for sparsity in share_outside(rng):
        expect_value_error(student.sensitivity_scan, small_network(rng), Judge(rng), [sparsity])
