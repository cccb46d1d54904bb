"""Graders for the tests of the engine; run by the judge, not by the kit's own pytest."""

from typing import Any

import torch
from torch import nn

from autograder.graders.toolkit import (
    CallbackError,
    Handle,
    Optimizer,
    RandomInputs,
    check,
    close,
    exercise,
    expect_float,
    expect_int,
    expect_value_error,
    guard,
    limit,
    weight,
)


@exercise("s1.add")
@weight(3)
def test_add(student: Any, rng: RandomInputs) -> None:
    """The sum of two tensors is returned."""
    a, b = rng.normal(3, 4), rng.normal(3, 4)
    check(torch.equal(student.add(a, b), a + b), "add elementwise")


@exercise("s1.add")
@guard
def test_add_refuses(student: Any) -> None:
    """Different shapes raise ValueError."""
    expect_value_error(student.add, torch.zeros(2), torch.zeros(3))


@exercise("s1.half")
def test_half(student: Any, credit: Any) -> None:
    """Half of a number; a number that is at least positive gives half the credit."""
    value = expect_float(student.half(8), "half")
    check(value > 0, "it has the sign of its argument")
    if not close(value, 4.0):
        credit(0.5, "positive, but not the half")


@exercise("s1.count_calls")
def test_count_calls(student: Any) -> None:
    """The function is called five times with the numbers 0 to 4, and the results are summed."""
    seen = []

    def function(number: int) -> int:
        seen.append(number)
        if number > 4:
            raise CallbackError("no more")
        return number * number

    total = expect_int(student.count_calls(function), "count_calls")
    check(seen == [0, 1, 2, 3, 4], "call it with 0, 1, 2, 3 and 4")
    check(total == 30, "return the sum")


@exercise("s1.train")
@limit(seconds=20)
def test_train(student: Any, rng: RandomInputs) -> None:
    """One step of plain gradient descent is made, in place, and the mode is restored."""
    net = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3)).eval()
    images, targets = rng.normal(6, 4), rng.integers(0, 2, 6)
    model = student.put(net)
    optimizer = student.put(Optimizer("SGD", model, {"lr": 0.1}))
    student.train(model, (images, targets), nn.functional.cross_entropy, optimizer)
    after = student.state(model)
    nn.functional.cross_entropy(net(images), targets).backward()
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            expected = parameter - 0.1 * parameter.grad
            check(torch.allclose(after[name], expected, atol=1e-6), "one step of the optimiser")
    check(not any(student.modes(model).values()), "leave the modes alone")
    check(student.hook_count(model) == 0, "leave no hook")


@exercise("s1.remember")
def test_remember(student: Any) -> None:
    """A fresh worker knows nothing of an earlier call."""
    student.remember(7)
    check(student.remember(None) == 7, "keep the value in a global")
    check(student.fresh().remember(None) is None, "nothing survives in a fresh process")


@exercise("s1.Counter")
def test_counter(student: Any, thresholds: Any, source_bytes: Any) -> None:
    """An instance of a class stays in the worker, whatever its decorators are."""
    counter = student.Counter(3)
    check(isinstance(counter, Handle), "an instance is an object, not a record")
    student.invoke(counter, "add", 4)
    check(student.get(counter, "total") == 7, "add to the total")
    check(dict(thresholds) == {} and source_bytes > 100, "the fixtures are there")


@exercise("s1.accumulate")
def test_accumulate(student: Any, rng: RandomInputs) -> None:
    """Gradients that are already there are halved."""
    net = nn.Linear(3, 2)
    x, cotangent = rng.normal(4, 3), rng.normal(4, 2)
    model = student.put(net)
    student.backward(model, (x,), cotangent)
    net(x).backward(cotangent)
    halved = student.accumulate(model)
    assert net.bias.grad is not None
    check(torch.allclose(halved, net.bias.grad / 2, atol=1e-6), "half of the bias' gradient")


@exercise("s1.echo")
def test_echo(student: Any) -> None:
    """A value comes back as it went."""
    check(student.echo({"a": (1, 2.5, None)}) == {"a": (1, 2.5, None)}, "return the argument")
