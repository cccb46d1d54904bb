"""Training batches: windows of images, mirrored in turns, with labels or stored answers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from soft_labels import SoftLabels
from torch import Tensor

from shared.data import Dataset, Split, TensorBatches, normalise, to_float

Windows = tuple[tuple[int, int], ...]  # (epochs, pixels) after each other


@dataclass(frozen=True)
class Changes:
    """How an image may differ from epoch to epoch.

    `offsets` are the places of a window in each direction, see `cut`. With `mirror` every image is
    mirrored in every other epoch, half of them in the first (Jordan, "94% on CIFAR-10 in 3.29
    seconds", 2024). `brightness` is the largest relative change of an image's brightness, `noise`
    the deviation of its pixels as a share of full intensity.
    """

    offsets: int
    mirror: bool
    brightness: float = 0.0
    noise: float = 0.0


def epochs(phase: Windows) -> int:
    """All epochs of a phase."""
    return sum(count for count, _ in phase)


def cut(images: Tensor, places: Tensor, size: int, offsets: int, fill: int) -> Tensor:
    """One window of each image.

    `offsets` places in each direction, around the middle: place row * offsets + column. A window
    may reach beyond the image. Windows of two sizes at one place have the same center.

    Args:
        images: any dtype (N, C, S, S).
        places: int64 (N,), below offsets squared.
        size: pixels in each direction.
        fill: the value beyond the image.

    Returns:
        (N, C, size, size), channels last in memory.
    """
    first = (images.shape[-1] - size - offsets + 1) // 2
    padding = max(0, -first)
    padded = F.pad(images, [padding] * 4, value=fill).permute(0, 2, 3, 1)
    pixels = torch.arange(first + padding, first + padding + size, device=images.device)
    rows = (places // offsets).view(-1, 1, 1) + pixels.view(-1, 1)
    columns = (places % offsets).view(-1, 1, 1) + pixels
    every = torch.arange(len(images), device=images.device).view(-1, 1, 1)
    return padded[every, rows, columns].permute(0, 3, 1, 2)


class GrowingWindows(TensorBatches):
    """Batches of windows whose size depends on the epoch, changed as `changes` says.

    With `soft` the places are those that a teacher looked at, in turns, and its logits take the
    place of the labels.
    """

    def __init__(
        self,
        dataset: Dataset,
        split: Split,
        batch_size: int,
        phase: Windows,
        changes: Changes,
        soft: SoftLabels | None = None,
        device: torch.device | str = "cpu",
        seed: int = 0,
    ) -> None:
        super().__init__(dataset, split, batch_size, seed, device=device)
        self._sizes = [size for count, size in phase for _ in range(count)]
        self._changes = changes
        self._soft = None if soft is None else soft.to(device)
        self._draws = seed
        self._start = self._drawn(2**20, epoch=-1)
        self._size, self._turns, self._places = self._sizes[0], self._start, self._start

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Batches (images float32 (N, C, size, size), targets) of one epoch.

        Targets are labels int64 (N,), or with `soft` logits float32 (N, classes).
        """
        epoch = self.epoch
        self._size = self._sizes[min(epoch, len(self._sizes) - 1)]
        self._turns = self._start + epoch
        self._places = self._drawn(self._changes.offsets**2, epoch)
        return super().__iter__()

    def _drawn(self, high: int, epoch: int) -> Tensor:
        """A number below `high` for each image, int64 (N,), the same whenever it is asked for."""
        generator = torch.Generator().manual_seed(self._draws * 1_000_003 + epoch + 1)
        draws = torch.randint(high, (len(self.labels),), generator=generator)
        return draws.to(self.labels.device)

    def batch(self, indices: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """The samples at `indices` (int64), in the windows of this epoch."""
        turns, places, targets = self._turns[indices], self._places[indices], self.labels[indices]
        if self._soft is not None:
            # mirrored changes with every epoch, the place with every second one
            places, targets = self._soft.look_up(indices, turns // 2)
        peak = self.dataset.peak
        images = cut(
            self.images[indices], places, self._size, self._changes.offsets, (peak + 1) // 2
        )
        images = self._relit(to_float(images, peak), generator)
        images = normalise(images, self.dataset.mean, self.dataset.std)
        if self._changes.mirror:
            images = torch.where((turns % 2 == 1).view(-1, 1, 1, 1), images.flip(-1), images)
        return images.contiguous(memory_format=torch.channels_last), targets

    def _relit(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Images in 0..1, each a bit brighter or darker, each pixel changed a little."""
        if self._changes.brightness:
            draws = 2 * torch.rand(len(images), 1, 1, 1, generator=generator) - 1
            images = images * (1 + self._changes.brightness * draws).to(images.device)
        if self._changes.noise:
            draws = torch.randn(images.shape, generator=generator)
            images = images + self._changes.noise * draws.to(images.device)
        return images
