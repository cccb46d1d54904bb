"""Slow references, inputs and networks of the graders of quantization.py.

Nothing here shares code with the solution: codes are computed one by one in rational arithmetic,
layers window by window in Python's integers or in float64, batch norm channel by channel.
"""

from __future__ import annotations

import copy
import functools
import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from autograder.graders.common import built, digits, shuffling
from autograder.graders.toolkit import RandomInputs
from shared.models import DigitsCNN
from shared.records import QParams

TIE = 1e-3  # steps; closer to a tie than this, float32 may round to either side

# ---- codes -----------------------------------------------------------------------------------


def code_range(bits: int, signed: bool = True) -> tuple[int, int]:
    """The lowest and highest of 2**bits consecutive codes."""
    lowest = -(1 << bits >> 1) if signed else 0
    return lowest, lowest + (1 << bits) - 1


def code_of(real: float, scale: float, zero_point: int, bits: int, signed: bool = True) -> int:
    """The code of one number, without any rounding but the last."""
    lowest, highest = code_range(bits, signed)
    if math.isinf(real):
        return highest if real > 0 else lowest
    return min(max(round(Fraction(real) / Fraction(scale)) + zero_point, lowest), highest)


def codes_of(x: Tensor, scale: float, zero_point: int, bits: int, signed: bool = True) -> Tensor:
    """`code_of` for every element: int64, the shape of `x`."""
    codes = [code_of(real, scale, zero_point, bits, signed) for real in x.flatten().tolist()]
    return torch.tensor(codes, dtype=torch.int64).reshape(x.shape)


def along(axis: int, x: Tensor, function: Callable[[int, Tensor], Tensor]) -> Tensor:
    """`function(index, slice)` of every slice along `axis`, put together again."""
    parts = [function(index, part) for index, part in enumerate(x.unbind(axis))]
    return torch.stack(parts, dim=axis)


def affine(low: float, high: float, bits: int) -> QParams:
    """Signed affine parameters of [low, high] with 0."""
    lowest, highest = code_range(bits)
    low, high = min(low, 0.0), max(high, 0.0)
    scale = (high - low) / (highest - lowest)
    return QParams(scale, round(lowest - Fraction(low) / Fraction(scale)))


def squared_error(x: Tensor, params: tuple[float, int], bits: int) -> float:
    """Sum over `x` of the squared error of quantising with signed codes, in float64."""
    scale, zero_point = params
    lowest, highest = code_range(bits)
    codes = ((x.double() / scale).round() + zero_point).clamp(lowest, highest)
    return float((x.double() - scale * (codes - zero_point)).square().sum())


def untied(rng: RandomInputs, scale: float, lowest: int, highest: int, *shape: int) -> Tensor:
    """Float32 numbers whose quotients by `scale` lie in lowest..highest, well away from ties."""
    whole = rng.integers(lowest, highest, *shape).double()
    return ((whole + rng.uniform(*shape, low=-0.45, high=0.45)) * scale).float()


def near_tie(quotients: Tensor) -> Tensor:
    """Where float32 arithmetic may round to the other side; bool, the shape of `quotients`."""
    return (quotients - quotients.floor() - 0.5).abs() < TIE


# ---- integer layers --------------------------------------------------------------------------


@dataclass(frozen=True)
class Layer:
    """The arguments of an integer layer: codes int32, scales, zero points of the activations.

    `weight_scale` is one number, or one for each output channel.
    """

    inputs: Tensor
    weight: Tensor
    bias: Tensor | None
    input_scale: float
    input_zero_point: int
    weight_scale: float | list[float]
    output_scale: float
    output_zero_point: int

    def arguments(self) -> tuple[object, ...]:
        """What the student's function is called with, `bits` and geometry left out."""
        if isinstance(self.weight_scale, list):
            zeros = torch.zeros(len(self.weight), dtype=torch.int32)
            weight_params = QParams(torch.tensor(self.weight_scale), zeros)
        else:
            weight_params = QParams(self.weight_scale, 0)
        return (
            self.inputs,
            self.weight,
            self.bias,
            QParams(self.input_scale, self.input_zero_point),
            weight_params,
            QParams(self.output_scale, self.output_zero_point),
        )

    def multiplier(self, channel: int) -> float:
        """What a sum of products of codes is worth in steps of the output."""
        scale = self.weight_scale
        own = scale[channel] if isinstance(scale, list) else scale
        return float(Fraction(self.input_scale) * Fraction(own) / Fraction(self.output_scale))

    def steps(self, sums: Tensor, channel_dim: int) -> Tensor:
        """Sums of integer products (int64) as steps of the output, float64, not yet rounded."""

        def scaled(channel: int, part: Tensor) -> Tensor:
            bias = 0 if self.bias is None else int(self.bias[channel])
            return (part + bias).double() * self.multiplier(channel)

        return along(channel_dim, sums, scaled)


