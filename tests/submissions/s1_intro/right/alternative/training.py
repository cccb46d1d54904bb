"""Splitting by random keys, mixing by indexing, training with momentum.

The training record is a dataclass of our own with the fields of `History`.
"""

import math
from dataclasses import dataclass, field

import torch
from torch.nn.functional import cross_entropy


@dataclass
class Curves:
    train_loss: list = field(default_factory=list)
    val_loss: list = field(default_factory=list)
    val_accuracy: list = field(default_factory=list)


def split(n, validation_fraction, seed):
    if n < 0 or int(n) != n:
        raise ValueError(f"n: expected a count, got {n}")
    if not (validation_fraction >= 0 and validation_fraction <= 1):
        raise ValueError(f"validation_fraction: expected 0..1, got {validation_fraction}")
    generator = torch.Generator().manual_seed(seed)
    keys = torch.rand(n, generator=generator, dtype=torch.float64)
    order = [int(index) for index in keys.argsort(stable=True)]
    cut = n - round(n * validation_fraction)
    return order[:cut], order[cut:]


def check_mixing(images, targets, lam, permutation):
    n = len(images)
    if not (lam >= 0 and lam <= 1):
        raise ValueError(f"lam: expected 0..1, got {lam}")
    if targets.ndim != 2 or len(targets) != n or not targets.is_floating_point():
        raise ValueError(f"targets: expected floats ({n}, C), got {tuple(targets.shape)}")
    if permutation.shape != (n,) or set(permutation.tolist()) != set(range(n)):
        raise ValueError(f"permutation: expected each of 0..{n - 1} once")


def mixup(images, targets, lam, permutation):
    check_mixing(images, targets, lam, permutation)
    pairs = ((tensor, tensor.index_select(0, permutation)) for tensor in (images, targets))
    mixed, soft = (own.mul(lam).add(partner, alpha=1 - lam) for own, partner in pairs)
    return mixed, soft


def cutmix(images, targets, lam, permutation, center):
    check_mixing(images, targets, lam, permutation)
    if images.ndim != 4:
        raise ValueError(f"images: expected (N, C, H, W), got {tuple(images.shape)}")

    def window(middle, size):
        half = int(size * math.sqrt(1 - lam)) // 2
        start, stop = (min(max(edge, 0), size) for edge in (middle - half, middle + half))
        return slice(start, stop)

    height, width = images.shape[-2:]
    box = (..., window(center[0], height), window(center[1], width))
    mixed = images.clone()
    mixed[box] = images[permutation][box]
    share = mixed[box][0, 0].numel() / (height * width)
    return mixed, torch.lerp(targets, targets[permutation], share)


def warmup_cosine(step, warmup, total, peak, floor=0.0):
    if step < 0:
        raise ValueError(f"step: expected at least 0, got {step}")
    if warmup < 0 or warmup >= total:
        raise ValueError(f"warmup: expected 0 <= warmup < total, got {warmup} and {total}")
    if floor > peak:
        raise ValueError(f"floor: expected at most {peak}, got {floor}")
    if step < warmup:
        return peak * (step / warmup)
    angle = math.pi / 2 * min(1.0, (step - warmup) / (total - warmup))
    share = math.cos(angle) ** 2 if step < total else 0.0
    return share * peak + (1 - share) * floor


def fit(model, train_loader, val_loader, epochs, rate=0.1, momentum=0.9, decay=5e-4):
    """Stochastic gradient descent with Nesterov momentum, written out."""
    if epochs < 1:
        raise ValueError(f"epochs: expected at least 1, got {epochs}")
    weights = [p for p in model.parameters() if p.requires_grad]
    velocity = [torch.zeros_like(w) for w in weights]
    curves = Curves()
    for epoch in range(epochs):
        model.train()
        batches = list(train_loader)
        losses = []
        for number, (inputs, targets) in enumerate(batches):
            step, total = epoch * len(batches) + number, epochs * len(batches)
            now = rate * min(1.0, (step + 1) / (0.1 * total)) * (1 - step / total)
            loss = cross_entropy(model(inputs), targets)
            gradients = torch.autograd.grad(loss, weights, allow_unused=True)
            with torch.no_grad():
                for weight, speed, gradient in zip(weights, velocity, gradients, strict=True):
                    if gradient is not None:
                        slope = gradient + decay * weight
                        speed.mul_(momentum).add_(slope)
                        weight.sub_(slope + momentum * speed, alpha=now)
            losses.append((loss.item(), len(targets)))
        curves.train_loss.append(average(losses))

        model.eval()
        losses, hits = [], []
        with torch.no_grad():
            for inputs, targets in val_loader:
                logits = model(inputs)
                losses.append((cross_entropy(logits, targets).item(), len(targets)))
                hits.append(((logits.argmax(1) == targets).float().mean().item(), len(targets)))
        curves.val_loss.append(average(losses))
        curves.val_accuracy.append(average(hits))
    return curves


def average(pairs):
    """Mean over samples of (batch mean, batch size) pairs."""
    if not pairs:
        raise ValueError("loaders: expected at least one batch, got none")
    return sum(value * size for value, size in pairs) / sum(size for _, size in pairs)
