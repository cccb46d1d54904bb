"""Graders of training.py: split, mixup, CutMix, learning rates, training."""

from __future__ import annotations

import copy
import math
from typing import Any

import torch
from torch import Tensor, nn

from autograder.graders.common import accuracy, built, in_order, scrambled_digits, shuffling
from autograder.graders.s1_intro.references import cross_entropy, cut_box
from autograder.graders.toolkit import (
    Exercise,
    RandomInputs,
    allclose,
    check,
    close,
    expect_float,
    expect_int,
    expect_list,
    expect_record,
    expect_tensor,
    expect_value_error,
)
from shared.models import MLP, DigitsCNN
from shared.probes import Tap
from shared.records import History

# ---- split -----------------------------------------------------------------------------------


def indices(student: Any, n: int, fraction: float, seed: int) -> tuple[list[int], list[int]]:
    """The student's training and validation indices, each a Python int."""
    parts = expect_list(student.split(n, fraction, seed), "split", length=2)
    train, validation = (
        [expect_int(index, "each index") for index in expect_list(part, "each part")]
        for part in parts
    )
    return train, validation


split = Exercise("s1.split")


@split.check(weight=2)
def test_split_is_disjoint_and_complete(student: Any, rng: RandomInputs) -> None:
    """Every index is in exactly one of two parts."""
    for _ in range(3):
        n, fraction = rng.integer(20, 90), rng.number(0.2, 0.8)
        train, validation = indices(student, n, fraction, rng.seed())
        check(not set(train) & set(validation), "no sample may be in both parts")
        check(sorted(train + validation) == list(range(n)), "each of 0..n-1 once, nothing else")
        hint = "put about n * validation_fraction of the samples into validation"
        check(abs(len(validation) - n * fraction) <= 1, hint)  # how it is rounded: another test


@split.check(weight=0.09, guard=True)
def test_split_sizes(student: Any, rng: RandomInputs) -> None:
    """Validation gets round(n * validation_fraction) of the samples; 0 and 1 are allowed."""
    hint = "of no samples both parts are empty"
    check(indices(student, 0, rng.number(0.2, 0.8), rng.seed()) == ([], []), hint)
    n = 100 + rng.integer(1, 20)
    below = (rng.integer(20, 80) + rng.number(0.1, 0.4)) / n  # rounded down
    above = (rng.integer(20, 80) + rng.number(0.6, 0.9)) / n  # rounded up
    for fraction in (below, above, 0.0, 1.0):
        _, validation = indices(student, n, fraction, rng.seed())
        hint = "validation: round(n * validation_fraction), the rest is for training"
        check(len(validation) == round(n * fraction), hint)


@split.check()
def test_split_shuffles(student: Any, rng: RandomInputs) -> None:
    """Validation is a random sample, not the first or last ones; another seed draws another."""
    n, seed = rng.integer(200, 300), rng.seed()
    drawn = [set(indices(student, n, 0.5, seed + i)[1]) for i in range(4)]
    hint = "shuffle all indices before cutting: data sets are often sorted"
    for part in drawn:  # about n / 4 of a random half lie in the first half
        check(n / 8 < sum(index < n / 2 for index in part) < 3 * n / 8, hint)
    check(len({frozenset(part) for part in drawn}) == 4, "different seeds: different splits")


@split.check(weight=0.09, guard=True)
def test_split_is_deterministic(student: Any, rng: RandomInputs) -> None:
    """The same seed gives the same split, also in another process."""
    n, seed = rng.integer(40, 90), rng.seed()
    first = indices(student, n, 0.5, seed)
    hint = "draw from a generator of your own that is seeded with `seed`"
    check(sorted(first[0]) != list(range(len(first[0]))), "shuffle the indices first")
    indices(student, n, 0.5, seed + 1)
    check(indices(student, n, 0.5, seed) == first, hint)
    check(indices(student.fresh(), n, 0.5, seed) == first, hint)


@split.check(weight=0.09, guard=True)
def test_split_leaves_global_generators_alone(student: Any, rng: RandomInputs) -> None:
    """The global random generators of torch, numpy and Python are not touched."""
    before = student.rng_fingerprint()
    indices(student, rng.integer(40, 90), 0.5, rng.seed())
    hint = "seeding or using a global generator changes everybody's random numbers"
    check(student.rng_fingerprint() == before, hint)