def linear_steps(layer: Layer) -> Tensor:
    """What a Linear layer should give, in steps of its output, before rounding; float64."""
    inputs = layer.inputs.reshape(-1, layer.inputs.shape[-1]).tolist()
    weight = layer.weight.tolist()
    sums = [
        [
            sum((a - layer.input_zero_point) * w for a, w in zip(x, row, strict=True))
            for row in weight
        ]
        for x in inputs
    ]
    steps = layer.steps(torch.tensor(sums, dtype=torch.int64), 1)
    return steps.reshape(*layer.inputs.shape[:-1], len(weight))


def conv_steps(
    layer: Layer,
    stride: int | tuple[int, int] = 1,
    padding: int | tuple[int, int] = 0,
    dilation: int | tuple[int, int] = 1,
    groups: int = 1,
) -> Tensor:
    """What a convolution should give, in steps of its output, before rounding; float64.

    Windows are visited one by one; outside the image the real input is 0.
    """
    strides, pads, spacings = (
        each if isinstance(each, tuple) else (each, each) for each in (stride, padding, dilation)
    )
    real = layer.inputs.to(torch.int64) - layer.input_zero_point
    weight = layer.weight.to(torch.int64)
    (images, channels, *size), (outputs, depth, *kernel) = real.shape, weight.shape
    extents = [extent + 2 * pad for extent, pad in zip(size, pads, strict=True)]
    padded = torch.zeros(images, channels, *extents, dtype=torch.int64)
    inner = [slice(pad, pad + extent) for extent, pad in zip(size, pads, strict=True)]
    padded[:, :, inner[0], inner[1]] = real
    starts = [
        range(0, extents[axis] - spacings[axis] * (kernel[axis] - 1), strides[axis])
        for axis in (0, 1)
    ]
    sums = torch.zeros(images, outputs, len(starts[0]), len(starts[1]), dtype=torch.int64)
    for (i, row), (j, column) in itertools.product(*map(enumerate, starts)):
        rows = [row + spacings[0] * k for k in range(kernel[0])]
        columns = [column + spacings[1] * k for k in range(kernel[1])]
        window = padded[:, :, rows][:, :, :, columns]
        for output in range(outputs):
            first = output // (outputs // groups) * depth
            seen = window[:, first : first + depth]
            sums[:, output, i, j] = (seen * weight[output]).sum(dim=(1, 2, 3))
    return layer.steps(sums, 1)


def right_codes(got: Tensor, steps: Tensor, zero_point: int, bits: int, exact: bool) -> bool:
    """Whether `got` are the rounded, moved and saturated `steps`; near ties by one either way.

    With `exact` (scales that are powers of two) ties have to go to the even number.
    """
    lowest, highest = code_range(bits)
    expected = torch.tensor(
        [min(max(round(step) + zero_point, lowest), highest) for step in steps.flatten().tolist()]
    ).reshape(steps.shape)
    off = (got.to(torch.int64) - expected).abs()
    allowed = torch.zeros_like(off) if exact else near_tie(steps).to(torch.int64)
    return bool((off <= allowed).all())


# ---- batch norm ------------------------------------------------------------------------------


def folded(
    weight: Tensor, bias: Tensor | None, norm: Sequence[Tensor], eps: float
) -> tuple[Tensor, Tensor]:
    """Weight and bias in float64 with the norm (gamma, beta, mean, var) inside, by channel."""
    gamma, beta, mean, var = (part.tolist() for part in norm)
    factors = [g / math.sqrt(v + eps) for g, v in zip(gamma, var, strict=True)]
    before = [0.0] * len(weight) if bias is None else bias.tolist()
    after = [
        (b - m) * f + shift for b, m, f, shift in zip(before, mean, factors, beta, strict=True)
    ]
    scaled = along(0, weight.double(), lambda channel, part: part * factors[channel])
    return scaled, torch.tensor(after, dtype=torch.float64)


