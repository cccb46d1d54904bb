"""Graders of losses.py: hints from layers in between, attention maps and their transfer."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from autograder.graders.common import built, drawn
from autograder.graders.s4_distillation.references import attention_reference, transfer_reference
from autograder.graders.toolkit import (
    Case,
    Exercise,
    Optimizer,
    RandomInputs,
    agreements,
    allclose,
    case,
    check,
    close,
    expect_float,
    expect_tensor,
    expect_value_error,
)

# ---- hint_loss -------------------------------------------------------------------------------

Hint = tuple[Tensor, Tensor, nn.Module]


def linear_hint(rng: RandomInputs, n: int, narrow: int, wide: int) -> Hint:
    """Features (n, narrow) of a student, (n, wide) of a teacher, and a linear regressor."""
    regressor = drawn(built(lambda: nn.Linear(narrow, wide), rng), rng)
    return rng.normal(n, narrow), rng.normal(n, wide, mean=1.0), regressor


def convolutional_hint(rng: RandomInputs, n: int, narrow: int, wide: int) -> Hint:
    """The same with images of features and a 1x1 convolution."""
    height, width = rng.integer(3, 4), rng.integer(5, 6)
    regressor = drawn(built(lambda: nn.Conv2d(narrow, wide, 1), rng), rng)
    return rng.normal(n, narrow, height, width), rng.normal(n, wide, height, width), regressor


def exact(hint: Hint) -> Hint:
    """A copy in float64."""
    return hint[0].double(), hint[1].double(), copy.deepcopy(hint[2]).double()


def distance(hint: Hint) -> Tensor:
    """The squared distance, summed over everything; differentiable."""
    student, teacher, regressor = hint
    difference: Tensor = regressor(student) - teacher
    return difference.square().sum()


def factor(student: Any, hint: Hint) -> float:
    """The student's loss divided by the sum of squares; what it depends on is the size only."""
    loss = expect_float(student.hint_loss(*hint), "hint_loss")
    return loss / distance(exact(hint)).item()


hint_loss = Exercise("s4.hint_loss")


def expect_one_factor(student: Any, hints: list[Hint]) -> None:
    """All are of one size: the loss is the sum of squares times one positive factor."""
    factors = [factor(student, hint) for hint in hints]
    advice = "the squared distance between regressor(student_features) and teacher_features"
    check(min(factors) > 0, advice)
    check(all(close(each, factors[0], rtol=1e-3) for each in factors), advice)


@hint_loss.check(weight=3, essential=True)
def test_hint_is_a_squared_distance(student: Any, rng: RandomInputs) -> None:
    """The loss is the squared distance from the regressor's output to the teacher's features."""
    n, narrow, wide = rng.integer(4, 6), rng.integer(2, 3), rng.integer(7, 9)
    several = [linear_hint(rng, n, narrow, wide) for _ in range(4)]
    several[1][1].mul_(4.0)
    expect_one_factor(student, several)


@hint_loss.check(weight=1.5)
def test_hints_of_convolutions(student: Any, rng: RandomInputs) -> None:
    """Features may be images, the regressor a convolution, the student as wide as the teacher."""
    first = convolutional_hint(rng, 3, 2, 6)
    second = (rng.normal(*first[0].shape), rng.normal(*first[1].shape), first[2])
    expect_one_factor(student, [first, second])
    expect_one_factor(student, [linear_hint(rng, 5, 4, 4) for _ in range(3)])


@hint_loss.check(weight=2)
def test_hints_train_the_student(student: Any, rng: RandomInputs) -> None:
    """Gradients pass through the regressor to the student's features."""
    hint = linear_hint(rng, rng.integer(4, 6), 3, 8)
    scale = factor(student, hint)
    leaf, teacher, regressor = exact(hint)
    (expected,) = torch.autograd.grad(distance((leaf.requires_grad_(), teacher, regressor)), leaf)
    _, (gradient,) = student.vjp("hint_loss", list(hint), torch.tensor(1.0))
    gradient = expect_tensor(gradient, "the gradient", hint[0].shape)
    advice = "do not detach the student's features, and leave gradients on for the regressor"
    check(allclose(gradient, scale * expected, rtol=1e-3, atol=1e-4), advice)


