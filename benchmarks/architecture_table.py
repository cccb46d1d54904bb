"""Trains the architectures that session 5's searches are graded on, and writes them as one file.

    python -m benchmarks.architecture_table [FILE]

The family: two convolutions and a linear layer for the embedded 8x8 digits, 1,350 networks, each
trained with `SEEDS` seeds (initialisation and order of the images). All networks of one shape, with
all seeds, train at once as batched matrix products. On one thread it takes some minutes.

The file (NumPy's `.npz`) holds for each architecture, in the order of `itertools.product` over
`CHOICES`: right answers on the validation images after each epoch and on the test images after the
last, parameters and multiply-accumulates. `autograder.graders.s5_automl.architectures` reads it.
"""

from __future__ import annotations

import itertools
import math
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from autograder.graders.s5_automl.architectures import CHOICES, FILE
from shared.data import load_digits

SEEDS = 3
EPOCHS = 8
BATCH = 84
TRAINING_IMAGES = 420  # 5 batches an epoch
PEAK_RATE = 0.02
CLASSES = 10
SIDE = 8


@dataclass(frozen=True)
class Shape:
    """What decides the shapes of the tensors: all of an architecture but activation and head."""

    kernel: int
    stride: int
    first: int
    second: int

    @property
    def places(self) -> tuple[int, int]:
        """Positions of the outputs of both convolutions; the second one has stride 2."""
        side = SIDE // self.stride
        return side**2, (side // 2) ** 2

    def features(self, head: str) -> int:
        """Inputs of the linear layer."""
        return self.second * (self.places[1] if head == "flatten" else 1)

    def weights(self, head: str) -> tuple[tuple[int, int], ...]:
        """(inputs, outputs) of both convolutions, seen as matrices, and of the linear layer."""
        area = self.kernel**2
        return (
            (area, self.first),
            (area * self.first, self.second),
            (self.features(head), CLASSES),
        )

    def params(self, head: str) -> int:
        """Weights and biases."""
        return sum((inputs + 1) * outputs for inputs, outputs in self.weights(head))

    def macs(self, head: str) -> int:
        """Multiply-accumulates for one image, padding counted as data."""
        sizes = zip(self.weights(head), (*self.places, 1), strict=True)
        return sum(inputs * outputs * places for (inputs, outputs), places in sizes)


ACTIVATIONS = CHOICES["activation"]
HEADS = CHOICES["head"]
VARIANTS = len(ACTIVATIONS) * len(HEADS)
"""Networks of one shape and seed: activation by activation, heads in turn."""
APPLY = {"relu": torch.relu, "tanh": torch.tanh, "identity": lambda x: x}


def initial(shape: Shape, generator: torch.Generator) -> list[Tensor]:
    """Weights (networks, in, out) and biases (networks, 1, out), uniform as PyTorch's layers are.

    Networks are SEEDS times VARIANTS of both convolutions, and SEEDS times activations of the
    linear layer of each head.
    """
    counts = [(VARIANTS, "flatten", 0), (VARIANTS, "flatten", 1)]
    counts += [(len(ACTIVATIONS), head, 2) for head in HEADS]
    parameters = []
    for count, head, layer in counts:
        inputs, outputs = shape.weights(head)[layer]
        for rows in (inputs, 1):
            drawn = torch.rand(SEEDS * count, rows, outputs, generator=generator)
            parameters.append(((2 * drawn - 1) / math.sqrt(inputs)).requires_grad_())
    return parameters


def activated(x: Tensor) -> Tensor:
    """Each network's activation of (SEEDS, activations, heads, ...)."""
    parts = [APPLY[name](x[:, index]) for index, name in enumerate(ACTIVATIONS)]
    return torch.stack(parts, 1)


def logits(shape: Shape, parameters: list[Tensor], patches: Tensor) -> Tensor:
    """(SEEDS, activations, heads, N, CLASSES) from patches (SEEDS, N, places, area)."""
    w1, b1, w2, b2, *linear = parameters
    seeds, count, places, _ = patches.shape
    networks = (seeds, len(ACTIVATIONS), len(HEADS))
    # the first convolution: all networks of a seed see the same images
    wide = w1.unflatten(0, (seeds, VARIANTS)).transpose(1, 2).flatten(2)
    x = patches.flatten(1, 2).bmm(wide).unflatten(2, (VARIANTS, shape.first))
    x = x.permute(0, 2, 1, 3) + b1.unflatten(0, (seeds, VARIANTS))
    x = activated(x.unflatten(1, networks[1:])).reshape(-1, places, shape.first)
    side = math.isqrt(places)
    x = x.transpose(1, 2).unflatten(2, (side, side))
    x = F.unfold(x, shape.kernel, padding=shape.kernel // 2, stride=2).transpose(1, 2)
    x = torch.baddbmm(b2, x.reshape(len(w2), -1, x.shape[-1]), w2)
    x = activated(x.unflatten(0, networks)).unflatten(3, (count, shape.places[1]))
    outputs = []
    for index, head in enumerate(HEADS):
        part = x[:, :, index].flatten(0, 1)  # (SEEDS * activations, N, places, second)
        pooled = {"mean": lambda p: p.mean(2), "max": lambda p: p.amax(2)}
        features = pooled[head](part) if head in pooled else part.flatten(2)
        out = torch.baddbmm(linear[2 * index + 1], features, linear[2 * index])
        outputs.append(out.unflatten(0, networks[:2]))
    return torch.stack(outputs, 2)


def patches_of(images: Tensor, shape: Shape) -> Tensor:
    """(N, places, area): what each output of the first convolution sees of images (N, 8, 8)."""
    padding = shape.kernel // 2
    return F.unfold(images[:, None], shape.kernel, padding=padding, stride=shape.stride).mT


def trained(shape: Shape, data: dict[str, Tensor], seed: int) -> tuple[Tensor, Tensor]:
    """Right answers: validation (EPOCHS, SEEDS, activations, heads), test without the epochs.

    Adam (Kingma and Ba 2015) with cosine decay, by hand for all networks at once.
    """
    generator = torch.Generator().manual_seed(seed)
    parameters = initial(shape, generator)
    averages = [(torch.zeros_like(p), torch.zeros_like(p)) for p in parameters]
    seen = {name: patches_of(data[name], shape) for name in ("train", "validation", "test")}
    steps, done, right = EPOCHS * (TRAINING_IMAGES // BATCH), 0, []
    for _ in range(EPOCHS):
        orders = [torch.randperm(TRAINING_IMAGES, generator=generator) for _ in range(SEEDS)]
        for rows in torch.stack(orders).split(BATCH, dim=1):
            done += 1
            rate = PEAK_RATE * (1 + math.cos(math.pi * done / steps)) / 2
            outputs = logits(shape, parameters, seen["train"][rows])
            targets = data["train targets"][rows][:, None, None].expand(outputs.shape[:-1])
            loss = F.cross_entropy(outputs.flatten(0, -2), targets.flatten(), reduction="sum")
            gradients = torch.autograd.grad(loss / BATCH, parameters)
            with torch.no_grad():
                for p, g, (mean, square) in zip(parameters, gradients, averages, strict=True):
                    mean.lerp_(g, 0.1)
                    square.lerp_(g * g, 0.01)
                    scale = (square / (1 - 0.99**done)).sqrt_().add_(1e-8)
                    p.addcdiv_(mean, scale, value=-rate / (1 - 0.9**done))
        right.append(correct(shape, parameters, seen["validation"], data["validation targets"]))
    return torch.stack(right), correct(shape, parameters, seen["test"], data["test targets"])


def correct(shape: Shape, parameters: list[Tensor], patches: Tensor, targets: Tensor) -> Tensor:
    """Right answers of each network, (SEEDS, activations, heads)."""
    counts = []
    with torch.no_grad():
        for part, wanted in zip(patches.split(BATCH), targets.split(BATCH), strict=True):
            outputs = logits(shape, parameters, part.expand(SEEDS, -1, -1, -1))
            counts.append((outputs.argmax(-1) == wanted).sum(-1))
    return torch.stack(counts).sum(0)


def images() -> dict[str, Tensor]:
    """The digits, each pixel around 0, as `trained` takes them."""
    data = load_digits().scaled()
    parts = {"train": data.train, "validation": data.validation, "test": data.test}
    found = {}
    for name, part in parts.items():
        found[name], found[f"{name} targets"] = part.images[:, 0] * 2 - 1, part.labels
    return found


def main() -> None:
    """Train everything and write the file."""
    torch.set_num_threads(1)
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else FILE
    data, started = images(), time.perf_counter()
    kernels, strides, firsts, seconds = (
        CHOICES[n] for n in ("kernel", "stride", "first", "second")
    )
    sizes = (len(kernels), len(strides), len(ACTIVATIONS), len(HEADS), len(firsts), len(seconds))
    validation = np.zeros((*sizes, EPOCHS, SEEDS), np.uint16)
    test = np.zeros((*sizes, SEEDS), np.uint16)
    params, macs = np.zeros(sizes, np.int32), np.zeros(sizes, np.int32)
    shapes = itertools.product(*map(enumerate, (kernels, strides, firsts, seconds)))
    for number, genes in enumerate(shapes):
        (k, s, f, c), values = zip(*genes, strict=True)
        shape = Shape(*values)
        by_epoch, at_end = trained(shape, data, seed=number)
        validation[k, s, :, :, f, c] = by_epoch.permute(2, 3, 0, 1).numpy()
        test[k, s, :, :, f, c] = at_end.permute(1, 2, 0).numpy()
        for head, name in enumerate(HEADS):
            params[k, s, :, head, f, c] = shape.params(name)
            macs[k, s, :, head, f, c] = shape.macs(name)
        print(f"{number + 1} shapes, {time.perf_counter() - started:.0f} s", flush=True)
    np.savez_compressed(
        path,
        validation=validation.reshape(-1, EPOCHS, SEEDS),
        test=test.reshape(-1, SEEDS),
        params=params.ravel(),
        macs=macs.ravel(),
        images=np.array([len(data["validation"]), len(data["test"])], np.int32),
    )
    print(f"{path}: {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