@split.check(weight=0.04, guard=True)
def test_split_refuses_wrong_fractions(student: Any, rng: RandomInputs) -> None:
    """A fraction outside 0..1, or fewer than no samples, raises ValueError."""
    n = rng.integer(40, 90)
    expect_value_error(student.split, -n, 0.5, 0)
    expect_value_error(student.split, n, 1 + rng.number(0.01, 0.5), 0)
    expect_value_error(student.split, n, -rng.number(0.01, 0.5), 0)


# ---- mixup, cutmix ---------------------------------------------------------------------------

Batch = tuple[Tensor, Tensor, Tensor]


def mixing_batch(rng: RandomInputs) -> Batch:
    """Images (N, C, H, W) with H < W, soft targets (N, classes), and a permutation that moves all.

    The permutation differs from its inverse, so that the direction shows.
    """
    n, height, width = rng.integer(5, 8), rng.integer(8, 10), rng.integer(12, 15)
    images = rng.normal(n, rng.integer(1, 3), height, width)
    targets = rng.normal(n, rng.integer(3, 6)).softmax(dim=1)
    order = rng.permutation(n)
    permutation = torch.empty_like(order)
    permutation[order] = order.roll(1)  # one cycle of length n > 2
    return images, targets, permutation


def mixed(result: object, batch: Batch) -> Batch:
    """The (images, targets) that mixup or cutmix returned, of the right shapes and dtypes."""
    images, targets = expect_list(result, "the result", length=2)
    images = expect_tensor(images, "images", batch[0].shape, batch[0].dtype)
    return images, expect_tensor(targets, "targets", batch[1].shape, batch[1].dtype), batch[2]


def pairwise_mix(values: Tensor, lam: float, order: Tensor) -> Tensor:
    """lam of each row and 1 - lam of its partner, row by row."""
    rows = [lam * values[i] + (1 - lam) * values[j] for i, j in enumerate(order.tolist())]
    return torch.stack(rows)


mixup = Exercise("s1.mixup")


@mixup.check(weight=2)
def test_mixup_mixes_images(student: Any, rng: RandomInputs) -> None:
    """An image is lam of itself and 1 - lam of its partner by the permutation."""
    for _ in range(3):
        batch, lam = mixing_batch(rng), rng.number(0.1, 0.45)
        images, targets, order = batch
        got, _, _ = mixed(student.mixup(images, targets, lam, order), batch)
        hint = "images: lam * images + (1 - lam) * images[permutation]"
        check(allclose(got, pairwise_mix(images, lam, order), atol=1e-5), hint)


@mixup.check(weight=2)
def test_mixup_mixes_targets(student: Any, rng: RandomInputs) -> None:
    """Targets are mixed with the lam and the permutation of the images."""
    for _ in range(3):
        batch, lam = mixing_batch(rng), rng.number(0.1, 0.45)
        images, targets, order = batch
        _, got, _ = mixed(student.mixup(images, targets, lam, order), batch)
        hint = "targets: the same lam and the same permutation as for the images"
        check(allclose(got, pairwise_mix(targets, lam, order), atol=1e-5), hint)


@mixup.check()
def test_mixup_at_the_ends(student: Any, rng: RandomInputs) -> None:
    """lam = 1 keeps the batch, lam = 0 gives the permuted batch."""
    batch = mixing_batch(rng)
    images, targets, order = batch
    hint = "lam is the weight of the sample itself"
    for lam, expected in ((1.0, (images, targets)), (0.0, (images[order], targets[order]))):
        got = mixed(student.mixup(images, targets, lam, order), batch)
        check(all(allclose(a, b) for a, b in zip(got, expected, strict=False)), hint)


def expect_untouched(student: Any, name: str, batch: Batch, *rest: object) -> None:
    """The arguments of a mixing function, and the global generators, are as before."""
    live = [student.put(tensor) for tensor in batch]
    generators = student.rng_fingerprint()
    getattr(student, name)(live[0], live[1], 0.5, live[2], *rest)
    for ref, tensor in zip(live, batch, strict=True):
        check(torch.equal(student.fetch(ref), tensor), "work on a copy: an argument was changed")
    hint = "the caller draws lam, the permutation and the centre; draw nothing yourself"
    check(student.rng_fingerprint() == generators, hint)


