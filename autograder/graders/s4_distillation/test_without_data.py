"""Graders of distill.py's extra credit: distillation without data.

How well the student reads real digits after the seconds that a grader has is a matter of luck: for
some teachers it is little better than after training on noise. So the points are for what must hold
whatever the generator's loss is: what is seen, who learns, and from whom.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

from autograder.graders.common import built
from autograder.graders.s4_distillation.networks import View, Watch, moved, returned, same_state
from autograder.graders.toolkit import (
    Exercise,
    RandomInputs,
    check,
    expect_value_error,
)
from shared.models import MLP, DigitsCNN, Generator
from shared.probes import Tap

distill_without_data = Exercise("s4.distill_without_data")

BATCH = 8


class Studio:
    """A teacher, a generator and a student over there, all of them watched."""

    def __init__(self, student: Any, rng: RandomInputs) -> None:
        self.student = student
        self.asked, self.imagined, self.learning = Watch(), Watch(), Watch()
        self.teacher: nn.Sequential = self.asked.on(built(lambda: DigitsCNN(3), rng).train())
        self.small = self.learning.on(built(lambda: MLP((64, 9, 10)), rng))
        self.generator = built(lambda: Generator(latent_dim=5, width=3), rng)
        watched = copy.deepcopy(self.generator)
        watched.layers.append(Tap(self.imagined))
        self.live_teacher = student.put(self.teacher)
        self.live_generator = student.put(watched)

    def distil(self, student: Any, steps: int, seed: int, T: float = 3.0) -> nn.Module:
        """Our copy of what comes back."""
        live = student.put(self.small)
        result = student.distill_without_data(
            self.live_teacher, self.live_generator, live, steps, BATCH, T, seed
        )
        after = returned(student, result, self.small)
        check(moved(self.small, after) > 1e-5, "the student learns")
        return after


@distill_without_data.check(weight=2, essential=True)
def test_only_generated_images_are_seen(student: Any, rng: RandomInputs) -> None:
    """Teacher and student see what the generator draws, `batch_size` images in every step."""
    studio, steps = Studio(student, rng), rng.integer(4, 6)
    studio.distil(student, steps, rng.seed())
    drawn = studio.imagined
    check(len(drawn.batches) >= steps, "the generator draws images in every step")
    check(all(len(batch) == BATCH for batch in drawn.batches), "batch_size images at a time")
    check(len(drawn.images()) >= steps * BATCH / 2, "draw new noise in every step")
    for watch in (studio.asked, studio.learning):
        check(len(watch.batches) >= steps, "teacher and student see the images of every step")
        check(watch.images() <= drawn.images(), "nothing but what the generator drew")
    check(not any(studio.asked.training), "ask the teacher in eval mode")


@distill_without_data.check(weight=1.5, essential=True)
def test_the_generator_learns(student: Any, rng: RandomInputs) -> None:
    """The generator is trained, in place: its parameters move with the steps."""
    studio = Studio(student, rng)
    studio.distil(student, 5, rng.seed())
    state = student.state(studio.live_generator)
    before = dict(studio.generator.named_parameters())
    check(all(name in state for name in before), "the generator keeps its layers")
    far = [float((state[name] - values.detach()).abs().max()) for name, values in before.items()]
    check(max(far) > 1e-5, "take a step of the generator's own optimiser each time")


@distill_without_data.check(weight=1)
def test_the_teacher_is_only_asked(student: Any, rng: RandomInputs) -> None:
    """The student moves; state, modes and requires_grad of the teacher are as before."""
    studio = Studio(student, rng)
    teacher = studio.teacher[1].train()
    live = studio.live_teacher = student.put(teacher)  # without a tap, so that it can be read
    hooks = student.hook_count(live)
    studio.distil(student, 3, rng.seed())
    hint = "the teacher's parameters or buffers changed"
    check(same_state(student.state(live), teacher.state_dict()), hint)
    check(all(student.modes(live).values()), "give the teacher its modes back")
    check(student.hook_count(live) == hooks, "remove your hooks")
    after = student.fetch(live)
    kept = isinstance(after, nn.Module) and all(each.requires_grad for each in after.parameters())
    check(kept, "requires_grad of the teacher's parameters is as before")


@distill_without_data.check(weight=1)
def test_the_seed_decides(student: Any, rng: RandomInputs) -> None:
    """The same seed gives the same student, another one another; global generators stay."""
    drawn = Studio(student, rng)
    seed, before = rng.seed(), student.rng_fingerprint()
    ends = []
    for number in (seed, seed, seed + 1):
        drawn.live_generator = student.put(drawn.generator)  # as it was
        ends.append(drawn.distil(student, 3, number))
    hint = "draw the noise from a generator of your own that is seeded with `seed`"
    check(student.rng_fingerprint() == before, hint)
    check(moved(ends[0], ends[1]) < 1e-4 < moved(ends[0], ends[2]), hint)


def distance(teacher: nn.Module, small: nn.Module, images: Tensor, T: float) -> float:
    """KL(teacher || student) at a temperature, the mean over the images."""
    with torch.no_grad():
        log_p = (teacher(images).double() / T).log_softmax(dim=1)
        log_q = (small(images).double() / T).log_softmax(dim=1)
    return float((log_p.exp() * (log_p - log_q)).sum(dim=1).mean())


STEPS = 40
CLOSER = 0.5  # of the distance is left at most: right ones leave 0.21 to 0.33, noise images 0.64


def settled_generator(rng: RandomInputs) -> Generator:
    """Draws images of black and white that no training can move.

    Before the sigmoid everything is in the thousands, so gradients vanish and steps of an optimiser
    are too small: what its own loss makes of a generator is free, and must not decide how close
    the student comes.
    """
    generator = built(lambda: Generator(latent_dim=12, width=6), rng)
    pixels = built(lambda: nn.Linear(generator.linear.out_features, 64), rng)
    with torch.no_grad():
        for layer in (generator.linear, pixels):
            layer.weight.mul_(1e3)
    generator.layers = nn.Sequential(nn.Flatten(), pixels, nn.Unflatten(1, (1, 8, 8)), nn.Sigmoid())
    return generator


@distill_without_data.check(weight=2, essential=True, seconds=60)
def test_the_student_comes_closer(student: Any, rng: RandomInputs) -> None:
    """On the images that were drawn, the student comes to say what the teacher says."""
    teacher, T = View.of(rng).convolutional_teacher(), rng.number(2, 5)
    drawn, generator = Watch(), settled_generator(rng)
    generator.layers.append(Tap(drawn))
    small = built(lambda: MLP((64, 32, 10)), rng)
    live = student.put(teacher), student.put(generator), student.put(small)
    result = student.distill_without_data(*live, STEPS, 32, T, rng.seed())
    after = returned(student, result, small)
    check(len(drawn.batches) >= STEPS, "the generator draws images in every step")
    images = torch.cat(drawn.batches[-STEPS:])
    before = distance(teacher, small, images, T)
    hint = "minimise T**2 * KL(teacher || student) on the images of each step"
    check(distance(teacher, after, images, T) < CLOSER * before, hint)


@distill_without_data.check(weight=0.8, guard=True)
def test_without_data_refuses_temperatures(student: Any, rng: RandomInputs) -> None:
    """A temperature of 0 or below raises ValueError."""
    studio = Studio(student, rng)
    live = student.put(studio.small)
    for T in (0.0, -1.0):
        expect_value_error(
            student.distill_without_data,
            *(studio.live_teacher, studio.live_generator, live, 2, BATCH, T, 0),
        )
