"""Graders of pruning.py: masks, pruning while training, channels, sensitivity, sparse training."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from autograder.graders.s1_intro.references import (
    Batches,
    accuracy,
    built,
    in_order,
    scrambled_digits,
    shuffling,
)
from autograder.graders.s2_quantization_pruning.pruning_references import (
    Masks,
    Twins,
    columns_picked,
    convolutional_network,
    cubic,
    expect_layer,
    expect_mask,
    expect_masks,
    expect_values,
    filled,
    global_reference,
    groups_along_inputs,
    half_counts,
    inputs_picked,
    layer_weights,
    magnitude_reference,
    mask_without,
    moved_reference,
    numbers,
    picked,
    random_mask,
    rising,
    same_numbers,
    signed,
    signs,
    small_network,
    tied,
    with_state,
    with_zeros,
)
from autograder.graders.toolkit import (
    CallbackError,
    Exercise,
    Handle,
    RandomInputs,
    StudentError,
    allclose,
    check,
    close,
    expect_dict,
    expect_float,
    expect_int,
    expect_list,
    expect_str,
    expect_tensor,
    expect_value_error,
    property_of,
)
from shared.models import MLP, DigitsCNN
from shared.probes import EmbeddingClassifier, Tap, Tied

COUNT = "prune exactly round(sparsity * n), half to even as Python rounds; True = keep"
TIES = "of equal magnitudes, the one with the lower flat index is pruned first"
UNTOUCHED = "work on a copy: an argument was changed"


def share_outside(rng: RandomInputs) -> tuple[float, float]:
    """A number below 0 and one above 1."""
    return -rng.number(0.01, 0.5), 1 + rng.number(0.01, 0.5)


def pruned_count(masks: Masks) -> int:
    """How many elements are pruned in all masks together."""
    return sum(int((~mask).sum()) for mask in masks.values())


def expect_pruned(student: Any, hint: str, values: Tensor, sparsity: float) -> None:
    """Check one mask of the student's magnitude_mask: first its count, then its places."""
    found = student.magnitude_mask(values, sparsity)
    mask = expect_mask(found, "magnitude_mask", values.shape)
    expected = magnitude_reference(values, sparsity)
    check(int((~mask).sum()) == int((~expected).sum()), COUNT)
    check(torch.equal(mask, expected), hint)


# ---- magnitude_mask --------------------------------------------------------------------------


magnitude_mask = Exercise("s2.magnitude_mask")


