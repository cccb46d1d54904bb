"""Graders of policies.py: rewards and bounds of AMC, bits, batch norm statistics, hypervolume."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from autograder.graders.common import drawn, in_order
from autograder.graders.toolkit import (
    Exercise,
    RandomInputs,
    agreements,
    allclose,
    case,
    check,
    close,
    expect_dict,
    expect_float,
    expect_int,
    expect_value_error,
)

# ---- amc_bound_action ------------------------------------------------------------------------

Layers = tuple[list[int], list[int]]
"""MACs and channels of each layer."""
NEAR = 1e-6


def layers(rng: RandomInputs, count: int, round_to: int) -> Layers:
    """MACs of very different sizes, and channels that are multiples of `round_to`."""
    macs = [rng.integer(20, 400) * 1000 for _ in range(count)]
    return macs, [round_to * rng.integer(6, 20) for _ in range(count)]


def largest_share(channels: int, max_action: float, round_to: int) -> float:
    """The largest share that can be pruned with multiples of `round_to` and not above the limit."""
    shares = [1 - kept / channels for kept in range(0, channels + 1, round_to)]
    return max(share for share in shares if share <= max_action + NEAR)


def allowed(
    action: float,
    layer: int,
    macs: Sequence[int],
    previous: Sequence[float],
    target: float,
    max_action: float,
    channels: Sequence[int],
    round_to: int,
) -> list[float]:
    """All right answers: they keep the promise and are within a rounding of what is wanted."""
    largest = [largest_share(each, max_action, round_to) for each in channels]
    later = sum(largest[i] * macs[i] for i in range(layer + 1, len(macs)))
    done = sum(share * macs[i] for i, share in enumerate(previous))
    duty = (target * sum(macs) - done - later) / macs[layer]
    if duty >= largest[layer] - NEAR:
        return [largest[layer]]
    expected = min(max(action, duty), largest[layer])
    step, total = round_to, channels[layer]
    shares = [1 - kept / total for kept in range(0, total + 1, step)]
    fits = [share for share in shares if duty - NEAR <= share <= max_action + NEAR]
    return [share for share in fits if abs(share - expected) < step / total - NEAR]


amc_bound_action = Exercise("s5.amc_bound_action")


def expect_bound(student: Any, hint: str, *arguments: Any) -> float:
    """One call, whose answer has to be among the allowed ones."""
    value = expect_float(student.amc_bound_action(*arguments), "amc_bound_action")
    check(any(abs(value - each) < NEAR for each in allowed(*arguments)), hint)
    return value


@amc_bound_action.check(weight=2)
def test_free_actions_stay(student: Any, rng: RandomInputs) -> None:
    """While the target is within reach, an action of whole channels stays as it is."""
    for round_to in (1, 1, rng.choice([2, 4])):
        count = rng.integer(3, 5)
        macs, channels = layers(rng, count, round_to)
        layer = rng.integer(0, count - 1)
        kept = rng.integer(channels[layer] // round_to // 2, channels[layer] // round_to - 1)
        action = 1 - kept * round_to / channels[layer]
        previous = [rng.choice([0.25, 0.5]) for _ in range(layer)]
        hint = "there is no need to prune more than the agent wants"
        expect_bound(student, hint, action, layer, macs, previous, 0.02, 0.8, channels, round_to)
    macs, channels = layers(rng, 4, 1)
    hint = "no layer is pruned by more than max_action, in whole channels"
    expect_bound(student, hint, 0.95, 2, macs, [0.25, 0.25], 0.1, rng.number(0.5, 0.7), channels, 1)


@amc_bound_action.check(weight=3, essential=True)
def test_duty_of_a_layer(student: Any, rng: RandomInputs) -> None:
    """A layer prunes what all later layers together could not make up for."""
    for turn in range(6):
        count = rng.integer(3, 6)
        macs, channels = layers(rng, count, 1)
        channels = [8 * each for each in channels]
        layer, largest = rng.integer(1, count - 1), rng.number(0.6, 0.8)
        if turn == 0:  # one layer has nearly all
            macs[layer] *= 100
        # what is missing is a drawn share of what this layer can do
        previous = [rng.number(0.05, 0.3) for _ in range(layer)]
        later = sum(
            largest_share(channels[i], largest, 1) * macs[i] for i in range(layer + 1, count)
        )
        done = sum(share * macs[i] for i, share in enumerate(previous))
        duty = rng.number(0.25, 0.9) * largest
        target = (done + later + duty * macs[layer]) / sum(macs)
        hint = "at least (target * all MACs - removed before - most of the later layers) / its MACs"
        action = duty * rng.number(0, 0.8)
        expect_bound(student, hint, action, layer, macs, previous, target, largest, channels, 1)


@amc_bound_action.check(weight=3, essential=True)
def test_rounding_keeps_the_promise(student: Any, rng: RandomInputs) -> None:
    """Layer by layer, with channels in multiples, the target is reached in the end."""
    for round_to in (rng.choice([2, 3]), 4, 8):
        count = rng.integer(3, 5)
        macs, channels = layers(rng, count, round_to)
        largest = rng.number(0.55, 0.8)
        most = sum(
            largest_share(c, largest, round_to) * m for c, m in zip(channels, macs, strict=True)
        )
        target = rng.number(0.8, 0.97) * most / sum(macs)
        pruned: list[float] = []
        for layer in range(count):
            action = rng.number(0, 0.5)
            hint = "round what is kept down, and let later layers promise whole multiples only"
            value = expect_bound(
                student,
                hint,
                action,
                layer,
                macs,
                list(pruned),
                target,
                largest,
                channels,
                round_to,
            )
            pruned.append(value)
        removed = sum(share * m for share, m in zip(pruned, macs, strict=True))
        check(removed >= target * sum(macs) - 1, "all layers together reach the target")


@amc_bound_action.check(weight=1)
def test_unreachable_targets(student: Any, rng: RandomInputs) -> None:
    """If the target is out of reach, the layer is pruned as far as allowed."""
    for round_to in (1, 4):
        macs, channels = layers(rng, 4, round_to)
        hint = "the largest share that max_action and whole multiples allow"
        limit = rng.number(0.3, 0.5)
        expect_bound(student, hint, 0.1, 2, macs, [0.0, 0.1], 0.95, limit, channels, round_to)


@amc_bound_action.check(weight=1)
def test_exact_shares(student: Any, rng: RandomInputs) -> None:
    """A share that means a whole number of channels prunes exactly those."""
    for hundredth in rng.sample(range(1, 80), 79):
        action = hundredth / 100
        value = student.amc_bound_action(action, 0, [100, 50], [], 0.0, 0.8, [100, 10])
        value = expect_float(value, "amc_bound_action")
        hint = "100 * (1 - 0.07) is not exactly 93: allow for rounding errors"
        check(abs(value - action) < NEAR, hint)
    hint = "no layer is pruned by more than max_action"
    expect_bound(student, hint, 0.9, 0, [100, 50], [], 0.0, 0.8, [100, 10], 1)


@amc_bound_action.check(weight=1, guard=True)
def test_bound_refuses_bad_arguments(student: Any, rng: RandomInputs) -> None:
    """Shares outside 0..1, lengths that do not fit and an unknown layer raise ValueError."""
    macs, channels = layers(rng, 3, 1)
    right: dict[str, Any] = {
        "action": 0.2,
        "layer": 1,
        "macs": macs,
        "previous": [0.1],
        "target": 0.3,
        "max_action": 0.8,
        "channels": channels,
    }
    for name, value in (
        ("action", -0.1),
        ("action", 1.2),
        ("target", 1.5),
        ("target", -0.1),
        ("max_action", -0.5),
        ("max_action", 1.1),
        ("layer", 3),
        ("previous", []),
        ("previous", [0.1, 0.2]),
        ("channels", channels[:2]),
    ):
        expect_value_error(student.amc_bound_action, **{**right, name: value})


# ---- amc_reward ------------------------------------------------------------------------------

amc_reward = Exercise(
    "s5.amc_reward",
    reference=lambda error, flops, mode: -error * (math.log(flops) if mode == "accuracy" else 1),
    agreement=agreements.number(rtol=1e-6),
)


@amc_reward.check(weight=1)
def test_reward_under_limits(rng: RandomInputs) -> Any:
    """With limits on resources, the reward is -error, whatever the network costs."""
    error = rng.number(0.05, 0.6)
    for flops in (rng.integer(10**3, 10**5), rng.integer(10**6, 10**9)):
        yield case(error, flops, "resource")
    yield case(rng.number(0.1, 0.4), rng.integer(10**4, 10**6), mode="resource")


@amc_reward.check(weight=2, essential=True)
def test_reward_of_accuracy(rng: RandomInputs) -> Any:
    """Without limits the reward is -error * ln(flops): fewer operations are rewarded."""
    for _ in range(4):
        yield case(rng.number(0.05, 0.6), rng.integer(10**3, 10**9), "accuracy")


test_unknown_rewards = amc_reward.refuses(
    case(0.2, 1000, "latency"),
    case(0.2, 1000, ""),
    title="An unknown mode raises ValueError.",
    weight=0.3,
)


# ---- allocate_bits ---------------------------------------------------------------------------

Sensitivity = dict[str, dict[int, float]]


def least_loss(sensitivity: Sensitivity, sizes: dict[str, int], budget: int) -> float:
    """The least loss within the budget, of all choices; infinity if there is none."""
    names = list(sensitivity)
    best = math.inf
    for choice in itertools.product(*(sensitivity[name] for name in names)):
        used = sum(sizes[name] * bits for name, bits in zip(names, choice, strict=True))
        if used <= budget:
            loss = math.fsum(sensitivity[n][b] for n, b in zip(names, choice, strict=True))
            best = min(best, loss)
    return best


def expect_allocation(
    student: Any, sensitivity: Sensitivity, sizes: dict[str, int], budget: int
) -> None:
    """One allocation is the best."""
    expect_best(student.allocate_bits(sensitivity, sizes, budget), sensitivity, sizes, budget)


def expect_best(
    value: object, sensitivity: Sensitivity, sizes: dict[str, int], budget: int
) -> None:
    """An allocation: options of each layer, within the budget, of the least loss."""
    chosen = expect_dict(value, "allocate_bits", list(sensitivity))
    for name, bits in chosen.items():
        check(expect_int(bits, "bits") in sensitivity[name], "bits are one of a layer's options")
    used = sum(sizes[name] * bits for name, bits in chosen.items())
    check(used <= budget, "sizes times bits, of all layers together, keep the budget")
    loss = math.fsum(sensitivity[name][bits] for name, bits in chosen.items())
    least = least_loss(sensitivity, sizes, budget)
    hint = "another choice within the budget has less loss: step by step is not always best"
    check(loss <= least + 1e-9 * max(abs(least), 1e-9), hint)


def falling(rng: RandomInputs, options: Sequence[int], scale: float) -> dict[int, float]:
    """Losses that fall as bits grow, by uneven steps."""
    losses = sorted((scale * rng.number(0, 1) for _ in options), reverse=True)
    return dict(zip(sorted(options), losses, strict=True))


def some_layers(rng: RandomInputs, count: int) -> tuple[Sensitivity, dict[str, int]]:
    """Layers of different sizes with falling losses."""
    names = [f"layer{number}" for number in rng.sample(range(30), count)]
    sensitivity = {n: falling(rng, (2, 3, 4, 6, 8), 10 ** rng.number(-1, 1)) for n in names}
    return sensitivity, {name: rng.integer(5, 60) for name in names}


def some_budget(sensitivity: Sensitivity, sizes: dict[str, int], share: float) -> int:
    """Between the least and the most bits."""
    least = sum(sizes[name] * min(each) for name, each in sensitivity.items())
    most = sum(sizes[name] * max(each) for name, each in sensitivity.items())
    return round(least + share * (most - least))


allocate_bits = Exercise("s5.allocate_bits")


@allocate_bits.check(weight=4, essential=True)
def test_allocation_is_optimal(student: Any, rng: RandomInputs) -> None:
    """No choice within the budget has less loss."""
    for share in (0.1, 0.3, 0.5, 0.7, 0.9):
        sensitivity, sizes = some_layers(rng, 4)
        expect_allocation(
            student,
            sensitivity,
            sizes,
            some_budget(sensitivity, sizes, share + rng.number(0, 0.08)),
        )


@allocate_bits.check(weight=2)
def test_allocation_is_no_greedy_one(student: Any, rng: RandomInputs) -> None:
    """A large layer that pays off as a whole wins over small steps that look better at first."""
    unit = rng.integer(5, 20)
    small, large = rng.sample(["a", "b", "c"], 2)
    # the small step is better a bit, but then the large one no longer fits
    sensitivity = {small: {2: 1.2, 4: 0.0}, large: {2: 5.0, 4: 0.0}}
    sizes = {small: unit, large: 5 * unit}
    expect_allocation(student, sensitivity, sizes, 2 * 6 * unit + 2 * 5 * unit)
    # two steps down one after the other would be needed
    sensitivity = {small: {2: 4.0, 3: 3.9, 4: 0.0}, large: {2: 1.0, 3: 0.5, 4: 0.2}}
    sizes = {small: unit, large: unit}
    expect_allocation(student, sensitivity, sizes, 2 * 2 * unit + 2 * unit)


@allocate_bits.check(weight=2)
def test_losses_need_not_fall(student: Any, rng: RandomInputs) -> None:
    """More bits may cause more loss, and layers may have options of their own."""
    for share in (0.3, 0.6, 1.0):
        sensitivity, sizes = some_layers(rng, 4)
        for name in sensitivity:
            options = rng.sample([1, 2, 3, 4, 5, 6, 7, 8], rng.integer(2, 5))
            sensitivity[name] = {bits: rng.number(0, 3) for bits in options}
        expect_allocation(student, sensitivity, sizes, some_budget(sensitivity, sizes, share))


@allocate_bits.check(weight=1)
def test_budgets_are_exact(student: Any, rng: RandomInputs) -> None:
    """A budget that is met exactly is kept, with one bit less it is another choice."""
    sensitivity, sizes = some_layers(rng, 4)
    chosen = {name: rng.choice(list(each)) for name, each in sensitivity.items()}
    budget = sum(sizes[name] * bits for name, bits in chosen.items())
    for exact in (budget, max(budget - 1, some_budget(sensitivity, sizes, 0.0))):
        expect_allocation(student, sensitivity, sizes, exact)
    expect_allocation(student, sensitivity, sizes, some_budget(sensitivity, sizes, 0.0))
    size = rng.integer(5, 60)
    for exact in (4 * size, 4 * size - 1):  # enough for the better of two, and one bit less
        expect_allocation(student, {"only": {2: 1.0, 4: 0.5}}, {"only": size}, exact)


@allocate_bits.check(weight=0.4)
def test_allocation_leaves_its_arguments_alone(student: Any, rng: RandomInputs) -> None:
    """The choice is a best one, and both dicts are unchanged."""
    sensitivity, sizes = some_layers(rng, 3)
    live = student.put(sensitivity), student.put(sizes)
    budget = some_budget(sensitivity, sizes, rng.number(0.3, 0.7))
    expect_best(student.allocate_bits(*live, budget), sensitivity, sizes, budget)
    hint = "the dicts belong to the caller: copy them before anything is taken out"
    before = list(sensitivity.items()), list(sizes.items())
    for ref, items in zip(live, before, strict=True):
        after = expect_dict(student.fetch(ref), "the caller's dict")
        check(list(after.items()) == items, hint)


@allocate_bits.check(weight=0.5, guard=True)
def test_impossible_budgets(student: Any, rng: RandomInputs) -> None:
    """A budget below the fewest bits raises ValueError."""
    sensitivity, sizes = some_layers(rng, 3)
    least = some_budget(sensitivity, sizes, 0.0)
    for budget in (least - 1, 0):
        expect_value_error(student.allocate_bits, sensitivity, sizes, budget)


@allocate_bits.check(weight=0.4, guard=True)
def test_allocation_refuses_other_names(student: Any, rng: RandomInputs) -> None:
    """A layer without a size raises ValueError."""
    sensitivity, sizes = some_layers(rng, 3)
    missing = dict(list(sizes.items())[:2])
    expect_value_error(student.allocate_bits, sensitivity, missing, 10_000)


# ---- recalibrate_batchnorm -------------------------------------------------------------------


def normed(rng: RandomInputs, momentum: float | None = 0.1) -> nn.Sequential:
    """Two convolutions with batch norm and a linear layer; the statistics do not fit."""
    model = nn.Sequential(
        nn.Conv2d(2, 5, 3),
        nn.BatchNorm2d(5, momentum=momentum),
        nn.ReLU(),
        nn.Sequential(nn.Conv2d(5, 4, 3), nn.BatchNorm2d(4, momentum=momentum), nn.ReLU()),
        nn.Flatten(),
        nn.Linear(4 * 2 * 2, 6),
        nn.BatchNorm1d(6, momentum=momentum),
    )
    return drawn(model, rng)


def statistics(model: nn.Sequential, batches: Sequence[Tensor]) -> dict[str, Tensor]:
    """Means over the batches of each batch norm's batch mean and unbiased variance, float64."""
    sums: dict[str, Tensor] = {}
    flat = [
        ("0", model[0]),
        ("1", model[1]),
        ("2", model[2]),
        ("3.0", model[3][0]),  # type: ignore[index]
        ("3.1", model[3][1]),  # type: ignore[index]
        ("3.2", model[3][2]),  # type: ignore[index]
        *((str(i), model[i]) for i in (4, 5, 6)),
    ]
    for batch in batches:
        x = batch.double()
        for name, layer in flat:
            if isinstance(layer, nn.BatchNorm2d | nn.BatchNorm1d):
                columns = x.transpose(0, 1).flatten(1)
                mean, var = columns.mean(1), columns.var(1)
                for kind, value in (("running_mean", mean), ("running_var", var)):
                    key = f"{name}.{kind}"
                    sums[key] = sums.get(key, torch.zeros(len(value)).double()) + value
                shape = (1, -1, *[1] * (x.dim() - 2))
                biased = columns.var(1, unbiased=False)
                x = (x - mean.view(shape)) / (biased.view(shape) + layer.eps).sqrt()
                x = x * layer.weight.detach().double().view(shape)
                x = x + layer.bias.detach().double().view(shape)
            elif isinstance(layer, nn.Conv2d):
                weight, bias = layer.weight.detach().double(), layer.bias
                assert bias is not None
                x = nn.functional.conv2d(x, weight, bias.detach().double())
            elif isinstance(layer, nn.Linear):
                x = x @ layer.weight.detach().double().T + layer.bias.detach().double()
            else:
                x = layer(x)
    return {name: value / len(batches) for name, value in sums.items()}


