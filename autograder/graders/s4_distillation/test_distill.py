"""Graders of distill.py: steps and training with a teacher, temperatures, agreement."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from autograder.graders.common import accuracy, built, drawn, in_order, shuffling
from autograder.graders.s4_distillation.networks import (
    View,
    Watch,
    mislabelled,
    moved,
    returned,
    rows,
    same_state,
)
from autograder.graders.s4_distillation.references import (
    kd_gradient_reference,
    kd_reference,
    temperature,
)
from autograder.graders.toolkit import (
    Case,
    Exercise,
    Optimizer,
    RandomInputs,
    Ref,
    agreements,
    case,
    check,
    close,
    expect_float,
    expect_value_error,
    reads_thresholds,
)
from shared.models import MLP

Batch = tuple[Tensor, Tensor]

# ---- distill_step ----------------------------------------------------------------------------


def small_student(rng: RandomInputs) -> nn.Sequential:
    """A network of vectors with 6 values and 4 classes, in training mode."""
    layers = lambda: nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 4))  # noqa: E731
    return drawn(built(layers, rng), rng)


def normalising_teacher(rng: RandomInputs) -> nn.Sequential:
    """One whose answers and buffers depend on its mode, in training mode."""
    layers = lambda: nn.Sequential(  # noqa: E731
        nn.Linear(6, 7), nn.BatchNorm1d(7), nn.ReLU(), nn.Dropout(0.5), nn.Linear(7, 4)
    )
    return drawn(built(layers, rng), rng)


def small_batch(rng: RandomInputs) -> Batch:
    """Inputs (N, 6) and targets of 4 classes."""
    n = rng.integer(5, 7)
    return rng.normal(n, 6), rng.integers(0, 3, n)


class BothNetworks:
    """Student and optimiser, once in the worker and once here, and a teacher over there."""

    def __init__(
        self, student: Any, rng: RandomInputs, teacher: nn.Module, name: str, **options: float
    ) -> None:
        self.student = student
        self.ours = small_student(rng)
        self.our_optimizer = getattr(torch.optim, name)(self.ours.parameters(), **options)
        self.model: Ref = student.put(self.ours)
        self.optimizer: Ref = student.put(Optimizer(name, self.model, options))
        self.teacher = copy.deepcopy(teacher).eval()
        self.live_teacher: Ref = student.put(teacher)

    def step(self, batch: Batch, T: float, alpha: float) -> tuple[float, float]:
        """One step on both sides: (the student's loss, the right one)."""
        found = self.student.distill_step(
            self.model, self.live_teacher, batch, self.optimizer, T, alpha
        )
        inputs, targets = batch
        logits = self.ours(inputs)
        with torch.no_grad():
            arguments = (logits.detach(), self.teacher(inputs), targets, T, alpha)
        self.our_optimizer.zero_grad()
        logits.backward(kd_gradient_reference(*arguments))
        self.our_optimizer.step()
        return expect_float(found, "distill_step"), float(kd_reference(*arguments))

    def agrees(self) -> bool:
        """Whether both have the same parameters now."""
        return same_state(self.student.state(self.model), self.ours.state_dict(), 1e-4)


distill_step = Exercise("s4.distill_step")


@distill_step.check(weight=3, essential=True)
def test_step_descends_the_loss(student: Any, rng: RandomInputs) -> None:
    """The parameters move against the gradient of the loss of distillation."""
    for T, alpha in ((temperature(rng), 0.0), (temperature(rng), rng.number(0.2, 0.4))):
        pair = BothNetworks(student, rng, small_student(rng), "SGD", lr=0.1)
        for _ in range(2):
            pair.step(small_batch(rng), T, alpha)
            check(pair.agrees(), "one step along kd_loss(student, teacher, targets, T, alpha)")


@distill_step.check(weight=1.5)
def test_step_returns_the_loss(student: Any, rng: RandomInputs) -> None:
    """The loss of the batch before the update is returned, a number."""
    for alpha in (0.0, rng.number(0.2, 0.4), 1.0):
        pair = BothNetworks(student, rng, small_student(rng), "SGD", lr=0.5)
        for _ in range(2):
            found, expected = pair.step(small_batch(rng), temperature(rng), alpha)
            hint = "alpha * CE + (1 - alpha) * T**2 * KL, before the step"
            check(close(found, expected, rtol=1e-3, atol=1e-5), hint)


@distill_step.check()
def test_step_with_another_optimizer(student: Any, rng: RandomInputs) -> None:
    """The optimiser that was passed in takes exactly one step, with its own momentum."""
    name, options = rng.choice(
        [("SGD", {"lr": 0.1, "momentum": 0.9}), ("Adam", {"lr": 0.02}), ("AdamW", {"lr": 0.02})]
    )
    pair = BothNetworks(student, rng, small_student(rng), name, **options)
    for _ in range(3):
        pair.step(small_batch(rng), temperature(rng), rng.number(0.2, 0.4))
    check(pair.agrees(), "optimizer.step(), once")


@distill_step.check()
def test_step_forgets_old_gradients(student: Any, rng: RandomInputs) -> None:
    """Gradients that were there before do not count."""
    pair = BothNetworks(student, rng, small_student(rng), "SGD", lr=0.1)
    student.backward(pair.model, [rng.normal(5, 6)], rng.normal(5, 4))
    pair.step(small_batch(rng), temperature(rng), 0.3)
    check(pair.agrees(), "zero the student's gradients before the backward pass")


@distill_step.check(weight=2, essential=True)
def test_teacher_answers_in_eval_mode(student: Any, rng: RandomInputs) -> None:
    """The teacher's batch norm uses its running statistics, and its dropout drops nothing."""
    pair = BothNetworks(student, rng, normalising_teacher(rng).train(), "SGD", lr=0.1)
    for _ in range(2):
        found, expected = pair.step(small_batch(rng), temperature(rng), 0.0)
        hint = "ask the teacher in eval mode"
        check(close(found, expected, rtol=1e-3, atol=1e-5) and pair.agrees(), hint)


@distill_step.check(weight=2)
def test_teacher_is_as_before(student: Any, rng: RandomInputs) -> None:
    """Parameters, buffers, gradients, requires_grad and every mode of the teacher are kept."""
    teacher = normalising_teacher(rng).train()
    frozen, batch_norm = teacher[0], teacher[1]
    frozen.requires_grad_(False)
    batch_norm.eval()  # modes are mixed
    pair = BothNetworks(student, rng, teacher, "SGD", lr=0.1)
    live = pair.live_teacher
    step = student.put(Optimizer("SGD", live, {"lr": 1.0}))
    inputs, cotangent = rng.normal(5, 6), rng.normal(5, 4)
    before, modes = student.state(live), student.modes(live)
    pair.step(small_batch(rng), temperature(rng), 0.3)
    check(pair.agrees(), "the student learns, the teacher does not")
    check(same_state(student.state(live), before), "the teacher's parameters or buffers changed")
    hint = "give every submodule of the teacher its own mode back"
    check(student.modes(live) == modes, hint)
    came_back = student.fetch(live)
    check(isinstance(came_back, nn.Module), "the teacher stays a network")
    expected = [each.requires_grad for each in teacher.parameters()]
    kept = [each.requires_grad for each in came_back.parameters()] == expected
    check(kept, "requires_grad of the teacher's parameters is as before")
    student.invoke(step, "step")
    check(same_state(student.state(live), before), "the teacher got a gradient")
    # Gradients that it had are still there: a step now moves it.
    student.backward(live, [inputs], cotangent)
    pair.step(small_batch(rng), temperature(rng), 0.3)
    before = student.state(live)
    student.invoke(step, "step")
    check(not same_state(student.state(live), before), "leave the teacher's gradients alone")


@distill_step.check(weight=1.5)
def test_both_see_the_same_images(student: Any, rng: RandomInputs) -> None:
    """Student and teacher get the images of the batch as they are: one view for both."""
    asked, learning = Watch(), Watch()
    model = student.put(learning.on(small_student(rng)))
    teacher = student.put(asked.on(small_student(rng)))
    optimizer = student.put(Optimizer("SGD", model, {"lr": 0.1}))
    for _ in range(2):
        images, targets = small_batch(rng)
        asked.batches.clear()
        learning.batches.clear()
        student.distill_step(model, teacher, (images, targets), optimizer, 2.0, 0.3)
        seen_by_both = len(asked.batches) > 0 and len(learning.batches) > 0
        check(seen_by_both, "ask the teacher about every batch")
        for seen in (*asked.batches, *learning.batches):
            check(torch.equal(seen, images), "the same view of the batch for both: no noise, flips")
    check(all(learning.training), "the student is in training mode: leave it there")


def expect_settings_refused(
    call: Any, rng: RandomInputs, names: tuple[float, float] = (2.0, 0.5)
) -> None:
    """`call(T, alpha)` refuses T <= 0 and alpha outside 0..1."""
    T, alpha = names
    for wrong in (0.0, -1.0, -rng.number(0.1, 3)):
        expect_value_error(call, wrong, alpha)
    for wrong in (-rng.number(0.01, 1), 1 + rng.number(0.01, 1)):
        expect_value_error(call, T, wrong)


@distill_step.check(weight=0.9, guard=True)
def test_step_refuses_bad_settings(student: Any, rng: RandomInputs) -> None:
    """T <= 0 and alpha outside 0..1 raise ValueError."""
    pair = BothNetworks(student, rng, small_student(rng), "SGD", lr=0.1)
    batch = small_batch(rng)

    def call(T: float, alpha: float) -> object:
        arguments = (pair.model, pair.live_teacher, batch, pair.optimizer, T, alpha)
        return student.distill_step(*arguments)

    call.__name__ = "distill_step"
    expect_settings_refused(call, rng)


# ---- distill ---------------------------------------------------------------------------------

distill = Exercise("s4.distill")

IMAGES = 300
WRONG = 0.4
EPOCHS = 20
DRAWS = 2


@distill.check(weight=5, seconds=60)
@reads_thresholds("zero_accuracy < full_accuracy")
def test_distillation_beats_labels(
    student: Any, rng: RandomInputs, thresholds: Any, credit: Any
) -> None:
    """From 300 digits, 40 % of them with a wrong label, a small network learns to read.

    Without the teacher the best that was found is 0.83; `benchmarks/distillation.py` measures it.
    """
    reached = []
    for _ in range(DRAWS):
        view = View.of(rng)
        images, targets = view.digits(rng)
        labels = mislabelled(targets[:IMAGES], WRONG, rng)
        small = built(lambda: MLP((64, 24, 10)), rng)
        loader = shuffling(images[:IMAGES], labels, 32, rng)
        live, teacher = student.put(small), student.put(view.teacher())
        result = student.distill(live, teacher, loader, EPOCHS, 4.0, 0.1, 0.1)
        after = returned(student, result, small)
        reached.append(accuracy(after, images[IMAGES:], targets[IMAGES:]))  # in our own process
    zero, full = thresholds["zero_accuracy"], thresholds["full_accuracy"]
    hint = (
        "the network reads no better than without a teacher: does it learn from the teacher's "
        "answers to each batch, weighted with 1 - alpha, in all epochs?"
    )
    credit((sum(reached) / DRAWS - zero) / (full - zero), hint)


def small_distillation(
    student: Any,
    small: nn.Module,
    teacher: nn.Module,
    batches: Batch,
    T: float = 3.0,
    alpha: float = 0.5,
    lr: float = 0.05,
    epochs: int = 2,
) -> nn.Module:
    """Our copy of the network that the student's distill gives for a few vectors."""
    live, asked = student.put(small), student.put(teacher)
    result = student.distill(live, asked, in_order(*batches, 8), epochs, T, alpha, lr)
    return returned(student, result, small)


def few_vectors(rng: RandomInputs) -> Batch:
    """Inputs (24, 6) and targets of 4 classes."""
    return rng.normal(24, 6), rng.integers(0, 3, 24)


@distill.check(weight=2, essential=True)
def test_the_teacher_decides(student: Any, rng: RandomInputs) -> None:
    """With alpha = 0 labels do not matter and the teacher does; with alpha = 1 it is reversed."""
    small, (inputs, targets) = small_student(rng), few_vectors(rng)
    teachers, labels = (small_student(rng), small_student(rng)), (targets, (targets + 1) % 4)
    for alpha, hint in (
        (0.0, "with alpha = 0 the student learns from the teacher alone, not from the labels"),
        (1.0, "with alpha = 1 the student learns from the labels alone, not from the teacher"),
    ):
        ends = [
            small_distillation(student, small, teacher, (inputs, y), alpha=alpha)
            for teacher, y in ((teachers[0], labels[0]), (teachers[1], labels[0]))
        ]
        other = small_distillation(student, small, teachers[0], (inputs, labels[1]), alpha=alpha)
        by_teacher, by_label = moved(*ends), moved(ends[0], other)
        same, different = (by_label, by_teacher) if alpha == 0 else (by_teacher, by_label)
        check(same < 1e-4 and different > 1e-3, hint)


@distill.check(weight=1.5, essential=True)
def test_the_teacher_is_asked(student: Any, rng: RandomInputs) -> None:
    """The teacher is asked about every training image, in eval mode, and only about these."""
    asked = Watch()
    batches = few_vectors(rng)
    small = small_student(rng)
    after = small_distillation(student, small, asked.on(normalising_teacher(rng)), batches)
    check(moved(small, after) > 1e-4, "the student learns")
    check(asked.images() >= rows(batches[0]), "ask the teacher about every image")
    check(asked.images() <= rows(batches[0]), "ask the teacher about the images as they are")
    check(not any(asked.training), "ask the teacher in eval mode")


@distill.check(weight=1)
def test_all_epochs_are_trained(student: Any, rng: RandomInputs) -> None:
    """The student sees all batches of the loader, as often as there are epochs."""
    for epochs in (1, rng.integer(3, 5)):
        learning = Watch()
        small = learning.on(small_student(rng))
        batches = few_vectors(rng)
        after = small_distillation(student, small, small_student(rng), batches, epochs=epochs)
        check(moved(small, after) > 1e-4, "the student learns")
        # In whatever mode it learns; once for each batch, or as often as it is asked for one.
        asked = sum(learning.training) or len(learning.training)
        check(asked > 0 and asked % (3 * epochs) == 0, "`epochs` times through all batches")
        check(learning.images() >= rows(batches[0]), "learn from every image")


@distill.check(weight=1)
def test_settings_count(student: Any, rng: RandomInputs) -> None:
    """Learning rate and temperature are those that were given."""
    small, teacher, batches = small_student(rng), small_student(rng), few_vectors(rng)
    ends = {
        (T, lr): small_distillation(student, small, teacher, batches, T, 0.0, lr, epochs=1)
        for T, lr in ((1.0, 0.001), (1.0, 0.002), (8.0, 0.001))
    }
    slow, fast = moved(small, ends[1.0, 0.001]), moved(small, ends[1.0, 0.002])
    check(slow > 0 and 1.5 < fast / slow < 2.5, "lr is the optimiser's learning rate")
    differs = moved(ends[1.0, 0.001], ends[8.0, 0.001]) > 0.01 * slow
    check(differs, "T is the temperature of both softmaxes")


@distill.check(weight=1)
def test_distill_leaves_the_teacher_alone(student: Any, rng: RandomInputs) -> None:
    """The student network moves; state and modes of the teacher are as before."""
    teacher = normalising_teacher(rng).train()
    small, (inputs, targets) = small_student(rng), few_vectors(rng)
    live, asked = student.put(small), student.put(teacher)
    result = student.distill(live, asked, in_order(inputs, targets, 8), 2, 3.0, 0.5, 0.05)
    check(moved(small, returned(student, result, small)) > 1e-4, "the student learns")
    hint = "the teacher's parameters or buffers changed"
    check(same_state(student.state(asked), teacher.state_dict()), hint)
    check(all(student.modes(asked).values()), "give the teacher its modes back")


@distill.check(weight=0.8, guard=True)
def test_distill_refuses_bad_settings(student: Any, rng: RandomInputs) -> None:
    """T <= 0 and alpha outside 0..1 raise ValueError."""
    live, asked = student.put(small_student(rng)), student.put(small_student(rng))
    loader = in_order(*few_vectors(rng), 8)

    def call(T: float, alpha: float) -> object:
        return student.distill(live, asked, loader, 1, T, alpha, 0.05)

    call.__name__ = "distill"
    expect_settings_refused(call, rng)


# ---- temperature_schedule --------------------------------------------------------------------


def line(epoch: int, epochs: int, start: float = 8.0, end: float = 1.0) -> float:
    """The temperature, as a weighted mean of both ends."""
    if epoch >= epochs - 1:
        return end
    steps = epochs - 1
    return ((steps - epoch) * start + epoch * end) / steps


temperature_schedule = Exercise(
    "s4.temperature_schedule", reference=line, agreement=agreements.number(rtol=1e-6)
)


@temperature_schedule.check(weight=3, essential=True)
def test_temperature_falls_linearly(rng: RandomInputs) -> Iterator[Case]:
    """From `start` in epoch 0 to `end` in epoch epochs - 1, by equal steps."""
    for _ in range(2):
        epochs, start, end = rng.integer(6, 12), rng.number(5, 12), rng.number(0.5, 3)
        for epoch in range(epochs):
            yield case(epoch, epochs, start, end)


@temperature_schedule.check()
def test_temperature_by_default(rng: RandomInputs) -> Iterator[Case]:
    """Without further arguments it falls from 8 to 1."""
    epochs = rng.integer(5, 9)
    for epoch in range(epochs):
        yield case(epoch, epochs)


@temperature_schedule.check()
def test_temperature_after_the_end(rng: RandomInputs) -> Iterator[Case]:
    """From epoch epochs - 1 on the temperature is `end`, also of a single epoch."""
    epochs, start, end = rng.integer(4, 9), rng.number(5, 12), rng.number(0.5, 3)
    for epoch in (epochs - 1, epochs, epochs + rng.integer(1, 30)):
        yield case(epoch, epochs, start, end)
    yield case(0, 1, start, end)
    yield case(0, 2, start, end)


# ---- agreement -------------------------------------------------------------------------------


def share_of_same(student_logits: Tensor, teacher_logits: Tensor) -> float:
    """How many rows have their largest number at one place, row by row."""
    pairs = zip(student_logits.tolist(), teacher_logits.tolist(), strict=True)
    hits = sum(ours.index(max(ours)) == theirs.index(max(theirs)) for ours, theirs in pairs)
    return float(hits) / len(student_logits)


def partly(rng: RandomInputs, n: int, classes: int, hits: int) -> Batch:
    """Logits of a student and a teacher that agree on so many of n rows."""
    ours, theirs = rng.normal(n, classes), rng.normal(n, classes)
    best = rng.integers(0, classes - 1, n)
    other = (best + rng.integers(1, classes - 1, n)) % classes
    other[:hits] = best[:hits]
    ours[torch.arange(n), best] = ours.max(dim=1).values + rng.uniform(n) + 0.1
    theirs[torch.arange(n), other] = theirs.max(dim=1).values + 3 * rng.uniform(n) + 0.1
    order = rng.permutation(n)
    return ours[order], theirs[order]


agreement = Exercise(
    "s4.agreement", reference=share_of_same, agreement=agreements.number(rtol=1e-6)
)


@agreement.check(weight=3, essential=True)
def test_share_of_equal_classes(rng: RandomInputs) -> Iterator[Case]:
    """The share of rows, 0..1, in which both have the same best class."""
    for _ in range(3):
        n = rng.integer(11, 17)
        yield case(*partly(rng, n, rng.integer(4, 8), rng.integer(2, n - 3)))


@agreement.check()
def test_agreement_at_the_ends(rng: RandomInputs) -> Iterator[Case]:
    """1 where all rows agree, whatever the sizes of the logits, 0 where none does."""
    n, classes = rng.integer(5, 9), rng.integer(3, 6)
    for hits in (n, 0, rng.integer(1, n - 1)):
        yield case(*partly(rng, n, classes, hits))
    yield case(*partly(rng, 1, classes, 1))


@agreement.check(weight=0.2)
def test_agreement_leaves_the_logits_alone(student: Any, rng: RandomInputs) -> None:
    """The share is right, and the logits of both are unchanged."""
    values = partly(rng, 7, 5, rng.integer(2, 5))
    live = [student.put(value) for value in values]
    share = expect_float(student.agreement(*live), "agreement")
    check(close(share, share_of_same(*values), rtol=1e-6), "the share of equal classes")
    for ref, value in zip(live, values, strict=True):
        check(torch.equal(student.fetch(ref), value), "the logits were changed in place")


@agreement.check(weight=0.4, guard=True)
def test_agreement_refuses_other_shapes(student: Any, rng: RandomInputs) -> None:
    """Unequal shapes raise ValueError."""
    ours, theirs = partly(rng, 6, 5, 3)
    for other in (theirs[:1], theirs[:-1], theirs[:, :-1]):
        expect_value_error(student.agreement, ours, other)
