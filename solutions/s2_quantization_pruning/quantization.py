"""Session 2, quantisation: networks that compute on integers of few bits.

A real number x is stored as an integer, its code q, with

    x = scale * (q - zero_point)                        (Jacob et al. 2018, eq. 1),

and a layer becomes a sum of products of codes, rescaled once at the end. Codes are int32 tensors
whatever their bit width. Scales and roundings are computed in float64, which holds every code of
32 bits, and rounded half to even, as IEEE 754, Python's `round` and `torch.round` do.

In all functions `bits` is the width of the codes, an int in 1..32 (2..32 where a range is looked
for), `signed` chooses two's complement codes or codes from 0, and parameters are "per tensor" (a
float and an int, or tensors without dimensions) or "per channel" (two vectors).

Papers: Jacob et al., "Quantization and training of neural networks for efficient
integer-arithmetic-only inference", CVPR 2018 (arXiv:1712.05877); Krishnamoorthi, "Quantizing deep
convolutional networks for efficient inference", 2018 (arXiv:1806.08342).
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from shared.checks import (
    Pair,
    check_along,
    check_axis,
    check_bits,
    check_convolution,
    check_finite,
    check_fraction,
    check_linear,
    check_number,
    check_per_tensor,
    check_positive,
    check_qparams,
    check_shape,
    check_weight_codes,
    refuse,
)
from shared.records import QParams

PRUNABLE = (
    *(nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d),
    *(nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d),
)


def _along(axis: int | None, part: float | Tensor, like: Tensor) -> Tensor:
    """A scale or zero point as float64, in a shape that broadcasts along `axis` of `like`."""
    shape = [1] * like.dim()
    if axis is not None:
        shape[axis] = -1
    return torch.as_tensor(part, dtype=torch.float64, device=like.device).reshape(shape)


# ---- from real numbers to codes and back -------------------------------------------------------


def quantization_range(bits: int, signed: bool = True, narrow: bool = False) -> tuple[int, int]:
    """Return (qmin, qmax), the lowest and the highest code of `bits` bits.

    Signed codes are two's complement, -2^(b-1)..2^(b-1) - 1; unsigned ones are 0..2^b - 1: 2^b
    codes, hence 2^b - 1 steps. A narrow range leaves out the lowest code, so that signed codes
    are symmetric, e.g. -127..127, and unsigned ones start at 1.

    Raises:
        ValueError: if `bits` is not an int in 1..32.

    >>> quantization_range(8), quantization_range(8, narrow=True)
    ((-128, 127), (-127, 127))
    >>> quantization_range(4, signed=False)
    (0, 15)
    """
    check_bits("bits", bits)
    # BEGIN SOLUTION s2.quantization_range
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    return low + int(narrow), high
    # END SOLUTION


def affine_params(
    low: float, high: float, bits: int, symmetric: bool = False, signed: bool = True
) -> QParams:
    """Return the scale and the zero point with which codes of `bits` bits cover low..high.

    The range is first widened to contain 0, because padding, ReLU and pruned weights need a code
    that means exactly 0 (Jacob et al. 2018, section 2.1). Then (Krishnamoorthi 2018, sections 2.1
    and 2.2), with the full range qmin..qmax of `quantization_range` and in float64,

    - affine: scale = (high - low) / (qmax - qmin), and the zero point is
      round(qmin - low / scale), half to even, clamped to qmin..qmax;
    - symmetric (signed codes only): scale = max(|low|, |high|) / qmax, and the zero point is 0.
      The code qmin then lies outside the range: dividing by |qmin| would leave `high` without one.

    Args:
        low, high: ends of the range. If both are 0, any finite positive scale will do.
        bits: 2..32.
        symmetric: see above.
        signed: two's complement codes or codes from 0.

    Returns:
        `QParams(scale, zero_point)`, a float and an int.

    Raises:
        ValueError: if a bound (or high - low) is not finite, `low > high`, `bits` is not an int
            in 2..32, or `symmetric` comes with `signed=False`.

    >>> affine_params(-1.0, 2.0, bits=2)  # codes -2..1 stand for -1, 0, 1, 2
    QParams(scale=1.0, zero_point=-1)
    >>> affine_params(-1.0, 3.0, bits=3, symmetric=True)  # codes up to 3
    QParams(scale=1.0, zero_point=0)
    """
    check_bits("bits", bits, minimum=2)
    # BEGIN SOLUTION s2.affine_params
    low, high = float(low), float(high)
    if not math.isfinite(high - low):
        raise refuse("low and high", "finite numbers", (low, high))
    if low > high:
        raise refuse("low", f"at most high {high}", low)
    if symmetric and not signed:
        raise refuse("signed", "True where symmetric is", signed)
    qmin, qmax = quantization_range(bits, signed)
    low, high = min(low, 0.0), max(high, 0.0)
    if symmetric:
        return QParams(max(-low, high) / qmax or 1.0, 0)
    scale = (high - low) / (qmax - qmin) or 1.0  # 0 for an empty range, or by underflow
    return QParams(scale, min(max(round(qmin - low / scale), qmin), qmax))
    # END SOLUTION


def quantize(
    x: Tensor, qparams: QParams, bits: int, axis: int | None = None, signed: bool = True
) -> Tensor:
    """Return the codes of `x`: clamp(round(x / scale) + zero_point, qmin, qmax).

    In this order: round x / scale (half to even), add the zero point, then saturate, and only
    then convert to integers. What lies outside the range gets the nearest end of it, +-infinity
    included. (NaN has no code; what it gives is not specified.)

    Args:
        x: real numbers of any shape.
        qparams: per tensor, or vectors (C,).
        bits: 1..32; at most 31 for unsigned codes, which int32 has to hold.
        axis: dimension of `x` of size C along which vectors apply, e.g. 0 for the output
            channels of a weight; may be negative. Vectors need it.
        signed: as in `quantization_range`.

    Returns:
        int32 tensor of the shape of `x`.

    Raises:
        ValueError: for other `bits`, a scale that is not positive and finite, vectors without
            `axis`, an `axis` that `x` has not, or vectors of another length than x.shape[axis].

    >>> x = torch.tensor([-9.0, 0.0, 0.5, 1.5, 2.5, 9.0])
    >>> quantize(x, QParams(1.0, -1), bits=3)  # codes -4..3; 0.5, 1.5, 2.5 round to 0, 2, 2
    tensor([-4, -1, -1,  1,  1,  3], dtype=torch.int32)
    """
    check_bits("bits", bits, maximum=32 if signed else 31)
    check_qparams("qparams", qparams, x, axis)
    # BEGIN SOLUTION s2.quantize
    qmin, qmax = quantization_range(bits, signed)
    scale = _along(axis, qparams.scale, x)
    codes = torch.round(x.detach().double() / scale) + _along(axis, qparams.zero_point, x)
    return codes.clamp(qmin, qmax).to(torch.int32)  # a cast before the clamp would wrap around
    # END SOLUTION


def dequantize(q: Tensor, qparams: QParams, axis: int | None = None) -> Tensor:
    """Return the numbers that codes stand for: scale * (q - zero_point).

    Args:
        q: integer tensor of any shape.
        qparams, axis: as in `quantize`.

    Returns:
        float32 tensor of the shape of `q`.

    Raises:
        ValueError: for `qparams` and `axis` as in `quantize`.

    >>> dequantize(torch.tensor([-2, -1, 0, 1]), QParams(0.5, -1))
    tensor([-0.5000,  0.0000,  0.5000,  1.0000])
    """
    check_qparams("qparams", qparams, q, axis)
    # BEGIN SOLUTION s2.dequantize
    return (_along(axis, qparams.scale, q) * (q - _along(axis, qparams.zero_point, q))).float()
    # END SOLUTION


def per_channel_params(weight: Tensor, bits: int, axis: int = 0) -> QParams:
    """Return symmetric parameters for each channel of a weight tensor.

    Those of `affine_params` for the range -m..m, where m is the largest magnitude in the channel.
    Channels differ in size by orders of magnitude, so one scale for all leaves small ones with few
    codes (Krishnamoorthi 2018, section 2.6); along the output channels it costs nothing, because
    each output is rescaled once anyway. A channel of zeros may have any positive scale.

    Args:
        weight: floating, of at least one dimension, e.g. (out, in/groups, kh, kw).
        bits: 2..32.
        axis: the dimension of the channels; may be negative.

    Returns:
        `QParams(scale, zero_point)` with tensors (C,) for C = weight.shape[axis]: floating, and
        integer zeros.

    Raises:
        ValueError: for other `bits`, an `axis` that `weight` has not, or a weight that is not
            finite.

    >>> per_channel_params(torch.tensor([[1.0, -7.0], [0.5, 3.5]]), bits=4)  # codes up to 7
    QParams(scale=tensor([1.0000, 0.5000]), zero_point=tensor([0, 0], dtype=torch.int32))
    """
    check_bits("bits", bits, minimum=2)
    check_axis("axis", axis, weight)
    check_finite("weight", weight)
    # BEGIN SOLUTION s2.per_channel_params
    channels = weight.detach().movedim(axis, 0).reshape(weight.shape[axis], -1)  # (C, the rest)
    largest = channels.abs().amax(dim=1).tolist()
    scales = [affine_params(-each, each, bits, symmetric=True).scale for each in largest]
    # Half precision would round small scales to 0, and float32 the very smallest.
    dtype = torch.promote_types(weight.dtype, torch.float32)
    scale = torch.tensor(scales, dtype=dtype, device=weight.device)
    return QParams(torch.where(scale > 0, scale, 1.0), torch.zeros_like(scale, dtype=torch.int32))
    # END SOLUTION


# ---- observers: from data to a range -----------------------------------------------------------
#
# Every observer has `.observe(x)`, which takes a floating tensor of any shape and returns nothing,
# and `.qparams(bits)`, which may be called at any time after the first `observe`. It returns the
# signed parameters that `affine_params` gives for the range, a float and an int, and raises
# ValueError before any `observe`, if what was seen is not finite, or if `bits` is not an int in
# 2..32.


def _all_seen(parts: list[Tensor]) -> Tensor:
    """The values of all parts as one float64 vector; ValueError if there are none or not finite."""
    if not parts:
        raise refuse("values observed", "at least one", len(parts))
    values = torch.cat([part.flatten() for part in parts]).double()
    check_finite("values observed", values)
    return values


class MinMaxObserver:
    """The range from the smallest to the largest of all values seen.

    >>> observer = MinMaxObserver()
    >>> observer.observe(torch.tensor([0.0, 2.0]))
    >>> observer.observe(torch.tensor([-1.0]))
    >>> observer.qparams(bits=2)
    QParams(scale=1.0, zero_point=-1)
    """

    def __init__(self) -> None:
        self.low, self.high = math.inf, -math.inf

    def observe(self, x: Tensor) -> None:
        """Widen the range to hold every value of `x`."""
        # BEGIN SOLUTION s2.MinMaxObserver
        low, high = x.detach().aminmax()
        self.low, self.high = min(self.low, low.item()), max(self.high, high.item())
        # END SOLUTION

    def qparams(self, bits: int) -> QParams:
        """Return the parameters of the range."""
        # BEGIN SOLUTION s2.MinMaxObserver
        return affine_params(self.low, self.high, bits)  # which refuses inf..-inf
        # END SOLUTION


class MovingAverageObserver:
    """A smoothed range: exponential moving averages of each batch's minimum and maximum.

    The first batch sets both, each later one moves them:

        new = momentum * old + (1 - momentum) * batch       (Jacob et al. 2018, section 3.1).

    `momentum`, the share of the old value, is a number in 0..1, else ValueError.

    >>> observer = MovingAverageObserver(momentum=0.75)
    >>> observer.observe(torch.tensor([0.0, 2.0]))
    >>> observer.observe(torch.tensor([0.0, 6.0]))  # the maximum becomes 0.75 * 2 + 0.25 * 6
    >>> observer.qparams(bits=2)
    QParams(scale=1.0, zero_point=-2)
    """

    def __init__(self, momentum: float = 0.9) -> None:
        check_fraction("momentum", momentum)
        self.momentum = momentum
        self.low, self.high = math.inf, -math.inf

    def observe(self, x: Tensor) -> None:
        """Move the range towards that of `x`."""
        # BEGIN SOLUTION s2.MovingAverageObserver
        low, high = (bound.item() for bound in x.detach().aminmax())
        if self.low <= self.high:
            low = self.momentum * self.low + (1 - self.momentum) * low
            high = self.momentum * self.high + (1 - self.momentum) * high
        self.low, self.high = low, high
        # END SOLUTION

    def qparams(self, bits: int) -> QParams:
        """Return the parameters of the smoothed range."""
        # BEGIN SOLUTION s2.MovingAverageObserver
        return affine_params(self.low, self.high, bits)
        # END SOLUTION


class PercentileObserver:
    """A range that ignores outliers: from the (100 - p)th to the pth percentile.

    The percentiles are those of all values seen in all batches together, by linear interpolation
    between neighbours (McKinstry et al., "Discovering low-precision networks close to
    full-precision networks for efficient embedded inference", 2018, calibrate so). `p` is in
    percent, 50..100, else ValueError; with 100 the range is that of `MinMaxObserver`.

    >>> observer = PercentileObserver(75)
    >>> observer.observe(torch.tensor([-100.0, -1.0, 0.0, 2.0, 100.0]))  # 25th: -1, 75th: 2
    >>> observer.qparams(bits=2)
    QParams(scale=1.0, zero_point=-1)
    """

    def __init__(self, p: float = 99.9) -> None:
        check_number("p", p, 50, 100)
        self.p = p
        self.values: list[Tensor] = []

    def observe(self, x: Tensor) -> None:
        """Remember the values of `x`; later changes of `x` do not matter."""
        # BEGIN SOLUTION s2.PercentileObserver
        self.values.append(x.detach().cpu().clone())
        # END SOLUTION

    def qparams(self, bits: int) -> QParams:
        """Return the parameters of the range between the percentiles."""
        # BEGIN SOLUTION s2.PercentileObserver
        values = _all_seen(self.values).numpy()  # torch.quantile stops at 2^24 values
        low, high = np.percentile(values, [100 - self.p, self.p]).tolist()
        return affine_params(low, high, bits)
        # END SOLUTION


class MSEObserver:
    """The range with the least squared error on the values seen.

    A narrower range clips the tails and has finer steps for all other values. With few bits that
    is a good bargain (Choukroun et al., "Low-bit quantization of neural networks for efficient
    inference", 2019). Which ranges to try is yours to choose. The squared error between the values
    and their quantised versions must not be above that of the range from minimum to maximum, and
    must be clearly below it for Gaussian values at 2 to 4 bits.

    >>> observer = MSEObserver()
    >>> observer.observe(torch.tensor([-1.0, 0.0, 1.0, 2.0]))
    >>> observer.qparams(bits=2)  # no error left
    QParams(scale=1.0, zero_point=-1)
    """

    def __init__(self) -> None:
        self.values: list[Tensor] = []

    def observe(self, x: Tensor) -> None:
        """Remember the values of `x`; later changes of `x` do not matter."""
        # BEGIN SOLUTION s2.MSEObserver
        self.values.append(x.detach().clone())
        # END SOLUTION

    def qparams(self, bits: int) -> QParams:
        """Return the parameters of the range with the least error."""
        # BEGIN SOLUTION s2.MSEObserver
        values = _all_seen(self.values)

        def squared_error(bounds: tuple[float, float]) -> float:
            rounded = fake_quantize(values, affine_params(*bounds, bits), bits)
            return (rounded - values).square().sum().item()

        low, high = min(values.min().item(), 0.0), max(values.max().item(), 0.0)
        # Shrink both ends together, then each alone, e.g. if only one has an outlier. Each search
        # includes its start, so the error never rises.
        for shrink_low, shrink_high in ((1, 1), (1, 0), (0, 1)):
            ranges = [
                (low * (1 - shrink_low * step / 100), high * (1 - shrink_high * step / 100))
                for step in range(100)
            ]
            low, high = min(ranges, key=squared_error)
        return affine_params(low, high, bits)
        # END SOLUTION


# ---- training with quantisation ----------------------------------------------------------------


class _FakeQuantize(torch.autograd.Function):
    """`fake_quantize` to autograd: what comes out, and the gradient that is passed on."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: float, zero_point: int, qmin: int, qmax: int) -> Tensor:
        """Return `x` on the grid of the codes, same shape and dtype; `ctx` keeps what you save."""
        # BEGIN SOLUTION s2.fake_quantize
        # As in `quantize` and `dequantize`, but in the precision of x throughout.
        codes = torch.round(x.double() / scale) + zero_point
        ctx.save_for_backward((codes >= qmin) & (codes <= qmax))
        return ((codes.clamp(qmin, qmax) - zero_point) * scale).to(x.dtype)
        # END SOLUTION

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None, None]:
        """Return the gradient for `x`, given that of the output; the other arguments get None."""
        # BEGIN SOLUTION s2.fake_quantize
        # Straight-through estimator (Bengio et al. 2013): rounding counts as the identity;
        # saturation is a constant, whose gradient is 0 (Krishnamoorthi 2018, section 2.4).
        (inside,) = ctx.saved_tensors
        return gradient.masked_fill(~inside, 0.0), None, None, None, None
        # END SOLUTION


def fake_quantize(x: Tensor, qparams: QParams, bits: int, signed: bool = True) -> Tensor:
    """Return `x` quantised and dequantised, with a gradient to train through.

    Forward: the numbers that the codes of `x` stand for, so the network feels the rounding while
    its weights stay real (quantisation-aware training, Jacob et al. 2018, section 3). Backward:
    rounding has the derivative 0 almost everywhere, with which nothing would learn, so the
    straight-through estimator (Bengio et al., "Estimating or propagating gradients through
    stochastic neurons", 2013) takes it for the identity: where x lies inside the range
    scale * (qmin - zero_point)..scale * (qmax - zero_point), the gradient passes unchanged,
    elementwise; where x saturates it is 0. (Which of the two holds for the half step beyond each
    end is yours to choose.) The parameters get no gradient.

    Args:
        x: floating, any shape.
        qparams: per tensor.
        bits: 1..32.
        signed: as in `quantization_range`.

    Returns:
        tensor of the shape and dtype of `x`, connected to it in the autograd graph.

    Raises:
        ValueError: for other `bits`, parameters per channel, or a scale that is not positive
            and finite.

    >>> x = torch.tensor([-9.0, 0.3, 0.7, 9.0], requires_grad=True)
    >>> y = fake_quantize(x, QParams(1.0, -1), bits=3)  # codes -4..3: from -3 to 4
    >>> y.detach(), torch.autograd.grad(y, x, torch.tensor([2.0, 3.0, 4.0, 5.0]))[0]
    (tensor([-3.,  0.,  1.,  4.]), tensor([0., 3., 4., 0.]))
    """
    check_bits("bits", bits)
    scale, zero_point = check_per_tensor("qparams", qparams)
    # BEGIN SOLUTION s2.fake_quantize
    arguments = (x, scale, zero_point, *quantization_range(bits, signed))
    result: Tensor = _FakeQuantize.apply(*arguments)  # type: ignore[no-untyped-call]  # as in torch
    return result
    # END SOLUTION


# ---- layers on integers ------------------------------------------------------------------------


def quantize_bias(bias: Tensor, input_scale: float, weight_scale: float | Tensor) -> Tensor:
    """Return a bias as 32-bit codes that can be added to the sums of a quantised layer.

    These sums are in units of input_scale * weight_scale, so the bias has this scale and the zero
    point 0 (Jacob et al. 2018, section 2.4), rounds half to even and saturates. A bias is added to
    every output of its channel, so an error in it does not average out; at 32 bits it hardly has
    one.

    Args:
        bias: (out,) floating.
        input_scale: scale of the layer's input.
        weight_scale: scale of its weights, a number or one for each output (out,).

    Returns:
        int32 tensor (out,).

    Raises:
        ValueError: for other shapes, or scales that are not positive and finite.

    >>> quantize_bias(torch.tensor([1.0, -0.375]), 0.5, torch.tensor([0.25, 0.5]))
    tensor([ 8, -2], dtype=torch.int32)
    """
    check_shape("bias", bias, "out")
    check_positive("input_scale", input_scale)
    check_shape("input_scale", torch.as_tensor(input_scale))
    check_positive("weight_scale", weight_scale)
    check_along("weight_scale", weight_scale, bias, axis=0)
    # BEGIN SOLUTION s2.quantize_bias
    scale = float(input_scale) * torch.as_tensor(weight_scale, dtype=torch.float64)
    return quantize(bias, QParams(scale, 0), bits=32, axis=0)
    # END SOLUTION


def quantized_linear(
    q_input: Tensor,
    q_weight: Tensor,
    q_bias: Tensor | None,
    input_qparams: QParams,
    weight_qparams: QParams,
    output_qparams: QParams,
    bits: int = 8,
) -> Tensor:
    """Return the output codes of a linear layer from input codes, with integer sums.

    With M = input_scale * weight_scale / output_scale (Jacob et al. 2018, section 2.2),

        sum[o] = sum over i of (q_input[i] - input_zero_point) * q_weight[o, i] + q_bias[o]
        output[o] = clamp(round(M[o] * sum[o]) + output_zero_point, qmin, qmax).

    The sums are exact integers (int32 on a chip; their values fit into int32 here). float32 is
    not enough for them: it skips integers above 2^24. Only M is real; the product with it is
    rounded half to even.

    Args:
        q_input: integers (..., in); leading dimensions are kept.
        q_weight: integers (out, in).
        q_bias: int32 (out,) as from `quantize_bias`, or None.
        input_qparams: per tensor.
        weight_qparams: per tensor, or scales and zero points (out,); all zero points are 0.
        output_qparams: per tensor.
        bits: width of the output codes, which are signed, 1..32.

    Returns:
        int32 codes (..., out).

    Raises:
        ValueError: for other `bits`, shapes that do not match, codes that are not integers,
            weight zero points other than 0, or scales that are not positive and finite.

    >>> quantized_linear(
    ...     torch.tensor([[3, 5]]), torch.tensor([[2, -1], [4, 4]]), torch.tensor([10, 0]),
    ...     QParams(0.5, 1), QParams(0.25, 0), QParams(0.5, -3), bits=5,
    ... )  # sums 2*2 - 4*1 + 10 = 10 and 24; M = 1/4; 2.5 and 6 round to 2 and 6
    tensor([[-1,  3]], dtype=torch.int32)
    """
    check_bits("bits", bits)
    check_weight_codes(q_input, q_weight, q_bias, weight_qparams)
    input_scale, input_zero_point = check_per_tensor("input_qparams", input_qparams)
    check_per_tensor("output_qparams", output_qparams)
    check_linear("q_input", q_input, "q_weight", q_weight)
    # BEGIN SOLUTION s2.quantized_linear
    bias = None if q_bias is None else q_bias.long()
    sums = F.linear(q_input.long() - input_zero_point, q_weight.long(), bias)  # (..., out)
    unit = input_scale * _along(-1, weight_qparams.scale, sums)
    return quantize(sums * unit, output_qparams, bits)
    # END SOLUTION


def quantized_conv2d(
    q_input: Tensor,
    q_weight: Tensor,
    q_bias: Tensor | None,
    input_qparams: QParams,
    weight_qparams: QParams,
    output_qparams: QParams,
    bits: int = 8,
    stride: Pair = 1,
    padding: Pair = 0,
    dilation: Pair = 1,
    groups: int = 1,
) -> Tensor:
    """Return the output codes of a 2-d convolution from input codes, with integer sums.

    Sums, multiplier, rounding and saturation are those of `quantized_linear`, for the products
    under the window of a convolution. Padding means the real number 0, whose code is the input
    zero point, not the code 0.

    Args:
        q_input: integers (N, in, H, W).
        q_weight: integers (out, in/groups, kh, kw).
        q_bias, input_qparams, weight_qparams, output_qparams, bits: as in `quantized_linear`.
        stride: as this and the following in `torch.nn.functional.conv2d`, an int or a pair.
        padding: rows and columns added on each side.
        dilation: spacing of kernel elements.
        groups: every output channel sees in/groups input channels.

    Returns:
        int32 codes (N, out, H', W').

    Raises:
        ValueError: as `quantized_linear`, and if the kernel does not fit into the padded input.

    >>> quantized_conv2d(
    ...     torch.tensor([[[[3, 5]]]]), torch.tensor([[[[1, 2]]]]), None,
    ...     QParams(0.5, 1), QParams(1.0, 0), QParams(0.5, 0), padding=(0, 1),
    ... )  # on the numbers 0, 2, 4, 0 (times 0.5): 0*1 + 2*2, 2*1 + 4*2, 4*1 + 0*2
    tensor([[[[ 4, 10,  4]]]], dtype=torch.int32)
    """
    check_bits("bits", bits)
    check_weight_codes(q_input, q_weight, q_bias, weight_qparams)
    input_scale, input_zero_point = check_per_tensor("input_qparams", input_qparams)
    check_per_tensor("output_qparams", output_qparams)
    check_convolution("q_input", q_input, "q_weight", q_weight, stride, padding, dilation, groups)
    # BEGIN SOLUTION s2.quantized_conv2d
    # Minus the zero point first: then the zeros that conv2d pads with are the number 0.
    centred, bias = q_input.long() - input_zero_point, None if q_bias is None else q_bias.long()
    sums = F.conv2d(centred, q_weight.long(), bias, stride, padding, dilation, groups)
    unit = input_scale * _along(1, weight_qparams.scale, sums)  # sums: (N, out, H', W')
    return quantize(sums * unit, output_qparams, bits)
    # END SOLUTION


def dynamic_quantized_linear(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, bits: int = 8
) -> Tensor:
    """Return x @ weight.T + bias with inputs and weights on codes, inputs quantised as they come.

    No calibration: the range of `x` is measured in the call itself, for the whole tensor or for
    each row (yours to choose; a row of its own does not depend on what else is in the batch).
    The weights are symmetric per output (`per_channel_params`), the products are summed as
    integers, and scales and the floating bias are applied to the sums.

    Args:
        x: floating (..., in).
        weight: floating (out, in), not yet quantised.
        bias: floating (out,), or None.
        bits: width of the codes of inputs and weights, 2..32.

    Returns:
        tensor (..., out) of the dtype of `x`.

    Raises:
        ValueError: for other `bits`, shapes that do not match, or values that are not finite.

    >>> x, weight = torch.tensor([[-1.0, 2.0]]), torch.tensor([[3.0, 1.0]])
    >>> dynamic_quantized_linear(x, weight, bits=2)  # x is exact, of 3 and 1 the 1 rounds to 0
    tensor([[-3.]])
    """
    check_bits("bits", bits, minimum=2)
    check_linear("x", x, "weight", weight)
    if bias is not None:
        check_shape("bias", bias, len(weight))
    check_finite("x", x)
    check_finite("weight", weight)
    # BEGIN SOLUTION s2.dynamic_quantized_linear
    rows = x.detach().reshape(-1, x.shape[-1])
    ranges = zip(rows.amin(dim=1).tolist(), rows.amax(dim=1).tolist())
    found = [affine_params(low, high, bits) for low, high in ranges]
    scale, zero_point = torch.tensor([(p.scale, p.zero_point) for p in found]).double().T
    weights = per_channel_params(weight, bits)
    q_input = quantize(rows, QParams(scale, zero_point), bits, axis=0)
    q_weight = quantize(weight, weights, bits, axis=0)
    # float64 adds integers exactly up to 2^53, and has a fast matrix product, unlike int64.
    sums = F.linear(q_input - zero_point.unsqueeze(1), q_weight.double())  # (rows, out)
    result = sums * scale.unsqueeze(1) * weights.scale
    result = result if bias is None else result + bias.detach()
    return result.reshape(*x.shape[:-1], -1).to(x.dtype)
    # END SOLUTION


def fold_batchnorm(
    weight: Tensor,
    bias: Tensor | None,
    gamma: Tensor,
    beta: Tensor,
    mean: Tensor,
    var: Tensor,
    eps: float = 1e-5,
) -> tuple[Tensor, Tensor]:
    """Return (weight, bias) of one layer that equals a layer followed by batch norm in eval mode.

    Batch norm computes gamma * (y - mean) / sqrt(var + eps) + beta for each output channel of
    y = W x + b. That is linear, so (Jacob et al. 2018, eq. 14; Krishnamoorthi 2018, section 3.2.2)

        W' = W * gamma / sqrt(var + eps),    b' = (b - mean) * gamma / sqrt(var + eps) + beta.

    Args:
        weight: floating (out, ...) of 2 to 5 dimensions, of a linear layer or a convolution (not
            of a transposed one).
        bias: (out,), or None, which is 0; the result has one in any case.
        gamma, beta, mean, var: (out,), weight, bias, running mean and variance of the batch norm.
        eps: its eps, at least 0.

    Returns:
        (weight, bias): new tensors, of the dtype of `weight`.

    Raises:
        ValueError: for other shapes, or where var + eps is not positive.

    >>> one = torch.ones(1)
    >>> fold_batchnorm(one.view(1, 1), 3 * one, 2 * one, one, -one, 4 * one - 1, eps=1.0)
    (tensor([[1.]]), tensor([5.]))
    """
    # BEGIN SOLUTION s2.fold_batchnorm
    if not 2 <= weight.dim() <= 5:
        raise refuse("weight", "2 to 5 dimensions", weight)
    bias = weight.new_zeros(len(weight)) if bias is None else bias
    vectors = {"bias": bias, "gamma": gamma, "beta": beta, "mean": mean, "var": var}
    for name, vector in vectors.items():
        check_shape(name, vector, len(weight))
    if eps < 0 or not bool((var + eps > 0).all()):
        raise refuse("eps", "at least 0, and var + eps positive", eps)
    factor = gamma.double() / (var.double() + eps).sqrt()  # (out,)
    folded_bias = (bias.double() - mean.double()) * factor + beta.double()
    along = (-1, *[1] * (weight.dim() - 1))
    folded_weight = weight.double() * factor.reshape(along)
    return folded_weight.detach().to(weight.dtype), folded_bias.detach().to(weight.dtype)
    # END SOLUTION


def sqnr_db(reference: Tensor, approximation: Tensor) -> float:
    """Return the signal-to-quantisation-noise ratio in decibels.

    10 * log10(sum of r^2 / sum of (r - a)^2), summed in float64; +inf if there is no noise. For a
    uniformly distributed signal each bit adds 20 * log10(2) = 6.02 dB.

    Args:
        reference: the exact values r, any shape.
        approximation: the values a, same shape.

    Raises:
        ValueError: if the shapes differ.

    >>> sqnr_db(torch.tensor([3.0, 4.0]), torch.tensor([3.0, 3.5]))  # 10 * log10(25 / 0.25)
    20.0
    """
    # BEGIN SOLUTION s2.sqnr_db
    check_shape("approximation", approximation, *reference.shape)
    exact = reference.detach().double()
    signal = exact.square().sum().item()
    noise = (exact - approximation.detach().double()).square().sum().item()
    if noise == 0:
        return math.inf
    return 10 * math.log10(signal / noise) if signal else -math.inf
    # END SOLUTION


# ---- whole networks ----------------------------------------------------------------------------


class QuantizedModel(nn.Module):
    """What `quantize_model` returns: call it like the network it was made from.

    Floats go in and come out; between them, inputs and weights of every Conv2d and Linear are
    codes of few bits.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        """Float batch in, float result out, shapes as those of the network."""
        result: Tensor = self.network(x)
        return result


def _without_weights(layer: nn.Conv2d | nn.Linear) -> nn.Conv2d | nn.Linear:
    """A layer of the same geometry without bias, and with weights that take no memory yet."""
    if isinstance(layer, nn.Linear):
        return nn.Linear(layer.in_features, layer.out_features, bias=False, device="meta")
    names = "in_channels out_channels kernel_size stride padding dilation groups padding_mode"
    geometry: Any = {name: getattr(layer, name) for name in names.split()}
    return nn.Conv2d(**geometry, bias=False, device="meta")


class _IntegerLayer(nn.Module):
    """One Conv2d or Linear on codes, for `quantize_model` (a suggestion; yours may differ).

    Args:
        layer: the floating layer, which stays as it is.
        inputs: parameters of its input, per tensor.
        bits: width of the codes of inputs and weights.
    """

    rescale: Tensor  # (out,) or (out, 1, 1): input scale * weight scales
    bias: Tensor  # same shape

    def __init__(self, layer: nn.Conv2d | nn.Linear, inputs: QParams, bits: int) -> None:
        super().__init__()
        # BEGIN SOLUTION s2.quantize_model
        check_finite("the weight of a layer", layer.weight)
        self.inputs, self.bits = inputs, bits
        weights = per_channel_params(layer.weight, bits)
        codes = quantize(layer.weight, weights, bits, axis=0)
        self.product = _without_weights(layer)
        storage = torch.int8 if bits <= 8 else torch.int32
        self.product.weight = nn.Parameter(codes.to(storage), requires_grad=False)
        # The bias stays real: counted in the scale of very small weights it overflows int32.
        scales = torch.as_tensor(weights.scale).double()
        bias = torch.zeros_like(scales) if layer.bias is None else layer.bias.detach().double()
        along = (-1, *[1] * (layer.weight.dim() - 2))
        self.register_buffer("rescale", (inputs.scale * scales).reshape(along))
        self.register_buffer("bias", bias.reshape(along))
        # END SOLUTION

    def forward(self, x: Tensor) -> Tensor:
        """Quantise the input, sum integers, return floats of the dtype of `x`."""
        # BEGIN SOLUTION s2.quantize_model
        codes = quantize(x, self.inputs, self.bits).double()
        # float64 adds integers exactly up to 2^53, and has a fast product, unlike int64. Padding
        # comes after the zero point is gone: its zeros are the number 0.
        weights = {"weight": self.product.weight.double()}
        centred = codes - self.inputs.zero_point
        sums: Tensor = functional_call(self.product, weights, (centred,))
        return (sums * self.rescale + self.bias).to(x.dtype)
        # END SOLUTION


def quantize_model(
    model: nn.Module, calibration_loader: Iterable[Tensor | tuple[Tensor, ...]], bits: int
) -> QuantizedModel:
    """Return a quantised copy of a trained network: static post-training quantisation.

    1. Calibrate: run the batches of `calibration_loader` (training images; never the test set)
       through a copy in eval mode and observe the range of the input of every Conv2d and Linear,
       at any depth, the first and the last included.
    2. Quantise: weights symmetric per output channel, inputs affine per tensor with the range
       observed, all with `bits` bits. From now on the ranges are fixed ("static"): what lies
       outside saturates.

    When the result runs, each of these layers turns its input into codes, sums products of codes,
    and rescales (Krishnamoorthi 2018, section 3.1). What is between them (batch norm, activations,
    additions of residual blocks) stays in floating point. A layer that is called several times
    has one range for all its calls. A layer that the calibration never reaches has no range and
    stays as it is.

    Args:
        model: maps a float batch to a float result. It is not changed: neither weights nor
            buffers, modes nor hooks.
        calibration_loader: batches, either tensors or tuples or lists (inputs, targets), of which
            only the inputs are used. It is gone through once.
        bits: width of the codes of weights and inputs, 2..32.

    Returns:
        `QuantizedModel`, in eval mode.

    Raises:
        ValueError: if the loader has no batches, a layer's inputs or weights are not finite, or
            `bits` is not an int in 2..32.

    With 8 bits a network for digits keeps its accuracy; with 4 it loses some, with 2 most of it.
    """
    check_bits("bits", bits, minimum=2)
    # BEGIN SOLUTION s2.quantize_model
    quantized = QuantizedModel(copy.deepcopy(model)).eval().requires_grad_(False)
    observers: dict[nn.Module, MinMaxObserver] = {}

    def observe(layer: nn.Module, inputs: tuple[Tensor]) -> None:
        check_finite("an input of a layer", inputs[0])
        observers.setdefault(layer, MinMaxObserver()).observe(inputs[0])

    layers = [each for each in quantized.modules() if isinstance(each, nn.Conv2d | nn.Linear)]
    hooks = [layer.register_forward_pre_hook(observe) for layer in layers]
    device = next((p.device for p in model.parameters()), None)
    batches = 0
    with torch.no_grad():
        for batch in calibration_loader:
            quantized((batch if isinstance(batch, Tensor) else batch[0]).to(device))
            batches += 1
    if not batches:
        raise refuse("calibration_loader", "at least one batch", batches)
    for hook in hooks:
        hook.remove()
    integer = {
        layer: _IntegerLayer(layer, observers[layer].qparams(bits), bits).eval()
        for layer in layers
        if layer in observers  # the calibration reached it
    }
    for name, module in list(quantized.named_modules(remove_duplicate=False)):  # aliases too
        if module in integer:
            quantized.set_submodule(name, integer[module])
    return quantized
    # END SOLUTION


def to_half(model: nn.Module) -> nn.Module:
    """Return a copy of `model` in half precision: every floating parameter and buffer in float16.

    The running statistics of batch norm are buffers; left in float32 they do not fit the
    activations. Integer buffers (batch norm's counter) stay integers. Shared parameters stay
    shared. float16 has 11 significant bits and ends at 65,504; `model` is not changed.

    >>> model = to_half(nn.BatchNorm1d(2))
    >>> model.weight.dtype, model.running_var.dtype, model.num_batches_tracked.dtype
    (torch.float16, torch.float16, torch.int64)
    """
    # BEGIN SOLUTION s2.to_half
    return copy.deepcopy(model).half()
    # END SOLUTION


# ---- binary weights ----------------------------------------------------------------------------


def binarize(
    weight: Tensor, stochastic: bool = False, generator: torch.Generator | None = None
) -> Tensor:
    """Return weights of -1 and +1 (Courbariaux et al., "BinaryConnect", NIPS 2015, section 2.2).

    - deterministic: +1 where w >= 0, else -1. There is no third value: sign(0) is +1, although
      `torch.sign(0)` is 0.
    - stochastic: +1 with probability clip((w + 1) / 2, 0, 1), else -1, independently for each
      weight. Within -1..1 the mean is then w itself.

    Args:
        weight: floating, any shape.
        stochastic: which of the two.
        generator: source of the random numbers; the same seed gives the same weights. Without
            one, stochastic results differ from call to call. The global generator is not used.

    Returns:
        tensor of the shape and dtype of `weight`.

    >>> binarize(torch.tensor([-0.1, 0.0, -0.0, 2.0]))
    tensor([-1.,  1.,  1.,  1.])
    """
    # BEGIN SOLUTION s2.binarize
    weight = weight.detach()
    positive = weight >= 0
    if stochastic:
        if generator is None:
            generator = torch.Generator()
            generator.seed()  # from the operating system
        probability = ((weight.float() + 1) / 2).clamp(0, 1)  # the hard sigmoid, eq. 3
        draws = torch.rand(weight.shape, generator=generator, device=generator.device)
        positive = draws.to(weight.device) < probability
    return torch.where(positive, 1.0, -1.0).to(weight.dtype)
    # END SOLUTION


def binary_connect_step(
    model: nn.Module,
    batch: tuple[Tensor, Tensor],
    loss_fn: Callable[[Tensor, Tensor], Tensor],
    optimizer: torch.optim.Optimizer,
) -> float:
    """Train `model` in place by one step of BinaryConnect (Courbariaux et al. 2015, algorithm 1).

    1. Binarise the weights, deterministically as in `binarize`; run forward and backward with
       the binary weights.
    2. Put the real weights back and let `optimizer` step on *them*, with these gradients. A step
       is much smaller than 1: added to -1 or +1 it would be forgotten at the next binarisation.
    3. Clip the real weights to [-1, 1]; beyond, they have no influence.

    All this concerns the weights of Linear and Conv layers (`PRUNABLE`). Biases and norms are
    trained as usual, and never binarised or clipped. Gradients from before the call do not count.
    Afterwards the model holds its real weights, also when forward or `loss_fn` raises.

    Args:
        model: in whatever mode it is to be trained.
        batch: (inputs, targets).
        loss_fn: maps (output of the model, targets) to a 0-dim loss.
        optimizer: over the model's parameters; one `step`.

    Returns:
        The loss with binary weights, before the step (not graded).
    """
    # BEGIN SOLUTION s2.binary_connect_step
    inputs, targets = batch
    weights = {m.weight for m in model.modules() if isinstance(m, PRUNABLE)}  # shared ones once
    real = {weight: weight.detach().clone() for weight in weights}
    optimizer.zero_grad()
    try:
        with torch.no_grad():
            for weight in weights:
                weight.copy_(binarize(weight))
        loss = loss_fn(model(inputs), targets)
        loss.backward()  # type: ignore[no-untyped-call]  # torch has no types here
    finally:
        with torch.no_grad():
            for weight, values in real.items():
                weight.copy_(values)
    optimizer.step()
    with torch.no_grad():
        for weight in weights:
            weight.clamp_(-1, 1)
    return loss.item()
    # END SOLUTION
