"""Quantisation and binarisation with NumPy: arrays of codes, windows and einsum."""

import copy
import math

import numpy as np
import torch
from shared.records import QParams
from torch import nn

INT32 = np.iinfo(np.int32)


def _require(condition, argument, value):
    if not condition:
        raise ValueError(f"bad {argument}: {value!r}")


def _check_bits(bits, least=1):
    integral = isinstance(bits, int | np.integer) and not isinstance(bits, bool)
    _require(integral and least <= bits <= 32, "bits", bits)
    return int(bits)


def _array(value):
    """Float64 array of a tensor or a number."""
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu().double().numpy()
    return np.asarray(value, dtype=np.float64)


def _integers(tensor):
    return tensor.detach().cpu().numpy().astype(np.int64)


def _limits(bits, signed=True):
    span = 1 << bits
    return (-(span >> 1), (span >> 1) - 1) if signed else (0, span - 1)


def _codes(ratio, zero_point, low, high):
    """Round half to even, shift, saturate; in float64, where every code is exact."""
    return np.clip(np.rint(ratio) + zero_point, low, high)


def quantization_range(bits, signed=True, narrow=False):
    low, high = _limits(_check_bits(bits), signed)
    return low + bool(narrow), high


def _range_params(low, high, bits, symmetric=False, signed=True):
    low, high = float(low), float(high)
    _check_bits(bits, 2)
    _require(signed or not symmetric, "signed (symmetric codes are signed)", signed)
    _require(np.isfinite(low), "low", low)
    _require(np.isfinite(high), "high", high)
    _require(low <= high, "low, high", (low, high))
    ends = np.clip([low, high], [-np.inf, 0.0], [0.0, np.inf])
    qmin, qmax = _limits(bits, signed)
    if symmetric:
        scale = np.abs(ends).max() / qmax
        return QParams(float(scale) or 1.0, 0)
    scale = np.diff(ends).item() / (qmax - qmin) or 1.0
    zero_point = np.clip(np.rint(qmin - ends[0] / scale), qmin, qmax)
    return QParams(float(scale), int(zero_point))


def affine_params(low, high, bits, symmetric=False, signed=True):
    return _range_params(low, high, bits, symmetric, signed)


def _aligned(parameter, shape, axis):
    """A parameter as an array that broadcasts over `shape`."""
    parameter = _array(parameter)
    if parameter.ndim == 0:
        return parameter
    _require(axis is not None, "axis (the parameters are per channel)", axis)
    _require(parameter.shape == (shape[axis],), "shape of qparams", parameter.shape)
    return np.expand_dims(
        parameter, tuple(i for i in range(len(shape)) if i != axis % len(shape))
    )


def _check_axis(axis, shape):
    _require(axis is None or -len(shape) <= axis < len(shape), "axis", axis)


def quantize(x, qparams, bits, axis=None, signed=True):
    low, high = _limits(_check_bits(bits), signed)
    values = _array(x)
    _check_axis(axis, values.shape)
    scale = _aligned(qparams.scale, values.shape, axis)
    zero_point = _aligned(qparams.zero_point, values.shape, axis)
    codes = _codes(values / scale, zero_point, low, min(high, INT32.max))
    return torch.from_numpy(np.asarray(codes).astype(np.int32))


def dequantize(q, qparams, axis=None):
    codes = _integers(q)
    _check_axis(axis, codes.shape)
    scale = _aligned(qparams.scale, codes.shape, axis)
    zero_point = _aligned(qparams.zero_point, codes.shape, axis)
    return torch.from_numpy(np.asarray((codes - zero_point) * scale).astype(np.float32))


def _symmetric_scales(weight, bits, axis):
    values = np.abs(_array(weight))
    _check_bits(bits, 2)
    _check_axis(axis, values.shape)
    largest = np.moveaxis(values, axis, 0).reshape(values.shape[axis], -1).max(axis=1)
    _require(np.isfinite(largest).all(), "weight (not finite)", largest)
    return np.where(largest > 0, largest / _limits(bits)[1], 1.0)


def per_channel_params(weight, bits, axis=0):
    scales = _symmetric_scales(weight, bits, axis)
    zeros = np.zeros(len(scales), dtype=np.int64)
    return QParams(torch.from_numpy(scales.astype(np.float32)), torch.from_numpy(zeros))


# ---- observers -----------------------------------------------------------------------------


class MinMaxObserver:
    def __init__(self):
        self.ends = np.array([np.inf, -np.inf])

    def observe(self, x):
        values = _array(x)
        self.ends = np.array(
            [min(self.ends[0], values.min()), max(self.ends[1], values.max())]
        )

    def qparams(self, bits):
        _require(self.ends[0] <= self.ends[1], "observer (nothing was observed)", self.ends)
        return _range_params(*self.ends, bits)


