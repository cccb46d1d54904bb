"""Small networks that go wrong in a measurement that is not careful; for graders and students.

Each holds one difficulty: a layer that is called twice, two layers with one weight, a product
outside any layer, a forward that raises. Unless said otherwise, inputs are float32 images
(N, C, H, W) or vectors (N, F), and the constructor's defaults make them tiny.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from shared.registry import register

TapCallback = Callable[[bool, Tensor], object]


# ---- observers -----------------------------------------------------------------------------


def _numbers(x: Tensor) -> Tensor:
    """`x` detached; a meta tensor holds no numbers and is shown as zeros."""
    return torch.zeros(x.shape, dtype=x.dtype) if x.is_meta else x.detach()


@register
class Tap(nn.Module):
    """Calls `callback(training, input)` in every forward, and passes its input on.

    `training` is this module's flag; the input, of any shape, is detached.
    """

    def __init__(self, callback: TapCallback) -> None:
        super().__init__()
        self.callback = callback

    def forward(self, x: Tensor) -> Tensor:
        """Report and return `x`."""
        self.callback(self.training, _numbers(x))
        return x


@register
class GradTap(nn.Module):
    """Like `Tap`, but the flag says whether gradients are being recorded."""

    def __init__(self, callback: TapCallback) -> None:
        super().__init__()
        self.callback = callback

    def forward(self, x: Tensor) -> Tensor:
        """Report and return `x`."""
        self.callback(torch.is_grad_enabled(), _numbers(x))
        return x


# ---- structure -----------------------------------------------------------------------------


@register
class Residual(nn.Module):
    """relu(x + bn(conv(relu(bn(conv(x)))))): the sum is functional, its input lives long."""

    def __init__(self, channels: int = 4) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) to the same shape."""
        y = F.relu(self.bn1(self.conv1(x)))
        return F.relu(x + self.bn2(self.conv2(y)))


@register
class LongSkip(nn.Module):
    """The output of the first convolution is needed again after `depth` further ones.

    The inner convolutions have `wide` channels; the skip is concatenated before the last layer.
    """

    def __init__(self, channels: int = 3, wide: int = 8, depth: int = 2) -> None:
        super().__init__()
        self.stem = nn.Conv2d(channels, wide, 3, padding=1)
        self.body = nn.ModuleList(nn.Conv2d(wide, wide, 3, padding=1) for _ in range(depth))
        self.head = nn.Conv2d(2 * wide, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) to the same shape."""
        skip = y = self.stem(x)
        for layer in self.body:
            y = layer(y)
        out: Tensor = self.head(torch.cat([skip, y], dim=1))
        return out


@register
class MultiBranch(nn.Module):
    """Three branches of one input (1x1, 3x3 and pooled) are concatenated."""

    def __init__(self, channels: int = 4, branch: int = 3) -> None:
        super().__init__()
        self.point = nn.Conv2d(channels, branch, 1)
        self.square = nn.Conv2d(channels, branch, 3, padding=1)
        self.pool = nn.MaxPool2d(3, stride=1, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) to (N, 2 * branch + channels, H, W)."""
        return torch.cat([self.point(x), self.square(x), self.pool(x)], dim=1)


@register
class Reused(nn.Module):
    """One Linear and one ReLU, called `calls` times in turn."""

    def __init__(self, features: int = 5, calls: int = 2) -> None:
        super().__init__()
        self.linear = nn.Linear(features, features)
        self.relu = nn.ReLU()
        self.calls = calls

    def forward(self, x: Tensor) -> Tensor:
        """(N, features) to the same shape."""
        for _ in range(self.calls):
            x = self.relu(self.linear(x))
        return x


@register
class Aliased(nn.Module):
    """The same Linear object under two names; both are called."""

    def __init__(self, features: int = 5) -> None:
        super().__init__()
        self.first = nn.Linear(features, features)
        self.second = self.first

    def forward(self, x: Tensor) -> Tensor:
        """(N, features) to the same shape."""
        out: Tensor = self.second(F.relu(self.first(x)))
        return out


@register
class Tied(nn.Module):
    """Two different Linear layers with one weight Parameter and a bias each."""

    def __init__(self, features: int = 5) -> None:
        super().__init__()
        self.first = nn.Linear(features, features)
        self.second = nn.Linear(features, features)
        self.second.weight = self.first.weight

    def forward(self, x: Tensor) -> Tensor:
        """(N, features) to the same shape."""
        out: Tensor = self.second(F.relu(self.first(x)))
        return out


@register
class TiedEmbedding(nn.Module):
    """Embedding and output layer share one weight; the input is int64 (N, T)."""

    def __init__(self, vocabulary: int = 11, width: int = 4) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width)
        self.output = nn.Linear(width, vocabulary, bias=False)
        self.output.weight = self.embedding.weight

    def forward(self, tokens: Tensor) -> Tensor:
        """Int64 (N, T) to logits (N, T, vocabulary)."""
        out: Tensor = self.output(self.embedding(tokens))
        return out


