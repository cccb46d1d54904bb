"""Graders of pruning.py: masks, and masks that move (dynamic sparse training)."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from autograder.graders.s2_quantization_pruning.pruning_inputs import (
    TIES,
    UNTOUCHED,
    expect_mask_errors,
    expect_pruned,
    masks_for,
    pruned_count,
    share_outside,
)
from autograder.graders.s2_quantization_pruning.pruning_references import (
    Twins,
    convolutional_network,
    expect_mask,
    expect_masks,
    global_reference,
    groups_along_inputs,
    half_counts,
    layer_weights,
    mask_without,
    moved_reference,
    numbers,
    random_mask,
    signed,
    signs,
    small_network,
    tied,
    with_zeros,
)
from autograder.graders.toolkit import (
    Exercise,
    RandomInputs,
    check,
    expect_dict,
    expect_tensor,
    expect_value_error,
)
from shared.probes import Tied

SCALES = (2.0**-84, 1.0, 2.0**84)
"""Squares of the first vanish in float32, squares of the last overflow."""

# ---- magnitude_mask --------------------------------------------------------------------------

magnitude_mask = Exercise("s2.magnitude_mask")


@magnitude_mask.check(weight=2)
def test_mask_keeps_the_largest_magnitudes(student: Any, rng: RandomInputs) -> None:
    """The smallest magnitudes are pruned, whatever their sign; the mask is True where kept."""
    hint = "rank by magnitude, not by value; a bool mask of the weight's shape, True = keep"
    for shape in ((rng.integer(20, 40),), (5, rng.integer(6, 9)), (4, rng.integer(2, 4), 3, 3)):
        n = math.prod(shape)
        sparsity = (rng.integer(n // 4, n // 2) + rng.number(-0.3, 0.3)) / n
        for scale in SCALES:
            expect_pruned(student, hint, scale * signed(rng, *shape), sparsity)


@magnitude_mask.check(weight=2)
def test_mask_count_is_rounded(student: Any, rng: RandomInputs) -> None:
    """Exactly round(sparsity * n) weights are pruned, half to even."""
    n = rng.integer(30, 60)
    whole = rng.integer(8, 20)
    shares = [(n, (whole + rng.number(0.55, 0.9)) / n), (n, (whole + rng.number(0.1, 0.45)) / n)]
    for size, sparsity in [*half_counts(rng), *shares]:
        expect_pruned(student, "prune the smallest magnitudes", signed(rng, size), sparsity)


@magnitude_mask.check(essential=True, weight=2)
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


@magnitude_mask.check(essential=True)
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


@magnitude_mask.check(weight=0.47, guard=True)
def test_mask_leaves_the_weight_alone(student: Any, rng: RandomInputs) -> None:
    """The weight is unchanged."""
    values = signed(rng, 4, rng.integer(5, 8))
    live = student.put(values)
    student.magnitude_mask(live, 0.5)
    check(torch.equal(student.fetch(live), values), UNTOUCHED)


@magnitude_mask.check(weight=0.47, guard=True)
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
    for scale in SCALES:
        weights = {name: scale * values for name, values in scaled_weights(rng).items()}
        hint = "rank the magnitudes of all tensors in one list, and neither normalise nor skip any"
        expect_global(student, hint, weights, rng.number(0.3, 0.7))


@global_masks.check(weight=1.5)
def test_global_masks_count_is_rounded(student: Any, rng: RandomInputs) -> None:
    """Exactly round(sparsity * N) of all N weights are pruned: rounded once, half to even."""
    for n, sparsity in half_counts(rng):
        first, second = torch.split(signed(rng, n), [n // 3, n - n // 3])
        weights = {"layers.0.weight": first, "layers.1.weight": second.reshape(1, -1)}
        expect_global(student, "prune the smallest magnitudes", weights, sparsity)


@global_masks.check(essential=True, weight=1.5)
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


@global_masks.check(weight=0.25, guard=True)
def test_global_masks_of_nothing(student: Any, rng: RandomInputs) -> None:
    """No weights, no masks."""
    masks = expect_dict(student.global_masks({}, rng.number(0.1, 0.9)), "global_masks")
    check(len(masks) == 0, "an empty dict gives an empty dict")


@global_masks.check(weight=0.25, guard=True)
def test_global_masks_leave_the_weights_alone(student: Any, rng: RandomInputs) -> None:
    """The weights are unchanged."""
    weights = scaled_weights(rng)
    live = {name: student.put(values) for name, values in weights.items()}
    student.global_masks(live, 0.5)
    for name, values in weights.items():
        check(torch.equal(student.fetch(live[name]), values), UNTOUCHED)


@global_masks.check(weight=0.25, guard=True)
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
        for scale in SCALES:
            values = scale * signed(rng, m * rng.integer(1, 2), m * rng.integer(2, 4))
            expect_nm(student, values, n, m)


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


@nm_mask.check(weight=0.18, guard=True)
def test_nm_mask_that_keeps_all(student: Any, rng: RandomInputs) -> None:
    """With n = m every weight is kept."""
    for m in (rng.integer(2, 5), 1):
        expect_nm(student, signed(rng, 3, 2 * m), m, m)


@nm_mask.check(weight=0.18, guard=True)
def test_nm_mask_leaves_the_weight_alone(student: Any, rng: RandomInputs) -> None:
    """The weight is unchanged."""
    values = signed(rng, 4, 4 * rng.integer(1, 3))
    live = student.put(values)
    student.nm_mask(live, 2, 4)
    check(torch.equal(student.fetch(live), values), UNTOUCHED)


@nm_mask.check(weight=0.18, guard=True)
def test_nm_mask_refuses_other_sizes(student: Any, rng: RandomInputs) -> None:
    """An input dimension that m does not divide, and n above m, raise ValueError."""
    n, m = pattern(rng)
    expect_value_error(student.nm_mask, signed(rng, m, 2 * m + 1), n, m)
    expect_value_error(student.nm_mask, signed(rng, m, 2 * m - 1, 1, m), n, m)
    expect_value_error(student.nm_mask, signed(rng, m, 2 * m), m + 1, m)


# ---- apply_masks -----------------------------------------------------------------------------

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


@apply_masks.check(weight=0.19, guard=True)
def test_apply_masks_leaves_the_masks_alone(student: Any, rng: RandomInputs) -> None:
    """The masks are unchanged."""
    network = small_network(rng)
    masks = masks_for(rng, layer_weights(network))
    live = {name: student.put(mask) for name, mask in masks.items()}
    student.apply_masks(student.put(network), live)
    for name, mask in masks.items():
        check(torch.equal(student.fetch(live[name]), mask), UNTOUCHED)


@apply_masks.check(weight=0.19, guard=True)
def test_apply_masks_refuses_what_does_not_fit(student: Any, rng: RandomInputs) -> None:
    """A name that no parameter has, and a mask of another shape, raise ValueError."""
    expect_mask_errors(student, rng, student.apply_masks)


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
    moved, count = int((mask & ~found).sum()), int((mask & ~expected).sum())
    check(moved == count, "k = min(round(fraction * active), inactive), half to even")
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
        values, mask, gradient = sparse_layer(rng, *shape)
        for scale in SCALES:
            layer = values * scale, mask, gradient / scale
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


@grow_and_drop.check(essential=True, weight=0.27, guard=True)
def test_move_of_nothing(student: Any, rng: RandomInputs) -> None:
    """With fraction 0 the mask stays."""
    expect_moved(student, "k = 0: nothing moves", *sparse_layer(rng, 5, 7), 0.0)


@grow_and_drop.check(weight=0.27, guard=True)
def test_move_leaves_its_inputs_alone(student: Any, rng: RandomInputs) -> None:
    """Weight, mask and gradient are unchanged."""
    layer = sparse_layer(rng, 5, rng.integer(6, 8))
    live = [student.put(each) for each in layer]
    student.grow_and_drop(*live, 0.5)
    for ref, each in zip(live, layer, strict=True):
        check(torch.equal(student.fetch(ref), each), UNTOUCHED)


@grow_and_drop.check(weight=0.27, guard=True)
def test_move_refuses_bad_arguments(student: Any, rng: RandomInputs) -> None:
    """A fraction outside 0..1, and shapes that do not match, raise ValueError."""
    values, mask, gradient = sparse_layer(rng, 5, rng.integer(6, 8))
    for fraction in share_outside(rng):
        expect_value_error(student.grow_and_drop, values, mask, gradient, fraction)
    expect_value_error(student.grow_and_drop, values, mask[:4], gradient, 0.5)
    expect_value_error(student.grow_and_drop, values, mask, gradient[:, :4], 0.5)