def expect_mixing_errors(student: Any, name: str, batch: Batch, *rest: object) -> None:
    """A lam outside 0..1 and lengths that do not match raise ValueError."""
    images, targets, order = batch
    function = getattr(student, name)
    for lam in (-0.1, 1.1):
        expect_value_error(function, images, targets, lam, order, *rest)
    expect_value_error(function, images, targets[1:], 0.5, order, *rest)
    expect_value_error(function, images, targets, 0.5, order[:2], *rest)


@mixup.check(weight=0.3, guard=True)
def test_mixup_leaves_its_inputs_alone(student: Any, rng: RandomInputs) -> None:
    """Images, targets and permutation are unchanged, and nothing is drawn at random."""
    expect_untouched(student, "mixup", mixing_batch(rng))


@mixup.check(weight=0.5)
def test_mixup_keeps_the_dtype(student: Any, rng: RandomInputs) -> None:
    """Images in float64 stay float64."""
    images, targets, order = mixing_batch(rng)
    lam = rng.number(0.2, 0.8)
    got, _ = student.mixup(images.double(), targets, lam, order)
    expected = lam * images.double() + (1 - lam) * images.double()[order]
    got = expect_tensor(got, "images", images.shape, torch.float64)
    check(allclose(got, expected), "keep the dtype of the images")


@mixup.check(weight=0.3, guard=True)
def test_mixup_refuses_bad_arguments(student: Any, rng: RandomInputs) -> None:
    """A lam outside 0..1 and lengths that do not match raise ValueError."""
    expect_mixing_errors(student, "mixup", mixing_batch(rng))


def safe_lam(rng: RandomInputs, images: Tensor) -> float:
    """A lam whose box sides are at least 4, and not within 0.05 of a whole number."""
    while True:
        lam = rng.number(0.58, 0.74)
        sides = [extent * math.sqrt(1 - lam) for extent in images.shape[2:]]
        if all(0.05 < side % 1 < 0.95 for side in sides):
            return lam


def inner_center(rng: RandomInputs, images: Tensor) -> tuple[int, int]:
    """A centre whose box does not reach the border."""
    height, width = images.shape[2:]
    return height // 2 + rng.integer(-1, 0), width // 2 + rng.integer(-1, 1)


def border_centers(rng: RandomInputs, images: Tensor) -> list[tuple[int, int]]:
    """A centre at each corner of the image."""
    height, width = images.shape[2:]
    rows, columns = (rng.integer(0, 1), height - 1), (rng.integer(0, 1), width - 1)
    return [(row, column) for row in rows for column in columns]


def pasted(batch: Batch, box: set[tuple[int, int]]) -> Tensor:
    """The images with the partners' pixels in the box, pixel by pixel."""
    images, _, order = batch
    result = images.clone()
    for row, column in box:
        result[:, :, row, column] = images[order][:, :, row, column]
    return result


def expect_pasted(
    student: Any, hint: str, batch: Batch, lam: float, center: tuple[int, int]
) -> None:
    """Check the images of one call of the student's cutmix."""
    images, targets, order = batch
    got, _, _ = mixed(student.cutmix(images, targets, lam, order, center), batch)
    size = images.shape[2], images.shape[3]
    check(allclose(got, pasted(batch, cut_box(size, lam, center))), hint)


cutmix = Exercise("s1.cutmix")


@cutmix.check(weight=2)
def test_cutmix_pastes_a_box(student: Any, rng: RandomInputs) -> None:
    """The box around (row, column) comes from the partner, the rest from the image itself."""
    for _ in range(3):
        batch = mixing_batch(rng)
        hint = (
            "box: [c - half, c + half) with half = int(size * sqrt(1 - lam)) // 2 on each axis, "
            "from images[permutation]; center is (row, column)"
        )
        lam = safe_lam(rng, batch[0])
        expect_pasted(student, hint, batch, lam, inner_center(rng, batch[0]))