def cut(x: Tensor, size: int) -> list[Tensor]:
    """Batches of `size`."""
    return [x[start : start + size] for start in range(0, len(x), size)]


def images(rng: RandomInputs, count: int) -> Tensor:
    """Images far from standardised, later ones more so."""
    scale = torch.linspace(0.5, 2, count)[:, None, None, None]
    return rng.normal(count, 2, 6, 6, mean=0.5) * scale + scale


recalibrate_batchnorm = Exercise("s5.recalibrate_batchnorm")


@recalibrate_batchnorm.check(weight=4, essential=True)
def test_statistics_are_those_of_the_loader(student: Any, rng: RandomInputs) -> None:
    """Running means and variances become the average over the batches."""
    for momentum, pairs in ((0.1, False), (0.5, True), (None, False)):
        model, inputs = normed(rng, momentum), images(rng, 24)
        live = student.put(model)
        if pairs:
            student.recalibrate_batchnorm(live, in_order(inputs, rng.integers(0, 5, 24), 6))
        else:
            student.recalibrate_batchnorm(live, cut(inputs, 6))
        state = student.state(live)
        for name, value in statistics(model, cut(inputs, 6)).items():
            hint = "start anew, and average over the batches with equal weights: momentum None"
            check(allclose(state[name], value, rtol=1e-3, atol=1e-4), hint)


