"""Graders of losses.py: probabilities with a temperature, the loss of distillation, ensembles."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from autograder.graders.s4_distillation.references import (
    answers,
    ensemble_reference,
    kd_gradient_reference,
    kd_reference,
    softmax_reference,
    temperature,
)
from autograder.graders.toolkit import (
    Case,
    Exercise,
    RandomInputs,
    agreements,
    allclose,
    case,
    check,
    expect_tensor,
    expect_value_error,
)

FAR = 1000.0  # |z / T| up to which results are finite

# ---- softmax_with_temperature ----------------------------------------------------------------

softmax_with_temperature = Exercise(
    "s4.softmax_with_temperature",
    reference=softmax_reference,
    agreement=agreements.tensor(rtol=1e-4, atol=1e-6),
)


@softmax_with_temperature.check(weight=3, essential=True)
def test_logits_are_divided_by_the_temperature(rng: RandomInputs) -> Iterator[Case]:
    """Each row is softmax(z / T): smoother for a high temperature, sharper for a low one."""
    for T in (rng.number(0.3, 0.6), rng.number(2, 6), 1.0):
        yield case(rng.normal(rng.integer(4, 6), rng.integer(8, 11), std=2), T)


@softmax_with_temperature.check(weight=1.5)
def test_softmax_over_the_last_dimension(rng: RandomInputs) -> Iterator[Case]:
    """Probabilities add up to 1 along the last dimension, however many there are."""
    for shape in ((7,), (3, 5), (2, 4, 6), (3, 2, 4, 5)):
        yield case(rng.normal(*shape), temperature(rng))


@softmax_with_temperature.check(weight=2)
def test_softmax_of_large_logits(rng: RandomInputs) -> Iterator[Case]:
    """With |z / T| up to 1000 the result is right and finite."""
    for T in (rng.number(0.3, 0.6), rng.number(2, 6)):
        logits = rng.normal(4, 9)
        logits[0] += 0.9 * FAR * T  # all large: exp overflows
        logits[1] -= 0.9 * FAR * T  # all small: exp underflows, and the sum is 0
        logits[2, 3], logits[2, 5] = -FAR * T, FAR * T
        yield case(logits, T)


@softmax_with_temperature.check()
def test_softmax_keeps_float64(student: Any, rng: RandomInputs) -> None:
    """Logits in float64 give probabilities in float64, to their precision."""
    logits, T = rng.normal(4, 9).double(), temperature(rng)
    found = expect_tensor(
        student.softmax_with_temperature(logits, T), "the result", logits.shape, torch.float64
    )
    expected = softmax_reference(logits, T)
    check(allclose(found, expected, rtol=1e-9, atol=1e-12), "compute in the dtype of the logits")


@softmax_with_temperature.check(weight=0.3, guard=True)
def test_softmax_leaves_the_logits_alone(student: Any, rng: RandomInputs) -> None:
    """The logits are unchanged."""
    logits = rng.normal(4, 9)
    live = student.put(logits)
    student.softmax_with_temperature(live, temperature(rng))
    check(torch.equal(student.fetch(live), logits), "the logits were changed in place")


BAD_TEMPERATURES = (0.0, 0, -1.0, -0.25)

test_softmax_refuses_temperatures = softmax_with_temperature.refuses(
    *(lambda rng, T=T: case(rng.normal(3, 4), T) for T in BAD_TEMPERATURES),
    title="A temperature of 0 or below raises ValueError.",
    weight=0.5,
)

# ---- kd_loss, kd_gradient --------------------------------------------------------------------

kd_loss = Exercise(
    "s4.kd_loss", reference=kd_reference, agreement=agreements.tensor(rtol=2e-4, atol=1e-6)
)


@kd_loss.check(weight=3, essential=True)
def test_soft_part(rng: RandomInputs) -> Iterator[Case]:
    """With alpha = 0 the loss is T**2 * KL(teacher || student) at temperature T, batch mean."""
    for T in (rng.number(0.4, 0.6), rng.number(2, 3), rng.number(5, 8)):
        yield case(*answers(rng), T, 0.0)


@kd_loss.check(weight=2)
def test_hard_part(rng: RandomInputs) -> Iterator[Case]:
    """With alpha = 1 the loss is the cross-entropy with the targets, at temperature 1."""
    for _ in range(3):
        yield case(*answers(rng), temperature(rng), 1.0)


@kd_loss.check(weight=2)
def test_parts_are_mixed(rng: RandomInputs) -> Iterator[Case]:
    """alpha is the share of the targets, 1 - alpha that of the teacher."""
    for n in (rng.integer(5, 8), 1):
        yield case(*answers(rng, n), temperature(rng), rng.number(0.15, 0.35))
    student, teacher, targets = answers(rng)
    yield case(student.double(), teacher.double(), targets, 1.0, rng.number(0.65, 0.85))


@kd_loss.check(weight=1.5)
def test_loss_of_large_logits(rng: RandomInputs) -> Iterator[Case]:
    """With |z / T| up to 1000 the loss is right and finite, however sure both are."""
    for T in (rng.number(0.4, 0.6), rng.number(2, 3)):
        largest = 0.9 * FAR * min(T, 1.0)
        student, teacher, targets = answers(rng, classes=10)
        student[0, 2], student[0, 7] = largest, -largest
        teacher[0, 7] = largest  # the opposite
        student[1] += largest
        teacher[1] -= largest
        yield case(student, teacher, targets, T, 0.0)
        yield case(student, teacher, targets, T, rng.number(0.2, 0.4))


def expect_kd_gradient(student: Any, found: object, arguments: tuple[Any, ...], hint: str) -> None:
    """`found` is the gradient of the loss with respect to the student's logits."""
    del student
    logits = arguments[0]
    gradient = expect_tensor(found, "the gradient", logits.shape, logits.dtype)
    expected = kd_gradient_reference(*arguments)
    scale = float(expected.abs().max())
    check(allclose(gradient, expected, rtol=1e-3, atol=1e-4 * scale), hint)


