"""Quantisation by other roads: PyTorch's own operators, hooks, unfolding, functional calls.

Parameters are returned as plain tuples (scale, zero_point).
"""

import copy
import math
import operator
from bisect import insort
from fractions import Fraction

import torch
import torch.nn.functional as F
from torch import nn
from torch.func import functional_call

INT32 = torch.iinfo(torch.int32)


def width(bits, least=1):
    if type(bits) is bool:
        raise ValueError(f"bits must be an integer, got {bits}")
    try:
        value = operator.index(bits)
    except TypeError:
        raise ValueError(f"bits must be an integer, got {bits!r}") from None
    if value not in range(least, 33):
        raise ValueError(f"bits must be in {least}..32, got {bits}")
    return value


def codes_of(bits, signed=True):
    return range(-(1 << bits - 1), 1 << bits - 1) if signed else range(1 << bits)


def shape_error(name, tensor, expected):
    return ValueError(f"{name}: expected shape {expected}, got {tuple(tensor.shape)}")


def unpack(qparams):
    """Scale and zero point, as float64 tensors, from a record or a pair."""
    try:
        fields = qparams.scale, qparams.zero_point
    except AttributeError:
        fields = qparams
    scale, zero_point = (torch.as_tensor(field, dtype=torch.float64) for field in fields)
    return scale, zero_point


def unpack_single(qparams, name):
    fields = unpack(qparams)
    for field in fields:
        if field.ndim:
            raise shape_error(name, field, ())
    return float(fields[0]), int(fields[1])


# ---- ranges and parameters -----------------------------------------------------------------


def quantization_range(bits, signed=True, narrow=False):
    codes = codes_of(width(bits), signed)
    return codes[1 if narrow else 0], codes[-1]


def fit_range(low, high, bits, symmetric=False, signed=True):
    codes = codes_of(width(bits, 2), signed)
    if symmetric and not signed:
        raise ValueError("symmetric parameters need signed codes, got signed=False")
    low, high = float(low), float(high)
    if math.isnan(low) or math.isinf(low) or math.isnan(high) or math.isinf(high):
        raise ValueError(f"low and high must be finite, got {low} and {high}")
    if high < low:
        raise ValueError(f"high must not be below low = {low}, got {high}")
    low, _, high = sorted((low, high, 0.0))
    if symmetric:
        return max(high, -low) / codes[-1] or 1.0, 0
    steps = codes[-1] - codes[0]
    scale = high / steps - low / steps or 1.0
    zero_point = round(codes[0] - low / scale)
    return scale, sorted((codes[0], zero_point, codes[-1]))[1]


def affine_params(low, high, bits, symmetric=False, signed=True):
    return fit_range(low, high, bits, symmetric, signed)


def moved(tensor, axis, *parameters):
    """The tensor with `axis` last, so that vectors broadcast, and how to move it back."""
    if axis is None:
        for parameter in parameters:
            if parameter.ndim:
                raise ValueError("axis: parameters per channel need one, got None")
        return tensor, lambda result: result
    if axis not in range(-tensor.ndim, tensor.ndim):
        raise ValueError(f"axis: expected one of {tensor.ndim} dimensions, got {axis}")
    for parameter in parameters:
        if parameter.ndim and tuple(parameter.shape) != (tensor.shape[axis],):
            raise shape_error("qparams", parameter, (tensor.shape[axis],))
    return tensor.movedim(axis, -1), lambda result: result.movedim(-1, axis).contiguous()


def to_codes(ratio, zero_point, codes):
    """Saturate before adding the zero point, by bounds that were moved the other way."""
    zero_point = torch.as_tensor(zero_point, dtype=torch.float64)
    low, high = codes[0] - zero_point, codes[-1] - zero_point
    return (ratio.round().clamp(low, high) + zero_point).long()


def quantize(x, qparams, bits, axis=None, signed=True):
    codes = codes_of(width(bits), signed)
    scale, zero_point = unpack(qparams)
    values, back = moved(x.detach().double(), axis, scale, zero_point)
    result = to_codes(values / scale, zero_point, codes)
    return back(result.clamp(max=INT32.max).to(torch.int32))


