"""Batch norm that is fast for few channels on a processor; what it computes is torch's.

Torch's kernel for channels-last tensors handles the channels of one pixel at a time. With fewer
than 16 that uses a part of each vector register, and takes more time than the convolutions. Here
many pixels lie side by side in one row, so that every register is full.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

NARROW = 16  # channels from which on torch's kernel is as fast
ROW = 1024  # numbers in a row, about


class NarrowBatchNorm(nn.BatchNorm2d):
    """`nn.BatchNorm2d`, its training pass for narrow channels-last tensors written anew."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape and type."""
        ours = (
            self.training
            and self.num_features < NARROW
            and x.device.type == "cpu"
            and x.dtype != torch.float64
            and x.is_contiguous(memory_format=torch.channels_last)
        )
        if not ours:
            return super().forward(x)
        out, mean, variance = _BatchNorm.apply(x, self.weight, self.bias, self.eps)
        self._follow(mean, variance, x.numel() // self.num_features)
        return out

    @torch.no_grad()
    def _follow(self, mean: Tensor, variance: Tensor, count: int) -> None:
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        assert self.momentum is not None
        self.num_batches_tracked += 1
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance * (count / max(count - 1, 1)), self.momentum)


class _BatchNorm(torch.autograd.Function):
    """(x, weight, bias, eps) to the normalised x, the mean and the (biased) variance."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, eps: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        rows = _rows(x)
        count, channels = x.numel() // x.shape[1], x.shape[1]
        mean = _sums(rows, channels) / count
        centered = rows - _wide(mean, rows)
        variance = _sums(centered * centered, channels) / count
        inverse = (variance + eps).rsqrt()
        out = torch.addcmul(_wide(bias, rows), centered, _wide(weight * inverse, rows))
        ctx.save_for_backward(centered, weight, inverse)
        ctx.mark_non_differentiable(mean, variance)
        return _pixels(out, x), mean, variance

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        gradient = gradients[0].contiguous(memory_format=torch.channels_last)
        centered, weight, inverse = ctx.saved_tensors
        rows, channels = _rows(gradient), len(weight)
        count = centered.numel() // channels
        to_bias = _sums(rows, channels)
        to_weight = _sums(rows * centered, channels) * inverse
        # weight * inverse * (gradient - its mean - x_hat * mean of gradient * x_hat)
        factor = weight * inverse
        slope = -factor * inverse * to_weight / count
        to_x = torch.addcmul(_wide(-factor * to_bias / count, rows), centered, _wide(slope, rows))
        to_x.addcmul_(rows, _wide(factor, rows))
        return _pixels(to_x, gradient), to_weight, to_bias, None


def _rows(x: Tensor) -> Tensor:
    """(N, C, H, W) as it lies in memory, float32 (rows, pixels a row * C)."""
    channels = x.shape[1]
    pixels = x.numel() // channels
    side_by_side = max(n for n in range(1, ROW // channels + 1) if pixels % n == 0)
    return x.permute(0, 2, 3, 1).reshape(-1, side_by_side * channels).float()


def _pixels(rows: Tensor, like: Tensor) -> Tensor:
    """Back to the shape and type of `like`."""
    n, c, h, w = like.shape
    return rows.view(n, h, w, c).permute(0, 3, 1, 2).to(like.dtype)


def _sums(rows: Tensor, channels: int) -> Tensor:
    """Sum over all pixels: (channels,)."""
    return rows.sum(dim=0).view(-1, channels).sum(dim=0)


def _wide(values: Tensor, rows: Tensor) -> Tensor:
    """One value a channel, repeated over a row."""
    return values.repeat(rows.shape[1] // len(values))
