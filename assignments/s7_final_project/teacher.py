# Generated from solutions/s7_final_project/teacher.py by `autograder release`: change it there.
"""The teacher: a wide, shallow network that learns fast (after Jordan, "94% on CIFAR-10 in 3.29
seconds on a single GPU", 2024)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

WHITENING_IMAGES = 5000
WHITENING_FLOOR = 5e-4  # of a variance, so that flat patches are not blown up
LOGIT_SCALE = 1 / 9
BIAS_SPEED = 8


class Norm(nn.BatchNorm2d):
    """Batch norm without a trained scale; its bias is `BIAS_SPEED` times a parameter.

    So weight decay cannot shrink what a layer says, and biases learn `BIAS_SPEED` squared times as
    fast as weights: both are Jordan's.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.weight.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) to the same."""
        bias = BIAS_SPEED * self.bias
        mean, variance = self.running_mean, self.running_var
        return F.batch_norm(x, mean, variance, None, bias, self.training, eps=self.eps)


class Group(nn.Module):
    """3x3 convolution, pooling over 2 x 2, then another convolution; each with batch norm."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        self.first_norm = Norm(outputs)
        self.second = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.second_norm = Norm(outputs)
        for conv in (self.first, self.second):  # what comes in passes unchanged at the beginning
            nn.init.dirac_(conv.weight[: conv.in_channels].data)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, outputs, H // 2, W // 2)."""
        x = F.relu(self.first_norm(F.max_pool2d(self.first(x), 2)))
        return F.relu(self.second_norm(self.second(x)))


class Teacher(nn.Module):
    """Whitened 2x2 patches, groups of convolutions, the largest value of each channel, linear.

    In eval mode with `mirror` the logits are the mean over the image and its mirror image.
    """

    def __init__(
        self, widths: Sequence[int], channels: int = 3, classes: int = 10, mirror: bool = True
    ) -> None:
        super().__init__()
        self.mirror = mirror
        patch = channels * 2 * 2
        self.whitening = nn.Conv2d(channels, 2 * patch, 2)
        self.whitening.weight.requires_grad_(False)
        sizes = [2 * patch, *widths]
        self.groups = nn.Sequential(*(Group(a, b) for a, b in zip(sizes, widths)))
        self.classifier = nn.Linear(widths[-1], classes, bias=False)

    @torch.no_grad()
    def whiten(self, images: Tensor) -> None:
        """Set the first layer from `images` (N, C, H, W): its outputs are not correlated.

        Each direction comes twice, with both signs, so that nothing is lost in a ReLU.
        """
        patches = F.unfold(images[:WHITENING_IMAGES], 2).transpose(1, 2).flatten(0, 1)
        variances, directions = torch.linalg.eigh(torch.cov(patches.T))
        rows = (directions / torch.sqrt(variances + WHITENING_FLOOR)).T
        rows = rows.reshape(-1, *self.whitening.weight.shape[1:])
        self.whitening.weight.copy_(torch.cat([rows, -rows]))

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) to logits (N, classes); at least 2 ** groups + 1 pixels high."""
        if self.training or not self.mirror:
            return self._logits(x)
        return (self._logits(x) + self._logits(x.flip(-1))) / 2

    def _logits(self, x: Tensor) -> Tensor:
        x = self.groups(F.relu(self.whitening(x)))
        logits: Tensor = self.classifier(x.amax(dim=(2, 3))) * LOGIT_SCALE
        return logits