@recalibrate_batchnorm.check(weight=2)
def test_recalibration_helps(student: Any, rng: RandomInputs) -> None:
    """In eval mode the outputs of the last batch norm become standardised again."""
    model, inputs = normed(rng), images(rng, 64)[torch.randperm(64, generator=rng.generator)]
    live = student.put(model)
    student.recalibrate_batchnorm(live, cut(inputs, 16))
    model.load_state_dict(student.state(live))
    with torch.no_grad():
        outputs = model.eval()(inputs)
        last = model[6]
        assert isinstance(last, nn.BatchNorm1d)
        plain = (outputs - last.bias) / last.weight
    hint = "in eval mode the network uses what was measured"
    check(bool((plain.mean(0).abs() < 0.4).all()), hint)
    check(bool(((plain.std(0) > 0.6) & (plain.std(0) < 1.6)).all()), hint)


@recalibrate_batchnorm.check(weight=2)
def test_recalibration_changes_nothing_else(student: Any, rng: RandomInputs) -> None:
    """Weights, modes and momentum of every layer are as before."""
    model, inputs, kept = normed(rng, 0.3), images(rng, 12), []
    for training in (True, False):
        model.train(training)
        model[3].train(not training)
        live = student.put(model)
        modes = student.modes(live)
        student.recalibrate_batchnorm(live, cut(inputs, 6))
        kept.append(student.modes(live) == modes)
    check(all(kept), "every submodule gets its mode back")
    state = student.state(live)
    for name, value in model.named_parameters():
        check(torch.equal(state[name], value.detach()), "nothing is trained: weights stay")
    changed = any(
        not torch.equal(state[name], value)
        for name, value in model.named_buffers()
        if "running" in name
    )
    check(changed, "the statistics are measured anew")
    after = student.fetch(live)
    kinds = [m for m in after.modules() if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d)]
    check([m.momentum for m in kinds] == [0.3] * 3, "momentum is as before")


