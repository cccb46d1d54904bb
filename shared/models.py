"""The networks of the course, registered so that they can be rebuilt from their arguments.

Inputs are float32 (N, C, H, W); outputs are logits (N, classes). Parameter counts include batch
normalisation's weight and bias and no buffers; multiply-accumulates (MACs) are those of
convolutions and linear layers for one image, see `shared.profiling`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from shared.registry import register


@register
class MLP(nn.Module):
    """Linear layers with ReLU between them, on flattened input.

    `sizes` are the widths from the input to the logits, (64, 32, 10) for digits by default.
    """

    def __init__(self, sizes: Sequence[int] = (64, 32, 10)) -> None:
        super().__init__()
        if len(sizes) < 2:
            raise ValueError(f"sizes: expected at least 2 widths, got {list(sizes)}")
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in itertools.pairwise(sizes))

    def forward(self, x: Tensor) -> Tensor:
        """(N, ...) with sizes[0] values per sample to (N, sizes[-1])."""
        x = self.layers[0](x.flatten(1))
        for layer in self.layers[1:]:
            x = layer(F.relu(x))
        return x


@register
class DigitsCNN(nn.Module):
    """Three 3x3 convolutions with batch norm, pooling and a linear layer, for 8x8 digits.

    Widths are `width`, 2 `width` and 2 `width`; with the default 16: 14,458 parameters and
    451,904 MACs at (1, 8, 8). Any image size of at least 2x2 works.
    """

    def __init__(self, width: int = 16, channels: int = 1, classes: int = 10) -> None:
        super().__init__()
        self.features = nn.Sequential(
            *_conv_bn_relu(channels, width),
            *_conv_bn_relu(width, 2 * width),
            nn.MaxPool2d(2),
            *_conv_bn_relu(2 * width, 2 * width),
            nn.AdaptiveAvgPool2d(1),
        )
        self.classifier = nn.Linear(2 * width, classes)

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) to (N, classes)."""
        logits: Tensor = self.classifier(self.features(x).flatten(1))
        return logits


def _conv_bn_relu(inputs: int, outputs: int) -> tuple[nn.Module, ...]:
    conv = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
    return conv, nn.BatchNorm2d(outputs), nn.ReLU()


@register
class LeNet300(nn.Module):
    """LeNet-300-100 of LeCun et al. (1998) for (N, 1, 28, 28): 266,610 parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1 = nn.Linear(28 * 28, 300)
        self.fc2 = nn.Linear(300, 100)
        self.fc3 = nn.Linear(100, 10)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 1, 28, 28) to (N, 10)."""
        x = F.relu(self.fc1(x.flatten(1)))
        logits: Tensor = self.fc3(F.relu(self.fc2(x)))
        return logits


@register
class LeNet5(nn.Module):
    """LeNet-5 as in Caffe and in Han et al., Deep Compression (2016), for (N, 1, 28, 28).

    431,080 parameters, 2,293,000 MACs. Unlike the network of 1998 it has 20 and 50 channels,
    no activation after the convolutions and max pooling.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 20, 5)
        self.conv2 = nn.Conv2d(20, 50, 5)
        self.fc1 = nn.Linear(50 * 4 * 4, 500)
        self.fc2 = nn.Linear(500, 10)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 1, 28, 28) to (N, 10)."""
        x = F.max_pool2d(self.conv1(x), 2)  # (N, 20, 12, 12)
        x = F.max_pool2d(self.conv2(x), 2)  # (N, 50, 4, 4)
        logits: Tensor = self.fc2(F.relu(self.fc1(x.flatten(1))))
        return logits


# ---- residual networks for 32x32 images ----------------------------------------------------


@register
class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut (He et al. 2016, section 3.3).

    The shortcut is the identity where shapes agree, otherwise a 1x1 convolution with batch norm
    (the paper's option B).
    """

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, outputs, ceil(H / stride), ceil(W / stride))."""
        y = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(y)) + self.shortcut(x))


@register
class ResNet(nn.Module):
    """Residual network for small images: 3x3 stem without pooling, one stage a width.

    `blocks[i]` basic blocks of `widths[i]` channels; every stage but the first halves H and W.
    """

    def __init__(
        self,
        blocks: Sequence[int],
        widths: Sequence[int],
        channels: int = 3,
        classes: int = 10,
    ) -> None:
        super().__init__()
        if len(blocks) != len(widths) or not blocks:
            raise ValueError(
                f"blocks, widths: expected equally many, got {list(blocks)}, {list(widths)}"
            )
        self.conv1 = nn.Conv2d(channels, widths[0], 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(widths[0])
        stages, inputs = [], widths[0]
        for stage, (count, width) in enumerate(zip(blocks, widths)):
            strides = [1 if stage == 0 else 2] + [1] * (count - 1)
            entries = [inputs] + [width] * (count - 1)
            stages.append(nn.Sequential(*map(BasicBlock, entries, [width] * count, strides)))
            inputs = width
        self.stages = nn.Sequential(*stages)
        self.classifier = nn.Linear(inputs, classes)

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) to (N, classes)."""
        x = self.stages(F.relu(self.bn1(self.conv1(x))))
        logits: Tensor = self.classifier(x.mean(dim=(2, 3)))
        return logits


@register
class ResNet18(ResNet):
    """ResNet-18 for CIFAR-10: 11,173,962 parameters, 555,422,720 MACs at (3, 32, 32)."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__((2, 2, 2, 2), (64, 128, 256, 512), classes=classes)


@register
class ResNet20(ResNet):
    """ResNet-20 for CIFAR-10, shortcuts of option B: 272,474 parameters, 40,813,184 MACs."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__((3, 3, 3), (16, 32, 64), classes=classes)


# ---- a network that draws images -----------------------------------------------------------


@register
class Generator(nn.Module):
    """Turns noise into images in 0..1, to stand in for data that may not be used.

    Input (N, latent_dim), output (N, channels, size, size); `size` is a multiple of 4.
    """

    def __init__(
        self, latent_dim: int = 32, channels: int = 1, size: int = 8, width: int = 32
    ) -> None:
        super().__init__()
        if size < 4 or size % 4:
            raise ValueError(f"size: expected a positive multiple of 4, got {size}")
        self.latent_dim = latent_dim
        self.start = (2 * width, size // 4, size // 4)
        self.linear = nn.Linear(latent_dim, math.prod(self.start))
        self.layers = nn.Sequential(
            nn.BatchNorm2d(2 * width),
            nn.Upsample(scale_factor=2),
            *_conv_bn_relu(2 * width, width),
            nn.Upsample(scale_factor=2),
            *_conv_bn_relu(width, width),
            nn.Conv2d(width, channels, 3, padding=1),
            nn.Sigmoid(),
        )

    def forward(self, z: Tensor) -> Tensor:
        """(N, latent_dim) to (N, channels, size, size)."""
        images: Tensor = self.layers(self.linear(z).unflatten(1, self.start))
        return images
