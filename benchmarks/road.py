"""The road of the final project's reference network: accuracy and cost after each step.

    COURSE_DATA=... python -m benchmarks.road build/cifar10 --figure road.svg

The folder is the one that `solutions/s7_final_project/train.py` trained in. Each step is exported
to ONNX and scored from the file like an entry, about a minute each: in floating point; quantised
to 8 bits without training; with fewer channels; quantised to few bits and pruned on top of that;
and trained like that, with soft targets, while it is pruned in rounds.
"""

from __future__ import annotations

import argparse
import copy
import importlib
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from torch import nn

from autograder.project import scorer
from autograder.project.card import Card
from autograder.records.measurement import Score
from benchmarks.common import STARTER, final_project, last_checkpoint, undated
from shared import plots

CALIBRATION_IMAGES = 1000


def steps(folder: Path, name: str, start: Path | None = None) -> Iterator[tuple[str, nn.Module]]:
    """(what was done, network) for each step; networks are in eval mode.

    `start` is the network in floating point that the training in `folder` began with, if it did
    not train that itself.
    """
    sys.path.insert(0, str(STARTER))
    plans, trainer, recipes = map(importlib.import_module, ("plans", "train", "recipes"))
    plan = plans.PLANS[name]
    data, everything, _ = plans.prepare(plan, hold_out=False)
    training = trainer.Training(plan, data, everything, None, folder)
    images = data.normalised().train.images[:CALIBRATION_IMAGES]

    def blank() -> nn.Module:
        model: nn.Module = plans.build(plan)
        return model.eval()

    def calibrated(model: nn.Module, bits: Sequence[int], sparsity: float = 0.0) -> nn.Module:
        weight_bits = plan.weight_bits if bits == plan.bits else None
        model = copy.deepcopy(model)
        recipes.prune_globally(model, sparsity)
        recipes.start_quantising(model, bits, plan.edge_bits, weight_bits)
        with torch.no_grad():
            model(images)
        return model

    cycles = [f"float-{cycle + 1}.pt" for cycle in range(len(plan.float_cycles))]
    paths = [folder / each for each in cycles] if start is None else [start]
    paths.append(last_checkpoint(folder))
    *states, last = map(_state, paths)
    floating = blank()
    for cycle, state in enumerate(states, 1):
        floating.load_state_dict(state)
        which = f", cycle {cycle} of {len(states)}" if len(states) > 1 else ""
        yield f"trained in floating point{which}", floating
    yield "8 bits, not trained for it", calibrated(floating, (8,) * len(plan.bits))
    low = _widths(plan.bits)
    yield f"{low}, not trained for it", calibrated(floating, plan.bits)
    slim = training.with_fewer_channels(floating)
    if plan.max_macs is not None:
        yield "in floating point with fewer channels, not trained for it", slim
        low += ", fewer channels"
        yield f"{low}, not trained for it", calibrated(slim, plan.bits)
    low += f", {plan.sparsity:.0%} pruned"
    yield f"{low}, not trained for it", calibrated(slim, plan.bits, plan.sparsity)
    last.pop("pruning_step")
    slim.load_state_dict(last)
    yield f"{low}, trained and distilled", slim


def _widths(bits: Sequence[int]) -> str:
    return f"{'/'.join(map(str, bits if len(set(bits)) > 1 else bits[:1]))} bits"


def _state(checkpoint: Path) -> dict[str, torch.Tensor]:
    if not checkpoint.is_file():
        raise SystemExit(f"{checkpoint.parent}: there is no {checkpoint.name}; train.py writes it")
    state: dict[str, Any] = torch.load(checkpoint, weights_only=True)
    model: dict[str, torch.Tensor] = state.get("model", state)
    return model


def score(model: nn.Module, name: Any) -> Score:
    """The kit's score of a network, from its file."""
    export = importlib.import_module("export")
    project = final_project()
    rules = project.datasets[name]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        export.export_submission(model, path, tuple(rules.input_shape), rules.pixel_max)
        return scorer.score(path.read_bytes(), Card(team="reference"), name, project)[0]


def main() -> None:
    """Read the arguments, score every step, print the table, draw the figure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="with the checkpoints of train.py")
    parser.add_argument("--dataset", choices=("cifar10", "digits"), default="cifar10")
    parser.add_argument("--start", type=Path, help="what train.py was given as --start")
    parser.add_argument("--figure", type=Path, help="SVG or PNG file")
    options = parser.parse_args()
    console = Console()
    points, gate = {}, 0.0
    print("| step | file, kB | nonzeros | MACs | imt-2025 | micronet-2019 | right | perturbed |")
    print("|---|---|---|---|---|---|---|---|")
    for what, model in steps(options.folder, options.dataset, options.start):
        with console.status(what):
            found = score(model, options.dataset)
        if found.measurement is None:
            raise SystemExit(f"{what}: {found.refusal}")
        answers, cost = found.answers, found.costs["imt-2025"]
        right = (
            f"{answers.correct:,} | {answers.correct_perturbed:,}"
            if answers
            else found.refusal + " |"
        )
        print(
            f"| {what} | {found.file_bytes / 1000:,.0f} | {found.measurement.nonzeros:,} "
            f"| {found.measurement.macs:,} | {cost:.4f} | {found.costs['micronet-2019']:.4f} "
            f"| {right} |",
            flush=True,
        )
        if answers:
            points[what] = (cost, answers.correct / answers.images)
            gate = found.gate / answers.images
    if options.figure:
        figure = plots.plot_ablation(points, gate, "cost (imt-2025)")
        figure.savefig(options.figure, metadata=undated(options.figure))


if __name__ == "__main__":
    main()
