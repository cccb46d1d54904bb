# Generated from solutions/s1_intro/training.py by `autograder release`: change it there.
"""Session 1, training: a baseline worth compressing.

A compressed network is judged by what it loses against its baseline, so a badly trained baseline
makes every method look good. Random numbers come from local generators only.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.lr_scheduler import OneCycleLR
from torch.utils.data import DataLoader

from shared.checks import check_fraction, check_int, check_shape, refuse
from shared.records import History

Batches = DataLoader[tuple[Tensor, ...]]


# ---- data --------------------------------------------------------------------------------------


def split(n: int, validation_fraction: float, seed: int) -> tuple[list[int], list[int]]:
    """Return (train, validation): the indices 0..n-1 of a training set, shuffled and divided.

    Validation gets `round(n * validation_fraction)` of them, training the rest. The same
    arguments give the same lists, other seeds others, and the global random generators of
    torch, numpy and random are not touched. The test set has no part in this.

    Args:
        n: number of samples, at least 0.
        validation_fraction: share in 0..1; 0 and 1 leave one list empty.
        seed: any int.

    Raises:
        ValueError: if `n` is below 0 or `validation_fraction` outside 0..1.

    `split(10, 0.3, seed=0)` returns 7 and 3 indices that together are 0..9.
    """
    # TODO(s1.split): your code; the docstring says what it must do
    raise NotImplementedError("s1.split")


def _check_mixing(images: Tensor, targets: Tensor, lam: float, permutation: Tensor) -> None:
    """ValueError unless the arguments of `mixup` and `cutmix` fit together."""
    check_shape("targets", targets, len(images), "C")
    check_shape("permutation", permutation, len(images))
    check_fraction("lam", lam)


def mixup(
    images: Tensor, targets: Tensor, lam: float, permutation: Tensor
) -> tuple[Tensor, Tensor]:
    """Return convex combinations of pairs of samples and of their targets.

    Sample i is paired with sample permutation[i] (Zhang et al., "mixup", ICLR 2018, eq. 1):

        x'_i = lam * x_i + (1 - lam) * x_permutation[i],    and y'_i likewise.

    Args:
        images: (N, ...) floating.
        targets: (N, C) floating, one-hot or soft.
        lam: weight of sample i, in 0..1; usually drawn from Beta(alpha, alpha) by the caller.
        permutation: (N,) int64, one permutation for images and targets.

    Returns:
        (images, targets): new tensors of the same shapes, dtypes and device.

    Raises:
        ValueError: if the lengths do not match or `lam` is outside 0..1 (`_check_mixing`).

    >>> images, targets = torch.tensor([[0.0], [8.0]]), torch.eye(2)
    >>> mixup(images, targets, lam=0.75, permutation=torch.tensor([1, 0]))
    (tensor([[2.],
            [6.]]), tensor([[0.7500, 0.2500],
            [0.2500, 0.7500]]))
    """
    _check_mixing(images, targets, lam, permutation)
    # TODO(s1.mixup): your code; the docstring says what it must do
    raise NotImplementedError("s1.mixup")


def cutmix(
    images: Tensor, targets: Tensor, lam: float, permutation: Tensor, center: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """Return images with a box pasted in from another sample, and targets mixed by area.

    The box of sample i comes from the same place of sample permutation[i] (Yun et al., "CutMix",
    ICCV 2019, eq. 1 and 2). Along an axis with `size` pixels it covers [c - half, c + half) with

        half = int(size * sqrt(1 - lam)) // 2,

    clipped to the image. The targets are mixed with the share of pixels that was really kept,

        lam' = 1 - box height * box width / (H * W),    y'_i = lam' y_i + (1 - lam') y_perm[i],

    because clipping and rounding make the box smaller than 1 - lam promises.

    Args:
        images: (N, channels, H, W).
        targets, permutation: as in `mixup`.
        lam: share of the image to keep, in 0..1, before clipping.
        center: (row, column) of the middle of the box.

    Returns:
        (images, targets): new tensors of the same shapes, dtypes and device.

    Raises:
        ValueError: if `images` has not 4 dimensions, the lengths do not match or `lam` is
            outside 0..1.

    On 8 x 8 pixels, lam = 0.75 gives half = 4 // 2 = 2. Around (4, 4) the box has 16 pixels and
    lam' = 0.75; around the corner (0, 0) it has 4, and lam' = 0.9375.
    """
    _check_mixing(images, targets, lam, permutation)
    # TODO(s1.cutmix): your code; the docstring says what it must do
    raise NotImplementedError("s1.cutmix")


# ---- optimisation ------------------------------------------------------------------------------


def warmup_cosine(step: int, warmup: int, total: int, peak: float, floor: float = 0.0) -> float:
    """Return the learning rate of one step: linear warm-up, then half a cosine down to `floor`.

    - step < warmup: peak * step / warmup, which starts at 0 (Goyal et al., 2017, section 2.2);
    - warmup <= step < total: with t = (step - warmup) / (total - warmup),
      floor + (peak - floor) * (1 + cos(pi * t)) / 2 (Loshchilov & Hutter, ICLR 2017, eq. 5);
    - step >= total: floor.

    Args:
        step: at least 0.
        warmup: number of warm-up steps, at least 0; with 0, step 0 has the rate `peak`.
        total: number of all steps, above `warmup`.
        peak: highest learning rate.
        floor: last learning rate, at most `peak`.

    Raises:
        ValueError: if `step` or `warmup` is negative, `warmup >= total` or `floor > peak`.

    >>> [warmup_cosine(step, warmup=2, total=6, peak=1.0) for step in (0, 1, 2, 4, 6)]
    [0.0, 0.5, 1.0, 0.5, 0.0]
    """
    # TODO(s1.warmup_cosine): your code; the docstring says what it must do
    raise NotImplementedError("s1.warmup_cosine")


def fit(model: nn.Module, train_loader: Batches, val_loader: Batches, epochs: int) -> History:
    """Train a classifier in place with cross-entropy and return its record.

    Optimiser, schedule and their settings are yours to choose (further keyword arguments with
    defaults are welcome). The validation set only measures: nothing is learnt from it, batch norm
    statistics included. Parameters with `requires_grad=False` stay as they are. Your `evaluate`
    may do the measuring: import it in the function, so that this file works without the other.

    Args:
        model: maps images (N, ...) to logits (N, C); trained on the device it is on.
        train_loader: batches (images, targets), targets int64 (N,).
        val_loader: the same for validation.
        epochs: passes over `train_loader`, at least 1.

    Returns:
        `History(train_loss, val_loss, val_accuracy)`, each a list with one float an epoch:
        mean cross-entropy over the samples (training: as seen while training; validation: after
        the epoch, in eval mode) and the share of correct predictions in 0..1.

    Raises:
        ValueError: if `epochs` is below 1 or a loader has no batches.
    """
    # TODO(s1.fit): your code; the docstring says what it must do
    raise NotImplementedError("s1.fit")
