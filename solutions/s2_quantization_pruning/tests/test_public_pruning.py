"""Public tests of pruning.py: small cases whose answers you can work out on paper.

`autograder check s2` runs them. They show the expected values; the hidden graders use other
inputs, so code that fits only these numbers earns nothing there.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from autograder.graders.toolkit import (
    Exercise,
    Optimizer,
    allclose,
    check,
    close,
    expect_dict,
    expect_float,
    expect_int,
    expect_list,
    expect_tensor,
    expect_value_error,
)


def expect_mask(value: object, name: str, expected: Tensor, hint: str) -> None:
    """`value` must be exactly this bool mask."""
    check(torch.equal(expect_tensor(value, name, expected.shape, torch.bool), expected), hint)


def linear(weight: Tensor) -> nn.Linear:
    """A linear layer without bias and with this weight (out, in)."""
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=False)
    with torch.no_grad():
        layer.weight.copy_(weight)
    return layer


# ---- masks ---------------------------------------------------------------------------------


magnitude_mask = Exercise("s2.magnitude_mask")


@magnitude_mask.check(visibility="visible")
def test_magnitude_by_hand(student: Any) -> None:
    """Half of four weights: -0.1 and the first 0.5 go, -3 and the second 0.5 stay."""
    weight = torch.tensor([[0.5, -3.0], [-0.1, 0.5]])
    mask = student.magnitude_mask(weight, sparsity=0.5)
    hint = "by magnitude, and of equal magnitudes the lower flat index first"
    expect_mask(mask, "magnitude_mask", torch.tensor([[False, True], [False, True]]), hint)


@magnitude_mask.check(visibility="visible")
def test_magnitude_counts(student: Any) -> None:
    """Of five weights, 50 % are round(2.5) = 2; 0 % and 100 % are none and all."""
    weight = torch.ones(5)
    for sparsity, pruned in ((0.0, 0), (0.5, 2), (0.7, 4), (1.0, 5)):
        mask = student.magnitude_mask(weight, sparsity)
        expected = torch.arange(5) >= pruned
        expect_mask(mask, "magnitude_mask", expected, f"{pruned} of 5 equal weights are pruned")
    expect_value_error(student.magnitude_mask, weight, 1.5)


global_masks = Exercise("s2.global_masks")


@global_masks.check(visibility="visible")
def test_global_by_hand(student: Any) -> None:
    """Three of four weights in two tensors: of the equal magnitudes 2, the earlier one goes."""
    weights = {"a": torch.tensor([1.0, -2.0]), "b": torch.tensor([0.5, 2.0])}
    masks = expect_dict(student.global_masks(weights, 0.75), "global_masks", ["a", "b"])
    hint = "all magnitudes compete; ties in the order of the mapping"
    expect_mask(masks["a"], "mask of a", torch.tensor([False, False]), hint)
    expect_mask(masks["b"], "mask of b", torch.tensor([False, True]), hint)
    expect_dict(student.global_masks({}, 0.5), "global_masks of nothing", [])


nm_mask = Exercise("s2.nm_mask")


@nm_mask.check(visibility="visible")
def test_two_of_four_by_hand(student: Any) -> None:
    """In each row, the two largest of four neighbours stay; of equal ones the later."""
    weight = torch.tensor([[1.0, -3.0, 2.0, 0.5], [0.0, 0.0, 0.0, 0.0]])
    expected = torch.tensor([[False, True, True, False], [False, False, True, True]])
    mask = student.nm_mask(weight, n=2, m=4)
    expect_mask(mask, "nm_mask", expected, "groups of 4 along dimension 1, 2 kept in each")
    expect_value_error(student.nm_mask, torch.ones(2, 6), n=2, m=4)


@nm_mask.check(visibility="visible")
def test_groups_of_a_convolution(student: Any) -> None:
    """A 1:2 pattern of a convolution compares input channels at the same kernel position."""
    weight = torch.tensor([[1.0, 4.0], [3.0, 2.0]]).view(1, 2, 1, 2)  # (out, in, kh, kw)
    expected = torch.tensor([[False, True], [True, False]]).view(1, 2, 1, 2)
    mask = student.nm_mask(weight, n=1, m=2)
    expect_mask(mask, "nm_mask", expected, "neighbours along dimension 1, not along the kernel")


# ---- masks in a network --------------------------------------------------------------------


apply_masks = Exercise("s2.apply_masks")


@apply_masks.check(visibility="visible")
def test_apply_by_hand(student: Any) -> None:
    """The mask's diagonal stays, the rest is 0; another layer is as before."""
    model = nn.Sequential(linear(torch.tensor([[1.0, 2.0], [3.0, 4.0]])), linear(torch.ones(1, 2)))
    live = student.put(model)
    student.apply_masks(live, {"0.weight": torch.eye(2, dtype=torch.bool)})
    state = student.state(live)
    expected = torch.tensor([[1.0, 0.0], [0.0, 4.0]])
    check(torch.equal(state["0.weight"], expected), "where the mask is False the weight is 0")
    check(torch.equal(state["1.weight"], torch.ones(1, 2)), "no mask, no change")
    expect_value_error(student.apply_masks, live, {"2.weight": torch.eye(2, dtype=torch.bool)})


