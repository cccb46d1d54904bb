"""Public tests of policies.py; see test_public_search_space.py."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn

from autograder.graders.toolkit import (
    Exercise,
    agreements,
    allclose,
    case,
    check,
    expect_list,
    expect_record,
    expect_value_error,
)
from shared.records import QParams

accuracy_predictor = Exercise("s5.AccuracyPredictor")


@accuracy_predictor.check(visibility="visible")
def test_exclusive_or_is_ranked(student: Any) -> None:
    """Two genes that are good only if they differ: no sum of single effects ranks them."""
    codes = [(a, b) for a in (0, 1) for b in (0, 1)] * 5
    accuracies = [0.9 if a != b else 0.1 for a, b in codes]
    predictor = student.AccuracyPredictor()
    student.invoke(predictor, "fit", codes, accuracies)
    values = student.invoke(predictor, "predict", [(0, 0), (0, 1), (1, 0), (1, 1)])
    values = expect_list(values, "predict", 4)
    check(min(values[1:3]) > max(values[0], values[3]), "(0, 1) and (1, 0) are the better ones")


amc_bound_action = Exercise("s5.amc_bound_action", agreement=agreements.number(1e-6))


@amc_bound_action.check(visibility="visible")
def test_bound_by_hand() -> Any:
    """Two layers of 100 MACs, target 50 %, at most 75 % each: 25 % at least, then the rest."""
    yield case(0.1, 0, [100, 100], [], 0.5, 0.75, [8, 8]).gives(0.25)
    yield case(0.5, 0, [100, 100], [], 0.5, 0.75, [8, 8]).gives(0.5)
    yield case(0.1, 1, [100, 100], [0.25], 0.5, 0.75, [8, 8]).gives(0.75)


amc_reward = Exercise("s5.amc_reward", agreement=agreements.number(1e-6))


@amc_reward.check(visibility="visible")
def test_rewards_by_hand() -> Any:
    """An error of 0.25 with e^4 operations: -0.25 and -1."""
    yield case(0.25, math.e**4, "resource").gives(-0.25)
    yield case(0.25, math.e**4, "accuracy").gives(-1.0)


allocate_bits = Exercise("s5.allocate_bits")


@allocate_bits.check(visibility="visible")
def test_bits_by_hand(student: Any) -> None:
    """60 bits for two layers of 10 weights: 4 bits are worth more in the first one."""
    sensitivity = {"a": {2: 1.0, 4: 0.1}, "b": {2: 0.2, 4: 0.1}}
    sizes = {"a": 10, "b": 10}
    check(student.allocate_bits(sensitivity, sizes, 60) == {"a": 4, "b": 2}, "{'a': 4, 'b': 2}")
    expect_value_error(student.allocate_bits, sensitivity, sizes, 39)


recalibrate_batchnorm = Exercise("s5.recalibrate_batchnorm")


@recalibrate_batchnorm.check(visibility="visible")
def test_statistics_by_hand(student: Any) -> None:
    """Batches with the means 2 and 5 have the running mean 3.5, the variances 2 and 8 give 5."""
    live = student.put(nn.Sequential(nn.BatchNorm1d(1)).eval())
    batches = [torch.tensor([[1.0], [3.0]]), torch.tensor([[3.0], [7.0]])]
    student.recalibrate_batchnorm(live, batches)
    state = student.state(live)
    check(allclose(state["0.running_mean"], torch.tensor([3.5])), "the mean of 2 and 5")
    check(allclose(state["0.running_var"], torch.tensor([5.0])), "the mean of 2 and 8")
    check(not any(student.modes(live).values()), "the network is in eval mode again")


hypervolume = Exercise("s5.hypervolume", agreement=agreements.number(1e-6))


@hypervolume.check(visibility="visible")
def test_area_by_hand() -> Any:
    """3 * 0.5 + 2 * 0.4 = 2.3; the third point is dominated."""
    yield case([(1.0, 0.5), (2.0, 0.9), (3.0, 0.8)], (4.0, 0.0)).gives(2.3)
    yield case([(3.0, 0.8), (1.0, 0.5), (2.0, 0.9), (5.0, 1.0)], (4.0, 0.0)).gives(2.3)


gptq = Exercise("s5.gptq")


@gptq.check(visibility="visible")
def test_codes_by_hand(student: Any) -> None:
    """With a diagonal Hessian 7 and 3.4 become 7 and 3: the scale is 7 / 7 = 1."""
    result = student.gptq(torch.tensor([[7.0, 3.4]]), torch.eye(2), 4)
    codes, qparams = expect_list(result, "gptq", length=2)
    check(codes.tolist() == [[7, 3]], "codes 7 and 3")
    scale, _ = expect_record(qparams, QParams, "the parameters")
    check(allclose(scale, torch.tensor([1.0])), "one scale for each row")
