"""Quantisation and binarisation, with plain loops."""

import copy
import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from shared.records import QParams
from torch import Tensor, nn

INT32_MIN = -(2**31)
INT32_MAX = 2**31 - 1


# ---- arguments -----------------------------------------------------------------------------


def _check_bits(bits: Any, least: int = 1) -> int:
    if isinstance(bits, bool) or not isinstance(bits, int) or not least <= bits <= 32:
        raise ValueError(f"bits must be an integer in {least}..32, got {bits!r}")
    return bits


def _single(qparams: Any, name: str) -> tuple[float, int]:
    """Scale and zero point of one tensor, as Python numbers."""
    values = []
    for value in (qparams.scale, qparams.zero_point):
        if isinstance(value, Tensor):
            if value.dim() > 0:
                raise ValueError(f"{name}: expected numbers, got {tuple(value.shape)}")
            value = value.item()
        values.append(value)
    return float(values[0]), int(values[1])


def _is_vector(value: Any) -> bool:
    return isinstance(value, Tensor) and value.dim() > 0


def _listed(value: Any, channels: int, name: str) -> list[float]:
    """One number a channel; a single number is repeated."""
    if _is_vector(value):
        if tuple(value.shape) != (channels,):
            raise ValueError(f"{name} must have shape ({channels},), got {tuple(value.shape)}")
        return value.tolist()
    return [float(value)] * channels


def _dimension(axis: int, dims: int) -> int:
    if not -dims <= axis < dims:
        raise ValueError(f"axis must be one of the {dims} dimensions, got {axis}")
    return axis % dims


def _clamp(value: float, low: float, high: float) -> float:
    return min(max(value, low), high)


def _code(value: float, scale: float, zero_point: int, low: int, high: int) -> int:
    ratio = value / scale
    if math.isinf(ratio):
        return high if ratio > 0 else low
    return int(_clamp(round(ratio) + zero_point, low, high))


# ---- ranges and parameters -----------------------------------------------------------------


def quantization_range(bits: int, signed: bool = True, narrow: bool = False) -> tuple[int, int]:
    _check_bits(bits)
    if signed:
        qmin, qmax = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    else:
        qmin, qmax = 0, 2**bits - 1
    if narrow:
        qmin += 1
    return qmin, qmax


def _affine(low: float, high: float, bits: int, symmetric: bool, signed: bool) -> QParams:
    _check_bits(bits, least=2)
    if symmetric and not signed:
        raise ValueError(f"signed must be True for symmetric parameters, got {signed!r}")
    low, high = float(low), float(high)
    for name, bound in (("low", low), ("high", high)):
        if not math.isfinite(bound):
            raise ValueError(f"{name} must be finite, got {bound}")
    if low > high:
        raise ValueError(f"low must be at most high = {high}, got {low}")
    low, high = min(low, 0.0), max(high, 0.0)
    if signed:
        qmin, qmax = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    else:
        qmin, qmax = 0, 2**bits - 1
    if symmetric:
        scale = max(-low, high) / qmax
        return QParams(scale if scale > 0 else 1.0, 0)
    scale = (high - low) / (qmax - qmin)
    if scale <= 0:
        scale = 1.0
    zero_point = round(qmin - low / scale)
    return QParams(scale, int(_clamp(zero_point, qmin, qmax)))


def affine_params(
    low: float, high: float, bits: int, symmetric: bool = False, signed: bool = True
) -> QParams:
    return _affine(low, high, bits, symmetric, signed)


def quantize(
    x: Tensor, qparams: QParams, bits: int, axis: int | None = None, signed: bool = True
) -> Tensor:
    _check_bits(bits)
    low = -(2 ** (bits - 1)) if signed else 0
    high = low + 2**bits - 1
    result = torch.empty(x.shape, dtype=torch.int32)
    for index, scale, zero_point in _slices(x, qparams, axis):
        codes = []
        for value in x[index].flatten().tolist():
            codes.append(min(_code(value, scale, zero_point, low, high), INT32_MAX))
        result[index] = torch.tensor(codes, dtype=torch.int32).reshape(x[index].shape)
    return result


