# Generated from solutions/s4_distillation/tests/test_public_losses.py by `autograder release`: change it there.
"""Public tests of losses.py: small cases whose answers you can work out on paper.

`autograder check s4` runs them. They show the expected values; the hidden graders use other
inputs, so code that fits only these numbers earns nothing there.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from autograder.graders.toolkit import (
    Case,
    Exercise,
    agreements,
    case,
    check,
    close,
    expect_float,
    expect_value_error,
)

NUMBERS = agreements.tensor(rtol=1e-3, atol=1e-4)
LOG3 = math.log(3)
STUDENT, TEACHER = torch.tensor([[0.0, 0.0]]), torch.tensor([[0.0, 2 * LOG3]])
"""At T = 2 the student says 1/2, 1/2 and the teacher 1/4, 3/4."""
TARGETS = torch.tensor([1])

softmax_with_temperature = Exercise("s4.softmax_with_temperature", agreement=NUMBERS)


@softmax_with_temperature.check(visibility="visible")
def test_softmax_by_hand() -> Iterator[Case]:
    """Logits 0 and ln 3 give 1/4 and 3/4 at T = 1, and 1/10 and 9/10 at T = 1/2."""
    logits = torch.tensor([[0.0, LOG3], [LOG3, 0.0]])
    yield case(logits, 1.0).gives(torch.tensor([[0.25, 0.75], [0.75, 0.25]]))
    yield case(logits, 0.5).gives(torch.tensor([[0.1, 0.9], [0.9, 0.1]]))
    yield case(torch.tensor([1000.0, 1000.0]), 1.0).gives(torch.tensor([0.5, 0.5]))


kd_loss = Exercise("s4.kd_loss", agreement=NUMBERS)


@kd_loss.check(visibility="visible")
def test_loss_by_hand() -> Iterator[Case]:
    """KL((1/4, 3/4) || (1/2, 1/2)) is 0.1308, times T**2 = 4; the cross-entropy is ln 2."""
    soft = 0.25 * math.log(0.5) + 0.75 * math.log(1.5)
    yield case(STUDENT, TEACHER, TARGETS, 2.0, 0.0).gives(torch.tensor(4 * soft))
    yield case(STUDENT, TEACHER, TARGETS, 2.0, 1.0).gives(torch.tensor(math.log(2)))
    mixed = 0.25 * math.log(2) + 0.75 * 4 * soft
    yield case(STUDENT, TEACHER, TARGETS, 2.0, 0.25).gives(torch.tensor(mixed))


@kd_loss.check(visibility="visible")
def test_loss_is_a_mean_over_the_batch() -> Iterator[Case]:
    """Two rows, one of which costs nothing, cost half as much as the other alone."""
    soft = 0.25 * math.log(0.5) + 0.75 * math.log(1.5)
    students, teachers = torch.cat([STUDENT, TEACHER]), torch.cat([TEACHER, TEACHER])
    yield case(students, teachers, torch.tensor([1, 1]), 2.0, 0.0).gives(torch.tensor(2 * soft))


kd_gradient = Exercise("s4.kd_gradient", agreement=NUMBERS)


@kd_gradient.check(visibility="visible")
def test_gradient_by_hand() -> Iterator[Case]:
    """T * (q - p) = 2 * (1/2 - 1/4, 1/2 - 3/4), and q - y = (1/2, -1/2) for the targets."""
    yield case(STUDENT, TEACHER, TARGETS, 2.0, 0.0).gives(torch.tensor([[0.5, -0.5]]))
    yield case(STUDENT, TEACHER, TARGETS, 4.0, 1.0).gives(torch.tensor([[0.5, -0.5]]))


ensemble_soft_targets = Exercise("s4.ensemble_soft_targets", agreement=NUMBERS)


@ensemble_soft_targets.check(visibility="visible")
def test_two_teachers_by_hand(student: Any) -> None:
    """(1/4, 3/4) and (9/10, 1/10) together say (0.575, 0.425)."""
    several = [torch.tensor([[0.0, LOG3]]), torch.tensor([[2 * LOG3, 0.0]])]
    result = student.ensemble_soft_targets(several, 1.0)
    expected = torch.tensor([[0.575, 0.425]])
    check(NUMBERS(result, expected, "the targets"), "average the probabilities")
    expect_value_error(student.ensemble_soft_targets, [], 1.0)


hint_loss = Exercise("s4.hint_loss")


@hint_loss.check(visibility="visible")
def test_hint_by_hand(student: Any) -> None:
    """A regressor that doubles: 2 is 1 from 3, 4 is 2 from 6, which costs four times as much."""
    regressor = nn.Linear(1, 1, bias=False)
    nn.init.constant_(regressor.weight, 2.0)
    losses = [
        expect_float(
            student.hint_loss(torch.tensor([[a]]), torch.tensor([[b]]), regressor), "hint_loss"
        )
        for a, b in ((1.0, 3.0), (2.0, 6.0), (2.0, 4.0))
    ]
    check(losses[0] > 0 and close(losses[1], 4 * losses[0]), "a squared distance")
    check(close(losses[2], 0.0), "2 * 2 is 4: nothing to learn")


attention_map = Exercise("s4.attention_map", agreement=NUMBERS)


@attention_map.check(visibility="visible")
def test_attention_by_hand() -> Iterator[Case]:
    """Channels (1, -2) and (3, 0) give 1 + 9 and 4 + 0; with p = 1, 4 and 2."""
    features = torch.tensor([[[[1.0, -2.0]], [[3.0, 0.0]]]])
    yield case(features).gives(torch.tensor([[[10.0, 4.0]]]))
    yield case(features, 1).gives(torch.tensor([[[4.0, 2.0]]]))


attention_transfer_loss = Exercise("s4.attention_transfer_loss", agreement=NUMBERS)


@attention_transfer_loss.check(visibility="visible")
def test_transfer_by_hand() -> Iterator[Case]:
    """Maps (9, 0) and (0, 26) have the directions (1, 0) and (0, 1), at a squared distance of 2."""
    student = torch.tensor([[[[3.0, 0.0]]]])
    teacher = torch.tensor([[[[0.0, 1.0]], [[0.0, 5.0]]]])
    yield case(student, teacher).gives(torch.tensor(2.0))
    yield case(student, 7 * student).gives(torch.tensor(0.0))
