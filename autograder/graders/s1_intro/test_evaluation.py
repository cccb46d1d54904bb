"""Graders of evaluation.py: accuracy, evaluation, latency, reports, Pareto fronts."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from autograder.graders.common import drawn, in_order
from autograder.graders.s1_intro.references import Stopwatch, cross_entropy, percentile
from autograder.graders.toolkit import (
    Exercise,
    RandomInputs,
    StudentError,
    case,
    check,
    close,
    expect_dict,
    expect_float,
    expect_int,
    expect_list,
    expect_record,
    expect_value_error,
)
from shared import probes
from shared.records import Latency

# ---- topk_accuracy ---------------------------------------------------------------------------


def untied_logits(rng: RandomInputs, samples: int, classes: int) -> Tensor:
    """Float32 (samples, classes) without equal numbers in a row, of both signs."""
    rows = [rng.permutation(classes) - rng.integer(0, classes) for _ in range(samples)]
    return torch.stack(rows) * 0.25 - 0.125


def expect_topk(student: Any, hint: str, logits: Tensor, targets: Tensor, k: int | None) -> None:
    """Check one call of the student's topk_accuracy against a count of better classes."""
    better = [int((row > row[target]).sum()) for row, target in zip(logits, targets, strict=True)]
    expected = sum(count < (k or 1) for count in better) / len(better)
    value = student.topk_accuracy(logits, targets, **({} if k is None else {"k": k}))
    check(close(expect_float(value, "topk_accuracy"), expected, rtol=1e-5, atol=1e-6), hint)


topk_accuracy = Exercise("s1.topk_accuracy")


@topk_accuracy.check(weight=2)
def test_top_1_accuracy(student: Any, rng: RandomInputs) -> None:
    """By default, the share of samples whose largest logit is the target's."""
    for _ in range(3):
        classes = rng.integer(3, 7)
        logits = untied_logits(rng, rng.integer(20, 60), classes)
        targets = rng.integers(0, classes - 1, len(logits))
        expect_topk(student, "a share in 0..1, not percent", logits, targets, None)


@topk_accuracy.check(weight=2)
def test_top_k_accuracy(student: Any, rng: RandomInputs) -> None:
    """For k above 1, the share of samples whose target is among the k largest logits."""
    classes = rng.integer(6, 12)
    logits = untied_logits(rng, rng.integer(40, 80), classes)
    targets = rng.integers(0, classes - 1, len(logits))
    for k in (2, 3, 5):
        expect_topk(student, "is the target among the k largest logits?", logits, targets, k)


@topk_accuracy.check(weight=0.2)
def test_top_k_leaves_its_inputs_alone(student: Any, rng: RandomInputs) -> None:
    """The share is right, and logits and targets are unchanged."""
    logits = untied_logits(rng, 30, 7)
    targets = rng.integers(0, 6, len(logits))
    live = [student.put(logits), student.put(targets)]
    share = expect_float(student.topk_accuracy(*live, k=3), "topk_accuracy")
    better = [int((row > row[target]).sum()) for row, target in zip(logits, targets, strict=True)]
    expected = sum(count < 3 for count in better) / len(better)
    check(close(share, expected, rtol=1e-5, atol=1e-6), "is it among the k largest logits?")
    for ref, value in zip(live, (logits, targets), strict=True):
        check(torch.equal(student.fetch(ref), value), "an argument was changed in place")


@topk_accuracy.check(weight=0.22, guard=True)
def test_top_k_of_all_classes(student: Any, rng: RandomInputs) -> None:
    """With k equal to the number of classes every prediction is right."""
    classes = rng.integer(3, 7)
    logits = untied_logits(rng, 10, classes)
    targets = rng.integers(0, classes - 1, 10)
    expect_topk(student, "k may be as large as the number of classes", logits, targets, classes)


@topk_accuracy.check(weight=0.22, guard=True)
def test_top_k_refuses_bad_arguments(student: Any, rng: RandomInputs) -> None:
    """A k above the number of classes and an empty batch raise ValueError."""
    classes = rng.integer(3, 7)
    logits = untied_logits(rng, 10, classes)
    targets = rng.integers(0, classes - 1, 10)
    expect_value_error(student.topk_accuracy, logits, targets, classes + 1)
    expect_value_error(student.topk_accuracy, logits[:0], targets[:0], 1)


# ---- evaluate --------------------------------------------------------------------------------