@recalibrate_batchnorm.check(weight=0.4, guard=True)
def test_recalibration_needs_batches(student: Any, rng: RandomInputs) -> None:
    """An empty loader raises ValueError."""
    expect_value_error(student.recalibrate_batchnorm, student.put(normed(rng)), [])


# ---- hypervolume -----------------------------------------------------------------------------

Point = tuple[float, float]


def area(points: Sequence[Point], reference: Point) -> float:
    """Cell by cell of the grid through all coordinates: those that some point dominates."""
    costs = sorted({c for c, _ in points} | {reference[0]})
    accuracies = sorted({a for _, a in points} | {reference[1]})
    total = 0.0
    for left, right in itertools.pairwise(costs):
        for low, high in itertools.pairwise(accuracies):
            inside = right <= reference[0] and low >= reference[1]
            if inside and any(c <= left and a >= high for c, a in points):
                total += (right - left) * (high - low)
    return total


hypervolume = Exercise("s5.hypervolume", reference=area, agreement=agreements.number(1e-6, 0.0))


def front(rng: RandomInputs, count: int) -> list[Point]:
    """Points of which none dominates another, shuffled."""
    costs = sorted(rng.number(1, 9) for _ in range(count))
    accuracies = sorted(rng.number(0.2, 0.9) for _ in range(count))
    return rng.sample(list(zip(costs, accuracies, strict=True)), count)