@cutmix.check(weight=2)
def test_cutmix_clips_the_box(student: Any, rng: RandomInputs) -> None:
    """A box that reaches over the border is clipped to the image."""
    batch = mixing_batch(rng)
    for center in border_centers(rng, batch[0]):
        hint = "clip the box at all four sides: a negative start counts from the end"
        expect_pasted(student, hint, batch, safe_lam(rng, batch[0]), center)


@cutmix.check(weight=3)
def test_cutmix_mixes_targets_by_area(student: Any, rng: RandomInputs) -> None:
    """Targets are mixed by the share of pixels that were kept, of a whole box or a clipped one."""
    batch = mixing_batch(rng)
    images, targets, order = batch
    size = images.shape[2], images.shape[3]
    for center in (inner_center(rng, images), *border_centers(rng, images)):
        lam = safe_lam(rng, images)
        _, got, _ = mixed(student.cutmix(images, targets, lam, order, center), batch)
        kept = 1 - len(cut_box(size, lam, center)) / math.prod(size)
        hint = "compute lam again from the clipped box; permute targets as the images"
        check(allclose(got, pairwise_mix(targets, kept, order), atol=1e-5), hint)


@cutmix.check(weight=0.25, guard=True)
def test_cutmix_without_a_box(student: Any, rng: RandomInputs) -> None:
    """With lam = 1 the box is empty: images and targets come back as they were."""
    batch = mixing_batch(rng)
    for center in ((rng.integer(2, 5), rng.integer(2, 5)), (0, 0)):
        got = mixed(student.cutmix(batch[0], batch[1], 1.0, batch[2], center), batch)
        check(all(map(allclose, got, batch)), "an empty box changes nothing")


@cutmix.check(weight=0.4)
def test_cutmix_keeps_the_dtype(student: Any, rng: RandomInputs) -> None:
    """Images and targets in float64 stay float64."""
    images, targets, order = mixing_batch(rng)
    batch = images.double(), targets.double(), order
    hint = "the same box in float64"
    expect_pasted(student, hint, batch, safe_lam(rng, images), inner_center(rng, images))


@cutmix.check(weight=0.25, guard=True)
def test_cutmix_leaves_its_inputs_alone(student: Any, rng: RandomInputs) -> None:
    """Images, targets and permutation are unchanged, and nothing is drawn at random."""
    expect_untouched(student, "cutmix", mixing_batch(rng), (4, 5))


@cutmix.check(weight=0.25, guard=True)
def test_cutmix_refuses_bad_arguments(student: Any, rng: RandomInputs) -> None:
    """A lam outside 0..1 and lengths that do not match raise ValueError."""
    expect_mixing_errors(student, "cutmix", mixing_batch(rng), (4, 5))


# ---- warmup_cosine ---------------------------------------------------------------------------


def schedule(rng: RandomInputs) -> tuple[int, int, float, float]:
    """Warm-up steps, total steps, peak and floor."""
    warmup = rng.integer(5, 20)
    return warmup, warmup + rng.integer(20, 100), rng.number(0.05, 2.0), rng.number(0.001, 0.02)


def expect_rate(
    student: Any, hint: str, expected: float, *args: float, floor: float | None = None
) -> None:
    """Check one call of the student's warmup_cosine."""
    options = {} if floor is None else {"floor": floor}
    rate = expect_float(student.warmup_cosine(*args, **options), "warmup_cosine")
    check(close(rate, expected, rtol=1e-5, atol=1e-7), hint)


warmup_cosine = Exercise("s1.warmup_cosine")


@warmup_cosine.check()
def test_warmup_is_linear(student: Any, rng: RandomInputs) -> None:
    """The rate rises linearly from 0 at step 0 to the peak at the end of the warm-up."""
    warmup, total, peak, floor = schedule(rng)
    hint = "during warm-up: peak * step / warmup, whatever the floor"
    for step in (0, 1, rng.integer(2, warmup - 1), warmup):
        expect_rate(student, hint, peak * step / warmup, step, warmup, total, peak, floor=floor)