def exact_classifier(rng: RandomInputs, features: int, classes: int) -> nn.Sequential:
    """A Linear classifier whose logits on whole numbers have neither ties nor rounding."""
    linear = nn.Linear(features, classes)
    with torch.no_grad():
        linear.weight.copy_(rng.integers(-2, 2, classes, features))
        linear.bias.copy_(rng.permutation(classes) / 16)
    return nn.Sequential(nn.Flatten(), linear)


def whole_images(rng: RandomInputs, samples: int) -> Tensor:
    """Float32 (samples, 1, 3, 4) of small whole numbers."""
    return rng.integers(-2, 2, samples, 1, 3, 4).float()


def expect_evaluation(
    student: Any, hint: str, model: nn.Module, images: Tensor, targets: Tensor, batch: int
) -> None:
    """Check loss and accuracy of one call of the student's evaluate."""
    with torch.no_grad():
        logits = model.eval()(images)
    model.train()
    loader = in_order(images, targets, batch)
    loss, accuracy = expect_list(student.evaluate(model, loader), "evaluate", length=2)
    right = int((logits.argmax(dim=1) == targets).sum()) / len(targets)
    hint = f"{hint}; (loss, accuracy), mean over samples"
    check(close(expect_float(accuracy, "accuracy"), right, rtol=1e-5, atol=1e-6), hint)
    expected = cross_entropy(logits, targets)
    check(close(expect_float(loss, "loss"), expected, rtol=1e-4, atol=1e-5), hint)


evaluate = Exercise("s1.evaluate")


@evaluate.check(weight=2)
def test_evaluate_equal_batches(student: Any, rng: RandomInputs) -> None:
    """Cross-entropy and accuracy are averaged over the samples of the loader."""
    classes, batch = rng.integer(3, 6), rng.integer(4, 8)
    images = whole_images(rng, 4 * batch)
    model, targets = exact_classifier(rng, 12, classes), rng.integers(0, classes - 1, len(images))
    expect_evaluation(student, "look at every batch", model, images, targets, batch)


