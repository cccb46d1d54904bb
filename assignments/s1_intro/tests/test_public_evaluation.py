# Generated from solutions/s1_intro/tests/test_public_evaluation.py by `autograder release`: change it there.
"""Public tests of evaluation.py; see test_public_metrics.py."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from autograder.graders.toolkit import (
    Exercise,
    check,
    close,
    expect_dict,
    expect_float,
    expect_list,
    expect_record,
    expect_value_error,
)
from shared import probes
from shared.records import Latency

topk_accuracy = Exercise("s1.topk_accuracy")


@topk_accuracy.check(visibility="visible")
def test_topk_by_hand(student: Any) -> None:
    """The target is first in one of two rows, and among the first two in both."""
    logits = torch.tensor([[0.1, 0.7, 0.2], [0.5, 0.3, 0.2]])
    targets = torch.tensor([1, 1])
    share = student.topk_accuracy(logits, targets)
    check(close(expect_float(share, "topk_accuracy"), 0.5), "1 of 2 samples, as a share")
    share = student.topk_accuracy(logits, targets, k=2)
    check(close(expect_float(share, "topk_accuracy"), 1.0), "look at the k largest logits")
    expect_value_error(student.topk_accuracy, logits, targets, k=4)


evaluate = Exercise("s1.evaluate")


@evaluate.check(visibility="visible")
def test_evaluate_by_hand(student: Any) -> None:
    """Equal logits of 4 classes cost ln 4 a sample; 2 of 3 samples are right, in batches of 2."""
    model = nn.Linear(1, 4)
    with torch.no_grad():
        model.weight.zero_()
        model.bias.zero_()
    data = TensorDataset(torch.ones(3, 1), torch.zeros(3, dtype=torch.int64))
    loss, _ = expect_list(student.evaluate(model, DataLoader(data, 2)), "evaluate", length=2)
    check(close(expect_float(loss, "loss"), math.log(4)), "cross-entropy of the logits")
    with torch.no_grad():
        model.weight[1, 0] = 1.0  # now class 1 always wins
    data = TensorDataset(torch.ones(3, 1), torch.tensor([0, 1, 1]))
    _, accuracy = expect_list(student.evaluate(model, DataLoader(data, 2)), "evaluate", length=2)
    hint = "average over samples: the mean of the two batches' accuracies is 3/4"
    check(close(expect_float(accuracy, "accuracy"), 2 / 3), hint)


@evaluate.check(visibility="visible")
def test_evaluate_restores_modes(student: Any) -> None:
    """Dropout and batch norm are off while evaluating, and as before afterwards."""
    model = student.put(probes.MixedModes(4, 3).train())
    before = student.modes(model)
    data = TensorDataset(torch.ones(5, 4, 6, 6), torch.zeros(5, dtype=torch.int64))
    first = expect_list(student.evaluate(model, DataLoader(data, 2)), "evaluate", length=2)
    second = expect_list(student.evaluate(model, DataLoader(data, 2)), "evaluate", length=2)
    check(first == second, "the same network and data give the same numbers: use eval mode")
    check(student.modes(model) == before, "restore the flag of each submodule, not of the root")


measure_latency = Exercise("s1.measure_latency")


@measure_latency.check(visibility="visible")
def test_latency_by_hand(student: Any) -> None:
    """Times of 1, 2, 3 and 10 have the median 2.5 and the 90th percentile 7.9."""
    times = {"now": 0.0}
    durations = iter([100.0, 100.0, 3.0, 1.0, 10.0, 2.0])

    def work() -> None:
        times["now"] += next(durations)

    result = student.measure_latency(work, warmup=2, repeats=4, clock=lambda: times["now"])
    median, p90 = expect_record(result, Latency, "measure_latency")
    check(close(expect_float(median, "median"), 2.5), "the mean of the middle two; warm-up apart")
    check(close(expect_float(p90, "p90"), 7.9), "between 3 and 10, at 0.7 of the way")


@measure_latency.check(visibility="visible")
def test_latency_waits_for_the_device(student: Any) -> None:
    """Work that a device does later, until it is synchronised, is timed too."""
    device = {"now": 0.0, "queued": 0.0}

    def launch() -> None:
        device["queued"] += 5.0

    def synchronize() -> None:
        device["now"] += device["queued"]
        device["queued"] = 0.0

    result = student.measure_latency(
        launch, warmup=3, repeats=3, clock=lambda: device["now"], synchronize=synchronize
    )
    median, _ = expect_record(result, Latency, "measure_latency")
    hint = "synchronize before the start (the warm-up is still queued) and before the stop"
    check(close(expect_float(median, "median"), 5.0), hint)


compression_report = Exercise("s1.compression_report")


@compression_report.check(visibility="visible")
def test_report_by_hand(student: Any) -> None:
    """Half the parameters, an eighth of the bytes, no MACs left, 25 points less accuracy."""
    report = student.compression_report(
        {"accuracy": 0.75, "params": 100, "bytes": 400, "macs": 50},
        {"accuracy": 0.5, "params": 50, "bytes": 50, "macs": 0},
    )
    expected = {
        "accuracy_drop": 0.25,
        "params_ratio": 2.0,
        "bytes_ratio": 8.0,
        "macs_ratio": math.inf,
    }
    found = expect_dict(report, "compression_report", list(expected))
    for key, value in expected.items():
        check(close(expect_float(found[key], key, finite=False), value), f"{key} should be {value}")


pareto_front = Exercise("s1.pareto_front")


@pareto_front.check(visibility="visible")
def test_front_by_hand(student: Any) -> None:
    """A point that is dearer and worse than another is dropped; equal points stay."""
    points = [(1.0, 0.8), (2.0, 0.9), (3.0, 0.85), (2.0, 0.9)]
    front = expect_list(student.pareto_front(points), "pareto_front")
    check(front == [0, 1, 3], "(3.0, 0.85) loses to (2.0, 0.9), which stays twice")
