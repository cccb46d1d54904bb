"""Splitting, mixing, scheduling with NumPy; training with a one-cycle schedule."""

import numpy as np
import torch
from shared.records import History
from torch.nn import functional as F  # noqa: N812


def split(n, validation_fraction, seed):
    if n < 0:
        raise ValueError(f"n must not be negative, got {n}")
    if not 0 <= validation_fraction <= 1:
        raise ValueError(f"validation_fraction must be in [0, 1], got {validation_fraction}")
    order = np.random.default_rng(seed % 2**64).permutation(n)
    validation, train = np.split(order, [round(n * validation_fraction)])
    return train.tolist(), validation.tolist()


def _arrays(images, targets, lam, permutation):
    """The checked arguments as float64 arrays (N, ...), (N, C) and indices (N,)."""
    if not 0.0 <= lam <= 1.0:
        raise ValueError(f"lam must be in [0, 1], got {lam}")
    n = images.shape[0]
    if targets.ndim != 2 or len(targets) != n or not targets.is_floating_point():
        raise ValueError(f"targets must be float ({n}, C), got {targets.dtype} {targets.shape}")
    order = permutation.cpu().numpy()
    if order.shape != (n,) or not np.array_equal(np.sort(order), np.arange(n)):
        raise ValueError(f"permutation must rearrange 0..{n - 1}, got {order}")
    return (*(x.detach().cpu().double().numpy() for x in (images, targets)), order)


def _like(array, tensor):
    return torch.from_numpy(array).to(dtype=tensor.dtype, device=tensor.device)


def mixup(images, targets, lam, permutation):
    x, y, order = _arrays(images, targets, lam, permutation)
    mixed = lam * x + (1.0 - lam) * x[order]
    soft = lam * y + (1.0 - lam) * y[order]
    return _like(mixed, images), _like(soft, targets)


def cutmix(images, targets, lam, permutation, center):
    x, y, order = _arrays(images, targets, lam, permutation)
    if x.ndim != 4:
        raise ValueError(f"images must be (N, C, H, W), got {x.shape}")
    inside = []
    for middle, size in zip(center, x.shape[2:], strict=True):
        half = int(size * np.sqrt(1.0 - lam)) // 2
        position = np.arange(size)
        inside.append((position >= middle - half) & (position < middle + half))
    box = np.logical_and.outer(*inside)  # (H, W)
    lam = 1.0 - box.mean()
    mixed = np.where(box, x[order], x)
    soft = lam * y + (1.0 - lam) * y[order]
    return _like(mixed, images), _like(soft, targets)


def warmup_cosine(step, warmup, total, peak, floor=0.0):
    if step < 0 or warmup < 0 or warmup >= total:
        raise ValueError(f"need step >= 0 and 0 <= warmup < total, got {step}, {warmup}, {total}")
    if floor > peak:
        raise ValueError(f"need floor <= peak, got {floor} and {peak}")
    progress = np.clip((step - warmup) / (total - warmup), 0.0, 1.0)
    cosine = floor + (peak - floor) * (1.0 + np.cos(np.pi * progress)) / 2.0
    ramp = peak * step / max(warmup, 1)
    return float(np.select([step < warmup, step >= total], [ramp, floor], cosine))


def _validate(model, loader):
    losses, hits = [], []
    model.eval()
    with torch.no_grad():
        for images, labels in loader:
            logits = model(images)
            losses.append(F.cross_entropy(logits, labels, reduction="none").double().numpy())
            hits.append((logits.argmax(1) == labels).numpy())
    return float(np.concatenate(losses).mean()), float(np.concatenate(hits).mean())


def fit(model, train_loader, val_loader, epochs, peak=0.01):
    if epochs < 1:
        raise ValueError(f"epochs must be at least 1, got {epochs}")
    if min(len(train_loader), len(val_loader)) == 0:
        raise ValueError("both loaders need at least one batch, got an empty one")
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=peak)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=peak, epochs=epochs, steps_per_epoch=len(train_loader)
    )
    train_loss, val_loss, val_accuracy = [], [], []
    for _ in range(epochs):
        model.train()
        losses, sizes = [], []
        for images, labels in train_loader:
            loss = F.cross_entropy(model(images), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
            sizes.append(len(labels))
        train_loss.append(float(np.average(losses, weights=sizes)))
        loss, accuracy = _validate(model, val_loader)
        val_loss.append(loss)
        val_accuracy.append(accuracy)
    return History(train_loss, val_loss, val_accuracy)