@evaluate.check(weight=3)
def test_evaluate_smaller_last_batch(student: Any, rng: RandomInputs) -> None:
    """A smaller last batch counts for less than a full one."""
    classes, batch = rng.integer(3, 6), rng.integer(6, 10)
    images = whole_images(rng, 3 * batch + rng.integer(1, 2))
    model = exact_classifier(rng, 12, classes)
    targets = model(images).argmax(dim=1)
    targets[: batch // 2] = (targets[: batch // 2] + 1) % classes
    targets[3 * batch :] = (targets[3 * batch :] + 1) % classes
    hint = "weigh each batch by its size: the mean of batch means is wrong"
    expect_evaluation(student, hint, model, images, targets, batch)


@evaluate.check(weight=2)
def test_evaluate_in_eval_mode(student: Any, rng: RandomInputs) -> None:
    """Dropout is off and batch norm uses its running statistics."""
    classes = rng.integer(3, 6)
    head = exact_classifier(rng, 12, classes)
    norm = nn.BatchNorm2d(1)
    with torch.no_grad():  # powers of two, so that eval mode rounds nothing that matters
        assert norm.running_mean is not None
        norm.running_mean.fill_(rng.choice([-4.0, 4.0]))
    model = nn.Sequential(norm, nn.Dropout(0.5), *head)
    images = whole_images(rng, 48)
    targets = rng.integers(0, classes - 1, len(images))
    expect_evaluation(student, "call model.eval() first", model, images, targets, 16)


@evaluate.check()
def test_evaluate_confident_predictions(student: Any, rng: RandomInputs) -> None:
    """Large logits give a finite, correct loss."""
    classes = rng.integer(3, 6)
    model = exact_classifier(rng, 12, classes)
    images = 64 * whole_images(rng, 12)
    targets = rng.integers(0, classes - 1, len(images))
    hint = "take cross_entropy of the logits: log(softmax) underflows"
    expect_evaluation(student, hint, model, images, targets, 4)


@evaluate.check(essential=True, weight=0.35, guard=True)
def test_evaluate_restores_modes(student: Any, rng: RandomInputs) -> None:
    """Every submodule is in its earlier train or eval mode."""
    network = drawn(probes.MixedModes(4, 3), rng).train()
    network.frozen.eval()
    before = {name: module.training for name, module in network.named_modules()}
    model = student.put(network)
    loader = in_order(rng.normal(6, 4, 5, 5), rng.integers(0, 2, 6), batch=4)
    student.evaluate(model, loader)
    hint = "note the mode of each submodule, not only the root's, and restore it in `finally`"
    check(student.modes(model) == before, hint)


@evaluate.check(weight=0.17, guard=True)
def test_evaluate_restores_modes_after_an_error(student: Any, rng: RandomInputs) -> None:
    """If forward raises, its exception comes through and the modes are restored as well."""
    network = probes.Raises(rng.integer(3, 9)).train()
    network.frozen.eval()
    before = {name: module.training for name, module in network.named_modules()}
    model = student.put(network)
    features = network.first.in_features
    try:
        student.evaluate(model, in_order(rng.normal(4, features), rng.integers(0, 2, 4), batch=4))
    except StudentError as error:
        if error.kind == "NotImplementedError":
            raise
    check(student.modes(model) == before, "restore the modes in `finally`")


@evaluate.check(weight=0.1, guard=True)
def test_evaluate_refuses_an_empty_loader(student: Any, rng: RandomInputs) -> None:
    """A loader without samples raises ValueError."""
    model = exact_classifier(rng, 12, 3)
    loader = in_order(whole_images(rng, 1)[:0], rng.integers(0, 2, 1)[:0], batch=4)
    expect_value_error(student.evaluate, model, loader)


@evaluate.check(weight=0.25, guard=True)
def test_evaluate_records_no_gradients(student: Any, rng: RandomInputs) -> None:
    """The forward passes record no gradients and change no running statistics."""
    recording: list[bool] = []
    tap = probes.GradTap(lambda on, _: recording.append(on))
    network = nn.Sequential(tap, drawn(probes.MixedModes(4, 3), rng)).train()
    model = student.put(network)
    loader = in_order(rng.normal(6, 4, 5, 5), rng.integers(0, 2, 6), batch=4)
    student.evaluate(model, loader)
    check(bool(recording) and not any(recording), "evaluate under torch.no_grad()")
    after = student.state(model)
    unchanged = all(torch.equal(after[name], old) for name, old in network.state_dict().items())
    check(unchanged, "the network changed: evaluate in eval mode")


# ---- measure_latency -------------------------------------------------------------------------


def skewed(rng: RandomInputs, repeats: int) -> list[float]:
    """Durations in no order with a long tail, so that mean and median are far apart."""
    late = repeats // 4 + 1
    usual = [1 + rng.integer(1, 63) / 64 for _ in range(repeats - late)]
    return rng.sample(usual + [8 + rng.integer(1, 511) / 64 for _ in range(late)], repeats)


def timed(student: Any, watch: Stopwatch, warmup: int, repeats: int) -> tuple[float, float]:
    """Median and 90th percentile that the student measures with the judge's clock."""
    synchronize = watch.wait if watch.queued else None
    result = student.measure_latency(
        watch.run, warmup=warmup, repeats=repeats, clock=watch.clock, synchronize=synchronize
    )
    median, p90 = expect_record(result, Latency, "measure_latency")
    return expect_float(median, "median"), expect_float(p90, "p90")


measure_latency = Exercise("s1.measure_latency")


@measure_latency.check(weight=2)
def test_latency_is_the_median(student: Any, rng: RandomInputs) -> None:
    """The median of the repeats is returned; for an even number, the mean of the middle two."""
    for repeats in (2 * rng.integer(4, 7) + 1, 2 * rng.integer(4, 7)):
        scripted = skewed(rng, repeats)
        median, _ = timed(student, Stopwatch(scripted), 0, repeats)
        ordered = sorted(scripted)
        expected = (ordered[(repeats - 1) // 2] + ordered[repeats // 2]) / 2
        hint = "sort the repeats and take the middle: a mean is ruled by the outliers"
        check(close(median, expected, rtol=1e-6), hint)


@measure_latency.check()
def test_latency_p90_is_interpolated(student: Any, rng: RandomInputs) -> None:
    """The 90th percentile lies between two repeats, interpolated linearly."""
    for repeats in (1, rng.integer(7, 9), rng.integer(12, 15)):
        scripted = skewed(rng, repeats)
        _, p90 = timed(student, Stopwatch(scripted), 0, repeats)
        hint = "interpolate linearly at position 0.9 * (repeats - 1) of the sorted times"
        check(close(p90, percentile(scripted, 0.9), rtol=1e-6), hint)


@measure_latency.check(weight=2)
def test_latency_warms_up_first(student: Any, rng: RandomInputs) -> None:
    """The first `warmup` calls are not timed; each repeat reads the clock twice."""
    warmup, repeats, duration = rng.integer(2, 6), rng.integer(5, 9), rng.integer(65, 127) / 64
    watch = Stopwatch([100.0] * warmup + [duration] * repeats)
    measured = timed(student, watch, warmup, repeats)
    check(watch.runs == warmup + repeats, "call fn warmup times, then repeats times")
    hint = "read the clock before and after each repeat, and never in the warm-up"
    check(watch.reads == 2 * repeats, hint)
    check(all(close(value, duration, rtol=1e-6) for value in measured), hint)


@measure_latency.check(essential=True, weight=2)
def test_latency_synchronises(student: Any, rng: RandomInputs) -> None:
    """The device is waited for before the clock is stopped."""
    warmup, repeats, duration = rng.integer(2, 4), rng.integer(5, 9), rng.integer(65, 127) / 64
    watch = Stopwatch([100.0] * warmup + [duration] * repeats, queued=True)
    measured = timed(student, watch, warmup, repeats)
    hint = "a device works asynchronously: call synchronize before each reading of the clock"
    check(all(close(value, duration, rtol=1e-6) for value in measured), hint)


@measure_latency.check()
def test_latency_waits_for_earlier_work(student: Any, rng: RandomInputs) -> None:
    """What was queued before a repeat is not charged to it."""
    repeats, duration = rng.integer(5, 9), rng.integer(65, 127) / 64
    watch = Stopwatch([duration] * repeats, queued=True, stray=100.0)
    measured = timed(student, watch, 0, repeats)
    hint = "call synchronize before the start of each repeat as well"
    check(all(close(value, duration, rtol=1e-6) for value in measured), hint)


@measure_latency.check(weight=0.58, guard=True)
def test_latency_defaults(student: Any, rng: RandomInputs) -> None:
    """By default 10 calls warm up, 50 are timed, and Python's own clock is used."""
    del rng
    watch = Stopwatch([0.0])
    median, p90 = expect_record(student.measure_latency(watch.run), Latency, "measure_latency")
    check(watch.runs == 60, "warmup=10, repeats=50")
    both = expect_float(median, "median"), expect_float(p90, "p90")
    check(min(both) >= 0.0, "time does not run backwards")


@measure_latency.check(weight=0.3, guard=True)
def test_latency_refuses_bad_counts(student: Any, rng: RandomInputs) -> None:
    """No repeats, or fewer than no warm-up calls, raise ValueError."""
    watch = Stopwatch([1.0])
    for counts in ({"repeats": 0}, {"repeats": -rng.integer(1, 9)}, {"warmup": -rng.integer(1, 9)}):
        expect_value_error(student.measure_latency, watch.run, clock=watch.clock, **counts)


# ---- compression_report, pareto_front --------------------------------------------------------

REPORT_KEYS = ("accuracy_drop", "params_ratio", "bytes_ratio", "macs_ratio")


def measured(rng: RandomInputs) -> dict[str, float]:
    """Accuracy, parameters, bytes and MACs of a network that does not exist."""
    counts = {name: rng.integer(1000, 10**7) for name in ("params", "bytes", "macs")}
    return {"accuracy": rng.number(0.2, 0.99), **counts}


compression_report = Exercise("s1.compression_report")


@compression_report.check(weight=2)
def test_report_of_ratios(student: Any, rng: RandomInputs) -> None:
    """Each ratio says how many times smaller the compressed network is."""
    for _ in range(2):
        before, after = measured(rng), measured(rng)
        report = expect_dict(student.compression_report(before, after), "the report", REPORT_KEYS)
        for name in ("params", "bytes", "macs"):
            value = expect_float(report[f"{name}_ratio"], f"{name}_ratio")
            check(close(value, before[name] / after[name]), "ratio: baseline / compressed")


@compression_report.check()
def test_report_of_the_accuracy_drop(student: Any, rng: RandomInputs) -> None:
    """The drop is positive where the compressed network is worse."""
    for _ in range(2):
        before, after = measured(rng), measured(rng)
        report = expect_dict(student.compression_report(before, after), "the report", REPORT_KEYS)
        drop = expect_float(report["accuracy_drop"], "accuracy_drop")
        hint = "accuracy_drop: baseline - compressed, in the unit of the input"
        check(close(drop, before["accuracy"] - after["accuracy"], rtol=1e-5, atol=1e-7), hint)


@compression_report.check()
def test_report_of_nothing_left(student: Any, rng: RandomInputs) -> None:
    """Where nothing is left of the compressed network, the ratio is infinite."""
    before, after = measured(rng), measured(rng)
    gone = rng.choice(["params", "bytes", "macs"])
    after[gone] = 0
    report = expect_dict(student.compression_report(before, after), "the report", REPORT_KEYS)
    value = expect_float(report[f"{gone}_ratio"], f"{gone}_ratio", finite=False)
    check(value == math.inf, "a ratio with 0 below the line is float('inf')")


def incomplete(rng: RandomInputs, name: str) -> dict[str, float]:
    """What `measured` gives, without one key."""
    return {key: value for key, value in measured(rng).items() if key != name}


test_report_refuses_missing_keys = compression_report.refuses(
    lambda rng: case(incomplete(rng, "accuracy"), measured(rng)),
    lambda rng: case(measured(rng), incomplete(rng, "accuracy")),
    lambda rng: case(measured(rng), incomplete(rng, rng.choice(["params", "bytes", "macs"]))),
    title="A measurement that is missing raises ValueError.",
    weight=0.4,
)


Points = list[tuple[float, float]]


def front(student: Any, points: Points) -> list[int]:
    """The student's front, in the student's order."""
    found = expect_list(student.pareto_front(points), "pareto_front")
    return [expect_int(index, "each index") for index in found]


def undominated(points: Points) -> list[int]:
    """The front, each point compared with every other."""
    return [
        index
        for index, (cost, accuracy) in enumerate(points)
        if not any(
            other <= cost and right >= accuracy and (other < cost or right > accuracy)
            for other, right in points
        )
    ]


def scattered(rng: RandomInputs) -> Points:
    """Points without ties."""
    return [(rng.number(0, 100), rng.number(0, 1)) for _ in range(rng.integer(12, 20))]


pareto_front = Exercise("s1.pareto_front")


@pareto_front.check(weight=2)
def test_front_of_different_points(student: Any, rng: RandomInputs) -> None:
    """A point stays unless another is cheaper and more accurate."""
    for _ in range(3):
        points = scattered(rng)
        hint = "low cost and high accuracy are good; return indices, not points"
        check(sorted(front(student, points)) == undominated(points), hint)


@pareto_front.check(weight=2)
def test_front_with_ties(student: Any, rng: RandomInputs) -> None:
    """Of points with equal cost only the most accurate stays, of equal accuracy the cheapest."""
    grid = [(float(cost), accuracy / 4) for cost in range(5) for accuracy in range(5)]
    corner = [(1.0, 0.25), (1.0, 0.75), (3.0, 0.75)]  # a tie of both kinds, whatever is drawn
    for _ in range(4):
        others = [point for point in rng.sample(grid, 8) if point not in corner]
        points = rng.sample(corner + others, 3 + len(others))
        hint = "dominated: another is no worse in both and better in one"
        check(sorted(front(student, points)) == undominated(points), hint)


@pareto_front.check(weight=2)
def test_front_keeps_duplicates(student: Any, rng: RandomInputs) -> None:
    """Identical points do not dominate each other: all of them stay, or none."""
    for _ in range(3):
        points = [(float(10 * i + rng.integer(0, 9)), 0.1 * i) for i in range(1, 7)]
        dominated = (points[2][0] + 1.0, points[2][1] - 0.01)
        points += [*rng.sample(points, 3), dominated, dominated]
        points = rng.sample(points, len(points))
        hint = "keep every copy of a point that is not dominated"
        check(sorted(front(student, points)) == undominated(points), hint)


@pareto_front.check()
def test_front_is_in_ascending_order(student: Any, rng: RandomInputs) -> None:
    """The indices of the front ascend."""
    for _ in range(3):
        points = [(10.0 * i, 0.1 * i) for i in range(7)] + [(65.0, 0.1 * i) for i in range(3)]
        points = rng.sample(points, len(points))
        check(front(student, points) == undominated(points), "sort the indices at the end")


@pareto_front.check(weight=0.5, guard=True)
def test_front_of_one_point(student: Any, rng: RandomInputs) -> None:
    """A single point is its own front."""
    check(front(student, [(rng.number(0, 9), 0.5)]) == [0], "nothing dominates a single point")
