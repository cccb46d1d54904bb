"""How much the perturbed accuracy of one file depends on the draw: what the public draws are worth.

    python -m benchmarks.draws [MODEL --dataset cifar10] [--draws 30]

By default the sample project on the digits. The verdict takes the mean of three draws; printed is
the spread of such means, and the difference between two of them: between a student's public draws
and the course's.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
from pathlib import Path

import numpy as np

from autograder.project import inference
from autograder.project.perturb import perturb
from autograder.project.scorer import DRAWS, draw_seeds, test_images
from benchmarks.common import ROOT

SAMPLE = ROOT / "tests" / "submissions" / "s7_final_project" / "samples" / "ada" / "model.onnx"


def counts(content: bytes, dataset: str, draws: int) -> list[int]:
    """Right answers on each of so many draws of perturbed test images."""
    images, labels = test_images(dataset)
    model = inference.session(content)
    keys = (f"key {number}".encode() for number in itertools.count())
    seeds = itertools.chain.from_iterable(draw_seeds(content, key) for key in keys)
    max_value = int(images.max())
    correct = []
    for seed in itertools.islice(seeds, draws):
        logits = inference.logits(model, perturb(images, dataset, max_value, seed), 250)
        correct.append(int(np.sum(logits.argmax(axis=1) == labels)))
    return correct


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path, nargs="?", default=SAMPLE)
    parser.add_argument("--dataset", default="digits")
    parser.add_argument("--draws", type=int, default=30)
    options = parser.parse_args()
    if options.draws < 2 * DRAWS:
        parser.error(f"--draws: expected at least {2 * DRAWS}, got {options.draws}")
    correct = counts(options.model.read_bytes(), options.dataset, options.draws)
    total = len(test_images(options.dataset)[1])
    one = statistics.stdev(correct)
    mean = one / DRAWS**0.5
    means = [
        statistics.fmean(correct[i : i + DRAWS]) for i in range(0, len(correct) - DRAWS + 1, DRAWS)
    ]
    gaps = [abs(a - b) for a, b in itertools.combinations(means, 2)]
    print(f"{options.draws} draws of {total:,} images: {min(correct):,} to {max(correct):,} right")
    print(f"standard deviation of one draw {one:.1f}, of the mean of {DRAWS} {mean:.1f} images")
    print(
        f"two means of {DRAWS} differ by {statistics.fmean(gaps):.1f} images on average and "
        f"{max(gaps):.1f} at most ({100 * max(gaps) / total:.2f} % of the images)"
    )


if __name__ == "__main__":
    main()