def _slices(x: Tensor, qparams: Any, axis: int | None) -> list[tuple[Any, float, int]]:
    """(index of a part of `x`, its scale, its zero point)."""
    if axis is None:
        if _is_vector(qparams.scale) or _is_vector(qparams.zero_point):
            raise ValueError(f"axis must be given for parameters per channel, got {axis}")
        return [(..., *_single(qparams, "qparams"))]
    dimension = _dimension(axis, x.dim())
    channels = x.shape[dimension]
    scales = _listed(qparams.scale, channels, "qparams.scale")
    zero_points = _listed(qparams.zero_point, channels, "qparams.zero_point")
    parts = []
    for channel in range(channels):
        index = (slice(None),) * dimension + (channel,)
        parts.append((index, scales[channel], int(zero_points[channel])))
    return parts


def dequantize(q: Tensor, qparams: QParams, axis: int | None = None) -> Tensor:
    result = torch.empty(q.shape, dtype=torch.float32)
    for index, scale, zero_point in _slices(q, qparams, axis):
        values = []
        for code in q[index].flatten().tolist():
            values.append((int(code) - zero_point) * scale)
        result[index] = torch.tensor(values, dtype=torch.float32).reshape(q[index].shape)
    return result


def _channel_scales(weight: Tensor, bits: int, axis: int) -> list[float]:
    qmax = 2 ** (_check_bits(bits, least=2) - 1) - 1
    dimension = _dimension(axis, weight.dim())
    scales = []
    for channel in range(weight.shape[dimension]):
        largest = float(weight.detach().select(dimension, channel).abs().max())
        if not math.isfinite(largest):
            raise ValueError(f"weight must be finite, got {largest} in channel {channel}")
        scales.append(largest / qmax if largest > 0 else 1.0)
    return scales


def per_channel_params(weight: Tensor, bits: int, axis: int = 0) -> QParams:
    scales = _channel_scales(weight, bits, axis)
    return QParams(torch.tensor(scales), torch.zeros(len(scales), dtype=torch.int32))


# ---- observers -----------------------------------------------------------------------------


class MinMaxObserver:
    def __init__(self) -> None:
        self.low: float | None = None
        self.high: float | None = None

    def observe(self, x: Tensor) -> None:
        low, high = float(x.min()), float(x.max())
        self.low = low if self.low is None else min(self.low, low)
        self.high = high if self.high is None else max(self.high, high)

    def qparams(self, bits: int) -> QParams:
        if self.low is None or self.high is None:
            raise ValueError("observe must be called before qparams")
        return _affine(self.low, self.high, bits, False, True)


class MovingAverageObserver:
    def __init__(self, momentum: float = 0.9) -> None:
        if not 0 <= momentum <= 1:
            raise ValueError(f"momentum must be in [0, 1], got {momentum!r}")
        self.momentum = momentum
        self.low: float | None = None
        self.high: float | None = None

    def observe(self, x: Tensor) -> None:
        low, high = float(x.min()), float(x.max())
        if self.low is None or self.high is None:
            self.low, self.high = low, high
        else:
            self.low = self.momentum * self.low + (1 - self.momentum) * low
            self.high = self.momentum * self.high + (1 - self.momentum) * high

    def qparams(self, bits: int) -> QParams:
        if self.low is None or self.high is None:
            raise ValueError("observe must be called before qparams")
        return _affine(self.low, self.high, bits, False, True)


class PercentileObserver:
    def __init__(self, p: float = 99.9) -> None:
        if not 50 <= p <= 100:
            raise ValueError(f"p must be a percentage in 50..100, got {p!r}")
        self.p = p
        self.values: list[float] = []

    def observe(self, x: Tensor) -> None:
        self.values.extend(x.detach().flatten().tolist())

    def qparams(self, bits: int) -> QParams:
        if not self.values:
            raise ValueError("observe must be called before qparams")
        ordered = sorted(self.values)
        bounds = []
        for percent in (100 - self.p, self.p):
            position = percent / 100 * (len(ordered) - 1)
            below = math.floor(position)
            above = min(below + 1, len(ordered) - 1)
            part = position - below
            bounds.append(ordered[below] * (1 - part) + ordered[above] * part)
        return _affine(min(bounds), max(bounds), bits, False, True)