@warmup_cosine.check(weight=2)
def test_cosine_falls_to_the_floor(student: Any, rng: RandomInputs) -> None:
    """After the warm-up the rate follows half a cosine from the peak down to the floor."""
    for _ in range(2):
        warmup, total, peak, floor = schedule(rng)
        for step in (warmup, warmup + 1, rng.integer(warmup + 2, total - 2), total - 1):
            angle = math.pi * (step - warmup) / (total - warmup)
            hint = "half a cosine of (step - warmup) / (total - warmup), scaled to floor..peak"
            fall = peak - floor
            expected = peak - fall * math.sin(angle / 2) ** 2
            expect_rate(student, hint, expected, step, warmup, total, peak, floor=floor)
            expected = peak * math.cos(angle / 2) ** 2
            expect_rate(student, "floor is 0 by default", expected, step, warmup, total, peak)


@warmup_cosine.check(weight=0.25, guard=True)
def test_rate_stays_at_the_floor(student: Any, rng: RandomInputs) -> None:
    """From `total` on the rate is the floor: it does not rise again."""
    warmup, total, peak, floor = schedule(rng)
    for step in (total, total + 1, total + rng.integer(5, 50)):
        hint = "hold the floor after the last step: a cosine would rise again"
        expect_rate(student, hint, floor, step, warmup, total, peak, floor=floor)


@warmup_cosine.check(weight=0.5)
def test_rate_without_warmup(student: Any, rng: RandomInputs) -> None:
    """Without warm-up the first step has the peak rate."""
    _, total, peak, floor = schedule(rng)
    expect_rate(student, "do not divide by warmup = 0", peak, 0, 0, total, peak, floor=floor)


@warmup_cosine.check(weight=0.12, guard=True)
def test_rate_refuses_bad_arguments(student: Any, rng: RandomInputs) -> None:
    """A warm-up as long as the training, and a negative step, raise ValueError."""
    warmup, total, peak, _ = schedule(rng)
    expect_value_error(student.warmup_cosine, 0, total, total, peak)
    expect_value_error(student.warmup_cosine, 0, total + rng.integer(1, 9), total, peak)
    expect_value_error(student.warmup_cosine, -1, warmup, total, peak)


# ---- fit -------------------------------------------------------------------------------------

FULL = 0.97  # accuracy on held-out digits that earns everything
LOW = 0.90  # and the one that earns nothing


def fitted(student: Any, model: nn.Module, *args: object) -> tuple[nn.Module, list[list[float]]]:
    """The network after the student's fit, and the three lists of the history."""
    live = student.put(model)
    record = expect_record(student.fit(live, *args), History, "fit")
    history = [
        [expect_float(value, "each entry") for value in expect_list(part, "each part")]
        for part in record
    ]
    after = copy.deepcopy(model)  # ours: only numbers are taken over, whatever became of theirs
    state = student.state(live)
    check(state.keys() == after.state_dict().keys(), "fit keeps the layers of the network")
    after.load_state_dict(state)
    return after, history


fit = Exercise("s1.fit")


@fit.check(weight=6, seconds=60)
def test_fit_reaches_the_accuracy(student: Any, rng: RandomInputs, credit: Any) -> None:
    """A small convolutional network reaches 97 % on held-out digits in 10 epochs."""
    images, targets = scrambled_digits(rng)
    width = rng.integer(15, 17)
    after, _ = fitted(
        student,
        built(lambda: DigitsCNN(width), rng),
        shuffling(images[:1300], targets[:1300], 64, rng),
        in_order(images[1300:1397], targets[1300:1397], 64),
        10,
    )
    reached = accuracy(after, images[1397:], targets[1397:])  # never in the student's process
    hint = (
        "the network has learnt less than it can: is the gradient zeroed each step, the network "
        "in training mode, the learning rate large enough, and does it fall towards the end?"
    )
    credit((reached - LOW) / (FULL - LOW), hint)