@hint_loss.check(weight=2)
def test_hints_train_the_regressor(student: Any, rng: RandomInputs) -> None:
    """Gradients reach the parameters of the regressor that was passed in."""
    hint = linear_hint(rng, rng.integer(4, 6), 3, 8)
    scale = factor(student, hint)
    ours = exact(hint)
    before = ours[2].get_parameter("weight")
    (expected,) = torch.autograd.grad(distance(ours), before)
    live = student.put(hint[2])
    optimizer = student.put(Optimizer("SGD", live, {"lr": 1.0}))
    student.backward("hint_loss", [hint[0].requires_grad_(), hint[1], live], torch.tensor(1.0))
    student.invoke(optimizer, "step")
    moved = before.detach() - student.state(live)["weight"].double()
    advice = "call the regressor itself, with gradients: it learns with the student"
    check(allclose(moved, scale * expected, rtol=1e-3, atol=1e-3), advice)


@hint_loss.check(weight=0.3, guard=True)
def test_equal_features_cost_nothing(student: Any, rng: RandomInputs) -> None:
    """Where the regressor's output is the teacher's features, the loss is 0."""
    features, _, regressor = linear_hint(rng, 5, 3, 7)
    with torch.no_grad():
        target = regressor(features)
    loss = expect_float(student.hint_loss(features, target, regressor), "hint_loss")
    check(abs(loss) < 1e-6, "a distance of 0")


@hint_loss.check(weight=0.6, guard=True)
def test_hints_are_not_broadcast(student: Any, rng: RandomInputs) -> None:
    """A regressor's output of another shape than the teacher's features raises ValueError."""
    features, teacher, regressor = linear_hint(rng, 5, 3, 7)
    for wrong in (teacher[:1], teacher[:, :1], teacher[:, :-1], teacher[0], teacher[:, None]):
        expect_value_error(student.hint_loss, features, wrong, regressor)


# ---- attention_map ---------------------------------------------------------------------------

attention_map = Exercise(
    "s4.attention_map",
    reference=attention_reference,
    agreement=agreements.tensor(rtol=1e-4, atol=1e-5),
)


def feature_shape(rng: RandomInputs) -> tuple[int, int, int, int]:
    """(N, C, H, W), all different."""
    return rng.integer(2, 3), rng.integer(4, 5), rng.integer(6, 7), rng.integer(8, 9)


@attention_map.check(weight=3, essential=True)
def test_squares_are_summed_over_channels(rng: RandomInputs) -> Iterator[Case]:
    """By default the map is the sum of squares over the channels, not normalised."""
    for _ in range(2):
        yield case(rng.normal(*feature_shape(rng), std=rng.number(1.5, 3)))


@attention_map.check(weight=2, essential=True)
def test_exponents(rng: RandomInputs) -> Iterator[Case]:
    """With another p the map is the sum of |a|**p, of negative activations too."""
    for p in (1, 3, 4, rng.number(1.2, 2.8)):
        yield case(rng.normal(*feature_shape(rng)), p)


@attention_map.check(weight=0.5)
def test_one_channel_or_position(rng: RandomInputs) -> Iterator[Case]:
    """A single channel, position or image keeps its dimensions; float64 stays float64."""
    for shape in ((3, 1, 4, 5), (1, 4, 2, 3), (2, 3, 1, 1)):
        yield case(rng.normal(*shape), rng.choice([1, 2]))
        yield case(rng.normal(*shape).double())


@attention_map.check(weight=0.3, guard=True)
def test_attention_leaves_the_features_alone(student: Any, rng: RandomInputs) -> None:
    """The features are unchanged."""
    features = rng.normal(*feature_shape(rng))
    live = student.put(features)
    student.attention_map(live)
    check(torch.equal(student.fetch(live), features), "the features were changed in place")


# ---- attention_transfer_loss -----------------------------------------------------------------

attention_transfer_loss = Exercise(
    "s4.attention_transfer_loss",
    reference=transfer_reference,
    agreement=agreements.tensor(rtol=5e-4, atol=1e-5),
)