class MSEObserver:
    def __init__(self) -> None:
        self.seen: list[Tensor] = []

    def observe(self, x: Tensor) -> None:
        self.seen.append(x.detach().flatten().double().clone())

    def qparams(self, bits: int) -> QParams:
        if not self.seen:
            raise ValueError("observe must be called before qparams")
        values = torch.cat(self.seen)
        low, high = float(values.min()), float(values.max())
        best = _affine(low, high, bits, False, True)
        least = self._error(values, best, bits)
        for step in range(1, 80):
            share = 1 - step / 80
            candidate = _affine(low * share, high * share, bits, False, True)
            error = self._error(values, candidate, bits)
            if error < least:
                best, least = candidate, error
        return best

    @staticmethod
    def _error(values: Tensor, qparams: QParams, bits: int) -> float:
        qmin, qmax = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
        codes = (torch.round(values / qparams.scale) + qparams.zero_point).clamp(qmin, qmax)
        return float(((codes - qparams.zero_point) * qparams.scale - values).square().sum())


# ---- quantisation while training -----------------------------------------------------------


class _FakeQuantize(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, scale: float, zero_point: int, low: int, high: int
    ) -> Tensor:
        rounded, inside = [], []
        for value in x.flatten().tolist():
            code = _code(value, scale, zero_point, low, high)
            rounded.append((code - zero_point) * scale)
            inside.append((low - zero_point) * scale <= value <= (high - zero_point) * scale)
        ctx.save_for_backward(torch.tensor(inside, dtype=torch.bool).reshape(x.shape))
        return torch.tensor(rounded, dtype=x.dtype).reshape(x.shape)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        (inside,) = ctx.saved_tensors
        return gradient * inside.to(gradient.dtype), None, None, None, None


def fake_quantize(x: Tensor, qparams: QParams, bits: int, signed: bool = True) -> Tensor:
    _check_bits(bits)
    low = -(2 ** (bits - 1)) if signed else 0
    high = low + 2**bits - 1
    scale, zero_point = _single(qparams, "qparams")
    return _FakeQuantize.apply(x, scale, zero_point, low, high)


# ---- integer arithmetic --------------------------------------------------------------------


def quantize_bias(bias: Tensor, input_scale: float, weight_scale: float | Tensor) -> Tensor:
    if bias.dim() != 1:
        raise ValueError(f"bias must be (out,), got {tuple(bias.shape)}")
    scales = _listed(weight_scale, len(bias), "weight_scale")
    codes = []
    for value, scale in zip(bias.tolist(), scales, strict=True):
        codes.append(_code(value, float(input_scale) * scale, 0, INT32_MIN, INT32_MAX))
    return torch.tensor(codes, dtype=torch.int32)


def _check_bias(q_bias: Tensor | None, outputs: int) -> list[int]:
    if q_bias is None:
        return [0] * outputs
    if tuple(q_bias.shape) != (outputs,):
        raise ValueError(f"q_bias must be ({outputs},), got {tuple(q_bias.shape)}")
    return [int(value) for value in q_bias.tolist()]


def quantized_linear(
    q_input: Tensor,
    q_weight: Tensor,
    q_bias: Tensor | None,
    input_qparams: QParams,
    weight_qparams: QParams,
    output_qparams: QParams,
    bits: int = 8,
) -> Tensor:
    _check_bits(bits)
    if q_weight.dim() != 2:
        raise ValueError(f"q_weight must be (out, in), got {tuple(q_weight.shape)}")
    outputs, inputs = q_weight.shape
    if q_input.dim() < 1 or q_input.shape[-1] != inputs:
        raise ValueError(f"q_input must be (..., {inputs}), got {tuple(q_input.shape)}")
    biases = _check_bias(q_bias, outputs)
    input_scale, input_zero = _single(input_qparams, "input_qparams")
    output_scale, output_zero = _single(output_qparams, "output_qparams")
    weight_scales = _listed(weight_qparams.scale, outputs, "weight_qparams.scale")
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1

    weights = q_weight.tolist()
    result = []
    for row in q_input.reshape(-1, inputs).tolist():
        centred = [int(code) - input_zero for code in row]
        for output in range(outputs):
            total = biases[output]
            for code, weight in zip(centred, weights[output], strict=True):
                total += code * int(weight)
            real = total * (input_scale * weight_scales[output])
            result.append(_code(real, output_scale, output_zero, low, high))
    shape = (*q_input.shape[:-1], outputs)
    return torch.tensor(result, dtype=torch.int32).reshape(shape)


