# Generated from solutions/s7_final_project/train.py by `autograder release`: change it there.
"""Train the reference solution: floating point; channels removed; quantised, pruned, distilled.

    python train.py --dataset digits --out build/digits        a minute
    COURSE_DATA=... python train.py --dataset cifar10 --out build/cifar10

Each phase is checkpointed after every epoch; the same command goes on where it stopped.
"""

from __future__ import annotations

import argparse
import copy
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from channels import slimmed
from export import export_submission
from network import SmallResNet
from recipes import PruneInRounds, distillation, start_quantising
from torch import Tensor

from shared.data import (
    Dataset,
    Split,
    TensorBatches,
    load_cifar10,
    load_digits,
    random_crop,
    random_flip,
)
from shared.training import Recipe, train

Windows = tuple[tuple[int, int], ...]
IMPORTANCE_BATCHES = 16  # of 250 images, to find the channels that matter least


@dataclass(frozen=True)
class Plan:
    """How one data set is trained: network, phases, bits of each stage, final sparsity.

    With `max_macs`, channels are removed after the floating-point phase until one image costs no
    more multiply-accumulates. `lr` is that of the first cycle, `quantised_lr` of the last phase.

    A phase is a tuple of (epochs, window): small windows first, because an epoch on windows of
    24 x 24 pixels takes half the time of one on 32 x 32 and teaches nearly as much (progressive
    resizing). A window as large as the image, on a data set that is not augmented, is the image.
    """

    load: Callable[[], Dataset]
    channels: int
    blocks: tuple[int, ...]
    widths: tuple[int, ...]
    float_cycles: tuple[Windows, ...]
    quantised_phase: Windows
    bits: tuple[int, ...]
    augmented: bool
    batch_size: int = 128
    groups: int = 1
    mix: Literal["none", "mixup", "cutmix"] = "none"
    edge_bits: int = 8
    sparsity: float = 0.5
    lr: float = 0.1
    quantised_lr: float = 0.025
    quantised_decay: float = 1e-4
    max_macs: int | None = None


PLANS = {
    "cifar10": Plan(
        load_cifar10,
        channels=3,
        blocks=(2, 2, 2),
        widths=(16, 32, 64),
        float_cycles=(((30, 24), (6, 28), (8, 32)), ((24, 24), (6, 28), (6, 32))),
        quantised_phase=((2, 24), (1, 28), (4, 32)),
        bits=(4, 4, 4),
        augmented=True,
        sparsity=0.36,
        lr=0.2,
        quantised_lr=0.05,
    ),
    "digits": Plan(
        load_digits,
        channels=1,
        blocks=(1, 1),
        widths=(8, 16),
        float_cycles=(((15, 8),),),
        quantised_phase=((15, 8),),
        bits=(4, 4),
        augmented=False,
        batch_size=64,
        max_macs=110_000,
    ),
}


def epochs(phase: Windows) -> int:
    """All epochs of a phase."""
    return sum(count for count, _ in phase)


