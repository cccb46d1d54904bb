# Generated from solutions/s7_final_project/train.py by `autograder release`: change it there.
"""Train the reference solution: in floating point, then pruned, quantised and distilled.

    python train.py --dataset digits --out build/digits        a minute
    COURSE_DATA=... python train.py --dataset cifar10 --out build/cifar10

Each phase is checkpointed after every epoch; the same command goes on where it stopped.
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

import torch
from export import export_submission
from network import SmallResNet
from recipes import PruneInRounds, distillation, start_quantising
from torch import Tensor

from shared.data import Dataset, Split, TensorBatches, load_cifar10, load_digits, random_crop
from shared.data import random_flip as flip
from shared.training import Recipe, train


@dataclass(frozen=True)
class Plan:
    """How one data set is trained: epochs of both phases, network, final sparsity, bits."""

    load: Callable[[], Dataset]
    channels: int
    blocks: tuple[int, ...]
    widths: tuple[int, ...]
    float_epochs: int
    quantised_epochs: int
    augmentation: Callable[[Tensor, torch.Generator], Tensor] | None
    batch_size: int = 128
    groups: int = 1
    mix: Literal["none", "mixup", "cutmix"] = "none"
    bits: int = 4
    weight_bits: int = 4
    edge_bits: int = 8
    sparsity: float = 0.5
    lr: float = 0.1


def jitter(images: Tensor, generator: torch.Generator) -> Tensor:
    """Scale contrast and shift brightness of each image (N, C, H, W) a little."""
    draws = torch.rand(2, len(images), 1, 1, 1, generator=generator).to(images.device)
    return images * (0.8 + 0.4 * draws[0]) + (0.6 * draws[1] - 0.3)


def augment(images: Tensor, generator: torch.Generator) -> Tensor:
    """Flip, crop, brightness and contrast: none of them changes what an image shows."""
    return jitter(random_crop(flip(images, generator), generator), generator)


PLANS = {
    "cifar10": Plan(load_cifar10, 3, (1, 2, 2), (16, 32, 64), 60, 40, augment),
    "digits": Plan(load_digits, 1, (1, 1), (8, 16), 15, 15, None, batch_size=64),
}


def centred(dataset: Dataset) -> Dataset:
    """The data set with pixels scaled as (p - peak / 2) / (peak / 4).

    So the exported network needs one DequantizeLinear in front, with a zero point of peak / 2.
    """
    channels = dataset.train.images.shape[1]
    middle = (dataset.peak + 1) // 2 / dataset.peak
    spread = (dataset.peak + 1) // 4 / dataset.peak
    return replace(dataset, mean=(middle,) * channels, std=(spread,) * channels)


def main() -> None:
    """Read the arguments and train."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", choices=PLANS, default="digits")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument(
        "--bfloat16",
        action="store_true",
        help="train in mixed precision: fast where the processor has it, very slow elsewhere",
    )
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    plan = PLANS[options.dataset]
    options.out.mkdir(parents=True, exist_ok=True)
    data = centred(plan.load())
    both = Split(
        torch.cat([data.train.images, data.validation.images]),
        torch.cat([data.train.labels, data.validation.labels]),
    )
    validation = TensorBatches(data, data.validation, 500)
    torch.manual_seed(0)
    model = SmallResNet(plan.blocks, plan.widths, plan.channels, groups=plan.groups).to(
        memory_format=torch.channels_last
    )
    batches = partial(
        TensorBatches, data, batch_size=plan.batch_size, seed=0, augmentation=plan.augmentation
    )

    recipe = Recipe(
        plan.float_epochs, plan.lr, warmup=2, mix=plan.mix, mixed_precision=options.bfloat16
    )
    checkpoint = options.out / "float.pt"
    history = train(
        model, batches(data.train), validation, recipe, checkpoint=checkpoint, progress=True
    )
    print(f"floating point: {history.val_accuracy[-1]:.4f} on validation images")
    teacher = copy.deepcopy(model).eval()

    start_quantising(model, plan.bits, plan.edge_bits, plan.weight_bits)
    fine = batches(both)
    steps = plan.quantised_epochs * len(fine)
    recipe = Recipe(
        plan.quantised_epochs,
        plan.lr / 4,
        weight_decay=1e-4,
        warmup=1,
        mixed_precision=options.bfloat16,
    )
    history = train(
        model,
        fine,
        validation,
        recipe,
        objective=distillation(teacher),
        after_step=PruneInRounds(model, plan.sparsity, steps),
        checkpoint=options.out / "quantised.pt",
        progress=True,
    )
    print(f"quantised: {history.val_accuracy[-1]:.4f} on validation images it has seen")
    torch.save(model.state_dict(), options.out / "model.pt")
    shape = (plan.channels, *data.test.images.shape[2:])
    export_submission(model, options.out / "model.onnx", shape, data.peak)
    print(f"wrote {options.out / 'model.onnx'}; now: autograder score")


if __name__ == "__main__":
    main()
