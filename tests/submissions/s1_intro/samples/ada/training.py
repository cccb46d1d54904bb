"""Splitting, mixing, scheduling and training, with plain loops."""

import math
from collections.abc import Iterable

import torch
from shared.records import History
from torch import Tensor, nn


def split(n: int, validation_fraction: float, seed: int) -> tuple[list[int], list[int]]:
    if isinstance(n, bool) or not isinstance(n, int) or n < 0:
        raise ValueError(f"n must be a non-negative integer, got {n!r}")
    if not 0 <= validation_fraction <= 1:
        raise ValueError(f"validation_fraction must be in [0, 1], got {validation_fraction!r}")
    generator = torch.Generator()
    generator.manual_seed(seed)
    order = torch.randperm(n, generator=generator).tolist()
    size = round(n * validation_fraction)
    train = []
    validation = []
    for position, index in enumerate(order):
        if position < size:
            validation.append(index)
        else:
            train.append(index)
    return train, validation


def _check_mix(images: Tensor, targets: Tensor, lam: float, permutation: Tensor) -> None:
    if not 0 <= lam <= 1:
        raise ValueError(f"lam must be in [0, 1], got {lam!r}")
    samples = images.shape[0]
    if targets.dim() != 2 or targets.shape[0] != samples:
        raise ValueError(f"targets must be ({samples}, C), got {tuple(targets.shape)}")
    if not targets.is_floating_point():
        raise ValueError(f"targets must be floating point, got {targets.dtype}")
    if sorted(permutation.tolist()) != list(range(samples)):
        raise ValueError(f"permutation must hold 0..{samples - 1} once each, got {permutation}")


def mixup(
    images: Tensor, targets: Tensor, lam: float, permutation: Tensor
) -> tuple[Tensor, Tensor]:
    _check_mix(images, targets, lam, permutation)
    mixed = torch.empty_like(images)
    soft = torch.empty_like(targets)
    for row, partner in enumerate(permutation.tolist()):
        mixed[row] = lam * images[row] + (1 - lam) * images[partner]
        soft[row] = lam * targets[row] + (1 - lam) * targets[partner]
    return mixed, soft


def cutmix(
    images: Tensor,
    targets: Tensor,
    lam: float,
    permutation: Tensor,
    center: tuple[int, int],
) -> tuple[Tensor, Tensor]:
    _check_mix(images, targets, lam, permutation)
    if images.dim() != 4:
        raise ValueError(f"images must be (N, C, H, W), got {tuple(images.shape)}")
    ranges = []
    for middle, size in zip(center, images.shape[2:], strict=True):
        half = int(size * math.sqrt(1 - lam)) // 2
        ranges.append([i for i in range(middle - half, middle + half) if 0 <= i < size])
    rows, columns = ranges

    mixed = images.clone()
    for image, partner in enumerate(permutation.tolist()):
        for row in rows:
            for column in columns:
                mixed[image, :, row, column] = images[partner, :, row, column]
    kept = 1 - len(rows) * len(columns) / (images.shape[2] * images.shape[3])

    soft = torch.empty_like(targets)
    for image, partner in enumerate(permutation.tolist()):
        soft[image] = kept * targets[image] + (1 - kept) * targets[partner]
    return mixed, soft


def warmup_cosine(step: float, warmup: int, total: int, peak: float, floor: float = 0.0) -> float:
    if step < 0:
        raise ValueError(f"step must be at least 0, got {step}")
    if not 0 <= warmup < total:
        raise ValueError(f"warmup must be in 0..total - 1 with total {total}, got {warmup}")
    if floor > peak:
        raise ValueError(f"floor must be at most peak {peak}, got {floor}")
    if step < warmup:
        return peak * step / warmup
    if step >= total:
        return floor
    progress = (step - warmup) / (total - warmup)
    return floor + 0.5 * (peak - floor) * (1 + math.cos(math.pi * progress))


def fit(
    model: nn.Module,
    train_loader: Iterable[tuple[Tensor, Tensor]],
    val_loader: Iterable[tuple[Tensor, Tensor]],
    epochs: int,
    peak: float = 0.01,
) -> History:
    if isinstance(epochs, bool) or not isinstance(epochs, int) or epochs < 1:
        raise ValueError(f"epochs must be an integer of at least 1, got {epochs!r}")
    criterion = nn.CrossEntropyLoss()
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.Adam(trainable, lr=peak)
    history = History([], [], [])
    for epoch in range(epochs):
        for group in optimizer.param_groups:
            group["lr"] = epoch_rate(epoch, epochs, peak)

        model.train()
        total = 0.0
        samples = 0
        for inputs, targets in train_loader:
            optimizer.zero_grad()
            loss = criterion(model(inputs), targets)
            loss.backward()
            optimizer.step()
            total += loss.item() * len(targets)
            samples += len(targets)
        if samples == 0:
            raise ValueError("train_loader must hold at least one sample, got none")
        history.train_loss.append(total / samples)

        model.eval()
        total = 0.0
        correct = 0
        samples = 0
        with torch.no_grad():
            for inputs, targets in val_loader:
                logits = model(inputs)
                total += criterion(logits, targets).item() * len(targets)
                correct += int((logits.argmax(dim=1) == targets).sum())
                samples += len(targets)
        if samples == 0:
            raise ValueError("val_loader must hold at least one sample, got none")
        history.val_loss.append(total / samples)
        history.val_accuracy.append(correct / samples)
    return history


def epoch_rate(epoch: int, epochs: int, peak: float) -> float:
    """Two gentle epochs, then half a cosine from `peak` down to a twentieth of it."""
    if epoch < 2:
        return peak * (epoch + 1) / 4
    return peak * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * epoch / epochs)))