REFERENCE = (10.0, 0.1)


@hypervolume.check(weight=3, essential=True)
def test_area_of_a_front(rng: RandomInputs) -> Any:
    """The area that a front dominates is counted once, in whatever order the points come."""
    for count in (1, 2, 3, rng.integer(5, 9)):
        yield case(front(rng, count), REFERENCE)


@hypervolume.check(weight=2, essential=True)
def test_dominated_points_add_nothing(rng: RandomInputs) -> Any:
    """Points that another one dominates, and points that come twice, change nothing."""
    for _ in range(3):
        points = front(rng, rng.integer(3, 5))
        behind = [(c + rng.number(0, 1) * (10 - c), a - rng.number(0.01, 0.1)) for c, a in points]
        everything = [*points, *behind, points[0], (points[1][0], points[1][1] - 0.05)]
        yield case(rng.sample(everything, len(everything)), REFERENCE)


@hypervolume.check(weight=2)
def test_points_beyond_the_reference(rng: RandomInputs) -> Any:
    """Points that are worse than the reference in cost or accuracy count nothing."""
    for _ in range(3):
        points = front(rng, rng.integer(2, 4))
        beyond = [
            (10 + rng.number(0.1, 5), 0.95),
            (0.5, rng.number(0.0, 0.09)),
            (11.0, 0.05),
            (10.0, rng.number(0.91, 0.99)),
        ]
        yield case(rng.sample([*points, *beyond], len(points) + 4), REFERENCE)
    points = front(rng, 3)
    # one in the middle of the front is the worst that is accepted
    costs = sorted(c for c, _ in points)
    yield case(points, (costs[1] + 1e-3, 0.1))
    yield case(points, (10.0, sorted(a for _, a in points)[1] - 1e-3))


