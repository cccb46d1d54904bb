"""Seconds per epoch of the final project's reference network, on this machine.

    COURSE_DATA=... python -m benchmarks.epochs --threads 2

Times some batches of each phase and multiplies. On a machine that does other work look at the
fastest batch, and at processor seconds.
"""

from __future__ import annotations

import argparse
import importlib
import itertools
import sys
import time
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.common import STARTER

WARM_UP = 3


class _Clock:
    """Called after each step: seconds of each, by the wall and by the processor."""

    def __init__(self) -> None:
        self.seen = [(time.perf_counter(), time.process_time())]

    def __call__(self) -> None:
        self.seen.append((time.perf_counter(), time.process_time()))

    def seconds(self) -> tuple[float, float, float]:
        """(mean, fastest, processor) seconds per step after the warm-up."""
        pairs = list(itertools.pairwise(self.seen[WARM_UP:]))
        walls = [after[0] - before[0] for before, after in pairs]
        processor = self.seen[-1][1] - self.seen[WARM_UP][1]
        return sum(walls) / len(walls), min(walls), processor / len(walls)


class _Some:
    """The first batches of an epoch."""

    def __init__(self, batches: Any, count: int) -> None:
        self._list = list(itertools.islice(iter(batches), count))

    def __len__(self) -> int:
        return len(self._list)

    def __iter__(self) -> Any:
        return iter(self._list)


def measure(dataset: str, batches: int, mixed_precision: bool, profile: bool) -> None:
    """Print a row per phase and window."""
    sys.path.insert(0, str(STARTER))
    names = ("plans", "recipes", "soft_labels", "windows")
    plans, recipes, soft_labels, windows = map(importlib.import_module, names)
    training = importlib.import_module("shared.training")
    plan = plans.PLANS[dataset]
    data, images, _ = plans.prepare(plan, hold_out=True)
    places = soft_labels.places(1, len(images), plan.changes.offsets)
    logits: Tensor = torch.randn(1, len(images), 10, dtype=torch.float16)
    soft = soft_labels.SoftLabels(places, logits)
    recipe = training.Recipe(1, plan.lr, mixed_precision=mixed_precision)
    print("| phase | window | s per epoch | at the fastest step's pace | processor s |")
    print("|---|---|---|---|---|")
    sizes = {size for _, size in itertools.chain(*plan.quantised_cycles)}
    for phase, size in itertools.product(("float", "low"), sizes):
        source = windows.GrowingWindows(
            data, images, plan.batch_size, ((1, size),), plan.changes, soft
        )
        model: nn.Module = plans.build(plan)
        if phase == "low":
            recipes.start_quantising(model, plan.bits, plan.edge_bits, plan.weight_bits)
        clock = _Clock()
        some = _Some(source, batches)
        with torch.autograd.profiler.profile(enabled=profile, use_kineto=False) as log:
            training.train(
                model,
                some,
                None,
                replace(recipe, warmup=0.0),
                objective=recipes.distillation(plan.temperature),
                after_step=clock,
            )
        row = " | ".join(f"{len(source) * each:.1f}" for each in clock.seconds())
        print(f"| {phase} | {size} | {row} |", flush=True)
        if profile:
            print(log.key_averages().table(sort_by="self_cpu_time_total", row_limit=20))


def main() -> None:
    """Read the arguments and measure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dataset", choices=("cifar10", "digits"), default="cifar10")
    parser.add_argument("--batches", type=int, default=40)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--bfloat16", action="store_true")
    parser.add_argument("--profile", action="store_true", help="time per operator as well")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    measure(options.dataset, options.batches, options.bfloat16, options.profile)


if __name__ == "__main__":
    main()