def dequantize(q, qparams, axis=None):
    scale, zero_point = unpack(qparams)
    values, back = moved(q.double(), axis, scale, zero_point)
    return back(((values - zero_point) * scale).float())


def channel_scales(weight, bits, axis=0):
    """Float64 (C,): the largest magnitude of each channel over the largest code."""
    highest = codes_of(width(bits, 2))[-1]
    if axis not in range(-weight.ndim, weight.ndim):
        raise ValueError(f"axis: expected one of {weight.ndim} dimensions, got {axis}")
    rows = weight.detach().double().movedim(axis, 0).reshape(weight.shape[axis], -1)
    norms = torch.linalg.vector_norm(rows, ord=math.inf, dim=1)
    if not norms.isfinite().all():
        raise ValueError("weight: expected finite numbers")
    return torch.where(norms == 0, 1.0, norms / highest)


def per_channel_params(weight, bits, axis=0):
    scales = channel_scales(weight, bits, axis)
    return scales.float(), torch.zeros_like(scales).int()


# ---- observers -----------------------------------------------------------------------------


class MinMaxObserver:
    """Keeps every extreme that was seen; the range is that of the extremes."""

    def __init__(self):
        self.extremes = []

    def observe(self, x):
        self.extremes.extend(bound.item() for bound in torch.aminmax(x.detach()))

    def qparams(self, bits):
        if not self.extremes:
            raise ValueError("qparams: nothing was observed yet")
        return fit_range(min(self.extremes), max(self.extremes), bits)


class MovingAverageObserver:
    """Keeps the bounds of every batch; weights them when asked."""

    def __init__(self, momentum=0.9):
        if not (momentum >= 0 and momentum <= 1):
            raise ValueError(f"momentum: expected 0..1, got {momentum}")
        self.momentum = momentum
        self.batches = []

    def observe(self, x):
        self.batches.append(tuple(bound.item() for bound in torch.aminmax(x.detach())))

    def qparams(self, bits):
        if not self.batches:
            raise ValueError("qparams: nothing was observed yet")
        last = len(self.batches) - 1
        shares = [
            self.momentum ** (last - i) * (1 if i == 0 else 1 - self.momentum)
            for i in range(last + 1)
        ]
        low, high = (
            math.fsum(share * batch[side] for share, batch in zip(shares, self.batches))
            for side in (0, 1)
        )
        return fit_range(min(low, high), high, bits)


class PercentileObserver:
    """Keeps all values in order; bounds by linear interpolation between neighbours."""

    def __init__(self, p=99.9):
        if not (p >= 50 and p <= 100):
            raise ValueError(f"p: expected 50..100 percent, got {p}")
        self.p = p
        self.ordered = []

    def observe(self, x):
        values = x.detach().flatten().tolist()
        if len(values) < 8:
            for value in values:
                insort(self.ordered, value)
        else:
            self.ordered = sorted(self.ordered + values)

    def at(self, percent):
        position = Fraction(percent) / 100 * (len(self.ordered) - 1)
        index = min(int(position), len(self.ordered) - 1)
        neighbours = self.ordered[index : index + 2]
        if len(neighbours) == 1:
            return neighbours[0]
        part = float(position - index)
        return neighbours[0] + (neighbours[1] - neighbours[0]) * part

    def qparams(self, bits):
        if not self.ordered:
            raise ValueError("qparams: nothing was observed yet")
        return fit_range(*sorted((self.at(100 - self.p), self.at(self.p))), bits)


class MSEObserver:
    """Coordinate descent: the best low for this high, the best high for this low, again."""

    def __init__(self):
        self.seen = torch.empty(0, dtype=torch.float64)

    def observe(self, x):
        self.seen = torch.cat([self.seen, x.detach().double().flatten()])

    def error(self, bounds, bits):
        scale, zero_point = fit_range(*bounds, bits)
        codes = to_codes(self.seen / scale, zero_point, codes_of(bits))
        return F.mse_loss((codes - zero_point).double() * scale, self.seen).item()

    def qparams(self, bits):
        width(bits, 2)
        if len(self.seen) == 0:
            raise ValueError("qparams: nothing was observed yet")
        first, last = (bound.item() for bound in self.seen.aminmax())
        best = (self.error((first, last), bits), (first, last))
        shares = [share / 40 for share in range(40, 0, -1)]
        for _ in range(2):
            _, (low, high) = best
            trials = [(first * share, high) for share in shares]
            trials += [(low, last * share) for share in shares]
            trials += [(first * share, last * share) for share in shares]
            trials = [trial for trial in trials if trial[0] <= trial[1]]
            best = min([best, *((self.error(trial, bits), trial) for trial in trials)])
        return fit_range(*best[1], bits)