@hypervolume.check(weight=0.5)
def test_area_of_nothing(rng: RandomInputs) -> Any:
    """Without points the area is 0, and a point at the reference has none."""
    yield case([], REFERENCE)
    yield case([REFERENCE], REFERENCE)
    yield case(front(rng, 3), REFERENCE)


@hypervolume.check(weight=1)
def test_area_of_any_scale(rng: RandomInputs) -> Any:
    """Costs may be millions or millionths, and accuracies percent."""
    for cost, accuracy in ((1e9, 100.0), (1e-9, 1.0), (1e25, 1e-6)):
        points = [(c * cost, a * accuracy) for c, a in front(rng, 4)]
        yield case(points, (REFERENCE[0] * cost, REFERENCE[1] * accuracy))


@hypervolume.check(weight=0.4)
def test_area_leaves_the_points_alone(student: Any, rng: RandomInputs) -> None:
    """The area is right, and the list of points is as it was, order included."""
    points = sorted(front(rng, 5), reverse=True)
    points[1], points[3] = points[3], points[1]
    live = student.put(points)
    found = expect_float(student.hypervolume(live, REFERENCE), "hypervolume")
    check(close(found, area(points, REFERENCE), rtol=1e-6), "what is dominated, counted once")
    after = [tuple(point) for point in student.fetch(live)]
    check(after == points, "sort a copy: the list belongs to the caller")