@kd_loss.check(weight=2)
def test_loss_is_differentiable(student: Any, rng: RandomInputs) -> None:
    """Its gradient with respect to the student's logits is that of the formula."""
    for alpha in (0.0, rng.number(0.2, 0.4)):
        arguments = (*answers(rng), temperature(rng), alpha)
        _, (gradient,) = student.vjp("kd_loss", list(arguments), torch.tensor(1.0))
        hint = "differentiate through the student's logits at both places where they stand"
        expect_kd_gradient(student, gradient, arguments, hint)


def expect_refusals(student: Any, rng: RandomInputs, name: str) -> None:
    """T <= 0, alpha outside 0..1, unequal shapes and a wrong number of targets are refused."""
    function = getattr(student, name)
    ours, theirs, targets = answers(rng)
    for T in BAD_TEMPERATURES:
        expect_value_error(function, ours, theirs, targets, T, 0.5)
    for alpha in (-rng.number(0.01, 0.5), 1 + rng.number(0.01, 0.5)):
        expect_value_error(function, ours, theirs, targets, 2.0, alpha)
    for other in (theirs[:1], theirs[:, :1], theirs[:, :-1], theirs[:-1]):
        expect_value_error(function, ours, other, targets, 2.0, 0.5)
    for wrong in (targets[:-1], torch.cat([targets, targets])):
        expect_value_error(function, ours, theirs, wrong, 2.0, 0.5)


@kd_loss.check(weight=0.8, guard=True)
def test_loss_refuses_bad_arguments(student: Any, rng: RandomInputs) -> None:
    """T <= 0, alpha outside 0..1, shapes or counts that do not match raise ValueError."""
    expect_refusals(student, rng, "kd_loss")


@kd_loss.check(weight=0.3, guard=True)
def test_loss_leaves_its_inputs_alone(student: Any, rng: RandomInputs) -> None:
    """Logits and targets are unchanged."""
    values = answers(rng)
    live = [student.put(value) for value in values]
    student.kd_loss(*live, temperature(rng), 0.5)
    for ref, value in zip(live, values, strict=True):
        check(torch.equal(student.fetch(ref), value), "an argument was changed in place")


kd_gradient = Exercise(
    "s4.kd_gradient",
    reference=kd_gradient_reference,
    agreement=agreements.tensor(rtol=1e-3, atol=2e-5),
)


@kd_gradient.check(weight=3, essential=True)
def test_gradient_of_the_soft_part(rng: RandomInputs) -> Iterator[Case]:
    """With alpha = 0 it is the derivative of T**2 * KL, the share 1/N of each row included."""
    for T in (rng.number(0.4, 0.6), rng.number(2, 3), rng.number(5, 8)):
        yield case(*answers(rng, n=rng.integer(4, 5), classes=rng.integer(6, 7)), T, 0.0)


@kd_gradient.check(weight=2)
def test_gradient_of_the_hard_part(rng: RandomInputs) -> Iterator[Case]:
    """With alpha = 1 it is the derivative of the cross-entropy at temperature 1."""
    for _ in range(2):
        drawn = answers(rng, n=rng.integer(4, 5), classes=rng.integer(6, 7))
        yield case(*drawn, temperature(rng), 1.0)


@kd_gradient.check(weight=2)
def test_gradient_of_the_mixture(rng: RandomInputs) -> Iterator[Case]:
    """alpha weighs the gradients of both parts as it does the losses."""
    for n in (rng.integer(4, 5), 1):
        drawn = answers(rng, n=n, classes=rng.integer(6, 7))
        yield case(*drawn, temperature(rng), rng.number(0.15, 0.35))


@kd_gradient.check()
def test_gradient_of_large_logits(student: Any, rng: RandomInputs) -> None:
    """With |z / T| up to 1000 the gradient is right and finite."""
    T = rng.number(2, 3)
    ours, theirs, targets = answers(rng, n=2, classes=6)
    ours[0, 2], theirs[0, 4], targets[0] = 0.9 * FAR, 0.9 * FAR, 2
    found = student.kd_gradient(ours, theirs, targets, T, 0.0)
    gradient = expect_tensor(found, "kd_gradient", ours.shape, ours.dtype)
    row = torch.zeros(6)
    row[2], row[4] = T / 2, -T / 2  # both are sure, of different classes
    check(allclose(gradient[0], row, atol=1e-4), "where both are sure, q - p is 1, -1 and zeros")