class GrowingWindows(TensorBatches):
    """Batches of flipped random windows, whose size depends on the epoch.

    A window lies at one of nine offsets in each direction, in images that are padded with zeros
    where it needs them: 24 x 24 pixels of a 32 x 32 image without padding, 32 x 32 with four.
    """

    def __init__(
        self,
        dataset: Dataset,
        split: Split,
        batch_size: int,
        phase: Windows,
        device: torch.device | str = "cpu",
    ) -> None:
        super().__init__(dataset, split, batch_size, 0, self._window, device)
        self._sizes = [size for count, size in phase for _ in range(count)]
        self._size = self._sizes[0]

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Batches (images float32 (N, C, size, size), labels int64 (N,)) of one epoch."""
        self._size = self._sizes[min(self.epoch, len(self._sizes) - 1)]
        return super().__iter__()

    def _window(self, images: Tensor, generator: torch.Generator) -> Tensor:
        padding = max(self._size + 8 - images.shape[-1], 0) // 2
        images = random_crop(random_flip(images, generator), generator, padding, self._size)
        return images.contiguous(memory_format=torch.channels_last)


def centred(dataset: Dataset) -> Dataset:
    """The data set with pixels scaled as (p - peak / 2) / (peak / 4).

    So the exported network needs one DequantizeLinear in front, with a zero point of peak / 2.
    """
    channels = dataset.train.images.shape[1]
    middle = (dataset.peak + 1) // 2 / dataset.peak
    spread = (dataset.peak + 1) // 4 / dataset.peak
    return replace(dataset, mean=(middle,) * channels, std=(spread,) * channels)


@dataclass(frozen=True)
class Training:
    """The phases on one data set. `held_out` images, if any, are measured every epoch."""

    plan: Plan
    data: Dataset
    images: Split
    held_out: TensorBatches | None
    out: Path
    device: str = "cpu"
    mixed_precision: bool = False

    def batches(self, phase: Windows) -> TensorBatches:
        """The training images of one phase, on the device."""
        size = self.plan.batch_size
        if self.plan.augmented:
            return GrowingWindows(self.data, self.images, size, phase, self.device)
        return TensorBatches(self.data, self.images, size, seed=0, device=self.device)

    def in_floating_point(self, model: SmallResNet) -> None:
        """Train `model` in place, each cycle from half the learning rate of the one before.

        Warm restarts as in SGDR, Loshchilov & Hutter (2017); checkpoints in float-1.pt and so on.
        """
        plan = self.plan
        for cycle, phase in enumerate(plan.float_cycles):
            recipe = Recipe(epochs(phase), plan.lr / 2**cycle, warmup=2, mix=plan.mix)
            self._train(model, phase, recipe, f"float-{cycle + 1}.pt")

    def with_fewer_channels(self, model: SmallResNet) -> SmallResNet:
        """What is left of `model` under the plan's `max_macs`; `model` itself without one."""
        if self.plan.max_macs is None:
            return model
        batches = TensorBatches(self.data, self.images, 250, seed=0, device=self.device)
        some = itertools.islice(iter(batches), IMPORTANCE_BATCHES)
        return slimmed(model, some, self.image_shape, self.plan.max_macs)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(channels, height, width)."""
        channels, height, width = self.data.test.images.shape[1:]
        return channels, height, width

    def at_low_precision(self, model: SmallResNet, teacher: SmallResNet) -> None:
        """Quantise `model`, prune it in rounds and go on training towards the answers of `teacher`.

        Checkpoints in quantised.pt.
        """
        plan, phase = self.plan, self.plan.quantised_phase
        start_quantising(model, plan.bits, plan.edge_bits)
        rounds = PruneInRounds(model, plan.sparsity, epochs(phase) * len(self.batches(phase)))
        recipe = Recipe(epochs(phase), plan.quantised_lr, weight_decay=plan.quantised_decay)
        soft = distillation(teacher)
        self._train(model, phase, recipe, "quantised.pt", after_step=rounds, objective=soft)

    def _train(
        self, model: SmallResNet, phase: Windows, recipe: Recipe, checkpoint: str, **options: Any
    ) -> None:
        train(
            model,
            self.batches(phase),
            self.held_out,
            replace(recipe, mixed_precision=self.mixed_precision),
            checkpoint=self.out / checkpoint,
            progress=True,
            **options,
        )


def prepare(plan: Plan, hold_out: bool) -> tuple[Dataset, Split, TensorBatches | None]:
    """The data, what to train on, and what is held out: without `hold_out` nothing is."""
    data = centred(plan.load())
    if hold_out:
        return data, data.train, TensorBatches(data, data.validation, 500)
    images = torch.cat([data.train.images, data.validation.images])
    labels = torch.cat([data.train.labels, data.validation.labels])
    return data, Split(images, labels), None


def build(plan: Plan) -> SmallResNet:
    """The network of a plan before training."""
    torch.manual_seed(0)
    model = SmallResNet(plan.blocks, plan.widths, plan.channels, groups=plan.groups)
    return model.to(memory_format=torch.channels_last)


def main() -> None:
    """Read the arguments, train, export."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dataset", choices=PLANS, default="digits")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument(
        "--hold-out",
        action="store_true",
        help="measure validation images after each epoch instead of training on them too",
    )
    parser.add_argument(
        "--bfloat16",
        action="store_true",
        help="train in mixed precision: fast where the processor has it, very slow elsewhere",
    )
    parser.add_argument("--device", default="cpu", help="cpu, or cuda where there is one")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    options.out.mkdir(parents=True, exist_ok=True)
    plan = PLANS[options.dataset]
    data, images, held_out = prepare(plan, options.hold_out)
    training = Training(plan, data, images, held_out, options.out, options.device, options.bfloat16)
    model = build(plan).to(options.device)
    training.in_floating_point(model)
    teacher = copy.deepcopy(model).eval()
    model = training.with_fewer_channels(model)
    training.at_low_precision(model, teacher)
    export_submission(model.cpu(), options.out / "model.onnx", training.image_shape, data.peak)
    print(f"wrote {options.out / 'model.onnx'}; now: autograder score")


if __name__ == "__main__":
    main()