# ---- BinaryConnect ---------------------------------------------------------------------------

Loss = Callable[[Tensor, Tensor], Tensor]


def prunable(model: nn.Module) -> list[Tensor]:
    """The weights of Linear and Conv2d layers."""
    return [
        module.weight for module in model.modules() if isinstance(module, nn.Linear | nn.Conv2d)
    ]


def binary_step(
    model: nn.Module,
    batch: tuple[Tensor, Tensor],
    loss: Loss,
    optimizer: torch.optim.Optimizer,
) -> None:
    """One step of BinaryConnect, in place: a binary twin gives the gradients."""
    twin = copy.deepcopy(model)
    with torch.no_grad():
        for weight in prunable(twin):
            weight.copy_(torch.where(weight >= 0, 1.0, -1.0))
    names = [name for name, _ in twin.named_parameters()]
    gradients = torch.autograd.grad(loss(twin(batch[0]), batch[1]), list(twin.parameters()))
    for name, gradient in zip(names, gradients, strict=True):
        model.get_parameter(name).grad = gradient
    optimizer.step()
    with torch.no_grad():
        for weight in prunable(model):
            weight.clamp_(-1.0, 1.0)


# ---- networks --------------------------------------------------------------------------------


@dataclass(frozen=True)
class TrainedModel:
    """A network in eval mode, images and labels to calibrate with, and held-out ones."""

    model: DigitsCNN
    seen: tuple[Tensor, Tensor]
    held_out: tuple[Tensor, Tensor]


def trained_digits(rng: RandomInputs) -> TrainedModel:
    """A trained network for the digits, turned or mirrored, its classes renamed, at random.

    A network that was trained before on the public data set is no use on these images.
    """
    model, order = _trained()
    images, labels = digits()
    turns, mirrored, names = rng.integer(0, 3), rng.integer(0, 1), rng.permutation(10)

    def turned(x: Tensor) -> Tensor:
        x = torch.rot90(x, turns, (2, 3))
        return (x.flip(3) if mirrored else x).contiguous()

    model = copy.deepcopy(model)
    with torch.no_grad():
        for layer in model.features:
            if isinstance(layer, nn.Conv2d):
                layer.weight.copy_(turned(layer.weight))
        model.classifier.weight.copy_(model.classifier.weight[names.argsort()])
        model.classifier.bias.copy_(model.classifier.bias[names.argsort()])
    images, labels = turned(images[order]), names[labels[order]]
    return TrainedModel(model, (images[:256], labels[:256]), (images[TRAINING:], labels[TRAINING:]))


TRAINING = 1280  # images
BATCH = 32
EPOCHS = 3


@functools.cache
def _trained() -> tuple[DigitsCNN, Tensor]:
    """DigitsCNN(8) after a few epochs, and the order of the digits: TRAINING of them first."""
    rng = RandomInputs(b"weights for quantisation")
    images, labels = digits()
    order = rng.permutation(len(labels))
    model = built(lambda: DigitsCNN(8), rng)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.03)
    steps = EPOCHS * TRAINING // BATCH
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    train = order[:TRAINING]
    loader = shuffling(images[train], labels[train], BATCH, rng)
    for _ in range(EPOCHS):
        for batch, targets in loader:
            optimizer.zero_grad()
            torch.autograd.backward(F.cross_entropy(model(batch), targets))
            optimizer.step()
            schedule.step()
    return model.eval(), order


def distinct(values: Tensor) -> int:
    """How many different numbers there are, up to float32 rounding of a common computation."""
    ordered = values.double().flatten().sort().values
    gap = 1e-4 * float(ordered[-1] - ordered[0])
    return 1 + int((ordered.diff() > gap).sum())


def most_distinct(values: Tensor, channel_dim: int = 1) -> int:
    """The largest number of different values that a channel has."""
    return max(distinct(part) for part in values.unbind(channel_dim))


def impulses(channels: int, kernel: int, height: float) -> Tensor:
    """Every image (channels, kernel, kernel) that is `height` at one place and 0 elsewhere."""
    count = channels * kernel * kernel
    return (torch.eye(count) * height).reshape(count, channels, kernel, kernel)