@kd_gradient.check(weight=0.4)
def test_gradient_keeps_dtype_and_arguments(student: Any, rng: RandomInputs) -> None:
    """Right and in float64 for logits in float64; logits and targets are unchanged."""
    ours, theirs, targets = answers(rng, n=4, classes=rng.integer(6, 7))
    values = ours.double(), theirs.double(), targets
    live = [student.put(value) for value in values]
    T, alpha = temperature(rng), rng.number(0.3, 0.7)
    found = student.kd_gradient(*live, T, alpha)
    expect_kd_gradient(student, found, (*values, T, alpha), "the same gradient in float64")
    for ref, value in zip(live, values, strict=True):
        check(torch.equal(student.fetch(ref), value), "an argument was changed in place")


@kd_gradient.check(weight=0.8, guard=True)
def test_gradient_refuses_bad_arguments(student: Any, rng: RandomInputs) -> None:
    """T <= 0, alpha outside 0..1, shapes or counts that do not match raise ValueError."""
    expect_refusals(student, rng, "kd_gradient")


# ---- ensemble_soft_targets -------------------------------------------------------------------

ensemble_soft_targets = Exercise(
    "s4.ensemble_soft_targets",
    reference=ensemble_reference,
    agreement=agreements.tensor(rtol=1e-4, atol=1e-6),
)


def teachers(rng: RandomInputs, count: int, *shape: int) -> list[Tensor]:
    """Logits of so many teachers, one louder than the other, shifted by a constant each."""
    return [(1 + index) * rng.normal(*shape) + rng.number(-5, 5) for index in range(count)]


@ensemble_soft_targets.check(weight=3, essential=True)
def test_probabilities_are_averaged(rng: RandomInputs) -> Iterator[Case]:
    """Every teacher has one vote: probabilities are averaged, not logits."""
    for count in (2, 3, rng.integer(4, 6)):
        yield case(teachers(rng, count, rng.integer(4, 6), rng.integer(8, 10)), 1.0)


@ensemble_soft_targets.check(weight=2)
def test_votes_have_the_temperature(rng: RandomInputs) -> Iterator[Case]:
    """The vote of each teacher is softmax(z / T)."""
    for T in (rng.number(0.3, 0.6), rng.number(2, 6)):
        yield case(teachers(rng, 3, 5, rng.integer(8, 10)), T)


@ensemble_soft_targets.check()
def test_ensembles_of_any_shape(rng: RandomInputs) -> Iterator[Case]:
    """Logits may have any number of dimensions, the classes in the last one."""
    for shape in ((6,), (2, 3, 5), (5, 1)):
        yield case(teachers(rng, 3, *shape), temperature(rng))
    yield case([each.double() for each in teachers(rng, 2, 3, 5)], temperature(rng))


@ensemble_soft_targets.check()
def test_a_loud_teacher_has_one_vote(rng: RandomInputs) -> Iterator[Case]:
    """With |z / T| up to 1000 the targets are right and finite."""
    T = rng.number(2, 4)
    several = teachers(rng, 3, 4, 8)
    several[1][0, 5], several[1][1, 2] = 0.9 * FAR * T, -0.9 * FAR * T
    several[2] += 0.9 * FAR * T
    yield case(several, T)


@ensemble_soft_targets.check(weight=0.5)
def test_an_ensemble_of_one(rng: RandomInputs) -> Iterator[Case]:
    """A single teacher gives its own probabilities."""
    yield case(teachers(rng, 1, 4, 7), temperature(rng))


@ensemble_soft_targets.check(weight=0.4)
def test_ensemble_leaves_its_teachers_alone(student: Any, rng: RandomInputs) -> None:
    """Targets are right, and the list and the logits in it unchanged."""
    several, T = teachers(rng, 3, 4, 6), temperature(rng)
    live = student.put(several)
    found = student.ensemble_soft_targets(live, T)
    found = expect_tensor(found, "the result", several[0].shape)
    expected = ensemble_reference(several, T)
    check(allclose(found, expected, rtol=1e-4, atol=1e-6), "the mean of the probabilities")
    after = student.fetch(live)
    check(len(after) == len(several), "the list was changed")
    same = all(torch.equal(one, other) for one, other in zip(after, several, strict=True))
    check(same, "the logits were changed in place")


@ensemble_soft_targets.check(weight=0.7, guard=True)
def test_ensemble_refuses_bad_arguments(student: Any, rng: RandomInputs) -> None:
    """No teachers, teachers of unequal shapes and T <= 0 raise ValueError."""
    several = teachers(rng, 2, 4, 6)
    expect_value_error(student.ensemble_soft_targets, [], 2.0)
    for other in (several[1][:1], several[1][:, :-1], several[1][0]):
        expect_value_error(student.ensemble_soft_targets, [several[0], other], 2.0)
    for T in BAD_TEMPERATURES:
        expect_value_error(student.ensemble_soft_targets, several, T)