@fit.check(weight=2, seconds=30)
def test_fit_records_each_epoch(student: Any, rng: RandomInputs) -> None:
    """The history has one entry an epoch, and its validation values are those of the network."""
    images, targets = scrambled_digits(rng)
    validation = images[200:310], targets[200:310].clone()
    validation[1][96:] = (validation[1][96:] + 1) % 10  # the last, smaller batch stands out
    epochs = rng.integer(3, 5)
    after, history = fitted(
        student,
        built(lambda: MLP((64, 20, 10)), rng),
        shuffling(images[:200], targets[:200], 32, rng),
        in_order(*validation, 32),
        epochs,
    )
    train_loss, val_loss, val_accuracy = history
    hint = "train_loss, val_loss and val_accuracy: one entry an epoch each"
    check([len(part) for part in history] == [epochs] * 3, hint)
    check(min(train_loss) > 0, "train_loss: the mean loss of the epoch")
    # The network may end with the weights of the last epoch or of the best one.
    reached = accuracy(after, *validation)
    one = 1.5 / len(validation[0])
    hint = "val_accuracy: right predictions / all validation samples, after the epoch, in 0..1"
    check(any(abs(value - reached) < one for value in val_accuracy), hint)
    with torch.no_grad():
        loss = cross_entropy(after(validation[0]), validation[1])
    hint = "val_loss: cross-entropy averaged over all validation samples, after the epoch"
    check(any(close(value, loss, rtol=1e-3) for value in val_loss), hint)


@fit.check(seconds=30)
def test_fit_switches_modes(student: Any, rng: RandomInputs) -> None:
    """Every epoch trains in training mode and validates in eval mode."""
    images, targets = scrambled_digits(rng)
    held_out = images[96:160]
    seen: list[tuple[bool, bool]] = []  # training mode, is it a validation batch

    def note(training: bool, batch: Tensor) -> None:
        seen.append((training, any(torch.equal(batch[0], image) for image in held_out)))

    student.fit(
        student.put(nn.Sequential(Tap(note), built(lambda: DigitsCNN(4), rng))),
        shuffling(images[:96], targets[:96], 32, rng),
        in_order(held_out, targets[96:160], 32),
        3,
    )
    hint = "call model.train() at the start of every epoch: validation left the eval mode on"
    check(sum(training for training, _ in seen) >= 9, hint)
    hint = "call model.eval() before validation, or its samples reach the batch norm statistics"
    check(not any(training and validating for training, validating in seen), hint)
    check(any(validating for _, validating in seen), "validate after every epoch")


@fit.check(weight=0.5, guard=True)
def test_fit_with_one_batch(student: Any, rng: RandomInputs) -> None:
    """One batch in each loader is enough."""
    images, targets = scrambled_digits(rng)
    loader = in_order(images[:20], targets[:20], 32)
    model = built(lambda: MLP((64, 8, 10)), rng)
    _, history = fitted(student, model, loader, in_order(images[20:30], targets[20:30], 32), 2)
    check([len(part) for part in history] == [2] * 3, "one entry an epoch")


@fit.check(weight=0.5, guard=True)
def test_fit_refuses_nothing_to_do(student: Any, rng: RandomInputs) -> None:
    """No epochs, or a loader without batches, raise ValueError."""
    images, targets = scrambled_digits(rng)
    model = built(lambda: MLP((64, 8, 10)), rng)
    some, none = (in_order(images[:n], targets[:n], 32) for n in (20, 0))
    for arguments in ((none, some, 2), (some, none, 2), (some, some, 0)):
        expect_value_error(student.fit, model, *arguments)


@fit.check(seconds=30)
def test_fit_learns_from_the_training_loader_only(student: Any, rng: RandomInputs) -> None:
    """The network knows the training samples, and nothing that only the validation loader has."""
    images, targets = scrambled_digits(rng)
    patterns = rng.integers(0, 1, 20, 1, 8, 8).float()
    names = torch.arange(10).repeat(2)[rng.permutation(20)]  # cannot be guessed
    repeated = rng.permutation(100) % 20
    mixed_up = rng.permutation(300)  # mostly true digits: the best epoch is still a good one
    held_out = torch.cat([images[300:500], patterns[repeated]])[mixed_up]
    labels = torch.cat([targets[300:500], names[repeated]])[mixed_up]
    after, _ = fitted(
        student,
        built(lambda: DigitsCNN(16), rng),
        shuffling(images[:300], targets[:300], 32, rng),
        in_order(held_out, labels, 32),
        6,
    )
    check(accuracy(after, images[:300], targets[:300]) > 0.5, "train on the training loader")
    hint = "the network knows labels that only the validation loader has: never train on it"
    check(accuracy(after, patterns, names) < 0.5, hint)
