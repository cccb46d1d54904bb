"""Distillation on digits with wrong labels, against the same network without a teacher.

    python -m benchmarks.distillation [--seeds N] [--json FILE]

The setting is that of the exercise `s4.distill`: 300 images, 40 % of which carry a wrong label, a
network with 24 hidden units, and a teacher that knows the digits. Every row trains the same
networks on the same images with the model solution's `distill` (or with a trick in the place of
the teacher), and is measured on all other digits. About ten seconds of one processor for a seed.
"""

from __future__ import annotations

import argparse
import copy
import json
import statistics
import sys
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from autograder.graders.common import Batches, accuracy, built, shuffling
from autograder.graders.s4_distillation.networks import View, mislabelled
from autograder.graders.toolkit import RandomInputs
from benchmarks.common import ROOT
from shared.models import MLP

IMAGES, WRONG, BATCH, HIDDEN = 300, 0.4, 32, 24
EPOCHS, LR, T, ALPHA = 20, 0.1, 4.0, 0.1

Trained = Callable[[nn.Module, nn.Module, Batches], nn.Module]


def distilled(alpha: float, temperature: float = T) -> Trained:
    """The model solution's `distill`; alpha = 1 is the network from scratch."""
    sys.path.insert(0, str(ROOT / "solutions" / "s4_distillation"))
    from distill import distill

    return lambda small, teacher, loader: distill(
        small, teacher, loader, EPOCHS, temperature, alpha, LR
    )


def alone(epochs: int, noise: float = 0.0, smoothing: float = 0.0, lr: float = LR) -> Trained:
    """Without a teacher: stopped early, with noise on the images, with smoothed labels."""

    def train(small: nn.Module, _teacher: nn.Module, loader: Batches) -> nn.Module:
        optimizer = torch.optim.SGD(small.parameters(), lr=lr, momentum=0.9)
        generator = torch.Generator().manual_seed(0)
        for _ in range(epochs):
            for images, targets in loader:
                drawn = noise * torch.randn(images.shape, generator=generator)
                optimizer.zero_grad()
                logits = small(images + drawn)
                F.cross_entropy(logits, targets, label_smoothing=smoothing).backward()
                optimizer.step()
        return small

    return train


def rows() -> dict[str, Trained]:
    """Name -> how the small network is trained."""
    return {
        "distilled": distilled(ALPHA),
        "distilled, no labels": distilled(0.0),
        "distilled, alpha = 0.9": distilled(0.9),
        "distilled, T = 1": distilled(ALPHA, 1.0),
        "from scratch": distilled(1.0),
        "stopped after 3 epochs": alone(3),
        "stopped after 6 epochs": alone(6),
        "smaller steps, 6 epochs": alone(6, lr=0.03),
        "labels smoothed by 0.4": alone(6, smoothing=0.4),
        "noise of 0.3": alone(EPOCHS, noise=0.3),
        "noise, smoothed, 8 epochs": alone(8, noise=0.3, smoothing=0.3),
    }


def measure(seeds: int) -> dict[str, list[float]]:
    """Name -> accuracies on the digits that were not trained on, one a seed."""
    found: dict[str, list[float]] = {"teacher": []}
    for seed in range(seeds):
        rng = RandomInputs(seed.to_bytes(8, "little"))
        view = View.of(rng)
        images, targets = view.digits(rng)
        labels = mislabelled(targets[:IMAGES], WRONG, rng)
        held_out: tuple[Tensor, Tensor] = images[IMAGES:], targets[IMAGES:]
        small, teacher = built(lambda: MLP((64, HIDDEN, 10)), rng), view.teacher()
        order = rng.seed()
        found["teacher"].append(accuracy(teacher, *held_out))
        for name, train in rows().items():
            same_order = RandomInputs(order.to_bytes(8, "little"))
            loader = shuffling(images[:IMAGES], labels, BATCH, same_order)
            after = train(copy.deepcopy(small), teacher, loader)
            found.setdefault(name, []).append(accuracy(after, *held_out))
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="distilled against trained from scratch")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    found = measure(options.seeds)
    title = f"{options.seeds} seeds, {IMAGES} images, {WRONG:.0%} of the labels wrong"
    table = Table("network", "mean", "std", "min", "max", title=title)
    for name, values in found.items():
        spread = statistics.stdev(values) if len(values) > 1 else 0.0
        cells = (statistics.mean(values), spread, min(values), max(values))
        table.add_row(name, *(f"{value:.3f}" for value in cells))
    Console().print(table)
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