def _two(value: Any, name: str, least: int) -> tuple[int, int]:
    both = tuple(value) if isinstance(value, tuple | list) else (value, value)
    if len(both) != 2 or not all(isinstance(each, int) and each >= least for each in both):
        raise ValueError(f"{name} must be an int or a pair, at least {least}, got {value!r}")
    return both[0], both[1]


def quantized_conv2d(
    q_input: Tensor,
    q_weight: Tensor,
    q_bias: Tensor | None,
    input_qparams: QParams,
    weight_qparams: QParams,
    output_qparams: QParams,
    bits: int = 8,
    stride: int | tuple[int, int] = 1,
    padding: int | tuple[int, int] = 0,
    dilation: int | tuple[int, int] = 1,
    groups: int = 1,
) -> Tensor:
    _check_bits(bits)
    stride_h, stride_w = _two(stride, "stride", 1)
    pad_h, pad_w = _two(padding, "padding", 0)
    step_h, step_w = _two(dilation, "dilation", 1)
    if q_input.dim() != 4 or q_weight.dim() != 4:
        raise ValueError(
            "q_input and q_weight must have 4 dimensions, "
            f"got {tuple(q_input.shape)} and {tuple(q_weight.shape)}"
        )
    samples, channels, height, width = q_input.shape
    outputs, group_in, kernel_h, kernel_w = q_weight.shape
    if groups < 1 or channels != group_in * groups or outputs % groups != 0:
        raise ValueError(
            f"groups = {groups} does not fit {channels} inputs and weight {tuple(q_weight.shape)}"
        )
    out_h = (height + 2 * pad_h - step_h * (kernel_h - 1) - 1) // stride_h + 1
    out_w = (width + 2 * pad_w - step_w * (kernel_w - 1) - 1) // stride_w + 1
    if out_h < 1 or out_w < 1:
        raise ValueError(f"q_input is too small for the kernel: {tuple(q_input.shape)}")
    biases = _check_bias(q_bias, outputs)
    input_scale, input_zero = _single(input_qparams, "input_qparams")
    output_scale, output_zero = _single(output_qparams, "output_qparams")
    weight_scales = _listed(weight_qparams.scale, outputs, "weight_qparams.scale")
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1

    padded = torch.full(
        (samples, channels, height + 2 * pad_h, width + 2 * pad_w), input_zero, dtype=torch.int64
    )
    padded[:, :, pad_h : pad_h + height, pad_w : pad_w + width] = q_input
    centred = padded - input_zero
    weights = q_weight.to(torch.int64)
    result = torch.empty((samples, outputs, out_h, out_w), dtype=torch.int32)
    for output in range(outputs):
        first = output // (outputs // groups) * group_in
        for row in range(out_h):
            top = row * stride_h
            rows = slice(top, top + step_h * (kernel_h - 1) + 1, step_h)
            for column in range(out_w):
                left = column * stride_w
                columns = slice(left, left + step_w * (kernel_w - 1) + 1, step_w)
                window = centred[:, first : first + group_in, rows, columns]
                totals = (window * weights[output]).flatten(1).sum(dim=1).tolist()
                for sample in range(samples):
                    total = totals[sample] + biases[output]
                    real = total * (input_scale * weight_scales[output])
                    code = _code(real, output_scale, output_zero, low, high)
                    result[sample, output, row, column] = code
    return result


# ---- folding and measuring -----------------------------------------------------------------


