# Generated from solutions/s4_distillation/tests/test_public_distill.py by `autograder release`: change it there.
"""Public tests of distill.py: small cases whose answers you can work out on paper.

`autograder check s4` runs them. They show the expected values; the hidden graders use other
inputs, so code that fits only these numbers earns nothing there.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from autograder.graders.toolkit import (
    Case,
    Exercise,
    Handle,
    Optimizer,
    agreements,
    allclose,
    case,
    check,
    close,
    expect_float,
    expect_int,
    expect_list,
    expect_value_error,
)
from shared.models import MLP, Generator

LOG3 = math.log(3)


def linear(*weights: float) -> nn.Linear:
    """A network of one input and two classes, without a bias."""
    layer = nn.Linear(1, 2, bias=False)
    layer.weight.data = torch.tensor(weights).reshape(2, 1)
    return layer


distill_step = Exercise("s4.distill_step")


@distill_step.check(visibility="visible")
def test_step_by_hand(student: Any) -> None:
    """At T = 2 the logits (0, 0) and (0, 2 ln 3) cost 0.5232 and pull by (0.5, -0.5)."""
    model, teacher = student.put(linear(0.0, 0.0)), student.put(linear(0.0, 2 * LOG3))
    optimizer = student.put(Optimizer("SGD", model, {"lr": 1.0}))
    batch = torch.ones(1, 1), torch.tensor([1])
    loss = student.distill_step(model, teacher, batch, optimizer, 2.0, 0.0)
    expected = 4 * (0.25 * math.log(0.5) + 0.75 * math.log(1.5))
    check(
        close(expect_float(loss, "distill_step"), expected, rtol=1e-3), "the loss before the step"
    )
    weight = student.state(model)["weight"]
    check(allclose(weight, torch.tensor([[-0.5], [0.5]]), atol=1e-3), "weight - lr * gradient")
    kept = allclose(student.state(teacher)["weight"], torch.tensor([[0.0], [2 * LOG3]]))
    check(kept, "the teacher does not learn")


distill = Exercise("s4.distill")


@distill.check(visibility="visible")
def test_the_teacher_wins_over_the_labels(student: Any) -> None:
    """The teacher says class 1 of all images, the labels say 0; with alpha = 0 the teacher wins."""
    model, teacher = student.put(linear(0.0, 0.0)), student.put(linear(0.0, 2 * LOG3))
    data = TensorDataset(torch.ones(8, 1), torch.zeros(8, dtype=torch.int64))
    result = student.distill(model, teacher, DataLoader(data, batch_size=4), 20, 2.0, 0.0, 0.5)
    check(isinstance(result, nn.Module), "return the student network")
    weight = result.state_dict()["weight"].flatten()
    check(bool(weight[1] - weight[0] > LOG3), "the student comes to say what the teacher says")


temperature_schedule = Exercise("s4.temperature_schedule", agreement=agreements.number())


@temperature_schedule.check(visibility="visible")
def test_schedule_by_hand() -> Iterator[Case]:
    """From 8 to 1 in eight epochs it is 8, 7, ..., 1, and 1 from then on."""
    for epoch in range(8):
        yield case(epoch, 8).gives(8.0 - epoch)
    yield case(9, 8).gives(1.0)
    yield case(1, 3, 6.0, 2.0).gives(4.0)


agreement = Exercise("s4.agreement", agreement=agreements.number())


@agreement.check(visibility="visible")
def test_agreement_by_hand() -> Iterator[Case]:
    """Two of three rows have their largest number at one place."""
    ours = torch.tensor([[0.0, 1.0], [3.0, 2.0], [5.0, 9.0]])
    theirs = torch.tensor([[1.0, 9.0], [0.0, 1.0], [-2.0, -1.0]])
    yield case(ours, theirs).gives(2 / 3)


dkd_loss = Exercise("s4.dkd_loss", agreement=agreements.tensor(rtol=1e-3, atol=1e-4))


@dkd_loss.check(visibility="visible")
def test_parts_by_hand() -> Iterator[Case]:
    """Teacher 1/2, 1/4, 1/4 and student 1/2, 1/8, 3/8: all of the difference is in the others."""
    ours = torch.tensor([[1 / 2, 1 / 8, 3 / 8]]).log()
    theirs = torch.tensor([[1 / 2, 1 / 4, 1 / 4]]).log()
    targets = torch.tensor([0])
    yield case(ours, theirs, targets, 1.0, 5.0, 0.0).gives(torch.tensor(0.0))
    others = 0.5 * math.log(2) + 0.5 * math.log(2 / 3)
    yield case(ours, theirs, targets, 1.0, 0.0, 2.0).gives(torch.tensor(2 * others))


speculative_accept = Exercise("s4.speculative_accept")


@speculative_accept.check(visibility="visible")
def test_decisions_without_chance(student: Any) -> None:
    """The first token is sure in both, the second impossible for the target, which wants 0."""
    draft = torch.tensor([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    target = torch.tensor([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    # A generator in your process: that of a loader there.
    own = torch.Generator().manual_seed(0)
    loader = student.put(DataLoader(TensorDataset(torch.zeros(1)), shuffle=True, generator=own))
    generator = student.get(Handle(loader.name, "DataLoader"), "generator")
    tokens, accepted = expect_list(
        student.speculative_accept([1, 2], draft, target, generator), "the result", length=2
    )
    check(expect_list(tokens, "tokens") == [1, 0], "1 is accepted, 2 rejected and 0 drawn instead")
    check(expect_int(accepted, "accepted") == 1, "one token of the draft was accepted")
    expect_value_error(student.speculative_accept, [1, 2], draft, target[:2], generator)


distill_without_data = Exercise("s4.distill_without_data")


@distill_without_data.check(visibility="visible")
def test_a_few_steps_without_data(student: Any) -> None:
    """After four steps the generator and the student have moved, and the teacher has not."""
    torch.manual_seed(0)
    networks = MLP((64, 9, 10)), Generator(latent_dim=5, width=3), MLP((64, 4, 10))
    teacher, generator, small = map(student.put, networks)
    result = student.distill_without_data(teacher, generator, small, 4, 8, 3.0, 1)
    check(isinstance(result, MLP), "return the student network")
    moved = [
        any(not torch.equal(state[name], value) for name, value in before.named_parameters())
        for state, before in zip(
            (student.state(teacher), student.state(generator), result.state_dict()),
            networks,
            strict=True,
        )
    ]
    check(not moved[0], "the teacher does not learn")
    check(moved[1], "the generator learns")
    check(moved[2], "the student learns")
