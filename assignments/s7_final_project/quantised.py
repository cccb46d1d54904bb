# Generated from solutions/s7_final_project/quantised.py by `autograder release`: change it there.
"""Layers that train at low precision: learned step sizes with the straight-through estimator.

A quantiser maps x to step * clamp(round(x / step), low, high). Both x and the step are learnt
(LSQ: Esser et al., "Learned step size quantization", ICLR 2020). Before `start`, every layer works
in floating point, so that one network serves both phases of training.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from norms import NarrowBatchNorm
from torch import Tensor, nn


class _LearnedStep(torch.autograd.Function):
    """round and clamp with LSQ's gradients; `step` is one number or one for each first index.

    Works in the type of `x`, which holds the codes without error, and sums over it in float32.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, step: Tensor, low: int, high: int, scale: float) -> Tensor:
        factor = step.reshape(()) if step.numel() == 1 else step  # 0-d: keeps the type of x
        ratio = x / factor
        codes = ratio.clamp(low, high).round_()
        ctx.save_for_backward(ratio, codes, step)
        ctx.bounds = (low, high, scale)
        return codes * factor

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None, None, None]:
        (gradient,) = gradients
        ratio, codes, step = ctx.saved_tensors
        low, high, scale = ctx.bounds
        # eq. 5: straight through where low < ratio < high
        to_x = torch.ops.aten.hardtanh_backward(gradient, ratio, low, high)
        # eq. 3: d x_hat / d step is codes - ratio inside the range, the bound outside it
        rows = len(step)
        total = _dots(gradient, codes, rows) - _dots(to_x, ratio, rows)
        return to_x, total.view_as(step) * scale, None, None, None


def _dots(left: Tensor, right: Tensor, rows: int) -> Tensor:
    """Sum of left * right, for each first index or of everything: float32 (rows,)."""
    if left.dim() == 4:  # so that channels-last tensors are read as they lie
        left, right = left.permute(0, 2, 3, 1), right.permute(0, 2, 3, 1)
    pair = (left.float().reshape(rows, -1), right.float().reshape(rows, -1))
    return torch.linalg.vecdot(*pair) if rows > 1 else torch.dot(pair[0][0], pair[1][0]).view(1)


class Quantiser(nn.Module):
    """Quantises to `bits` with one learned step, or one for each of `channels` output channels.

    Signed codes are symmetric, -(2^(b-1) - 1) .. 2^(b-1) - 1, so that a channel can be negated;
    unsigned ones are 0 .. 2^b - 1. In floating point until `start(bits)`. What comes in keeps its
    type: in mixed precision that is bfloat16, which holds every code of 8 bits.
    """

    step: Tensor

    def __init__(self, signed: bool, channels: int | None = None) -> None:
        super().__init__()
        self.signed = signed
        shape = (1,) if channels is None else (channels, 1, 1, 1)
        self.step = nn.Parameter(torch.ones(shape))
        self.register_buffer("bits", torch.tensor(0))
        self.register_buffer("fresh", torch.tensor(0))
        self._known: tuple[int, bool] | None = None

    def _state(self) -> tuple[int, bool]:
        """(bits, fresh), read once: a number on a GPU would be waited for at every step."""
        if self._known is None:
            self._known = int(self.bits), bool(self.fresh)
        return self._known

    def _load_from_state_dict(self, *arguments: Any) -> None:
        super()._load_from_state_dict(*arguments)
        self._known = None

    def start(self, bits: int) -> None:
        """Quantise from now on; the step is set from the next tensor that comes in.

        One bit means +-step and is for weights only (BinaryConnect).
        """
        if bits == 1 and not self.signed:
            raise ValueError("bits: activations need at least 2, got 1")
        self.bits.fill_(bits)
        self.fresh.fill_(1)
        self._known = None

    def bounds(self) -> tuple[int, int]:
        """Lowest and highest code."""
        bits = max(2, self._state()[0])
        high = 2 ** (bits - 1) - 1 if self.signed else 2**bits - 1
        return (-high if self.signed else 0), high

    def forward(self, x: Tensor) -> Tensor:
        """Any shape; (channels, ...) with one step a channel."""
        bits, fresh = self._state()
        if bits == 0:
            return x
        low, high = self.bounds()
        if fresh:
            self._set_step(x.detach(), high)
        scale = 1.0 / math.sqrt(x.numel() / self.step.numel() * high)  # section 2.2
        if bits == 1:
            return self._signs(x)
        return _LearnedStep.apply(x, self.positive_step(), low, high, scale)

    def positive_step(self) -> Tensor:
        """The step as it is used: (channels, 1, 1, 1) or (1,)."""
        return self.step.abs() + 1e-8

    def _signs(self, x: Tensor) -> Tensor:
        """+-step, the gradient passed straight through (Courbariaux et al. 2015)."""
        signs = torch.where(x < 0, -1.0, 1.0)
        return (signs + x - x.detach()) * self.positive_step()

    @torch.no_grad()
    def _set_step(self, x: Tensor, high: int) -> None:
        over = tuple(range(1, x.dim())) if self.step.numel() > 1 else tuple(range(x.dim()))
        mean = x.float().abs().mean(dim=over, keepdim=self.step.numel() > 1)
        self.step.copy_((2 * mean / math.sqrt(high)).clamp_min(1e-4).reshape(self.step.shape))
        self.fresh.zero_()
        self._known = None


class ConvNorm(nn.Module):
    """Convolution without bias, its weight masked and quantised, then batch norm.

    At inference both are one convolution: the norm's scale joins the weight's step.
    """

    mask: Tensor

    def __init__(
        self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False
        )
        self.norm = NarrowBatchNorm(outputs)
        self.quantiser = Quantiser(signed=True, channels=outputs)
        self.register_buffer("mask", torch.ones_like(self.conv.weight, dtype=torch.bool))

    def weight(self) -> Tensor:
        """The weight as the network uses it: (outputs, inputs / groups, k, k)."""
        return self.quantiser(self.conv.weight * self.mask)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, outputs, H', W')."""
        conv = self.conv
        y = F.conv2d(x, self.weight(), None, conv.stride, conv.padding, 1, conv.groups)
        return self.norm(y)


class QuantisedLinear(nn.Module):
    """A linear layer whose weight is quantised with one step."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, outputs)
        self.quantiser = Quantiser(signed=True)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs) to (N, outputs)."""
        return F.linear(x, self.quantiser(self.linear.weight), self.linear.bias)