masked_step = Exercise("s2.masked_step")


@masked_step.check(visibility="visible")
def test_step_by_hand(student: Any) -> None:
    """Gradient 1, weight decay 1, rate 0.1: 1 becomes 0.8, a kept 0 -0.1, a pruned one stays 0."""
    live = student.put(linear(torch.tensor([[1.0, 0.0, 0.0]])))
    optimizer = student.put(Optimizer("SGD", live, {"lr": 0.1, "weight_decay": 1.0}))
    student.backward(live, [torch.ones(1, 3)], torch.ones(1, 1))
    student.masked_step(optimizer, live, {"weight": torch.tensor([[True, True, False]])})
    weight = student.state(live)["weight"]
    hint = "kept weights take the plain step, even from 0; pruned ones are exactly 0"
    check(allclose(weight, torch.tensor([[0.8, -0.1, 0.0]])) and weight[0, 2] == 0, hint)


# ---- pruning while training ------------------------------------------------------------------


cubic_sparsity = Exercise("s2.cubic_sparsity")


@cubic_sparsity.check(visibility="visible")
def test_cubic_by_hand(student: Any) -> None:
    """From 0 to 0.8 in two prunings behind step 10: half-way, 1/8 of the way is left."""
    for step, expected in ((0, 0.0), (10, 0.0), (15, 0.7), (20, 0.8), (99, 0.8)):
        value = student.cubic_sparsity(step, 10, 2, 5, initial=0.0, final=0.8)
        hint = f"step {step}: {expected}"
        check(close(expect_float(value, "cubic_sparsity"), expected, atol=1e-6), hint)
    value = student.cubic_sparsity(15, 10, 2, 5, initial=0.4, final=0.8)
    check(close(expect_float(value, "cubic_sparsity"), 0.75, atol=1e-6), "0.8 - 0.4 / 8")


def two_classes(n: int) -> DataLoader[Any]:
    """Batches of points in 8 dimensions; the class is whether the first two sum to above 0."""
    draw = torch.Generator().manual_seed(0)
    points = torch.randn(n, 8, generator=draw)
    return DataLoader(TensorDataset(points, (points[:, 0] + points[:, 1] > 0).long()), 32)