@register
class EmbeddingClassifier(nn.Module):
    """Mean of embeddings, then a Linear; the input is int64 (N, T)."""

    def __init__(self, vocabulary: int = 11, width: int = 4, classes: int = 3) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width)
        self.linear = nn.Linear(width, classes)

    def forward(self, tokens: Tensor) -> Tensor:
        """Int64 (N, T) to logits (N, classes)."""
        out: Tensor = self.linear(self.embedding(tokens).mean(dim=1))
        return out


@register
class Unused(nn.Module):
    """`spare` has parameters but is never called."""

    def __init__(self, features: int = 5) -> None:
        super().__init__()
        self.linear = nn.Linear(features, features)
        self.spare = nn.Linear(features, 2 * features)

    def forward(self, x: Tensor) -> Tensor:
        """(N, features) to the same shape."""
        out: Tensor = self.linear(x)
        return out


@register
class Buffered(nn.Module):
    """Buffers that are no parameters: a float scale, an int64 counter, a non-persistent mask."""

    scale: Tensor
    steps: Tensor
    mask: Tensor

    def __init__(self, features: int = 5) -> None:
        super().__init__()
        self.linear = nn.Linear(features, features)
        self.register_buffer("scale", torch.full((features,), 2.0))
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))
        self.register_buffer("mask", torch.eye(features), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, features) to the same shape."""
        return F.linear(self.linear(x) * self.scale, self.mask)


@register
class MaskedLinear(nn.Module):
    """A Linear whose weight is multiplied by a buffer of zeros and ones before use.

    The Parameter `weight` itself has no zeros; `weight * mask`, with every other input column
    off, is what the product sees.
    """

    mask: Tensor

    def __init__(self, in_features: int = 6, out_features: int = 4) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((out_features, in_features), 0.5))
        self.bias = nn.Parameter(torch.zeros(out_features))
        columns = (torch.arange(in_features) % 2 == 0).float()
        self.register_buffer("mask", columns.repeat(out_features, 1))

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_features) to (N, out_features)."""
        return F.linear(x, self.weight * self.mask, self.bias)


@register
class NoParameters(nn.Module):
    """Pooling, ReLU and flatten: nothing to train, no products."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = nn.AvgPool2d(2)
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C * H // 2 * W // 2)."""
        out: Tensor = self.relu(self.pool(x)).flatten(1)
        return out


# ---- convolutions --------------------------------------------------------------------------


@register
class Grouped(nn.Module):
    """A convolution in `groups` groups with stride, padding and dilation of their own."""

    def __init__(
        self,
        in_channels: int = 4,
        out_channels: int = 6,
        groups: int = 2,
        stride: int = 2,
        padding: int = 2,
        dilation: int = 2,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            in_channels, out_channels, 3, stride, padding, dilation=dilation, groups=groups
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) to (N, out_channels, H', W')."""
        out: Tensor = self.conv(x)
        return out


@register
class DepthwiseSeparable(nn.Module):
    """A depthwise 3x3 convolution (groups = channels), then a pointwise one."""

    def __init__(self, in_channels: int = 4, out_channels: int = 6) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(in_channels, in_channels, 3, padding=1, groups=in_channels)
        self.pointwise = nn.Conv2d(in_channels, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) to (N, out_channels, H, W)."""
        out: Tensor = self.pointwise(F.relu(self.depthwise(x)))
        return out


# ---- products outside a layer --------------------------------------------------------------