# ---- quantisation while training -----------------------------------------------------------


def fake_quantize(x, qparams, bits, signed=True):
    """The gradient is that of a clamp; rounding moves the value but not the graph."""
    codes = codes_of(width(bits), signed)
    scale, zero_point = unpack_single(qparams, "qparams")
    low, high = (codes[0] - zero_point) * scale, (codes[-1] - zero_point) * scale
    clamped = x.clamp(low, high)
    with torch.no_grad():
        steps = torch.clamp((x.double() / scale).round(), codes[0] - zero_point,
                            codes[-1] - zero_point)
        grid = (steps * scale).to(x.dtype)
    return grid + (clamped - clamped.detach())


# ---- integer arithmetic --------------------------------------------------------------------


def quantize_bias(bias, input_scale, weight_scale):
    scale = torch.as_tensor(weight_scale, dtype=torch.float64) * float(input_scale)
    if bias.ndim != 1 or (scale.ndim and scale.shape != bias.shape):
        raise shape_error("bias or weight_scale", bias, tuple(scale.shape))
    return to_codes(bias.detach().double() / scale, 0, codes_of(32)).int()


def multiplier(input_scale, weight_qparams, output_scale, outputs):
    scale, _ = unpack(weight_qparams)
    if scale.ndim and tuple(scale.shape) != (outputs,):
        raise shape_error("weight_qparams", scale, (outputs,))
    return input_scale * scale.expand(outputs) / output_scale


def quantized_linear(
    q_input, q_weight, q_bias, input_qparams, weight_qparams, output_qparams, bits=8
):
    codes = codes_of(width(bits))
    if q_weight.ndim != 2:
        raise shape_error("q_weight", q_weight, "(out, in)")
    outputs, inputs = q_weight.shape
    if q_input.ndim == 0 or q_input.shape[-1] != inputs:
        raise shape_error("q_input", q_input, f"(..., {inputs})")
    if q_bias is not None and tuple(q_bias.shape) != (outputs,):
        raise shape_error("q_bias", q_bias, (outputs,))
    input_scale, input_zero = unpack_single(input_qparams, "input_qparams")
    output_scale, output_zero = unpack_single(output_qparams, "output_qparams")
    sums = torch.einsum("...i,oi->...o", q_input.long() - input_zero, q_weight.long())
    if q_bias is not None:
        sums = sums + q_bias.long()
    factor = multiplier(input_scale, weight_qparams, output_scale, outputs)
    return to_codes(sums * factor, output_zero, codes).int()