@magnitude_mask.check(weight=2)
def test_mask_keeps_the_largest_magnitudes(student: Any, rng: RandomInputs) -> None:
    """The smallest magnitudes are pruned, whatever their sign; the mask is True where kept."""
    hint = "rank by magnitude, not by value; a bool mask of the weight's shape, True = keep"
    for shape in ((rng.integer(20, 40),), (5, rng.integer(6, 9)), (4, rng.integer(2, 4), 3, 3)):
        n = math.prod(shape)
        sparsity = (rng.integer(n // 4, n // 2) + rng.number(-0.3, 0.3)) / n
        expect_pruned(student, hint, signed(rng, *shape), sparsity)


@magnitude_mask.check(weight=2)
def test_mask_count_is_rounded(student: Any, rng: RandomInputs) -> None:
    """Exactly round(sparsity * n) weights are pruned, half to even."""
    n = rng.integer(30, 60)
    whole = rng.integer(8, 20)
    shares = [(n, (whole + rng.number(0.55, 0.9)) / n), (n, (whole + rng.number(0.1, 0.45)) / n)]
    for size, sparsity in [*half_counts(rng), *shares]:
        expect_pruned(student, "prune the smallest magnitudes", signed(rng, size), sparsity)


@magnitude_mask.check(weight=2)
def test_mask_breaks_ties_by_position(student: Any, rng: RandomInputs) -> None:
    """With equal magnitudes exactly round(sparsity * n) weights are pruned, the first ones."""
    constant = signs(rng, rng.integer(150, 250)) * rng.integer(1, 8)
    for values in (constant, tied(rng, 3, 12, rng.integer(12, 20)), tied(rng, 2, 5, 5, 3, 3)):
        expect_pruned(student, TIES, values, rng.number(0.2, 0.8))


@magnitude_mask.check()
def test_mask_of_a_weight_with_zeros(student: Any, rng: RandomInputs) -> None:
    """Weights that are already 0 are the first to go, and no more of them than asked for."""
    rows, columns = rng.integer(5, 7), rng.integer(6, 9)
    n = rows * columns
    values = with_zeros(rng, signed(rng, rows, columns), n // 2)
    hint = "zeros are small magnitudes like others: no more and no fewer than round(sparsity * n)"
    for share in (n // 4, n // 2 + n // 4):
        expect_pruned(student, hint, values, share / n)


@magnitude_mask.check()
def test_mask_at_the_ends(student: Any, rng: RandomInputs) -> None:
    """Sparsity 0 keeps every weight, sparsity 1 prunes every weight."""
    hint = "0 and 1 are allowed: beware of kthvalue(0) and of [-0:], which is everything"
    dense = signed(rng, 4, rng.integer(5, 8))
    for values in (dense, with_zeros(rng, dense, 6), tied(rng, 1, 3, 7), signed(rng, 1)):
        for sparsity in (0.0, 1.0):
            expect_pruned(student, hint, values, sparsity)


@magnitude_mask.check(weight=0.5)
def test_mask_in_double_precision(student: Any, rng: RandomInputs) -> None:
    """Float64 weights that float32 cannot tell apart are ranked too."""
    values = 1 + signed(rng, 5, rng.integer(5, 8)).double() * 1e-10
    values = values * signs(rng, values.numel()).double().reshape(values.shape)
    expect_pruned(student, "keep the weight's dtype while ranking", values, 0.4)


@magnitude_mask.check(weight=0.5, guard=True)
def test_mask_leaves_the_weight_alone(student: Any, rng: RandomInputs) -> None:
    """The weight is unchanged."""
    values = signed(rng, 4, rng.integer(5, 8))
    live = student.put(values)
    student.magnitude_mask(live, 0.5)
    check(torch.equal(student.fetch(live), values), UNTOUCHED)


@magnitude_mask.check(weight=0.5, guard=True)
def test_mask_refuses_bad_sparsity(student: Any, rng: RandomInputs) -> None:
    """A sparsity outside 0..1 raises ValueError."""
    for sparsity in share_outside(rng):
        expect_value_error(student.magnitude_mask, signed(rng, 4, 5), sparsity)


# ---- global_masks ----------------------------------------------------------------------------


def scaled_weights(rng: RandomInputs) -> dict[str, Tensor]:
    """Weights of very different scale and shape, names in no order, no two magnitudes equal."""
    names = rng.sample(["head.weight", "conv.weight", "body.weight", "a", "b"], 3)
    shapes = [(rng.integer(3, 5), 6), (4, rng.integer(2, 3), 3, 3), (rng.integer(9, 14),)]
    sizes = [math.prod(shape) for shape in shapes]
    ranks = torch.split(signed(rng, sum(sizes)), sizes)
    scales = rng.sample([1.0, 1.5, 2.25], 3)
    return {
        name: (values * scale + 2**-9 * place * values.sign()).reshape(shape)
        for place, (name, values, scale, shape) in enumerate(
            zip(names, ranks, scales, shapes, strict=True)
        )
    }


def expect_global(student: Any, hint: str, weights: dict[str, Tensor], sparsity: float) -> None:
    """Check the student's global_masks: first the count over all weights, then the places."""
    masks = expect_masks(student.global_masks(weights, sparsity), "global_masks", weights)
    expected = global_reference(weights, sparsity)
    hint_count = "prune exactly round(sparsity * N) of all N weights together, half to even"
    check(pruned_count(masks) == pruned_count(expected), hint_count)
    check(all(torch.equal(masks[name], mask) for name, mask in expected.items()), hint)


global_masks = Exercise("s2.global_masks")


@global_masks.check(weight=3)
def test_global_masks_compare_all_layers(student: Any, rng: RandomInputs) -> None:
    """The smallest magnitudes of all layers together are pruned, not a share of each layer."""
    for _ in range(2):
        weights = scaled_weights(rng)
        hint = "rank the magnitudes of all tensors in one list, and neither normalise nor skip any"
        expect_global(student, hint, weights, rng.number(0.3, 0.7))


@global_masks.check(weight=1.5)
def test_global_masks_count_is_rounded(student: Any, rng: RandomInputs) -> None:
    """Exactly round(sparsity * N) of all N weights are pruned: rounded once, half to even."""
    for n, sparsity in half_counts(rng):
        first, second = torch.split(signed(rng, n), [n // 3, n - n // 3])
        weights = {"layers.0.weight": first, "layers.1.weight": second.reshape(1, -1)}
        expect_global(student, "prune the smallest magnitudes", weights, sparsity)


@global_masks.check(weight=1.5)
def test_global_masks_break_ties_in_order(student: Any, rng: RandomInputs) -> None:
    """Of equal magnitudes, those of the earlier tensor go first, then the lower flat index."""
    names = rng.sample(["z", "m", "a", "q"], 3)
    for levels in (1, 3):
        weights = {name: tied(rng, levels, rng.integer(8, 14), 5) for name in names}
        hint = "ties: in the order of the dict, then by flat index"
        expect_global(student, hint, weights, rng.number(0.2, 0.8))


@global_masks.check()
def test_global_masks_at_the_ends(student: Any, rng: RandomInputs) -> None:
    """Sparsity 0 keeps everything, sparsity 1 prunes everything."""
    weights = scaled_weights(rng)
    name = next(iter(weights))
    weights[name] = with_zeros(rng, weights[name], 4)
    for sparsity in (0.0, 1.0):
        expect_global(student, "0 and 1 are allowed", weights, sparsity)


@global_masks.check(weight=0.5, guard=True)
def test_global_masks_of_nothing(student: Any, rng: RandomInputs) -> None:
    """No weights, no masks."""
    masks = expect_dict(student.global_masks({}, rng.number(0.1, 0.9)), "global_masks")
    check(len(masks) == 0, "an empty dict gives an empty dict")


@global_masks.check(weight=0.5, guard=True)
def test_global_masks_leave_the_weights_alone(student: Any, rng: RandomInputs) -> None:
    """The weights are unchanged."""
    weights = scaled_weights(rng)
    live = {name: student.put(values) for name, values in weights.items()}
    student.global_masks(live, 0.5)
    for name, values in weights.items():
        check(torch.equal(student.fetch(live[name]), values), UNTOUCHED)


@global_masks.check(weight=0.5, guard=True)
def test_global_masks_refuse_bad_sparsity(student: Any, rng: RandomInputs) -> None:
    """A sparsity outside 0..1 raises ValueError."""
    for sparsity in share_outside(rng):
        expect_value_error(student.global_masks, scaled_weights(rng), sparsity)


# ---- nm_mask ---------------------------------------------------------------------------------


def pattern(rng: RandomInputs) -> tuple[int, int]:
    """N:M with N well below half of M, so that keeping and pruning differ."""
    return rng.choice([(1, 4), (1, 3), (2, 5), (3, 8), (2, 6)])


def expect_nm(student: Any, values: Tensor, n: int, m: int) -> None:
    """Check a mask group by group: n are kept, and none of the pruned ones is larger."""
    mask = expect_mask(student.nm_mask(values, n, m), "nm_mask", values.shape)
    for magnitudes, kept in zip(
        groups_along_inputs(values.abs(), m), groups_along_inputs(mask, m), strict=True
    ):
        hint = "keep exactly n of every m consecutive weights along dimension 1 (the inputs)"
        check(sum(kept) == n, hint)
        least = min((v for v, k in zip(magnitudes, kept, strict=True) if k), default=math.inf)
        most = max((v for v, k in zip(magnitudes, kept, strict=True) if not k), default=0.0)
        check(least >= most, "keep the largest magnitudes of each group")


nm_mask = Exercise("s2.nm_mask")


@nm_mask.check(weight=2)
def test_nm_mask_of_a_linear_weight(student: Any, rng: RandomInputs) -> None:
    """Of every m consecutive inputs of an output, the n largest magnitudes are kept."""
    for n, m in ((2, 4), pattern(rng)):
        expect_nm(student, signed(rng, m * rng.integer(1, 2), m * rng.integer(2, 4)), n, m)


@nm_mask.check(weight=2)
def test_nm_mask_of_a_convolution(student: Any, rng: RandomInputs) -> None:
    """In a convolution, too, a group is m consecutive input channels at one place of the kernel."""
    for n, m in ((2, 4), pattern(rng)):
        expect_nm(student, signed(rng, m, m * rng.integer(2, 3), 3, 3), n, m)
        expect_nm(student, signed(rng, rng.integer(3, 5), 2 * m, 1, m), n, m)


@nm_mask.check()
def test_nm_mask_with_equal_magnitudes(student: Any, rng: RandomInputs) -> None:
    """With equal magnitudes, or zeros, still exactly n of m are kept."""
    for n, m in ((2, 4), pattern(rng)):
        expect_nm(student, tied(rng, 1, 4, 3 * m), n, m)
        values = tied(rng, 2, 4, 3 * m)
        expect_nm(student, with_zeros(rng, values, values.numel() // 2), n, m)


@nm_mask.check(weight=0.5, guard=True)
def test_nm_mask_that_keeps_all(student: Any, rng: RandomInputs) -> None:
    """With n = m every weight is kept."""
    m = rng.integer(2, 5)
    expect_nm(student, signed(rng, 3, 2 * m), m, m)


@nm_mask.check(weight=0.5, guard=True)
def test_nm_mask_leaves_the_weight_alone(student: Any, rng: RandomInputs) -> None:
    """The weight is unchanged."""
    values = signed(rng, 4, 4 * rng.integer(1, 3))
    live = student.put(values)
    student.nm_mask(live, 2, 4)
    check(torch.equal(student.fetch(live), values), UNTOUCHED)


@nm_mask.check(weight=0.5, guard=True)
def test_nm_mask_refuses_other_sizes(student: Any, rng: RandomInputs) -> None:
    """An input dimension that m does not divide, and n above m, raise ValueError."""
    n, m = pattern(rng)
    expect_value_error(student.nm_mask, signed(rng, m, 2 * m + 1), n, m)
    expect_value_error(student.nm_mask, signed(rng, m, 2 * m - 1, 1, m), n, m)
    expect_value_error(student.nm_mask, signed(rng, m, 2 * m), m + 1, m)


# ---- apply_masks -----------------------------------------------------------------------------


def masks_for(rng: RandomInputs, weights: dict[str, Tensor]) -> Masks:
    """A random mask for each weight, with a share of its own."""
    return {
        name: random_mask(rng, *values.shape, share=rng.number(0.3, 0.7))
        for name, values in weights.items()
    }


apply_masks = Exercise("s2.apply_masks")


@apply_masks.check(weight=2)
def test_apply_masks_zeroes_what_is_pruned(student: Any, rng: RandomInputs) -> None:
    """Pruned weights are exactly 0; kept ones, and parameters without a mask, are unchanged."""
    network = convolutional_network(rng)
    masks = masks_for(rng, layer_weights(network))
    del masks[rng.choice(sorted(masks))]
    masks["5.bias"] = random_mask(rng, *network.get_parameter("5.bias").shape)  # as any parameter
    live = student.put(network)
    student.apply_masks(live, masks)
    state, before = student.state(live), numbers(network)
    check(state.keys() == before.keys(), "the network keeps its parameters and their names")
    for name, old in before.items():
        new = expect_tensor(state[name], "a parameter", old.shape, old.dtype)
        if name in masks:
            check(not bool(new[~masks[name]].any()), "mask False: the weight becomes exactly 0")
            check(torch.equal(new[masks[name]], old[masks[name]]), "mask True: kept as it is")
        else:
            check(torch.equal(new, old), "what has no mask stays as it is")


@apply_masks.check(weight=1.5)
def test_apply_masks_keeps_the_parameters(student: Any, rng: RandomInputs) -> None:
    """The Parameter objects stay: an optimiser that holds them goes on training the network."""
    network = Tied(rng.integer(4, 6))  # one Parameter in two layers: a new one parts them
    twins = Twins.of(student, network, "SGD", lr=0.5)
    masks = {"first.weight": random_mask(rng, *network.first.weight.shape)}
    student.apply_masks(twins.model, masks)
    before = student.state(twins.model)
    hint = "change the values of the Parameter in place: no new Parameter, no new tensor"
    check(torch.equal(before["first.weight"], before["second.weight"]), hint)
    check(not bool(before["first.weight"][~masks["first.weight"]].any()), "mask False: 0")
    features = network.first.in_features
    twins.backward(rng.normal(7, features), rng.normal(7, features))
    twins.plain_step()
    after = student.state(twins.model)
    check(not any(torch.equal(after[name], old) for name, old in before.items()), hint)


@apply_masks.check(weight=0.5, guard=True)
def test_apply_masks_leaves_the_masks_alone(student: Any, rng: RandomInputs) -> None:
    """The masks are unchanged."""
    network = small_network(rng)
    masks = masks_for(rng, layer_weights(network))
    live = {name: student.put(mask) for name, mask in masks.items()}
    student.apply_masks(student.put(network), live)
    for name, mask in masks.items():
        check(torch.equal(student.fetch(live[name]), mask), UNTOUCHED)


def expect_mask_errors(
    student: Any, rng: RandomInputs, function: Callable[[Any, Masks], Any]
) -> None:
    """Masks with an unknown name, or of another shape, raise ValueError."""
    network = small_network(rng)
    masks = masks_for(rng, layer_weights(network))
    name = rng.choice(sorted(masks))
    rows, columns = masks[name].shape
    expect_value_error(function, student.put(network), {f"{name}s": masks[name]})
    wrong = {**masks, name: random_mask(rng, rows, columns + 1)}
    expect_value_error(function, student.put(network), wrong)


@apply_masks.check(weight=0.5, guard=True)
def test_apply_masks_refuses_what_does_not_fit(student: Any, rng: RandomInputs) -> None:
    """A name that no parameter has, and a mask of another shape, raise ValueError."""
    expect_mask_errors(student, rng, student.apply_masks)


# ---- masked_step -----------------------------------------------------------------------------


def expect_masked(twins: Twins, masks: Masks, hint: str) -> None:
    """Take one masked step and compare every parameter with the plain step's."""
    state = twins.masked_step(masks)
    expected = twins.ours.state_dict()
    check(state.keys() == expected.keys(), "the network keeps its parameters")
    for name, values in expected.items():
        found = expect_tensor(state[name], "a parameter", values.shape)
        if name in masks:
            revived = "after the step every pruned weight is exactly 0: mask the weights themselves"
            check(not bool(found[~masks[name]].any()), revived)
        check(allclose(found, values, rtol=1e-4, atol=1e-5), hint)


def batch_for(rng: RandomInputs, network: nn.Sequential) -> tuple[Tensor, Tensor]:
    """Inputs (N, 6) and a gradient of the outputs."""
    last = network[1]
    assert isinstance(last, nn.Linear)
    return rng.normal(5, 6), rng.normal(5, last.out_features)


masked_step = Exercise("s2.masked_step")


@masked_step.check(weight=2)
def test_masked_step_with_momentum(student: Any, rng: RandomInputs) -> None:
    """Momentum gathered before the pruning does not revive a pruned weight."""
    network = small_network(rng)
    momentum = rng.number(0.8, 0.95)
    twins = Twins.of(student, network, "SGD", lr=0.1, momentum=momentum, weight_decay=0.05)
    for _ in range(2):
        twins.zero_grad()
        twins.backward(*batch_for(rng, network))
        twins.plain_step()
    masks = masks_for(rng, layer_weights(network))
    for _ in range(3):
        twins.zero_grad()
        twins.backward(*batch_for(rng, network))
        expect_masked(twins, masks, "kept weights get what optimizer.step() alone gives them")


@masked_step.check()
def test_masked_step_with_adam(student: Any, rng: RandomInputs) -> None:
    """The same with Adam and weight decay."""
    network = small_network(rng)
    name = rng.choice(["Adam", "AdamW"])
    twins = Twins.of(student, network, name, lr=0.05, weight_decay=rng.number(0.05, 0.2))
    for turn in range(4):
        twins.zero_grad()
        twins.backward(*batch_for(rng, network))
        if turn == 0:
            twins.plain_step()
            masks = masks_for(rng, layer_weights(network))
        else:
            expect_masked(twins, masks, "any optimiser: take its own step, exactly once")


@masked_step.check(weight=1.5)
def test_masked_step_trains_kept_zeros(student: Any, rng: RandomInputs) -> None:
    """A kept weight that happens to be 0 still trains: the mask decides, not the value."""
    network = small_network(rng)
    with torch.no_grad():
        for layer in network.modules():
            if isinstance(layer, nn.Linear):
                layer.weight.copy_(
                    with_zeros(rng, layer.weight.detach(), layer.weight.numel() // 2)
                )
    masks = masks_for(rng, layer_weights(network))
    twins = Twins.of(student, network, "SGD", lr=0.1, momentum=0.9)
    for _ in range(2):
        twins.zero_grad()
        twins.backward(*batch_for(rng, network))
        hint = "use the masks that are given: one made from weights that are 0 freezes kept ones"
        expect_masked(twins, masks, hint)


@masked_step.check()
def test_masked_step_without_a_mask(student: Any, rng: RandomInputs) -> None:
    """Parameters that have no mask take the plain step."""
    network = small_network(rng)
    masks = masks_for(rng, layer_weights(network))
    del masks[rng.choice(sorted(masks))]
    twins = Twins.of(student, network, "SGD", lr=0.1, momentum=0.9)
    for chosen in (masks, masks, {}):
        twins.zero_grad()
        twins.backward(*batch_for(rng, network))
        expect_masked(twins, chosen, "a parameter without a mask takes the optimiser's own step")


@masked_step.check()
def test_masked_step_keeps_the_gradients(student: Any, rng: RandomInputs) -> None:
    """Gradients are not zeroed: the caller may go on adding to them."""
    network = small_network(rng)
    masks = masks_for(rng, layer_weights(network))
    twins = Twins.of(student, network, "SGD", lr=0.05)
    for _ in range(3):
        twins.backward(*batch_for(rng, network))
        expect_masked(twins, masks, "neither zero_grad nor new gradients: only the step")


@masked_step.check(weight=0.5, guard=True)
def test_masked_step_leaves_the_masks_alone(student: Any, rng: RandomInputs) -> None:
    """The masks are unchanged."""
    network = small_network(rng)
    twins = Twins.of(student, network, "SGD", lr=0.05, momentum=0.9)
    twins.backward(*batch_for(rng, network))
    masks = masks_for(rng, layer_weights(network))
    live = {name: student.put(mask) for name, mask in masks.items()}
    student.masked_step(twins.optimizer, twins.model, live)
    for name, mask in masks.items():
        check(torch.equal(student.fetch(live[name]), mask), UNTOUCHED)


@masked_step.check(weight=0.5, guard=True)
def test_masked_step_refuses_what_does_not_fit(student: Any, rng: RandomInputs) -> None:
    """A name that no parameter has, and a mask of another shape, raise ValueError."""
    network = small_network(rng)
    optimizer = Twins.of(student, network, "SGD", lr=0.05).optimizer
    expect_mask_errors(
        student, rng, lambda model, masks: student.masked_step(optimizer, model, masks)
    )


# ---- cubic_sparsity --------------------------------------------------------------------------


def plan(rng: RandomInputs) -> tuple[int, int, int, float, float]:
    """start, steps, interval, initial and final, all of them different from each other."""
    return (
        rng.integer(20, 60),
        rng.integer(5, 9),
        rng.integer(10, 16),
        rng.number(0.1, 0.3),
        rng.number(0.6, 0.95),
    )


def expect_sparsity(student: Any, hint: str, step: int, *settings: float) -> None:
    """Check the student's cubic_sparsity at one step."""
    start, steps, interval, initial, final = settings
    found = expect_float(student.cubic_sparsity(step, *settings), "cubic_sparsity")
    expected = cubic(step, int(start), int(steps * interval), initial, final)
    check(close(found, expected, rtol=1e-6, atol=1e-7), hint)


cubic_sparsity = Exercise("s2.cubic_sparsity")


@cubic_sparsity.check(weight=2)
def test_sparsity_rises_cubically(student: Any, rng: RandomInputs) -> None:
    """At start + k * interval the sparsity follows the cubic from initial to final."""
    for _ in range(2):
        start, steps, interval, initial, final = plan(rng)
        hint = "final + (initial - final) * (1 - (step - start) / (steps * interval))**3"
        for k in range(1, steps):
            step = start + k * interval
            expect_sparsity(student, hint, step, start, steps, interval, initial, final)


@cubic_sparsity.check()
def test_sparsity_before_the_start(student: Any, rng: RandomInputs) -> None:
    """Up to `start` the sparsity is the initial one."""
    settings = plan(rng)
    for step in (0, 1, settings[0] - 1, settings[0]):
        hint = "constant before start: the formula alone would go below initial"
        expect_sparsity(student, hint, step, *settings)


@cubic_sparsity.check(weight=1.5, guard=True)
def test_sparsity_after_the_end(student: Any, rng: RandomInputs) -> None:
    """From start + steps * interval on the sparsity is the final one."""
    settings = plan(rng)
    end = settings[0] + settings[1] * settings[2]
    for step in (end, end + 1, end + rng.integer(50, 900)):
        hint = "final is reached at start + steps * interval, and then held"
        expect_sparsity(student, hint, step, *settings)


@cubic_sparsity.check(weight=0.5)
def test_sparsity_from_step_zero(student: Any, rng: RandomInputs) -> None:
    """A schedule that prunes in every step from step 0 on, from no sparsity at all."""
    steps, final = rng.integer(5, 9), rng.number(0.5, 1.0)
    for step in range(steps + 2):
        expect_sparsity(student, "start = 0, interval = 1", step, 0, steps, 1, 0.0, final)


@cubic_sparsity.check(weight=0.5, guard=True)
def test_sparsity_refuses_bad_shares(student: Any, rng: RandomInputs) -> None:
    """An initial or final sparsity outside 0..1 raises ValueError."""
    start, steps, interval, initial, final = plan(rng)
    for share in share_outside(rng):
        for ends in ((share, final), (initial, share)):
            expect_value_error(student.cubic_sparsity, start, start, steps, interval, *ends)


# ---- gradual_prune ---------------------------------------------------------------------------


def state_of(student: Any, model: object) -> object:
    """The state of a network that came back, as a value or as a handle."""
    if isinstance(model, Handle):
        return student.invoke(model, "state_dict")
    return model.state_dict() if isinstance(model, nn.Module) else None


def gradually(
    student: Any, network: nn.Module, *args: object, **options: object
) -> tuple[nn.Module, Masks]:
    """Our copy of the network that the student pruned, and its masks, checked for their form."""
    live = student.put(network)
    result = expect_list(student.gradual_prune(live, *args, **options), "the result", length=2)
    after = with_state(network, state_of(student, result[0]))
    masks = expect_dict(result[1], "the masks")
    weights = layer_weights(network)
    hint = "masks: one for the weight of every Linear and convolution layer, by parameter name"
    check(masks.keys() >= weights.keys(), hint)
    for name, values in after.named_parameters():
        if name in masks:
            mask = expect_mask(masks[name], "each mask", values.shape)
            hint = "never prune biases, norms or embeddings"
            check(name in weights or bool(mask.all()), hint)
    return after, {name: masks[name] for name in weights}


def expect_sparse(after: nn.Module, masks: Masks, sparsity: float, hint: str) -> None:
    """As many weights are pruned as a sparsity says, of each layer or of all together."""
    total = sum(mask.numel() for mask in masks.values())
    pruned = pruned_count(masks)
    per_layer = sum(round(sparsity * mask.numel()) for mask in masks.values())
    check(pruned in (per_layer, round(sparsity * total)), hint)
    zeros = sum(int((values == 0).sum()) for values in layer_weights(after).values())
    check(zeros == pruned, "the zeros of the network are those of the masks")


def few_digits(rng: RandomInputs, count: int, batch: int) -> Batches:
    """A loader for training."""
    images, targets = scrambled_digits(rng)
    return shuffling(images[:count], targets[:count], batch, rng)


gradual_prune = Exercise("s2.gradual_prune")


@gradual_prune.check(weight=2, seconds=30)
def test_gradual_prune_reaches_the_last_value(student: Any, rng: RandomInputs) -> None:
    """At the end the network is as sparse as the schedule's last value says."""
    loader = few_digits(rng, 200, 32)  # 7 batches: they have to be gone through several times
    for steps in (rng.integer(20, 30), rng.integer(31, 40)):
        network = built(lambda: MLP((64, 20, 10)), rng)
        # round and int differ for 200, 1,280 and all 1,480 weights
        final = (5 * rng.integer(24, 36) + 0.75) / 200
        after, masks = gradually(student, network, loader, rising(steps - 1, final), steps)
        hint = (
            "the schedule's last value was missed: prune in the last step as well, go through the "
            "loader as often as needed, and round(sparsity * n) of all n weights, kept and pruned"
        )
        expect_sparse(after, masks, final, hint)


@gradual_prune.check(weight=2, seconds=30)
def test_gradual_prune_keeps_zeros(student: Any, rng: RandomInputs) -> None:
    """Pruned weights stay exactly 0, also long after the last pruning and with momentum."""
    network = built(lambda: MLP((64, 20, 10)), rng)
    final, steps = rng.number(0.5, 0.8), 40
    after, masks = gradually(
        student,
        network,
        few_digits(rng, 200, 32),
        rising(20, final),
        steps,
        momentum=0.9,
        weight_decay=0.01,
    )
    for name, values in layer_weights(after).items():
        hint = "apply the masks after every optimiser step: momentum revives pruned weights"
        check(not bool(values[~masks[name]].any()), hint)
    expect_sparse(after, masks, final, "masks: True = keep, and the last ones that were used")


@gradual_prune.check(seconds=30)
def test_gradual_prune_spares_biases_and_norms(student: Any, rng: RandomInputs) -> None:
    """Only the weights of Linear and convolution layers are pruned."""
    network = built(lambda: nn.Sequential(nn.LayerNorm((8, 8)), *DigitsCNN(4).features), rng)
    network.extend([nn.Flatten(), built(lambda: nn.Linear(8, 10), rng)])
    steps, final = 12, rng.number(0.6, 0.8)
    after, masks = gradually(
        student, network, few_digits(rng, 128, 32), rising(steps - 3, final), steps, lr=0.02
    )
    expect_sparse(after, masks, final, "the share is one of the prunable weights, of all of them")
    for name, values in after.named_parameters():
        if name not in masks and "bias" not in name:
            check(bool(values.all()), "never prune biases, norms or embeddings")


LEARNT = 0.82  # accuracy on held-out digits that earns everything
LITTLE = 0.6  # and the one that earns nothing


@gradual_prune.check(weight=2, seconds=60)
def test_gradual_prune_keeps_the_accuracy(student: Any, rng: RandomInputs, credit: Any) -> None:
    """With nine tenths of its weights pruned while it trains, a network still reads digits."""
    images, targets = scrambled_digits(rng)
    after, _ = gradually(
        student,
        built(lambda: MLP((64, 48, 10)), rng),
        shuffling(images[:1300], targets[:1300], 64, rng),
        rising(130, 0.9),
        200,
    )
    reached = accuracy(after, images[1300:], targets[1300:])  # never in the student's process
    hint = (
        "the network reads too few digits: does it train between prunings and after the last, "
        "with a gradient that is zeroed each step, and does it lose the smallest magnitudes?"
    )
    credit((reached - LITTLE) / (LEARNT - LITTLE), hint)


@gradual_prune.check()
def test_gradual_prune_takes_the_smallest(student: Any, rng: RandomInputs) -> None:
    """With a learning rate near 0 the smallest magnitudes of the given network are pruned."""
    network = small_network(rng)
    weights = layer_weights(network)
    final, steps = rng.number(0.4, 0.7), rng.integer(12, 18)
    inputs, targets = rng.normal(32, 6), rng.integers(0, 2, 32)
    _, masks = gradually(
        student, network, in_order(inputs, targets, 16), rising(steps // 2, final), steps, lr=1e-7
    )
    per_layer = {name: magnitude_reference(values, final) for name, values in weights.items()}
    hint = "prune the smallest magnitudes, of each layer or of all together"
    expected = (per_layer, global_reference(weights, final))
    check(any(same_numbers(masks, each) for each in expected), hint)


@gradual_prune.check(weight=1.5)
def test_gradual_prune_is_gradual(student: Any, rng: RandomInputs) -> None:
    """The sparsity rises step by step with the schedule, while the network trains."""
    features = rng.integer(9, 12)
    seen: list[float] = []  # the input is the identity: what comes out is the weight

    def note(_training: bool, outputs: Tensor) -> None:
        seen.append(float((outputs == 0).double().mean()))

    network = nn.Sequential(nn.Linear(features, 10, bias=False), Tap(note))
    with torch.no_grad():
        network[0].weight.copy_(signed(rng, 10, features))  # type: ignore[operator]  # a Tensor
    asked: list[float] = []
    final, steps = rng.number(0.7, 0.9), 40
    curve = rising(30, final)

    def schedule(step: float) -> float:
        asked.append(float(step))
        return curve(int(step))

    identity = in_order(torch.eye(features), rng.integers(0, 9, features), features)
    student.gradual_prune(student.put(network), identity, schedule, steps, lr=0.01)
    hint = "call schedule(step) with the number of the training step, again and again"
    check(len(set(asked)) >= 4 and max(asked) >= 30, hint)
    check(len(seen) >= steps // 2, "train in every step")
    hint = "prune a little more in each step, as the schedule says: neither at once nor at the end"
    check(seen[0] <= curve(3) + 0.02, hint)
    check(len({share for share in seen if 0.05 < share < 0.95 * final}) >= 3, hint)
    check(all(b >= a for a, b in itertools.pairwise(seen)), "what is pruned stays pruned")


@gradual_prune.check()
def test_gradual_prune_uses_its_loss(student: Any, rng: RandomInputs) -> None:
    """The network is trained with `loss_fn`: here it learns a regression."""
    truth = rng.normal(3, 5)
    inputs = rng.normal(96, 5)
    targets = inputs @ truth.T + 4
    network = built(lambda: nn.Sequential(nn.Linear(5, 3)), rng)
    after, _ = gradually(
        student,
        network,
        shuffling(inputs, targets, 32, rng),
        lambda _step: 0.0,
        120,
        loss_fn=F.mse_loss,
    )
    with torch.no_grad():
        rest = float(((after(inputs) - targets) ** 2).mean() / targets.var())
    check(rest < 0.05, "minimise loss_fn(model(inputs), targets)")


def distance(student: Any, rng_seed: int, options: dict[str, float]) -> float:
    """How far 20 steps under a constant gradient move a weight."""
    rng = RandomInputs(rng_seed.to_bytes(8, "little"))
    network = built(lambda: nn.Sequential(nn.Linear(4, 2, bias=False)), rng)
    inputs = rng.uniform(16, 4, low=0.5, high=1.0)
    loader = in_order(inputs, torch.full((16, 2), 1e6), 16)
    after, _ = gradually(
        student, network, loader, lambda _step: 0.0, 20, loss_fn=F.l1_loss, **options
    )
    return float((layer_weights(after)["0.weight"] - layer_weights(network)["0.weight"]).norm())


@gradual_prune.check()
def test_gradual_prune_passes_its_options_on(student: Any, rng: RandomInputs) -> None:
    """Learning rate, momentum and weight decay are those that were given."""
    seed = rng.seed()
    plain = distance(student, seed, {"lr": 0.01, "momentum": 0.0})
    doubled = distance(student, seed, {"lr": 0.02, "momentum": 0.0})
    check(plain > 0 and 1.5 < doubled / plain < 2.5, "lr is the optimiser's learning rate")
    fast = distance(student, seed, {"lr": 0.01, "momentum": 0.9})
    check(fast > 2 * plain, "momentum is the optimiser's momentum")
    network = built(lambda: nn.Sequential(nn.Linear(5, 3, bias=False)), rng)
    loader = in_order(torch.zeros(8, 5), rng.integers(0, 2, 8), 8)  # no gradient at all
    norms = []
    for decay in ({}, {"weight_decay": 0.5}):
        after, _ = gradually(student, network, loader, lambda _step: 0.0, 20, **decay)
        norms.append(float(layer_weights(after)["0.weight"].norm()))
    hint = "weight_decay is the optimiser's, 0 by default"
    before = float(layer_weights(network)["0.weight"].norm())
    check(close(norms[0], before, rtol=1e-4) and norms[1] < 0.9 * before, hint)


@gradual_prune.check(guard=True)
def test_gradual_prune_leaves_the_model_alone(student: Any, rng: RandomInputs) -> None:
    """The network that was passed in is unchanged."""
    network = convolutional_network(rng)
    live = student.put(network)
    loader = in_order(rng.normal(24, 2, 4, 4), rng.integers(0, 2, 24), 12)
    student.gradual_prune(live, loader, rising(4, 0.5), 6)
    hint = "train and prune a deep copy"
    check(same_numbers(student.state(live), numbers(network)), hint)


# ---- compare_large_sparse_small_dense --------------------------------------------------------

Row = tuple[str, int, int, float, float]
COLUMNS = ("name", "params", "nonzeros", "sparsity", "accuracy")
SPARSE = 0.05  # a sparsity above it is no accident


def compared(student: Any, large: int, small: tuple[int, ...], epochs: int, seed: int) -> list[Row]:
    """The student's table, checked for its form."""
    table = student.compare_large_sparse_small_dense(
        large=large, small=small, epochs=epochs, seed=seed
    )
    rows = []
    for entry in expect_list(table, "the table"):
        row = expect_dict(entry, "each row")
        check(row.keys() >= set(COLUMNS), f"each row has the keys {', '.join(COLUMNS)}")
        with property_of("a row"):
            rows.append(
                (
                    expect_str(row["name"], "name"),
                    expect_int(row["params"], "params"),
                    expect_int(row["nonzeros"], "nonzeros"),
                    expect_float(row["sparsity"], "sparsity"),
                    expect_float(row["accuracy"], "accuracy"),
                )
            )
    return rows


def widths(rng: RandomInputs) -> tuple[int, tuple[int, int]]:
    """large and small."""
    first = rng.integer(6, 8)
    return rng.integer(28, 34), (first, first + rng.integer(3, 5))


def sides(rows: list[Row]) -> tuple[list[Row], list[Row]]:
    """(small and dense, large and sparse); a large dense network may be there too."""
    sparse = [row for row in rows if row[3] > SPARSE]
    largest = max((row[1] for row in sparse), default=0)
    return [row for row in rows if row[3] <= SPARSE and row[1] < largest], sparse


compare_large_sparse_small_dense = Exercise("s2.compare_large_sparse_small_dense")


@compare_large_sparse_small_dense.check(weight=2, seconds=30)
def test_comparison_is_fair(student: Any, rng: RandomInputs) -> None:
    """For each small network there is a large one with as many nonzero weights, within 1 %."""
    large, small = widths(rng)
    dense, sparse = sides(compared(student, large, small, 2, rng.seed()))
    hint = "for each width in small: a dense network of that width and a pruned one of width large"
    check(len({row[1] for row in dense}) == len(small) and len(sparse) >= len(small), hint)
    check(len({row[1] for row in sparse}) == 1, "the large networks have one size")
    for row in dense:
        hint = "choose the sparsity so that the nonzero weights of both are equal within 1 %"
        check(any(abs(row[2] - other[2]) <= 0.01 * row[2] for other in sparse), hint)


@compare_large_sparse_small_dense.check(seconds=30)
def test_comparison_adds_up(student: Any, rng: RandomInputs) -> None:
    """Parameters, nonzero weights and sparsity of a row fit each other."""
    large, small = widths(rng)
    rows = compared(student, large, small, 2, rng.seed())
    check(len(rows) > 0 and len({row[0] for row in rows}) == len(rows), "each row has its own name")
    for _, params, nonzeros, sparsity, _ in rows:
        hint = "params: all elements of the parameters; nonzeros: those that are not 0"
        check(0 < nonzeros <= params, hint)
        hint = "sparsity: the share of zeros, 0..1"
        check(abs(sparsity - (1 - nonzeros / params)) < 0.03, hint)
    dense, sparse = sides(rows)
    hint = "params and sparsity are measured: small networks are dense, large ones pruned"
    check(bool(dense) and bool(sparse), hint)
    doubled = tuple(2 * each for each in small)
    wide_dense, wide_sparse = sides(compared(student, 2 * large, doubled, 2, rng.seed()))
    check(bool(wide_dense) and bool(wide_sparse), hint)
    for before, after in ((dense, wide_dense), (sparse, wide_sparse)):
        hint = "the widths in small and the width large decide the sizes of the networks"
        check(min(row[1] for row in after) > 1.5 * min(row[1] for row in before), hint)


LOW = 0.25  # an accuracy that any trained network of 14 hidden units or more exceeds


@compare_large_sparse_small_dense.check(guard=True, seconds=30)
def test_comparison_trains(student: Any, rng: RandomInputs) -> None:
    """Accuracies are shares on held-out digits, of networks that have learnt something."""
    small = rng.integer(14, 16), rng.integer(20, 24)
    rows = compared(student, rng.integer(40, 48), small, rng.integer(7, 8), rng.seed())
    check(len(rows) >= 2 * len(small), "two rows for each width in small")
    reached = [row[4] for row in rows]
    check(all(0 <= value <= 1 for value in reached), "accuracy: a share in 0..1, not percent")
    check(min(reached) > LOW, "train every network, the pruned ones too, for `epochs` epochs")


@compare_large_sparse_small_dense.check(seconds=30)
def test_comparison_depends_on_seed_and_epochs(student: Any, rng: RandomInputs) -> None:
    """The same arguments give the same table, in any process; another seed, or epoch, another."""
    large, small = widths(rng)
    seed = rng.integer(1, 1000)
    first = compared(student, large, small, 2, seed)
    check(len(first) > 0, "the table is empty")
    hint = "draw weights and batches from generators that are seeded with `seed`"
    check(compared(student.fresh(), large, small, 2, seed) == first, hint)
    reached = [row[4] for row in first]
    other = compared(student, large, small, 2, seed + 1)
    check([row[4] for row in other] != reached, hint)
    longer = compared(student, large, small, 4, seed)
    check([row[4] for row in longer] != reached, "train for `epochs` epochs")


@compare_large_sparse_small_dense.check(weight=0.5, guard=True, seconds=30)
def test_comparison_leaves_global_generators_alone(student: Any, rng: RandomInputs) -> None:
    """The global random generators of torch, numpy and Python are not touched."""
    large, small = widths(rng)
    before = student.rng_fingerprint()
    compared(student, large, small, 2, rng.seed())
    hint = "seeding or using a global generator changes everybody's random numbers"
    check(student.rng_fingerprint() == before, hint)


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
    """With dim = 1 there is one number for each input channel."""
    hint = "dim is the dimension that stays: sum over all others"
    for values in channel_weights(rng):
        expect_norms(student, hint, values, 1, 1, 2)


@channel_importance.check(weight=0.5, guard=True)
def test_importance_leaves_the_weight_alone(student: Any, rng: RandomInputs) -> None:
    """The weight is unchanged."""
    for values in channel_weights(rng):
        live = student.put(values)
        student.channel_importance(live, 2)
        check(torch.equal(student.fetch(live), values), UNTOUCHED)


@channel_importance.check(weight=0.5, guard=True)
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


@prune_channels.check(weight=1.5)
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


@prune_channels.check(weight=1.5)
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


@prune_channels.check(guard=True)
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


@prune_channels.check(guard=True)
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


@prune_channels.check(weight=0.5, guard=True)
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


sensitivity_scan = Exercise("s2.sensitivity_scan")


@sensitivity_scan.check(weight=3)
def test_scan_prunes_one_weight_at_a_time(student: Any, rng: RandomInputs) -> None:
    """Each value is that of the network with one weight pruned, and all others as they were."""
    network, judge, grid = convolutional_network(rng), Judge(rng), grid_of(rng)
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


@sensitivity_scan.check(weight=0.5, guard=True)
def test_scan_keeps_the_modes(student: Any, rng: RandomInputs) -> None:
    """Every submodule stays in training or eval mode."""
    network = convolutional_network(rng).train()
    network[1].eval()
    live = student.put(network)
    before = student.modes(live)
    student.sensitivity_scan(live, Judge(rng), [0.5])
    check(student.modes(live) == before, "leave the modes of the network as they are")


@sensitivity_scan.check(weight=0.5, guard=True)
def test_scan_refuses_bad_sparsity(student: Any, rng: RandomInputs) -> None:
    """A sparsity outside 0..1 in the grid raises ValueError."""
    for sparsity in share_outside(rng):
        expect_value_error(student.sensitivity_scan, small_network(rng), Judge(rng), [sparsity])


# ---- grow_and_drop ---------------------------------------------------------------------------

MOVE = (
    "drop the k smallest magnitudes among the active weights, grow the k largest gradient "
    "magnitudes among those that were inactive before"
)


def expect_moved(
    student: Any, hint: str, values: Tensor, mask: Tensor, gradient: Tensor, fraction: float
) -> Tensor:
    """Check one mask of the student's grow_and_drop: first its count, then its places."""
    found = student.grow_and_drop(values, mask, gradient, fraction)
    found = expect_mask(found, "grow_and_drop", mask.shape)
    check(int(found.sum()) == int(mask.sum()), "as many weights are active as before")
    expected = moved_reference(values, mask, gradient, fraction)
    moved, wanted = int((mask & ~found).sum()), int((mask & ~expected).sum())
    check(moved == wanted, "k = min(round(fraction * active), inactive), half to even")
    check(torch.equal(found, expected), hint)
    return found


def sparse_layer(
    rng: RandomInputs, *shape: int, share: float = 0.6
) -> tuple[Tensor, Tensor, Tensor]:
    """(weight, mask, gradient); inactive weights are 0, no two magnitudes are equal."""
    mask = random_mask(rng, *shape, share=share)
    return signed(rng, *shape) * mask, mask, signed(rng, *shape)


grow_and_drop = Exercise("s2.grow_and_drop")


@grow_and_drop.check(weight=2)
def test_move_by_magnitude_and_gradient(student: Any, rng: RandomInputs) -> None:
    """Small active weights are dropped, inactive ones with large gradients are grown."""
    for shape in ((rng.integer(25, 40),), (6, rng.integer(6, 9)), (4, 3, 3, 3)):
        layer = sparse_layer(rng, *shape)
        expect_moved(student, MOVE, *layer, rng.number(0.2, 0.5))


@grow_and_drop.check(weight=1.5)
def test_move_never_regrows_what_it_dropped(student: Any, rng: RandomInputs) -> None:
    """A weight that was dropped is not grown again at once, however large its gradient."""
    values, mask, gradient = sparse_layer(rng, 6, rng.integer(6, 9))
    gradient = gradient + 100 * gradient.sign() * mask
    hint = "grow among the weights that were inactive before dropping"
    expect_moved(student, hint, values, mask, gradient, rng.number(0.3, 0.6))


@grow_and_drop.check()
def test_move_counts_by_the_mask(student: Any, rng: RandomInputs) -> None:
    """The mask says what is active: active weights may be 0, inactive ones may be not."""
    mask = random_mask(rng, 6, rng.integer(6, 9))
    values = signed(rng, *mask.shape)
    grown = mask_without(
        set(rng.permutation(mask.numel())[: mask.numel() // 4].tolist()), mask.shape
    )
    values = values.where(grown | ~mask, torch.zeros(()))  # weights that were grown just now
    hint = "active is what the mask says, whatever the weight's value"
    expect_moved(student, hint, values, mask, signed(rng, *mask.shape), rng.number(0.3, 0.6))


@grow_and_drop.check()
def test_move_breaks_ties_by_position(student: Any, rng: RandomInputs) -> None:
    """Of equal magnitudes or gradients, the lower flat index is dropped, or grown, first."""
    for levels in (1, 2):
        mask = random_mask(rng, 10, rng.integer(12, 16))
        values, gradient = tied(rng, levels, *mask.shape) * mask, tied(rng, levels, *mask.shape)
        hint = "ties: the lower flat index first, for dropping and for growing"
        expect_moved(student, hint, values, mask, gradient, rng.number(0.2, 0.6))


@grow_and_drop.check()
def test_move_count_is_rounded(student: Any, rng: RandomInputs) -> None:
    """round(fraction * active) weights move, half to even."""
    for active, fraction in half_counts(rng):
        inactive = active + rng.integer(1, 9)
        places = rng.permutation(active + inactive)[:inactive].tolist()
        mask = mask_without(set(places), (active + inactive,))
        values = signed(rng, *mask.shape) * mask
        expect_moved(student, MOVE, values, mask, signed(rng, *mask.shape), fraction)


@grow_and_drop.check()
def test_move_is_limited_by_the_inactive(student: Any, rng: RandomInputs) -> None:
    """No more weights move than there are inactive ones."""
    layer = sparse_layer(rng, 6, rng.integer(6, 9), share=0.2)
    for fraction in (rng.number(0.5, 0.9), 1.0):
        hint = "with few inactive weights all of them are grown, and as many dropped"
        expect_moved(student, hint, *layer, fraction)
    everything = torch.ones(5, 6, dtype=torch.bool)
    values, gradient = signed(rng, 5, 6), signed(rng, 5, 6)
    expect_moved(student, "nothing inactive: nothing moves", values, everything, gradient, 0.5)


@grow_and_drop.check(weight=0.5, guard=True)
def test_move_of_nothing(student: Any, rng: RandomInputs) -> None:
    """With fraction 0 the mask stays."""
    expect_moved(student, "k = 0: nothing moves", *sparse_layer(rng, 5, 7), 0.0)


@grow_and_drop.check(weight=0.5, guard=True)
def test_move_leaves_its_inputs_alone(student: Any, rng: RandomInputs) -> None:
    """Weight, mask and gradient are unchanged."""
    layer = sparse_layer(rng, 5, rng.integer(6, 8))
    live = [student.put(each) for each in layer]
    student.grow_and_drop(*live, 0.5)
    for ref, each in zip(live, layer, strict=True):
        check(torch.equal(student.fetch(ref), each), UNTOUCHED)


@grow_and_drop.check(weight=0.5, guard=True)
def test_move_refuses_bad_arguments(student: Any, rng: RandomInputs) -> None:
    """A fraction outside 0..1, and shapes that do not match, raise ValueError."""
    values, mask, gradient = sparse_layer(rng, 5, rng.integer(6, 8))
    for fraction in share_outside(rng):
        expect_value_error(student.grow_and_drop, values, mask, gradient, fraction)
    expect_value_error(student.grow_and_drop, values, mask[:4], gradient, 0.5)
    expect_value_error(student.grow_and_drop, values, mask, gradient[:, :4], 0.5)
