# Generated from solutions/s1_intro/tests/test_public_training.py by `autograder release`: change it there.
"""Public tests of training.py; see test_public_metrics.py."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from autograder.graders.toolkit import (
    Exercise,
    allclose,
    check,
    close,
    expect_float,
    expect_list,
    expect_record,
    expect_tensor,
    expect_value_error,
)
from shared.data import load_digits
from shared.records import History

split = Exercise("s1.split")


@split.check(visibility="visible")
def test_split_by_hand(student: Any) -> None:
    """Of 10 samples 3 are held out; both lists together are 0..9, the same at every call."""
    before = student.rng_fingerprint()
    train, validation = expect_list(student.split(10, 0.3, seed=0), "split", length=2)
    check(len(train) == 7 and len(validation) == 3, "validation gets round(n * fraction)")
    check(sorted([*train, *validation]) == list(range(10)), "every index in exactly one list")
    again = expect_list(student.split(10, 0.3, seed=0), "split", length=2)
    check([list(train), list(validation)] == [list(each) for each in again], "the seed decides")
    check(student.rng_fingerprint() == before, "draw from a torch.Generator of your own")


def two_images() -> tuple[Tensor, Tensor, Tensor]:
    """An image of zeros and one of eights, (2, 1, 8, 8), one-hot targets, and their exchange."""
    images = torch.stack([torch.zeros(1, 8, 8), torch.full((1, 8, 8), 8.0)])
    return images, torch.eye(2), torch.tensor([1, 0])


mixup = Exercise("s1.mixup")


@mixup.check(visibility="visible")
def test_mixup_by_hand(student: Any) -> None:
    """Three quarters of one image and a quarter of the other; the targets likewise."""
    images, targets, permutation = two_images()
    mixed, soft = expect_list(student.mixup(images, targets, 0.75, permutation), "mixup", length=2)
    mixed = expect_tensor(mixed, "images", images.shape, torch.float32)
    check(allclose(mixed[0], torch.full((1, 8, 8), 2.0)), "0.75 * 0 + 0.25 * 8")
    soft = expect_tensor(soft, "targets", (2, 2), torch.float32)
    expected = torch.tensor([[0.75, 0.25], [0.25, 0.75]])
    check(allclose(soft, expected), "mix the targets with the same lam and permutation")


cutmix = Exercise("s1.cutmix")


@cutmix.check(visibility="visible")
def test_cutmix_by_hand(student: Any) -> None:
    """At lam = 0.75 the box is 4 x 4 in the middle of an 8 x 8 image, 2 x 2 in its corner."""
    images, targets, permutation = two_images()
    for center, box in (((4, 4), slice(2, 6)), ((0, 0), slice(0, 2))):
        result = student.cutmix(images, targets, 0.75, permutation, center)
        mixed, soft = expect_list(result, "cutmix", length=2)
        expected = torch.zeros(1, 8, 8)
        expected[:, box, box] = 8.0
        mixed = expect_tensor(mixed, "images", images.shape, torch.float32)
        check(allclose(mixed[0], expected), "rows and columns [c - 2, c + 2), clipped to the image")
        kept = 1 - expected.count_nonzero().item() / 64
        soft = expect_tensor(soft, "targets", (2, 2), torch.float32)
        hint = "targets by the pixels that were kept: 48 of 64 in the middle, 60 in the corner"
        check(allclose(soft[0], torch.tensor([kept, 1 - kept])), hint)


warmup_cosine = Exercise("s1.warmup_cosine")


@warmup_cosine.check(visibility="visible")
def test_schedule_by_hand(student: Any) -> None:
    """Two warm-up steps to 1.0, then down to the floor at step 6."""
    for step, expected in ((0, 0.0), (1, 0.5), (2, 1.0), (4, 0.5), (6, 0.0), (9, 0.0)):
        rate = student.warmup_cosine(step, warmup=2, total=6, peak=1.0)
        check(close(expect_float(rate, "warmup_cosine"), expected), f"step {step}: {expected}")
    rate = student.warmup_cosine(4, warmup=2, total=6, peak=1.0, floor=0.2)
    check(close(expect_float(rate, "warmup_cosine"), 0.6), "half-way between peak and floor")
    expect_value_error(student.warmup_cosine, 0, warmup=6, total=6, peak=1.0)


fit = Exercise("s1.fit")


@fit.check(seconds=60, visibility="visible")
def test_fit_learns_digits(student: Any) -> None:
    """Ten epochs on the digits reach 97 % on the validation images."""
    data = load_digits().scaled()
    train = DataLoader(
        TensorDataset(data.train.images, data.train.labels), batch_size=64, shuffle=True
    )
    validation = DataLoader(
        TensorDataset(data.validation.images, data.validation.labels), batch_size=256
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(
            *(nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU()),
            *(nn.Conv2d(16, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU()),
            *(nn.MaxPool2d(2), nn.Flatten(), nn.Linear(32 * 4 * 4, 10)),
        )
    fields = expect_record(student.fit(model, train, validation, 10), History, "fit")
    for name, values in zip(("train_loss", "val_loss", "val_accuracy"), fields, strict=True):
        expect_list(values, name, length=10)
    check(fields[0][-1] < fields[0][0], "the training loss falls")
    check(expect_float(fields[2][-1], "val_accuracy") >= 0.97, "97 % after the last epoch")
