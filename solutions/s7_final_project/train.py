"""Train the reference solution: in floating point, then pruned, quantised and distilled.

    python train.py --dataset digits --out build/digits        a minute
    COURSE_DATA=... python train.py --dataset cifar10 --out build/cifar10

Each phase is checkpointed after every epoch; the same command goes on where it stopped.
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from export import export_submission
from network import SmallResNet
from quantised import ConvNorm, Quantiser
from torch import Tensor, nn

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
    bits: int = 4
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


# ---- recipes ---------------------------------------------------------------------------------


def convolutions(model: nn.Module) -> Iterator[ConvNorm]:
    """The prunable layers."""
    return (module for module in model.modules() if isinstance(module, ConvNorm))


def start_quantising(model: SmallResNet, bits: int, edge_bits: int) -> None:
    """Quantise to `bits`; the first and the last layer, which suffer most, to `edge_bits`."""
    edges = {model.stem.quantiser, model.pooled, model.classifier.quantiser}
    for module in model.modules():
        if isinstance(module, Quantiser):
            module.start(edge_bits if module in edges else bits)


@torch.no_grad()
def prune_globally(model: nn.Module, sparsity: float) -> None:
    """Mask the smallest share of all weights, each layer relative to its own mean magnitude.

    Relative magnitudes keep a layer with small weights from vanishing (LAMP and its kin).
    """
    layers = list(convolutions(model))
    scores = [layer.conv.weight.abs() / layer.conv.weight.abs().mean() for layer in layers]
    everything = torch.cat([score.flatten() for score in scores])
    count = round(sparsity * everything.numel())
    if count == 0:
        return
    threshold = everything.kthvalue(count).values
    for layer, score in zip(layers, scores, strict=True):
        layer.mask.copy_(score > threshold)


def distillation(
    teacher: nn.Module, temperature: float = 4.0, alpha: float = 0.3
) -> Callable[[nn.Module, Tensor, Tensor], Tensor]:
    """alpha * cross-entropy + (1 - alpha) * T^2 * KL(teacher || student): Hinton et al. 2015."""

    def objective(model: nn.Module, inputs: Tensor, targets: Tensor) -> Tensor:
        logits = model(inputs).float()
        with torch.no_grad():
            wanted = F.softmax(teacher(inputs).float() / temperature, dim=1)
        soft = F.kl_div(F.log_softmax(logits / temperature, 1), wanted, reduction="batchmean")
        return alpha * F.cross_entropy(logits, targets) + (1 - alpha) * temperature**2 * soft

    return objective


class Schedule:
    """Prunes in rounds: cubic to `sparsity` over the first half of `steps` (Zhu & Gupta 2017)."""

    def __init__(self, model: nn.Module, sparsity: float, steps: int, every: int = 50) -> None:
        self._model, self._final, self._steps, self._every = model, sparsity, steps, every
        self._step = 0

    def __call__(self) -> None:
        """After an optimiser step."""
        self._step += 1
        ramp = self._steps // 2
        if self._step <= ramp and self._step % self._every == 0:
            left = 1 - self._step / ramp
            prune_globally(self._model, self._final * (1 - left**3))


def main() -> None:
    """Read the arguments and train."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", choices=PLANS, default="digits")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
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
    model = SmallResNet(plan.blocks, plan.widths, plan.channels).to(
        memory_format=torch.channels_last
    )
    batches = partial(
        TensorBatches, data, batch_size=plan.batch_size, seed=0, augmentation=plan.augmentation
    )

    recipe = Recipe(plan.float_epochs, plan.lr, warmup=2, mixed_precision=True)
    checkpoint = options.out / "float.pt"
    history = train(
        model, batches(data.train), validation, recipe, checkpoint=checkpoint, progress=True
    )
    print(f"floating point: {history.val_accuracy[-1]:.4f} on validation images")
    teacher = copy.deepcopy(model).eval()

    start_quantising(model, plan.bits, plan.edge_bits)
    fine = batches(both)
    steps = plan.quantised_epochs * len(fine)
    recipe = Recipe(
        plan.quantised_epochs, plan.lr / 4, weight_decay=1e-4, warmup=1, mixed_precision=True
    )
    history = train(
        model,
        fine,
        validation,
        recipe,
        objective=distillation(teacher),
        after_step=Schedule(model, plan.sparsity, steps),
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