def pair(value, name, least):
    items = list(value) if isinstance(value, list | tuple) else [value] * 2
    if len(items) != 2 or any(type(item) is not int or item < least for item in items):
        raise ValueError(f"{name}: expected an int or a pair of at least {least}, got {value!r}")
    return items


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
    """One product of matrices a group, over columns unfolded in float64 (exact to 2 ** 53)."""
    codes = codes_of(width(bits))
    stride, padding, dilation = (
        pair(stride, "stride", 1), pair(padding, "padding", 0), pair(dilation, "dilation", 1)
    )
    if q_input.ndim != 4:
        raise shape_error("q_input", q_input, "(N, C, H, W)")
    if q_weight.ndim != 4:
        raise shape_error("q_weight", q_weight, "(out, in / groups, kh, kw)")
    outputs, inputs, *kernel = q_weight.shape
    if groups < 1 or outputs % groups or q_input.shape[1] != inputs * groups:
        raise ValueError(f"groups: {groups} do not fit {q_input.shape[1]} channels")
    if q_bias is not None and tuple(q_bias.shape) != (outputs,):
        raise shape_error("q_bias", q_bias, (outputs,))
    size = [
        (extent + 2 * p - d * (k - 1) - 1) // s + 1
        for extent, p, d, k, s in zip(q_input.shape[2:], padding, dilation, kernel, stride)
    ]
    if min(size) < 1:
        raise ValueError(f"q_input: smaller than the kernel, {tuple(q_input.shape)}")
    input_scale, input_zero = unpack_single(input_qparams, "input_qparams")
    output_scale, output_zero = unpack_single(output_qparams, "output_qparams")

    rows, columns = padding
    padded = F.pad(q_input.double(), (columns, columns, rows, rows), value=float(input_zero))
    unfolded = F.unfold(padded - input_zero, kernel, dilation=dilation, stride=stride)
    parts = unfolded.chunk(groups, dim=1)  # channel-major: a group's rows are neighbours
    matrices = q_weight.double().flatten(1).chunk(groups)
    sums = torch.cat([matrix @ part for matrix, part in zip(matrices, parts)], dim=1)
    if q_bias is not None:
        sums = sums + q_bias.double().unsqueeze(-1)
    factor = multiplier(input_scale, weight_qparams, output_scale, outputs).unsqueeze(-1)
    return to_codes(sums * factor, output_zero, codes).int().unflatten(-1, size)


# ---- folding and measuring -----------------------------------------------------------------


def fold_batchnorm(weight, bias, gamma, beta, mean, var, eps=1e-5):
    """The new bias is what batch norm makes of the old one, as a single sample."""
    channels = len(weight)
    old = torch.zeros_like(mean) if bias is None else bias
    for name, vector in zip(("bias", "gamma", "beta", "mean", "var"),
                            (old, gamma, beta, mean, var)):
        if tuple(vector.shape) != (channels,):
            raise shape_error(name, vector, (channels,))
    old, gamma, beta, mean, var = (
        vector.detach().double() for vector in (old, gamma, beta, mean, var)
    )
    folded = F.batch_norm(old.unsqueeze(0), mean, var, gamma, beta, eps=eps).squeeze(0)
    gain = torch.diag(gamma * (var + eps).rsqrt())
    return (
        torch.tensordot(gain, weight.detach().double(), 1).to(weight.dtype),
        folded.to(weight.dtype),
    )


def sqnr_db(reference, approximation):
    if reference.shape != approximation.shape:
        raise shape_error("approximation", approximation, tuple(reference.shape))
    signal = torch.linalg.vector_norm(reference.detach().double()).item()
    noise = torch.dist(reference.detach().double(), approximation.detach().double()).item()
    if noise == 0:
        return float("inf")
    return 20 * math.log10(signal / noise) if signal else float("-inf")


# ---- whole models --------------------------------------------------------------------------


class Watch:
    """A forward hook's memory: the lowest and the highest input of a layer."""

    def __init__(self):
        self.low, self.high = math.inf, -math.inf

    def __call__(self, _layer, args):
        low, high = torch.aminmax(args[0].detach())
        self.low, self.high = min(self.low, low.item()), max(self.high, high.item())


class RoundInput:
    """A forward pre-hook: what a layer gets is quantised, and back."""

    def __init__(self, watch, bits):
        self.scale, self.zero_point = fit_range(watch.low, watch.high, bits)
        self.codes = codes_of(bits)

    def __call__(self, _layer, args):
        x = args[0]
        steps = to_codes(x.double() / self.scale, self.zero_point, self.codes) - self.zero_point
        return ((steps * self.scale).to(x.dtype), *args[1:])


class QuantizedModel:
    """Not a module: calls the hooked network."""

    def __init__(self, network):
        self.network = network

    @torch.no_grad()
    def __call__(self, x):
        return self.network(x)


