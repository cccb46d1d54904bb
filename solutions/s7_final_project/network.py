"""The network of the reference solution: a small residual network that trains at low precision."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch.nn.functional as F
from quantised import ConvNorm, QuantisedLinear, Quantiser
from torch import Tensor, nn


class Block(nn.Module):
    """Two 3x3 convolutions and a shortcut (He et al. 2016).

    What the convolutions read is quantised; what an identity shortcut adds is not, because sums
    cost nothing in bits and every rounding there would stay until the end of the network.
    """

    def __init__(
        self, inputs: int, outputs: int, stride: int, groups: int = 1, inner: int | None = None
    ) -> None:
        super().__init__()
        between = inner or outputs
        self.input = Quantiser(signed=False)
        self.first = ConvNorm(inputs, between, 3, stride, groups)
        self.middle = Quantiser(signed=False)
        self.second = ConvNorm(between, outputs, 3, 1, groups)
        self.shortcut = ConvNorm(inputs, outputs, 1, stride) if inputs != outputs else None

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, outputs, H / stride, W / stride); both at least 0."""
        codes = self.input(x)
        y = self.middle(F.relu(self.first(codes)))
        y = self.second(y) + (x if self.shortcut is None else self.shortcut(codes))
        return F.relu(y)


class SmallResNet(nn.Module):
    """3x3 stem, one stage of `blocks[i]` blocks with `widths[i]` channels each, pooling, linear.

    With `groups` above 1 the 3x3 convolutions of the blocks are grouped: as many times cheaper.
    `inner[i]` channels lie between the two convolutions of a block, by default `widths[i]`: few of
    them are cheap where images are large, while the sums keep all channels.

    Input: pixels p of 0..peak as (p - peak / 2) / (peak / 4), see `plans.centred`.
    """

    def __init__(
        self,
        blocks: Sequence[int] = (1, 2, 2),
        widths: Sequence[int] = (16, 32, 64),
        channels: int = 3,
        classes: int = 10,
        groups: int = 1,
        inner: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        self.stem = ConvNorm(channels, widths[0], 3)
        self.stages = nn.Sequential()
        pairs = itertools.pairwise((widths[0], *widths))
        for count, (before, width), between in zip(blocks, pairs, inner or widths, strict=True):
            stride = 2 if len(self.stages) else 1
            first = Block(before, width, stride, groups, between)
            others = (Block(width, width, 1, groups, between) for _ in range(count - 1))
            self.stages.append(nn.Sequential(first, *others))
        self.pooled = Quantiser(signed=False)
        self.classifier = QuantisedLinear(widths[-1], classes)

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) to logits (N, classes)."""
        x = self.stages(F.relu(self.stem(x)))
        x = self.pooled(x.mean(dim=(2, 3)))
        logits: Tensor = self.classifier(x)
        return logits
