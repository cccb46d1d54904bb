"""Graders of the hostile bank; run by the judge from a copy in which `@…@` is replaced."""

from pathlib import Path
from typing import Any

import torch
from torch import nn

from autograder.graders.toolkit import (
    CallbackError,
    RandomInputs,
    allclose,
    check,
    close,
    exercise,
    expect_float,
    expect_int,
    expect_tensor,
    expect_value_error,
    fail,
    guard,
    weight,
)

CANARY = "@CANARY_GRADER@"
JOURNAL = Path("@JOURNAL@")
BUDGET = 24


def keep(value: Any) -> Any:
    """Write down what came back: nothing that a student returns may hold what is hidden."""
    with JOURNAL.open("a", encoding="utf-8", errors="replace") as file:
        file.write(repr(value)[:100_000] + "\n")
    return value


@exercise("s1.normalise")
def test_normalise(student: Any, rng: RandomInputs) -> None:
    """The mean becomes 0 and the standard deviation 1."""
    x = rng.normal(4, 5, mean=3.0, std=2.0)
    y = expect_tensor(keep(student.normalise(x)), "normalise", (4, 5), torch.float32)
    check(allclose(y, (x - x.mean()) / x.std(unbiased=False)), "subtract the mean, divide")


@exercise("s1.top_sum")
def test_top_sum(student: Any, rng: RandomInputs) -> None:
    """The k largest elements are added."""
    x, k = rng.normal(6, 6), rng.integer(2, 9)
    value = expect_float(keep(student.top_sum(x, k)), "top_sum")
    check(close(value, float(x.flatten().sort().values[-k:].sum()), 1e-4), "add the k largest")


@exercise("s1.top_sum")
@guard
def test_top_sum_refuses(student: Any) -> None:
    """A k of 0 raises ValueError."""
    expect_value_error(student.top_sum, torch.ones(3), 0)


class Valley:
    """A function of the judge with one lowest place in 0..99; it counts its calls."""

    def __init__(self, lowest: int) -> None:
        self.lowest = lowest
        self.calls = 0

    def __call__(self, n: int) -> float:
        self.calls += 1
        if self.calls > BUDGET:
            raise CallbackError("the budget is spent")
        return float((n - self.lowest) ** 2)


@exercise("s1.search")
def test_search(student: Any, rng: RandomInputs) -> None:
    """The lowest place is found within the budget, twice."""
    first, second = Valley(rng.integer(3, 96)), Valley(rng.integer(3, 96))
    for valley in (first, second):
        found = expect_int(keep(student.search(valley, BUDGET)), "search")
        check(valley.calls <= BUDGET, "keep to the budget")
        check(found == valley.lowest, "return the lowest place")


def small_net(rng: RandomInputs) -> nn.Sequential:
    """A network with drawn weights, in evaluation mode."""
    net = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Linear(3, 2)).eval()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(rng.normal(*parameter.shape))
    return net


@exercise("s1.clip_weights")
@weight(3)
def test_clip_weights(student: Any, rng: RandomInputs) -> None:
    """Every weight of the model itself ends within the bound."""
    net = small_net(rng)
    model = student.put(net)
    keep(student.clip_weights(model, 0.25))
    after = keep(student.state(model))
    for name, before in net.named_parameters():
        now = expect_tensor(after[name], name, before.shape, torch.float32)
        check(allclose(now, before.detach().clamp(-0.25, 0.25)), "clip every weight in place")


@exercise("s1.clip_weights")
@guard
def test_clip_weights_leaves_no_trace(student: Any, rng: RandomInputs) -> None:
    """Modes and hooks are left alone."""
    model = student.put(small_net(rng))
    student.clip_weights(model, 0.25)
    check(not any(student.modes(model).values()), "leave the modes alone")
    check(student.hook_count(model) == 0, "leave no hook")


@exercise("s1.codec")
def test_codec(student: Any, rng: RandomInputs) -> None:
    """A fresh process rebuilds the tensor from one byte an element."""
    x = rng.integers(-9, 9, 8, 8).float()
    data = keep(student.encode(x))
    if not isinstance(data, bytes):
        fail("encode should return bytes")
    check(len(data) <= x.numel(), "at most one byte an element")
    back = expect_tensor(keep(student.fresh().decode(data)), "decode", (8, 8), torch.float32)
    check(torch.equal(back, x), "decode what was encoded")


@exercise("s1.network")
def test_network(student: Any, rng: RandomInputs) -> None:
    """A network with few parameters and outputs of the asked shape is returned."""
    inputs, outputs = rng.integer(3, 9), rng.integer(2, 5)
    net = keep(student.network(inputs, outputs))
    if not isinstance(net, nn.Module):
        fail("network should return a module")
    count = sum(parameter.numel() for parameter in net.parameters())
    check(0 < count <= 4 * (inputs + 1) + 5 * outputs, "use four hidden units")
    elsewhere = student.clean()
    output = keep(elsewhere.call(elsewhere.put(net), rng.normal(7, inputs)))
    expect_tensor(output, "the output", (7, outputs), torch.float32)