def quantize_model(model, calibration_loader, bits):
    width(bits, 2)
    network = copy.deepcopy(model)
    network.eval()
    watches = {layer: Watch() for layer in network.modules()
               if isinstance(layer, (nn.Linear, nn.Conv2d))}
    handles = [layer.register_forward_pre_hook(watch) for layer, watch in watches.items()]
    batches = iter(calibration_loader)
    try:
        batch = next(batches, None)
        if batch is None:
            raise ValueError("calibration_loader: expected at least one batch")
        with torch.no_grad():
            while batch is not None:
                network(batch if isinstance(batch, torch.Tensor) else batch[0])
                batch = next(batches, None)
    finally:
        for handle in handles:
            handle.remove()
    for layer, watch in watches.items():
        scales = channel_scales(layer.weight, bits)
        shape = (-1, *[1] * (layer.weight.ndim - 1))
        steps = to_codes(layer.weight.data.double() / scales.reshape(shape), 0, codes_of(bits))
        layer.weight.data = (steps * scales.reshape(shape)).to(layer.weight.dtype)
        if watch.low <= watch.high:
            layer.register_forward_pre_hook(RoundInput(watch, bits))
    return QuantizedModel(network)


def dynamic_quantized_linear(x, weight, bias=None, bits=8):
    """One range for all of `x`, one symmetric scale for all of `weight`."""
    width(bits, 2)
    if weight.ndim != 2:
        raise shape_error("weight", weight, "(out, in)")
    outputs, inputs = weight.shape
    if x.ndim == 0 or x.shape[-1] != inputs:
        raise shape_error("x", x, f"(..., {inputs})")
    if bias is not None and tuple(bias.shape) != (outputs,):
        raise shape_error("bias", bias, (outputs,))
    codes = codes_of(bits)
    reach = weight.detach().abs().max().item()
    weight_scale, _ = fit_range(-reach, reach, bits, symmetric=True)
    low, high = (bound.item() for bound in torch.aminmax(x.detach()))
    scale, zero_point = fit_range(low, high, bits)
    inputs_q = to_codes(x.detach().double() / scale, zero_point, codes) - zero_point
    weight_q = to_codes(weight.detach().double() / weight_scale, 0, codes)
    result = (inputs_q @ weight_q.T).double() * (scale * weight_scale)
    if bias is not None:
        result = result + bias.detach().double()
    return result.to(x.dtype)


def to_half(model):
    """A deep copy for which every floating tensor's copy was made beforehand, in half."""
    memo = {}
    for parameter in model.parameters():
        if parameter.is_floating_point():
            half = parameter.detach().to(torch.float16, copy=True)
            memo[id(parameter)] = nn.Parameter(half, parameter.requires_grad)
    for buffer in model.buffers():
        if buffer.is_floating_point():
            memo[id(buffer)] = buffer.detach().to(torch.float16, copy=True)
    return copy.deepcopy(model, memo)


# ---- binary weights ------------------------------------------------------------------------


def binarize(weight, stochastic=False, generator=None):
    values = weight.detach()
    if not stochastic:
        return torch.ones_like(values).masked_fill_(values < 0, -1)
    if generator is None:
        generator = torch.Generator(values.device)
        generator.seed()
    probability = ((values + 1) / 2).clamp(0, 1)
    return torch.bernoulli(probability, generator=generator) * 2 - 1


def binary_connect_step(model, batch, loss_fn, optimizer):
    """The network runs with binary leaves in place of its weights; their gradients move over."""
    inputs, targets = batch
    kinds = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
    real = {}
    for name, module in model.named_modules():
        if isinstance(module, kinds):
            real[f"{name}.weight" if name else "weight"] = module.weight
    leaves = {id(weight): signs_leaf(weight) for weight in real.values()}
    optimizer.zero_grad(set_to_none=True)
    model.zero_grad(set_to_none=True)
    outputs = functional_call(
        model, {name: leaves[id(weight)] for name, weight in real.items()}, (inputs,)
    )
    loss = loss_fn(outputs, targets)
    loss.backward()
    for weight in real.values():
        if weight.requires_grad:
            weight.grad = leaves[id(weight)].grad
    optimizer.step()
    with torch.no_grad():
        for weight in real.values():
            weight.copy_(weight.clamp(-1.0, 1.0))
    return loss.detach()


def signs_leaf(weight):
    signs = torch.where(weight.detach() < 0, -1.0, 1.0).to(weight.dtype)
    return signs.requires_grad_(weight.requires_grad)