def network() -> nn.Sequential:
    """8-16-2 with fixed weights."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 2))


gradual_prune = Exercise("s2.gradual_prune")


@gradual_prune.check(visibility="visible")
def test_gradual_pruning_keeps_what_matters(student: Any) -> None:
    """80 % of the weights of a small network go, in four stages, and it still learns its task."""
    loader = two_classes(320)
    live = student.put(network())
    pruned, masks = expect_list(
        student.gradual_prune(live, loader, lambda step: min(0.2 * (step // 20), 0.8), 160),
        "gradual_prune",
        length=2,
    )
    check(isinstance(pruned, nn.Sequential), "the copy is a network like the one given")
    masks = expect_dict(masks, "masks", ["0.weight", "2.weight"])
    state = pruned.state_dict()
    zeros = 0
    for name, mask in masks.items():
        mask = expect_tensor(mask, name, state[name].shape, torch.bool)
        check(bool((state[name][~mask] == 0).all()), "masked weights are exactly 0")
        zeros += int((~mask).sum())
    # round(0.8 * 128) + round(0.8 * 32) layer by layer, round(0.8 * 160) of all together
    check(zeros == 128, "round(0.8 * n) weights are pruned at the end")
    points, labels = loader.dataset.tensors
    clean = student.clean()
    logits = expect_tensor(clean.call(clean.put(pruned), points), "the outputs", (320, 2))
    accuracy = float((logits.argmax(dim=1) == labels).double().mean())
    check(accuracy >= 0.85, "more than 85 % right: train between the prunings, and after the last")
    before, after = network().state_dict(), student.state(live)
    check(all(torch.equal(after[name], before[name]) for name in before), "work on a copy")


compare_large_sparse_small_dense = Exercise("s2.compare_large_sparse_small_dense")


@compare_large_sparse_small_dense.check(seconds=60, visibility="visible")
def test_comparison_is_fair(student: Any) -> None:
    """Two rows for one width, with the same number of nonzero weights within 1 %."""
    rows = student.compare_large_sparse_small_dense(large=32, small=[8], epochs=4, seed=1)
    dense, sparse = expect_list(rows, "compare_large_sparse_small_dense", length=2)
    keys = ("name", "params", "nonzeros", "sparsity", "accuracy")
    for row in (dense, sparse):
        expect_dict(row, "a row", keys)
        params, nonzeros = (expect_int(row[key], key) for key in ("params", "nonzeros"))
        share = expect_float(row["sparsity"], "sparsity")
        check(close(share, 1 - nonzeros / params, atol=1e-6), "sparsity = 1 - nonzeros / params")
        accuracy = expect_float(row["accuracy"], "accuracy")
        check(0.5 < accuracy <= 1, "a share of held-out digits, and better than guessing")
    check(sparse["params"] > dense["params"], "dense first, then the large sparse one")
    difference = abs(sparse["nonzeros"] - dense["nonzeros"]) / dense["nonzeros"]
    check(difference <= 0.01, "equal nonzeros within 1 %")


# ---- channels ------------------------------------------------------------------------------


channel_importance = Exercise("s2.channel_importance")


@channel_importance.check(visibility="visible")
def test_norms_by_hand(student: Any) -> None:
    """Rows (3, -4) and (1, 0): norms 7 and 1 for p = 1, 5 and 1 for p = 2, 4 and 1 for infinity."""
    weight = torch.tensor([[3.0, -4.0], [1.0, 0.0]])
    for norm, expected in ((1, [7.0, 1.0]), (2, [5.0, 1.0]), (math.inf, [4.0, 1.0])):
        value = expect_tensor(student.channel_importance(weight, norm), "channel_importance", (2,))
        check(allclose(value, torch.tensor(expected)), f"norm {norm}: {expected}")
    value = expect_tensor(student.channel_importance(weight, 1, 1), "channel_importance", (2,))
    check(allclose(value, torch.tensor([4.0, 4.0])), "dim=1 sums over the outputs")
    expect_value_error(student.channel_importance, weight, 0)


prune_channels = Exercise("s2.prune_channels")


@prune_channels.check(visibility="visible")
def test_two_of_four_channels(student: Any) -> None:
    """Of 4 channels with 4 pixels each, 0 and 2 are kept: columns 0..3 and 8..11 stay."""
    conv, bn, last = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(16, 10)
    small = expect_list(student.prune_channels(conv, bn, last, [0, 2]), "prune_channels", length=3)
    new_conv, new_bn, new_last = small
    check(isinstance(new_conv, nn.Conv2d), "first a Conv2d")
    check(isinstance(new_bn, nn.BatchNorm2d), "second a BatchNorm2d")
    check(isinstance(new_last, nn.Linear), "third a Linear")
    sizes = (new_conv.out_channels, new_bn.num_features, new_last.in_features)
    check(sizes == (2, 2, 8), "out_channels 2, num_features 2, in_features 8")
    keep = torch.tensor([0, 2])
    check(torch.equal(new_conv.weight, conv.weight[keep]), "two filters")
    check(torch.equal(new_conv.bias, conv.bias[keep]), "two biases")
    for name in ("weight", "bias", "running_mean", "running_var"):
        check(torch.equal(getattr(new_bn, name), getattr(bn, name)[keep]), f"batch norm's {name}")
    columns = torch.tensor([0, 1, 2, 3, 8, 9, 10, 11])
    check(torch.equal(new_last.weight, last.weight[:, columns]), "channel c has columns 4c..4c+3")
    expect_value_error(student.prune_channels, conv, bn, last, [])


@prune_channels.check(visibility="visible")
def test_next_convolution_loses_inputs(student: Any) -> None:
    """A convolution that follows keeps its outputs and loses two of four inputs; no batch norm."""
    conv, after = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 5, 3)
    mask = torch.tensor([False, True, False, True])
    small = expect_list(student.prune_channels(conv, None, after, mask), "prune_channels", length=3)
    check(small[1] is None, "no batch norm in, none out")
    check(isinstance(small[2], nn.Conv2d) and small[2].in_channels == 2, "two inputs are left")
    check(torch.equal(small[2].weight, after.weight[:, mask]), "dimension 1 of the next weight")


# ---- which weights? ------------------------------------------------------------------------


sensitivity_scan = Exercise("s2.sensitivity_scan")


@sensitivity_scan.check(visibility="visible")
def test_scan_by_hand(student: Any) -> None:
    """One layer (1, 2, 3, 4), measured by its sum: 10 unpruned, 7 without the smaller half."""
    live = student.put(nn.Sequential(linear(torch.tensor([[1.0, 2.0, 3.0, 4.0]])), nn.ReLU()))

    def total(model: nn.Module) -> float:
        return sum(float(parameter.detach().sum()) for parameter in model.parameters())

    scores = student.sensitivity_scan(live, total, [0.0, 0.5, 1.0, 0.25])
    scores = expect_dict(scores, "sensitivity_scan", ["0.weight"])
    values = expect_list(scores["0.weight"], "the curve", length=4)
    for value, expected in zip(values, (10, 7, 0, 9), strict=True):
        check(close(expect_float(value, "value"), expected), "each from the unpruned weight")
    weight = student.state(live)["0.weight"]
    check(torch.equal(weight, torch.tensor([[1.0, 2.0, 3.0, 4.0]])), "the weight is restored")


grow_and_drop = Exercise("s2.grow_and_drop")


@grow_and_drop.check(visibility="visible")
def test_one_moves(student: Any) -> None:
    """Of two active weights the smaller goes; of two inactive the one with gradient -1 comes."""
    weight = torch.tensor([0.1, -2.0, 0.0, 0.0])
    mask = torch.tensor([True, True, False, False])
    gradient = torch.tensor([9.0, 0.0, 0.5, -1.0])
    moved = student.grow_and_drop(weight, mask, gradient, 0.5)
    hint = "drop by |weight| among the active, grow by |gradient| among those inactive before"
    expect_mask(moved, "grow_and_drop", torch.tensor([False, True, False, True]), hint)
    same = student.grow_and_drop(weight, mask, gradient, 0.0)
    expect_mask(same, "grow_and_drop", mask, "a fraction of 0 moves nothing")
