"""Networks, inputs and slow references of session 1's graders.

Nothing here shares code with `shared` or with the solution: what can be counted by hand or by
brute force is.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from autograder.graders.common import drawn
from autograder.graders.toolkit import RandomInputs

M = TypeVar("M", bound=nn.Module)
Batches = DataLoader[tuple[Tensor, ...]]

Step = tuple[Sequence[str], str]


# ---- networks ------------------------------------------------------------------------------


def plain_network(rng: RandomInputs) -> nn.Sequential:
    """Convolutions and Linear layers of drawn sizes for (N, 3, 8, 8), two levels deep."""
    a, b, classes = rng.integer(3, 7), rng.integer(3, 7), rng.integer(3, 9)
    network = nn.Sequential(
        nn.Sequential(nn.Conv2d(3, a, 3, padding=1), nn.ReLU()),
        nn.Sequential(nn.Conv2d(a, b, rng.choice([1, 3]), bias=False), nn.ReLU()),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(4 * b, classes),
    )
    return drawn(network, rng)


def normalised_network(rng: RandomInputs) -> nn.Sequential:
    """Like `plain_network`, with batch norm after the first convolution: buffers, mode."""
    a, classes = rng.integer(3, 7), rng.integer(3, 9)
    network = nn.Sequential(
        nn.Sequential(nn.Conv2d(3, a, 3, padding=1, bias=False), nn.BatchNorm2d(a), nn.ReLU()),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(4 * a, classes),
    )
    return drawn(network, rng)


def zeros_at_random(model: M, rng: RandomInputs, share: float = 0.4) -> M:
    """`model`, about `share` of each parameter set to 0, in place; some of the zeros are -0.0."""
    with torch.no_grad():
        for parameter in model.parameters():
            zero = rng.uniform(*parameter.shape) < share
            parameter[zero] = rng.choice([0.0, -0.0])
    return model


# ---- counting ------------------------------------------------------------------------------


def window_positions(size: int, kernel: int, stride: int, padding: int, dilation: int) -> int:
    """How many windows fit along one axis, counted one by one."""
    reach = dilation * (kernel - 1)
    return sum(1 for _ in range(-padding, size + padding - reach, stride))


def peak_bytes(sizes: Mapping[str, int], steps: Sequence[Step]) -> int:
    """The largest sum of live tensors over `steps`, each the tensors it reads and the one it makes.

    `sizes` maps tensor names to bytes; the first step's first input is the model input. Views and
    in-place results are left out of `steps`: they are the tensor that they share storage with.
    """
    peak = 0
    made = {steps[0][0][0]}
    for position, (inputs, output) in enumerate(steps):
        later = {name for reads, _ in steps[position + 1 :] for name in reads}
        live = set(inputs) | {output} | (made & later)
        peak = max(peak, sum(sizes[name] for name in live))
        made.add(output)
    return peak


def chain(names: str) -> list[Step]:
    """Steps "x a b": x makes a, a makes b."""
    order = names.split()
    return [((before,), after) for before, after in itertools.pairwise(order)]


# ---- evaluation ----------------------------------------------------------------------------


def cross_entropy(logits: Tensor, targets: Tensor) -> float:
    """Mean cross-entropy over samples, one sample after the other in float64."""
    losses = []
    for row, target in zip(logits.double(), targets.tolist(), strict=True):
        top = float(row.max())
        total = math.fsum(math.exp(float(value) - top) for value in row)
        losses.append(top + math.log(total) - float(row[target]))
    return math.fsum(losses) / len(losses)


def percentile(values: Sequence[float], share: float) -> float:
    """Linear interpolation between the two closest order statistics."""
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    lower = math.floor(place)
    upper = min(lower + 1, len(ordered) - 1)
    return ordered[lower] + (place - lower) * (ordered[upper] - ordered[lower])


class Stopwatch:
    """A host with a device, as a timing loop sees them.

    Call number i of `run` takes `durations[i]`: on the host, or, with `queued`, on the device,
    which works asynchronously until somebody calls `wait`. After each second reading of `clock`
    somebody else queues `stray` work. Durations that are multiples of 1/64 are added exactly.
    """

    def __init__(
        self, durations: Sequence[float], queued: bool = False, stray: float = 0.0
    ) -> None:
        self.durations = durations
        self.queued = queued
        self.stray = stray
        self.now = 4096.0
        self.pending = stray
        self.runs = 0
        self.reads = 0

    def run(self) -> None:
        """Work, as the function under measurement does."""
        duration = self.durations[min(self.runs, len(self.durations) - 1)]
        self.runs += 1
        if self.queued:
            self.pending += duration
        else:
            self.now += duration

    def wait(self) -> None:
        """Synchronise: return when the device has finished."""
        self.now += self.pending
        self.pending = 0.0

    def clock(self) -> float:
        """Tell the time."""
        self.reads += 1
        if self.reads % 2 == 0:
            self.pending += self.stray
        return self.now


# ---- training ------------------------------------------------------------------------------


def cut_box(size: tuple[int, int], lam: float, center: tuple[int, int]) -> set[tuple[int, int]]:
    """The pixels that CutMix replaces, found by testing every pixel."""
    half = [int(extent * math.sqrt(1 - lam)) // 2 for extent in size]
    return {
        (row, column)
        for row in range(size[0])
        for column in range(size[1])
        if center[0] - half[0] <= row < center[0] + half[0]
        and center[1] - half[1] <= column < center[1] + half[1]
    }
