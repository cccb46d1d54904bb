# Generated from solutions/s4_distillation/teacher.py by `autograder release`: change it there.
"""The teachers of session 4: trained where you need them, in seconds.

    python teacher.py [FILE]        # trains the teacher of digits and saves its state, about 60 kB

For CIFAR-10, the final project has a fast recipe: its `train.py` trains the network of its
`teacher.py` and keeps the answers.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from shared.data import TensorBatches, load_digits
from shared.evaluation import evaluate
from shared.models import DigitsCNN
from shared.seeding import isolated_rng
from shared.training import Recipe, train


def digits_teacher(seed: int = 0, epochs: int = 12) -> DigitsCNN:
    """A convolutional network that reads about 98 % of the 8x8 digits, in eval mode.

    Trained on the training split of `load_digits`, with inputs normalised as `TensorBatches` does.
    """
    data = load_digits()
    with isolated_rng(seed):
        network = DigitsCNN(16)
    batches = TensorBatches(data, data.train, 64, seed=seed)
    train(network, batches, None, Recipe(epochs, lr=0.1, seed=seed))
    return network.eval()


def main() -> None:
    """Train, measure, save."""
    parser = argparse.ArgumentParser(description="trains the teacher of digits")
    parser.add_argument("file", nargs="?", type=Path, default=Path("teacher.pt"))
    path = parser.parse_args().file
    network, data = digits_teacher(), load_digits()
    _, accuracy = evaluate(network, TensorBatches(data, data.validation, 1000))
    torch.save(network.state_dict(), path)
    print(f"{path}: {path.stat().st_size:,} bytes, validation accuracy {accuracy:.2%}")  # noqa: T201


if __name__ == "__main__":
    main()
