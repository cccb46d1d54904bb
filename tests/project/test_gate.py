"""The arithmetic of the gate: right answers that count, memorised images, what changes an image."""

from __future__ import annotations

import numpy as np
import pytest

from autograder.course import DatasetRules
from autograder.project.costs import effective_correct, memorized
from autograder.project.perturb import perturb
from autograder.records.measurement import Answers
from tests import bank


def answers(correct: int, *perturbed: int) -> Answers:
    """Of 1,000 images, with `correct` right answers at the worst batch size."""
    by_batch = {1: correct + 3, 7: correct, 250: correct + 1}
    return Answers(1000, by_batch, perturbed, "public", 0.0)


def rules(drop: float) -> DatasetRules:
    """A data set whose reference network loses `drop` of its right answers."""
    project = bank.course().final_project
    assert project is not None
    return project.datasets["digits"].model_copy(update={"perturbation_drop": drop})


def test_the_draws_count_by_their_mean_rounded_down() -> None:
    assert effective_correct(answers(900, 870, 871, 879), rules(0.0)) == 873
    assert effective_correct(answers(900, 1000, 850, 850), rules(0.0)) == 900


@pytest.mark.parametrize(
    ("correct", "perturbed", "drop", "expected"),
    [
        (900, 900, 0.0, 900),
        (900, 950, 0.0, 900),  # better on changed images: the worst batch size counts
        (900, 880, 0.0, 880),  # and worse: the changed ones
        (900, 880, 0.01, 890),  # which get what the reference loses, 10 of 1,000
        (900, 880, 0.02, 900),
        (900, 880, 0.5, 900),
        (900, 880, 0.0109, 890),  # whole answers only
        (900, 0, 0.0, 0),
    ],
)
def test_the_lower_of_clean_and_perturbed_counts(
    correct: int, perturbed: int, drop: float, expected: int
) -> None:
    assert effective_correct(answers(correct, perturbed), rules(drop)) == expected


def test_a_drop_that_is_a_number_of_answers_is_that_number() -> None:
    one = rules(0.0)
    for drop in range(1000):
        given = one.model_copy(update={"perturbation_drop": drop / 1000})
        assert effective_correct(answers(1000, 0), given) == drop


@pytest.mark.parametrize(
    ("lost", "drop", "is_refused"),
    [
        (0, 0.0, False),
        (-100, 0.0, False),
        (49, 0.0, False),
        (51, 0.0, True),  # five points of 1,000 images
        (149, 0.0, True),
        (69, 0.02, False),  # and what the reference network loses
        (71, 0.02, True),
        (900, 0.0, True),
    ],
)
def test_who_loses_five_points_more_than_the_reference_has_memorized(
    lost: int, drop: float, is_refused: bool
) -> None:
    reason = memorized(answers(900, 900 - lost), rules(drop))
    assert bool(reason) == is_refused
    if is_refused:
        assert f"loses {lost / 10:.1f} points" in reason


# ---- perturbations -------------------------------------------------------------------------------

N = 400


def centers(images: np.ndarray) -> np.ndarray:
    """(N, 2): the center of what is bright, in pixels from the middle of the image."""
    bright = np.clip(images[:, 0].astype(np.float64) - 40, 0, None)
    grid = np.arange(32) - 15.5
    mass = bright.sum(axis=(1, 2))
    return np.stack([bright.sum(axis=2) @ grid, bright.sum(axis=1) @ grid], axis=1) / mass[:, None]


def test_images_are_shifted_by_up_to_two_pixels() -> None:
    """A bright square in the middle, which mirroring and cropping leave there."""
    images = np.zeros((N, 3, 32, 32), np.uint8)
    images[:, :, 14:18, 14:18] = 200
    moved = centers(perturb(images, "cifar10", 255, seed=3))
    assert np.abs(centers(images)).max() < 1e-9
    for axis in (0, 1):
        assert 1.8 < moved[:, axis].max() < 2.3
        assert -2.3 < moved[:, axis].min() < -1.8
        assert abs(moved[:, axis].mean()) < 0.2


def test_images_are_mirrored_half_of_the_time() -> None:
    """A bright square on the left."""
    images = np.zeros((N, 3, 32, 32), np.uint8)
    images[:, :, 14:18, 4:8] = 200
    moved = centers(perturb(images, "cifar10", 255, seed=4))
    assert np.array_equal(moved[:, 1] > 0, moved[:, 1] > 5)
    assert 0.4 < np.mean(moved[:, 1] > 0) < 0.6


def test_images_are_cropped_by_up_to_six_percent() -> None:
    """Two bright squares, 20 pixels from each other, come to lie up to 20 / 0.94 apart."""
    images = np.zeros((N, 3, 32, 32), np.uint8)
    images[:, :, 14:18, 4:8] = images[:, :, 14:18, 24:28] = 200
    changed = perturb(images, "cifar10", 255, seed=5)
    left, right = changed.copy(), changed.copy()
    left[:, :, :, 16:] = 0
    right[:, :, :, :16] = 0
    distance = centers(right)[:, 1] - centers(left)[:, 1]
    assert 19.8 < distance.min() < 20.2
    assert 21.0 < distance.max() < 21.5


def test_brightness_and_noise() -> None:
    """A gray image: one factor for each, and noise of two levels on every pixel."""
    images = np.full((N, 3, 32, 32), 100, np.uint8)
    changed = perturb(images, "cifar10", 255, seed=6).astype(np.float64)
    means = changed.mean(axis=(1, 2, 3))
    assert 84.5 < means.min() < 86.5
    assert 113.5 < means.max() < 115.5
    assert changed.std(axis=(1, 2, 3)).mean() == pytest.approx(2, abs=0.1)


def test_digits_get_noise_only() -> None:
    images = np.zeros((N, 1, 8, 8), np.uint8)
    images[:, :, :, 2] = 8
    images[:, :, :, 3] = 16
    changed = perturb(images, "digits", 16, seed=7).astype(np.float64)
    assert np.allclose(changed[:, 0, :, 2].mean(), 8, atol=0.1)
    assert changed[:, 0, :, 2].std() == pytest.approx((0.6**2 + 1 / 12) ** 0.5, abs=0.05)
    assert changed[:, 0, :, 3].min() >= 13
    assert changed.max() == 16  # and no more than there can be


def test_a_seed_repeats_the_change() -> None:
    images = np.random.default_rng(0).integers(0, 256, (4, 3, 32, 32)).astype(np.uint8)
    first, again, other = (perturb(images, "cifar10", 255, seed) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