def pair(rng: RandomInputs, n: int | None = None) -> tuple[Tensor, Tensor]:
    """Features of a student and a wider teacher; images of different loudness."""
    n = rng.integer(3, 4) if n is None else n
    height, width = rng.integer(3, 4), rng.integer(5, 6)
    loudness = rng.uniform(n, 1, 1, 1, low=0.5, high=3.0)
    student = loudness * rng.normal(n, 2, height, width)
    return student, loudness.flip(0) * rng.normal(n, rng.integer(4, 6), height, width, std=2.0)


@attention_transfer_loss.check(weight=3, essential=True)
def test_normalised_maps_are_compared(rng: RandomInputs) -> Iterator[Case]:
    """Squared distance of the two maps, each of L2 norm 1 in each image; mean over the batch."""
    for n in (rng.integer(3, 5), rng.integer(6, 7), 1):
        yield case(*pair(rng, n))


@attention_transfer_loss.check(weight=1.5)
def test_loudness_does_not_matter(rng: RandomInputs) -> Iterator[Case]:
    """Features ten times as large, in one image or in all, have the same attention."""
    student, teacher = pair(rng, 3)
    for scales in ((10.0, 1.0, 0.1), (0.1, 0.1, 0.1)):
        scale = torch.tensor(scales).reshape(3, 1, 1, 1)
        yield case(scale * student, teacher)
        yield case(student, scale * teacher)


@attention_transfer_loss.check(weight=1.5)
def test_transfer_with_exponents(rng: RandomInputs) -> Iterator[Case]:
    """p is the exponent of both attention maps."""
    for p in (1, 3, 4):
        yield case(*pair(rng), p)


@attention_transfer_loss.check()
def test_maps_of_zeros(rng: RandomInputs) -> Iterator[Case]:
    """An image without any activation gives no NaN: its map stays zero."""
    student, teacher = pair(rng, 3)
    student[1] = 0
    yield case(student, teacher)
    teacher[1:] = 0
    yield case(student, teacher)
    yield case(torch.zeros_like(student), teacher)


@attention_transfer_loss.check(weight=0.4)
def test_transfer_keeps_float64(rng: RandomInputs) -> Iterator[Case]:
    """Features in float64 give the same loss in float64."""
    student, teacher = pair(rng)
    yield case(student.double(), teacher.double())


STEP = 1e-5


@attention_transfer_loss.check(weight=2)
def test_transfer_trains_the_student(student: Any, rng: RandomInputs) -> None:
    """Its gradient with respect to the student's features is that of the formula."""
    ours, theirs = rng.normal(2, 2, 2, 3), rng.normal(2, 3, 2, 3)
    ours += 0.3 * ours.sign()
    expected = torch.empty(ours.numel(), dtype=torch.float64)
    for index in range(ours.numel()):
        ends = []
        for side in (STEP, -STEP):
            moved = ours.double().flatten()
            moved[index] += side
            ends.append(float(transfer_reference(moved.reshape(ours.shape), theirs.double())))
        expected[index] = (ends[0] - ends[1]) / (2 * STEP)
    arguments = [ours, theirs]
    _, (gradient,) = student.vjp("attention_transfer_loss", arguments, torch.tensor(1.0))
    gradient = expect_tensor(gradient, "the gradient", ours.shape)
    advice = "differentiate through the student's features, its norm included"
    check(allclose(gradient, expected.reshape(ours.shape), rtol=2e-3, atol=1e-4), advice)


@attention_transfer_loss.check(weight=0.6, guard=True)
def test_transfer_refuses_other_sizes(student: Any, rng: RandomInputs) -> None:
    """Unequal heights, widths or numbers of images raise ValueError."""
    ours, theirs = pair(rng, 3)
    for wrong in (
        theirs.transpose(2, 3),  # as many positions, at other places
        theirs[:, :, :-1],
        theirs[:, :, :, :-1],
        theirs[:, :, :1, :1],
        theirs[:1],
    ):
        expect_value_error(student.attention_transfer_loss, ours, wrong.contiguous())
