"""Graders of pruning.py: training with masks, schedules."""

from __future__ import annotations

import itertools
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from autograder.graders.common import (
    Batches,
    accuracy,
    built,
    in_order,
    scrambled_digits,
    shuffling,
)
from autograder.graders.s2_quantization_pruning.pruning_inputs import (
    UNTOUCHED,
    expect_mask_errors,
    masks_for,
    pruned_count,
    share_outside,
)
from autograder.graders.s2_quantization_pruning.pruning_references import (
    Masks,
    Twins,
    convolutional_network,
    cubic,
    expect_mask,
    global_reference,
    layer_weights,
    magnitude_reference,
    numbers,
    rising,
    same_numbers,
    signed,
    small_network,
    with_state,
    with_zeros,
)
from autograder.graders.toolkit import (
    Exercise,
    Handle,
    RandomInputs,
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
from shared.probes import Tap

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


@masked_step.check(essential=True, weight=1.5)
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


@masked_step.check(weight=0.36, guard=True)
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


@masked_step.check(weight=0.36, guard=True)
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


@cubic_sparsity.check(weight=0.29, guard=True)
def test_sparsity_after_the_end(student: Any, rng: RandomInputs) -> None:
    """From start + steps * interval on the sparsity is the final one."""
    settings = plan(rng)
    end = settings[0] + settings[1] * settings[2]
    for step in (end, end + 1, end + rng.integer(50, 900)):
        hint = "final is reached at start + steps * interval, and then held"
        expect_sparsity(student, hint, step, *settings)


@cubic_sparsity.check(essential=True, weight=0.5)
def test_sparsity_from_step_zero(student: Any, rng: RandomInputs) -> None:
    """A schedule that prunes in every step from step 0 on, from no sparsity at all."""
    steps, final = rng.integer(5, 9), rng.number(0.5, 1.0)
    for step in range(steps + 2):
        expect_sparsity(student, "start = 0, interval = 1", step, 0, steps, 1, 0.0, final)


@cubic_sparsity.check(weight=0.09, guard=True)
def test_sparsity_refuses_bad_shares(student: Any, rng: RandomInputs) -> None:
    """No steps, an interval of 0, or a sparsity outside 0..1 raise ValueError."""
    start, steps, interval, initial, final = plan(rng)
    for sizes in ((0, interval), (steps, 0), (-steps, -interval)):
        expect_value_error(student.cubic_sparsity, start + 1, start, *sizes, initial, final)
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


@gradual_prune.check(essential=True, weight=2, seconds=30)
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
    modes: list[bool] = []

    def note(training: bool, outputs: Tensor) -> None:
        seen.append(float((outputs == 0).double().mean()))
        modes.append(training)

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
    check(sum(modes) >= steps // 2, "train in training mode: dropout and batch norm need it")
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


@gradual_prune.check(weight=0.4, guard=True)
def test_gradual_prune_refuses_a_bad_schedule(student: Any, rng: RandomInputs) -> None:
    """A schedule that leaves 0..1 raises ValueError."""
    network = small_network(rng)
    loader = in_order(rng.normal(24, 6), rng.integers(0, 2, 24), 12)
    for share in share_outside(rng):
        expect_value_error(student.gradual_prune, network, loader, lambda _, s=share: s, 6)


@gradual_prune.check(weight=0.7, guard=True)
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


@compare_large_sparse_small_dense.check(weight=0.1, guard=True)
def test_comparison_refuses_bad_widths(student: Any, rng: RandomInputs) -> None:
    """No small widths, or one that is not in 1..large - 1, raise ValueError."""
    large, small = widths(rng)
    compare = student.compare_large_sparse_small_dense
    for wrong in ((), (large,), (small[0], large + 1), (0,)):
        expect_value_error(compare, large=large, small=wrong, epochs=1, seed=0)


@compare_large_sparse_small_dense.check(weight=0.2, guard=True, seconds=30)
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


@compare_large_sparse_small_dense.check(weight=0.14, guard=True, seconds=30)
def test_comparison_leaves_global_generators_alone(student: Any, rng: RandomInputs) -> None:
    """The global random generators of torch, numpy and Python are not touched."""
    before = student.rng_fingerprint()
    compared(student, 2, (1,), 1, rng.seed())  # the smallest there are
    hint = "seeding or using a global generator changes everybody's random numbers"
    check(student.rng_fingerprint() == before, hint)