@register
class FunctionalConv(nn.Module):
    """F.conv2d with a weight of its own, stride 2, no children."""

    def __init__(self, in_channels: int = 4, out_channels: int = 6, groups: int = 1) -> None:
        super().__init__()
        weight = torch.linspace(-1, 1, out_channels * in_channels // groups * 9)
        self.weight = nn.Parameter(weight.reshape(out_channels, in_channels // groups, 3, 3))
        self.groups = groups

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) to (N, out_channels, H', W')."""
        return F.conv2d(x, self.weight, stride=2, padding=1, groups=self.groups)


@register
class FunctionalLinear(nn.Module):
    """A Linear child, then F.linear with a weight that belongs to this module."""

    def __init__(self, features: int = 5, out_features: int = 3) -> None:
        super().__init__()
        self.linear = nn.Linear(features, features)
        weight = torch.linspace(-1, 1, out_features * features)
        self.weight = nn.Parameter(weight.reshape(out_features, features))

    def forward(self, x: Tensor) -> Tensor:
        """(N, features) to (N, out_features)."""
        return F.linear(F.relu(self.linear(x)), self.weight)


@register
class MatrixProduct(nn.Module):
    """x @ weight with an operator, then a batched product of the result with itself."""

    def __init__(self, features: int = 5, width: int = 3) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.linspace(-1, 1, features * width).reshape(features, width))

    def forward(self, x: Tensor) -> Tensor:
        """(N, T, features) to (N, T, T)."""
        y = x @ self.weight
        return torch.matmul(y, y.transpose(1, 2))


@register
class Einsum(nn.Module):
    """torch.einsum of (N, T, features) with a weight (features, width)."""

    def __init__(self, features: int = 5, width: int = 3) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.linspace(-1, 1, features * width).reshape(features, width))

    def forward(self, x: Tensor) -> Tensor:
        """(N, T, features) to (N, T, width)."""
        return torch.einsum("ntf,fw->ntw", x, self.weight)


@register
class Attention(nn.Module):
    """Multi-head self-attention with scaled_dot_product_attention between two Linear layers."""

    def __init__(self, width: int = 8, heads: int = 2) -> None:
        super().__init__()
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.heads = heads

    def forward(self, x: Tensor) -> Tensor:
        """(N, T, width) to the same shape."""
        n, t, width = x.shape
        qkv = self.qkv(x).reshape(n, t, 3, self.heads, width // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # each (N, heads, T, width / heads)
        y = F.scaled_dot_product_attention(q, k, v)
        out: Tensor = self.out(y.transpose(1, 2).reshape(n, t, width))
        return out


@register
class WrittenOutAttention(nn.Module):
    """Single-head attention as two matrix products and a softmax, no layers at all."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, T, width) to the same shape."""
        scores = torch.bmm(x, x.transpose(1, 2)) / math.sqrt(x.shape[-1])
        return torch.bmm(scores.softmax(dim=-1), x)


# ---- memory --------------------------------------------------------------------------------


@register
class InPlace(nn.Module):
    """Two convolutions with an in-place ReLU after each."""

    def __init__(self, channels: int = 3, wide: int = 8) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(channels, wide, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(wide, channels, 3, padding=1),
            nn.ReLU(inplace=True),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) to the same shape."""
        out: Tensor = self.layers(x)
        return out


@register
class Views(nn.Module):
    """Flatten, transpose, reshape and chunk share the storage of one convolution's output."""

    def __init__(self, channels: int = 4) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, 2 * channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) to (N, channels, H * W)."""
        y = self.conv(x).flatten(2)
        left, right = y.transpose(1, 2).transpose(1, 2).chunk(2, dim=1)
        out: Tensor = left + right
        return out


# ---- modes and failures --------------------------------------------------------------------


@register
class MixedModes(nn.Module):
    """A net in training whose `frozen` batch norm and one of whose dropouts are in eval mode."""

    def __init__(self, channels: int = 4, classes: int = 3) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)
        self.frozen = nn.BatchNorm2d(channels).eval()
        self.tail = nn.Sequential(
            nn.Dropout(0.5),
            nn.Conv2d(channels, channels, 1),
            nn.BatchNorm2d(channels),
            nn.Dropout(0.5).eval(),
        )
        self.linear = nn.Linear(channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) to logits (N, classes)."""
        y = self.tail(F.relu(self.frozen(self.conv(x))))
        out: Tensor = self.linear(y.mean(dim=(2, 3)))
        return out


@register
class Auxiliary(nn.Module):
    """In training mode `extra` is called as well, so the mode shows in the rows and the MACs."""

    def __init__(self, features: int = 5, classes: int = 3) -> None:
        super().__init__()
        self.body = nn.Linear(features, features)
        self.head = nn.Linear(features, classes)
        self.extra = nn.Linear(features, classes)

    def forward(self, x: Tensor) -> Tensor:
        """(N, features) to logits (N, classes)."""
        y = F.relu(self.body(x))
        out: Tensor = self.head(y)
        if self.training:
            out = out + 0.1 * self.extra(y)
        return out


@register
class OutputFirst(nn.Module):
    """Makes its output first, then something wide that nobody reads: (N, C, H, W) in and out."""

    def __init__(self, channels: int = 2, wide: int = 3, wider: int = 4) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, wide, 3, padding=1, bias=False)
        self.aside = nn.Conv2d(channels, wider, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) to (N, wide, H, W)."""
        output: Tensor = self.first(x)
        F.relu_(self.aside(x))
        return output


@register
class InEvalMode(nn.Module):
    """An evaluation that leaves what it evaluates in eval mode."""

    def forward(self, model: nn.Module) -> float:
        """The sum of all parameters of `model`."""
        model.eval()
        return sum(parameter.sum().item() for parameter in model.parameters())


@register
class Hooked(nn.Module):
    """A Linear in a network with a forward hook of its owner's, which doubles the output."""

    def __init__(self, features: int = 5) -> None:
        super().__init__()
        self.linear = nn.Linear(features, features)
        self.register_forward_hook(_double)

    def forward(self, x: Tensor) -> Tensor:
        """(N, features) to the same shape."""
        out: Tensor = self.linear(x)
        return out


def _double(_module: nn.Module, _args: object, output: Tensor) -> Tensor:
    return 2 * output


@register
class Raises(nn.Module):
    """Calls its first layer, then raises RuntimeError(message); `frozen` is in eval mode."""

    def __init__(self, features: int = 5, message: str = "forward failed") -> None:
        super().__init__()
        self.first = nn.Linear(features, features)
        self.frozen = nn.BatchNorm1d(features).eval()
        self.message = message

    def forward(self, x: Tensor) -> Tensor:
        """Never return."""
        self.frozen(self.first(x))
        raise RuntimeError(self.message)