class MovingAverageObserver:
    def __init__(self, momentum=0.9):
        _require(0 <= momentum <= 1, "momentum", momentum)
        self.momentum = momentum
        self.ends = None

    def observe(self, x):
        batch = np.array([_array(x).min(), _array(x).max()])
        old = batch if self.ends is None else self.ends
        self.ends = self.momentum * old + (1 - self.momentum) * batch

    def qparams(self, bits):
        _require(self.ends is not None, "observer", "nothing was observed")
        return _range_params(*self.ends, bits)


class PercentileObserver:
    def __init__(self, p=99.9):
        _require(50 <= p <= 100, "p", p)
        self.p = p
        self.seen = []

    def observe(self, x):
        self.seen.append(_array(x).ravel().copy())

    def qparams(self, bits):
        _require(bool(self.seen), "observer", "nothing was observed")
        ends = np.percentile(np.concatenate(self.seen), [100 - self.p, self.p])
        return _range_params(*ends, bits)


class MSEObserver:
    """Shrinks both ends independently on a coarse grid."""

    def __init__(self):
        self.seen = []

    def observe(self, x):
        self.seen.append(_array(x).ravel().copy())

    def qparams(self, bits):
        _require(bool(self.seen), "observer", "nothing was observed")
        values = np.concatenate(self.seen)
        low, high = values.min(), values.max()
        shares = np.linspace(1.0, 0.1, 16)
        candidates = [_range_params(low * a, high * b, bits) for a in shares for b in shares
                      if low * a <= high * b]
        errors = [self._error(values, each, bits) for each in candidates]
        return candidates[int(np.argmin(errors))]

    @staticmethod
    def _error(values, qparams, bits):
        codes = _codes(values / qparams.scale, qparams.zero_point, *_limits(bits))
        return np.square((codes - qparams.zero_point) * qparams.scale - values).sum()


# ---- quantisation while training -----------------------------------------------------------


class _StraightThrough(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, scale, zero_point, low, high):
        codes = np.rint(_array(x) / scale) + zero_point
        ctx.outside = torch.from_numpy(np.asarray((codes < low) | (codes > high)))
        real = (np.clip(codes, low, high) - zero_point) * scale
        return torch.as_tensor(real, dtype=x.dtype)

    @staticmethod
    def backward(ctx, gradient):
        return gradient.masked_fill(ctx.outside, 0.0), None, None, None, None


def fake_quantize(x, qparams, bits, signed=True):
    low, high = _limits(_check_bits(bits), signed)
    scale, zero_point = _array(qparams.scale), _array(qparams.zero_point)
    _require(scale.ndim == zero_point.ndim == 0, "shape of qparams", scale.shape)
    return _StraightThrough.apply(x, scale.item(), zero_point.item(), low, high)


# ---- integer arithmetic --------------------------------------------------------------------


def quantize_bias(bias, input_scale, weight_scale):
    values, weight_scale = _array(bias), _array(weight_scale)
    _require(values.ndim == 1, "shape of bias", values.shape)
    _require(weight_scale.ndim == 0 or weight_scale.shape == values.shape,
             "shape of weight_scale", weight_scale.shape)
    codes = _codes(values / (_array(input_scale) * weight_scale), 0, INT32.min, INT32.max)
    return torch.from_numpy(codes.astype(np.int32))


def _per_tensor(qparams, name):
    scale, zero_point = _array(qparams.scale), _array(qparams.zero_point)
    _require(scale.ndim == zero_point.ndim == 0, f"shape of {name}", scale.shape)
    return scale.item(), int(zero_point)


def _requantise(sums, factor, output_qparams, bits):
    """Integer sums to output codes; `factor` broadcasts over them."""
    scale, zero_point = _per_tensor(output_qparams, "output_qparams")
    codes = _codes(sums * factor / scale, zero_point, *_limits(bits))
    return torch.from_numpy(codes.astype(np.int32))


def _channel_factor(input_scale, weight_qparams, outputs):
    scale = _array(weight_qparams.scale)
    _require(scale.ndim == 0 or scale.shape == (outputs,), "shape of weight_qparams", scale.shape)
    return np.broadcast_to(input_scale * scale, (outputs,))


def _bias_array(q_bias, outputs):
    if q_bias is None:
        return np.zeros(outputs, dtype=np.int64)
    _require(tuple(q_bias.shape) == (outputs,), "shape of q_bias", tuple(q_bias.shape))
    return _integers(q_bias)