def fold_batchnorm(
    weight: Tensor,
    bias: Tensor | None,
    gamma: Tensor,
    beta: Tensor,
    mean: Tensor,
    var: Tensor,
    eps: float = 1e-5,
) -> tuple[Tensor, Tensor]:
    channels = weight.shape[0]
    given = {"gamma": gamma, "beta": beta, "mean": mean, "var": var}
    if bias is not None:
        given["bias"] = bias
    for name, tensor in given.items():
        if tuple(tensor.shape) != (channels,):
            raise ValueError(f"{name} must be ({channels},), got {tuple(tensor.shape)}")
    new_weight = torch.empty_like(weight)
    new_bias = torch.empty(channels, dtype=weight.dtype, device=weight.device)
    for channel in range(channels):
        factor = float(gamma[channel]) / math.sqrt(float(var[channel]) + eps)
        old = 0.0 if bias is None else float(bias[channel])
        new_weight[channel] = weight.detach()[channel] * factor
        new_bias[channel] = float(beta[channel]) + (old - float(mean[channel])) * factor
    return new_weight, new_bias


def sqnr_db(reference: Tensor, approximation: Tensor) -> float:
    if reference.shape != approximation.shape:
        raise ValueError(
            f"approximation must be {tuple(reference.shape)}, got {tuple(approximation.shape)}"
        )
    signal = noise = 0.0
    wanted, seen = reference.flatten().tolist(), approximation.flatten().tolist()
    for value, other in zip(wanted, seen, strict=True):
        signal += value**2
        noise += (value - other) ** 2
    if noise == 0:
        return math.inf
    if signal == 0:
        return -math.inf
    return 10 * math.log10(signal / noise)


# ---- whole models --------------------------------------------------------------------------


def _rounded(values: Tensor, scale: Any, zero_point: Any, bits: int) -> Tensor:
    """Quantised and back, for whole tensors at once."""
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    codes = (torch.round(values.double() / scale) + zero_point).clamp(low, high)
    return ((codes - zero_point) * scale).to(values.dtype)


class _QuantizedLayer(nn.Module):
    """A Linear or Conv2d that first watches its inputs and then quantises them."""

    def __init__(self, layer: nn.Module, bits: int) -> None:
        super().__init__()
        self.layer = layer
        self.bits = bits
        self.watching = True
        self.range: tuple[float, float] | None = None

    @property
    def weight(self) -> Tensor:
        return self.layer.weight

    @property
    def bias(self) -> Tensor | None:
        return self.layer.bias

    def forward(self, x: Tensor) -> Tensor:
        if self.watching:
            low, high = float(x.min()), float(x.max())
            if self.range is not None:
                low, high = min(low, self.range[0]), max(high, self.range[1])
            self.range = low, high
        elif self.range is not None:
            qparams = _affine(*self.range, self.bits, False, True)
            x = _rounded(x, qparams.scale, qparams.zero_point, self.bits)
        return self.layer(x)

    def freeze(self) -> None:
        """Quantise the weight, channel by channel; from now on inputs are quantised too."""
        self.watching = False
        weight = self.layer.weight.data
        scales = torch.tensor(_channel_scales(weight, self.bits, 0), dtype=torch.float64)
        scales = scales.reshape(-1, *[1] * (weight.dim() - 1))
        self.layer.weight.data = _rounded(weight, scales, 0, self.bits)


def _wrap_layers(module: nn.Module, bits: int, wrapped: dict[int, _QuantizedLayer]) -> nn.Module:
    """`module` with every Linear and Conv2d in it wrapped; one that is used twice, once."""
    if isinstance(module, nn.Linear | nn.Conv2d):
        if id(module) not in wrapped:
            wrapped[id(module)] = _QuantizedLayer(module, bits)
        return wrapped[id(module)]
    for name, child in list(module._modules.items()):
        if child is not None and not isinstance(child, _QuantizedLayer):
            setattr(module, name, _wrap_layers(child, bits, wrapped))
    return module


