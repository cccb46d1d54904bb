"""Carl's answers: mostly right, with mistakes that many students make."""

import math

import torch
import torch.nn.functional as F  # noqa: N812
from shared.records import History


def split(n, validation_fraction, seed):
    if n < 0:
        raise ValueError(f"n is negative: {n}")
    if not 0 <= validation_fraction <= 1:
        raise ValueError(f"validation_fraction is not in 0..1: {validation_fraction}")
    # Changes the random numbers of the whole program, and rounds down.
    torch.manual_seed(seed)
    indices = torch.randperm(n).tolist()
    n_validation = int(n * validation_fraction)
    return indices[n_validation:], indices[:n_validation]


def check(images, targets, lam, permutation):
    if not 0 <= lam <= 1:
        raise ValueError(f"lam is not in 0..1: {lam}")
    if targets.dim() != 2 or len(targets) != len(images):
        raise ValueError(f"bad shape of targets: {tuple(targets.shape)}")
    if not targets.is_floating_point():
        raise ValueError(f"targets are not float: {targets.dtype}")
    if sorted(permutation.tolist()) != list(range(len(images))):
        raise ValueError(f"not a permutation: {permutation.tolist()}")


def mixup(images, targets, lam, permutation):
    check(images, targets, lam, permutation)
    mixed = lam * images + (1 - lam) * images[permutation]
    soft = lam * targets + (1 - lam) * targets[permutation]
    return mixed, soft


def cutmix(images, targets, lam, permutation, center):
    check(images, targets, lam, permutation)
    if images.dim() != 4:
        raise ValueError(f"bad shape of images: {tuple(images.shape)}")
    h, w = images.shape[2:]
    half_h = int(h * math.sqrt(1 - lam)) // 2
    half_w = int(w * math.sqrt(1 - lam)) // 2
    y1, y2 = max(center[0] - half_h, 0), min(center[0] + half_h, h)
    x1, x2 = max(center[1] - half_w, 0), min(center[1] + half_w, w)
    mixed = images.clone()
    mixed[:, :, y1:y2, x1:x2] = images[permutation, :, y1:y2, x1:x2]
    # The box may be smaller than lam says.
    soft = lam * targets + (1 - lam) * targets[permutation]
    return mixed, soft


def warmup_cosine(step, warmup, total, peak, floor=0.0):
    if step < 0 or warmup < 0 or warmup >= total:
        raise ValueError(f"bad schedule: step {step}, warmup {warmup}, total {total}")
    if floor > peak:
        raise ValueError(f"floor {floor} is above peak {peak}")
    if step < warmup:
        return peak * step / warmup
    if step >= total:
        return floor
    # Counts from the start, so the rate jumps at the end of the warm-up.
    t = step / total
    return floor + (peak - floor) * 0.5 * (1 + math.cos(math.pi * t))


def fit(model, train_loader, val_loader, epochs):
    if epochs < 1 or len(train_loader) == 0 or len(val_loader) == 0:
        raise ValueError(f"nothing to train: {epochs} epochs")
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=0.01)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, 0.01, total_steps=epochs * len(train_loader)
    )
    history = History([], [], [])
    for _ in range(epochs):
        model.train()
        loss_sum, count = 0.0, 0
        for images, targets in train_loader:
            optimizer.zero_grad()
            loss = F.cross_entropy(model(images), targets)
            loss.backward()
            optimizer.step()
            scheduler.step()
            loss_sum += loss.item() * len(targets)
            count += len(targets)
        history.train_loss.append(loss_sum / count)

        model.eval()
        loss_sum, correct, count = 0.0, 0, 0
        with torch.no_grad():
            for images, targets in val_loader:
                logits = model(images)
                loss_sum += F.cross_entropy(logits, targets, reduction="sum").item()
                correct += int((logits.argmax(1) == targets).sum())
                count += len(targets)
        history.val_loss.append(loss_sum / count)
        history.val_accuracy.append(100 * correct / count)  # in percent
    return history