def quantized_linear(
    q_input, q_weight, q_bias, input_qparams, weight_qparams, output_qparams, bits=8
):
    _check_bits(bits)
    codes, weights = _integers(q_input), _integers(q_weight)
    _require(weights.ndim == 2, "shape of q_weight", weights.shape)
    _require(codes.ndim >= 1 and codes.shape[-1] == weights.shape[1],
             "shape of q_input", codes.shape)
    input_scale, input_zero = _per_tensor(input_qparams, "input_qparams")
    # sum (q - z) w = sum q w - z sum w
    correction = _bias_array(q_bias, len(weights)) - input_zero * weights.sum(axis=1)
    factor = _channel_factor(input_scale, weight_qparams, len(weights))
    return _requantise(codes @ weights.T + correction, factor, output_qparams, bits)


def _pair(value, argument, least):
    pair = np.broadcast_to(np.asarray(value), (2,)) if np.ndim(value) == 0 else np.asarray(value)
    _require(pair.shape == (2,) and pair.dtype.kind in "iu" and (pair >= least).all(),
             argument, value)
    return int(pair[0]), int(pair[1])


def quantized_conv2d(
    q_input,
    q_weight,
    q_bias,
    input_qparams,
    weight_qparams,
    output_qparams,
    bits=8,
    stride=1,
    padding=0,
    dilation=1,
    groups=1,
):
    _check_bits(bits)
    (sh, sw), (ph, pw), (dh, dw) = (
        _pair(stride, "stride", 1), _pair(padding, "padding", 0), _pair(dilation, "dilation", 1)
    )
    codes, weights = _integers(q_input), _integers(q_weight)
    _require(codes.ndim == 4, "shape of q_input", codes.shape)
    _require(weights.ndim == 4, "shape of q_weight", weights.shape)
    outputs, per_group, kh, kw = weights.shape
    _require(groups >= 1 and outputs % groups == 0, "groups", groups)
    _require(codes.shape[1] == per_group * groups, "channels of q_input", codes.shape)
    input_scale, input_zero = _per_tensor(input_qparams, "input_qparams")

    padded = np.pad(
        codes, ((0, 0), (0, 0), (ph, ph), (pw, pw)), constant_values=input_zero
    )
    extent = dh * (kh - 1) + 1, dw * (kw - 1) + 1
    _require(padded.shape[2] >= extent[0] and padded.shape[3] >= extent[1],
             "shape of q_input (smaller than the kernel)", codes.shape)
    windows = np.lib.stride_tricks.sliding_window_view(padded - input_zero, extent, (2, 3))
    windows = windows[:, :, ::sh, ::sw, ::dh, ::dw]  # N, C, OH, OW, kh, kw
    n, _, oh, ow = windows.shape[:4]
    windows = windows.reshape(n, groups, per_group, oh, ow, kh, kw)
    grouped = weights.reshape(groups, outputs // groups, per_group, kh, kw)
    sums = np.einsum("ngcyxij,gocij->ngoyx", windows, grouped).reshape(n, outputs, oh, ow)
    sums = sums + _bias_array(q_bias, outputs)[:, None, None]
    factor = _channel_factor(input_scale, weight_qparams, outputs)[:, None, None]
    return _requantise(sums, factor, output_qparams, bits)


# ---- folding and measuring -----------------------------------------------------------------


def fold_batchnorm(weight, bias, gamma, beta, mean, var, eps=1e-5):
    channels = weight.shape[0]
    old = np.zeros(channels) if bias is None else _array(bias)
    vectors = dict(bias=old, gamma=_array(gamma), beta=_array(beta), mean=_array(mean),
                   var=_array(var))
    for name, vector in vectors.items():
        _require(vector.shape == (channels,), f"shape of {name}", vector.shape)
    factor = vectors["gamma"] / np.sqrt(vectors["var"] + eps)
    rows = factor.reshape(-1, *[1] * (weight.dim() - 1))
    shifted = vectors["beta"] + (old - vectors["mean"]) * factor
    return tuple(torch.from_numpy(a).to(weight.dtype) for a in (_array(weight) * rows, shifted))


def sqnr_db(reference, approximation):
    _require(reference.shape == approximation.shape, "shape of approximation",
             tuple(approximation.shape))
    signal = _array(reference)
    noise = np.square(signal - _array(approximation)).sum()
    with np.errstate(divide="ignore"):
        power = np.square(signal).sum()
        return float(10 * (np.log10(power) - np.log10(noise))) if noise > 0 else math.inf


# ---- whole models --------------------------------------------------------------------------


def _layers(model):
    return [m for m in model.modules() if isinstance(m, nn.Linear | nn.Conv2d)]


def _watch(layer, ends):
    """Replace `layer.forward` by one that widens `ends` by its inputs."""
    plain = type(layer).forward.__get__(layer)

    def forward(x):
        values = _array(x)
        ends[:] = min(ends[0], values.min()), max(ends[1], values.max())
        return plain(x)

    layer.forward = forward


def _install(layer, ends, bits):
    """Replace `layer.forward` by one that works on codes, kept as float64."""
    low, high = _limits(bits)
    scales = _symmetric_scales(layer.weight, bits, 0)
    columns = scales.reshape(-1, *[1] * (layer.weight.dim() - 1))
    dtype = layer.weight.dtype
    codes = _codes(_array(layer.weight) / columns, 0, low, high)
    if ends[0] > ends[1]:  # never called while calibrating: no range of inputs is known
        layer.weight.data = torch.from_numpy(codes * columns).to(dtype)
        del layer.forward
        return
    layer.weight.data = torch.from_numpy(codes)
    bias, layer.bias = layer.bias, None
    plain = type(layer).forward.__get__(layer)
    params = _range_params(*ends, bits)

    def forward(x):
        centred = _codes(_array(x) / params.scale, params.zero_point, low, high)
        sums = plain(torch.from_numpy(centred - params.zero_point))
        axis = -1 if isinstance(layer, nn.Linear) else -3
        shape = [1] * sums.dim()
        shape[axis] = -1
        result = sums * torch.from_numpy(scales * params.scale).reshape(shape)
        if bias is not None:
            result = result + bias.detach().reshape(shape)
        return result.to(dtype)

    layer.forward = forward


def quantize_model(model, calibration_loader, bits):
    _check_bits(bits, 2)
    network = copy.deepcopy(model).eval()
    found = [(layer, np.array([np.inf, -np.inf])) for layer in _layers(network)]
    for layer, ends in found:
        _watch(layer, ends)
    batches = 0
    with torch.no_grad():
        for batches, item in enumerate(calibration_loader, start=1):
            network(item[0] if isinstance(item, tuple | list) else item)
    _require(batches > 0, "calibration_loader", "no batches")
    for layer, ends in found:
        _install(layer, ends, bits)

    def quantised(x):
        with torch.no_grad():
            return network(x)

    return quantised


def dynamic_quantized_linear(x, weight, bias=None, bits=8):
    _check_bits(bits, 2)
    _require(weight.dim() == 2, "shape of weight", tuple(weight.shape))
    outputs, inputs = weight.shape
    _require(x.dim() >= 1 and x.shape[-1] == inputs, "shape of x", tuple(x.shape))
    _require(bias is None or tuple(bias.shape) == (outputs,), "shape of bias", bias)
    low, high = _limits(bits)
    rows = _array(x).reshape(-1, inputs)
    params = [_range_params(row.min(), row.max(), bits) for row in rows]  # a range per row
    scale = np.array([[each.scale] for each in params]).reshape(-1, 1)
    zero = np.array([[each.zero_point] for each in params]).reshape(-1, 1)
    scales = _symmetric_scales(weight, bits, 0)
    weights = _codes(_array(weight) / scales[:, None], 0, low, high)
    sums = (_codes(rows / scale, zero, low, high) - zero) @ weights.T
    result = sums * scale * scales + (0.0 if bias is None else _array(bias))
    return torch.from_numpy(result).reshape(*x.shape[:-1], outputs).to(x.dtype)


def to_half(model):
    result = copy.deepcopy(model)
    tensors = [*result.parameters(), *result.buffers()]
    for tensor in tensors:
        if tensor.is_floating_point():
            with np.errstate(over="ignore"):  # what does not fit becomes infinite
                halves = _array(tensor).astype(np.float16)
            tensor.data = torch.from_numpy(np.asarray(halves))
    return result


# ---- binary weights ------------------------------------------------------------------------


def _signs(values):
    return np.where(values >= 0, 1.0, -1.0)


def binarize(weight, stochastic=False, generator=None):
    values = _array(weight)
    if stochastic:
        if generator is None:
            draws = np.random.default_rng().random(values.shape)  # its own state, not the global
        else:
            draws = torch.rand(weight.shape, generator=generator).numpy()
        signs = np.where(draws < np.clip((values + 1) / 2, 0, 1), 1.0, -1.0)
    else:
        signs = _signs(values)
    return torch.as_tensor(signs, dtype=weight.dtype)


PRUNABLE = nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d


def binary_connect_step(model, batch, loss_fn, optimizer):
    inputs, targets = batch
    weights = list({id(m.weight): m.weight for m in model.modules()
                    if isinstance(m, PRUNABLE)}.values())
    real = [weight.data for weight in weights]
    optimizer.zero_grad()
    model.zero_grad()
    try:
        for weight in weights:
            weight.data = torch.from_numpy(_signs(_array(weight))).to(weight.dtype)
        loss = loss_fn(model(inputs), targets)
        loss.backward()
    finally:
        for weight, values in zip(weights, real, strict=True):
            weight.data = values
    optimizer.step()
    for weight in weights:
        np.clip(weight.data.numpy(), -1, 1, out=weight.data.numpy())
    return loss.item()