class QuantizedModel(nn.Module):
    """The network with quantised weights and layer inputs; always in eval mode."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            return self.network(x)


def quantize_model(
    model: nn.Module, calibration_loader: Iterable[Any], bits: int
) -> QuantizedModel:
    _check_bits(bits, least=2)
    wrapped: dict[int, _QuantizedLayer] = {}
    result = QuantizedModel(_wrap_layers(copy.deepcopy(model), bits, wrapped))
    result.eval()
    batches = 0
    for batch in calibration_loader:
        result(batch[0] if isinstance(batch, tuple | list) else batch)
        batches += 1
    if batches == 0:
        raise ValueError("calibration_loader must give at least one batch, got none")
    for layer in wrapped.values():
        layer.freeze()
    return result


def dynamic_quantized_linear(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, bits: int = 8
) -> Tensor:
    _check_bits(bits, least=2)
    if weight.dim() != 2:
        raise ValueError(f"weight must be (out, in), got {tuple(weight.shape)}")
    outputs, inputs = weight.shape
    if x.dim() < 1 or x.shape[-1] != inputs:
        raise ValueError(f"x must be (..., {inputs}), got {tuple(x.shape)}")
    if bias is not None and tuple(bias.shape) != (outputs,):
        raise ValueError(f"bias must be ({outputs},), got {tuple(bias.shape)}")
    qparams = _affine(float(x.min()), float(x.max()), bits, False, True)
    scales = torch.tensor(_channel_scales(weight, bits, 0), dtype=torch.float64)
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    rows = []
    for row in x.detach().double().reshape(-1, inputs):
        codes = (torch.round(row / qparams.scale) + qparams.zero_point).clamp(low, high)
        centred = codes - qparams.zero_point
        values = []
        for output in range(outputs):
            weights = torch.round(weight[output].detach().double() / scales[output])
            total = float((centred * weights.clamp(low, high)).sum())
            real = total * qparams.scale * float(scales[output])
            values.append(real + (0.0 if bias is None else float(bias[output])))
        rows.append(values)
    return torch.tensor(rows, dtype=x.dtype).reshape(*x.shape[:-1], outputs)


def to_half(model: nn.Module) -> nn.Module:
    result = copy.deepcopy(model)
    for module in result.modules():
        for parameter in module.parameters(recurse=False):
            if parameter.is_floating_point():
                parameter.data = parameter.data.to(torch.float16)
        for name, buffer in list(module.named_buffers(recurse=False)):
            if buffer.is_floating_point():
                setattr(module, name, buffer.to(torch.float16))
    return result


# ---- binary weights ------------------------------------------------------------------------


def binarize(
    weight: Tensor, stochastic: bool = False, generator: torch.Generator | None = None
) -> Tensor:
    values = weight.detach().flatten().tolist()
    if stochastic:
        if generator is None:
            generator = torch.Generator()
            generator.seed()
        draws = torch.rand(len(values), generator=generator, dtype=torch.float64).tolist()
    signs = []
    for position, value in enumerate(values):
        if stochastic:
            positive = draws[position] < _clamp((value + 1) / 2, 0.0, 1.0)
        else:
            positive = value >= 0
        signs.append(1.0 if positive else -1.0)
    return torch.tensor(signs, dtype=weight.dtype, device=weight.device).reshape(weight.shape)


def binary_connect_step(
    model: nn.Module,
    batch: tuple[Tensor, Tensor],
    loss_fn: Callable[[Tensor, Tensor], Tensor],
    optimizer: torch.optim.Optimizer,
) -> float:
    inputs, targets = batch
    weights: list[nn.Parameter] = []
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d):
            if not any(weight is module.weight for weight in weights):
                weights.append(module.weight)
    for parameter in model.parameters():
        parameter.grad = None
    optimizer.zero_grad()
    real = [weight.detach().clone() for weight in weights]
    try:
        for weight in weights:
            weight.data.copy_(torch.where(weight.data >= 0, 1.0, -1.0))
        loss = loss_fn(model(inputs), targets)
        loss.backward()
    finally:
        for weight, values in zip(weights, real, strict=True):
            weight.data.copy_(values)
    optimizer.step()
    for weight in weights:
        weight.data.clamp_(-1, 1)
    return float(loss.detach())
