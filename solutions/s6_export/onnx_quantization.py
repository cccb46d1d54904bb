"""Session 6, quantisation: ONNX Runtime's static quantisation, and what large models need besides.

The second half (extra credit) works on tensors: activation outliers are moved into the weights
(SmoothQuant, AWQ), the cache of a transformer's keys and values is quantised (KIVI), and weights
with two zeros in four are packed as GPUs want them.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import math
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from shared.checks import (
    check_bits,
    check_fraction,
    check_int,
    check_shape,
    refuse,
)
from shared.onnx_files import extents_of, inputs_of, read_model, write_model

Array = npt.NDArray[np.generic]


class CalibrationReader:
    """Hands calibration batches to ONNX Runtime, one at a time.

    ONNX Runtime asks for nothing but `get_next` (its class CalibrationDataReader may be derived
    from, but need not). Batches are handed out as they are, not copied; readers over the same list
    do not disturb each other.

    Args:
        batches: float arrays, at least one.
        input_name: of the network's input.

    Raises:
        ValueError: there are no batches.
    """

    def __init__(self, batches: Sequence[Array], input_name: str) -> None:
        # BEGIN SOLUTION s6.CalibrationReader
        if not len(batches):
            raise ValueError("batches: expected at least one, got none")
        self._batches = batches
        self._input_name = input_name
        self._next = 0
        # END SOLUTION

    def get_next(self) -> dict[str, Array] | None:
        """The next batch by the name of the input; after the last one None, again and again."""
        # BEGIN SOLUTION s6.CalibrationReader
        if self._next == len(self._batches):
            return None
        batch = self._batches[self._next]
        self._next += 1
        return {self._input_name: batch}
        # END SOLUTION

    def rewind(self) -> None:
        """Start again with the first batch."""
        # BEGIN SOLUTION s6.CalibrationReader
        self._next = 0
        # END SOLUTION


def quantize_static(
    model_bytes: bytes, batches: Sequence[Array], per_channel: bool = True
) -> bytes:
    """Return the file with 8-bit weights and activations, calibrated on `batches`.

    Through onnxruntime.quantization: QDQ format, int8, ranges from the smallest to the largest
    value of each tensor (MinMax), so it does not matter how the images are cut into batches.
    Weights lie behind a DequantizeLinear, one scale per output channel if `per_channel`. The same
    arguments give the same bytes; `batches` are not changed.

    Args:
        model_bytes: a file with one float32 input.
        batches: arrays in the shape of the input (float64 ones are converted), at least one. From
            the training data, never from the images that the result is tested on.

    Raises:
        ValueError: no such file, no batches, or one of another shape than the input's.
    """
    # BEGIN SOLUTION s6.quantize_static
    model = read_model(model_bytes)
    (value,) = inputs_of(model.graph)
    expected = extents_of(value)
    for batch in batches:
        fits = len(batch.shape) == len(expected) and all(
            not isinstance(extent, int) or extent == size
            for extent, size in zip(expected, batch.shape)
        )
        if not fits:
            raise ValueError(f"batches: expected the shape {expected}, got {batch.shape}")
    reader = CalibrationReader([np.asarray(each, np.float32) for each in batches], value.name)

    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    with tempfile.TemporaryDirectory() as folder, silence():
        path = Path(folder) / "quantized.onnx"  # it writes files only
        quantize_static(
            model,
            path,
            reader,
            quant_format=QuantFormat.QDQ,
            per_channel=per_channel,
            activation_type=QuantType.QInt8,
            weight_type=QuantType.QInt8,
            # What TensorRT takes: float biases, zero points of 0.
            extra_options={"QuantizeBias": False, "ActivationSymmetric": True},
        )
        return write_model(read_model(path.read_bytes()))
    # END SOLUTION


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Without ONNX Runtime's advice to optimise the file first."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


def cache_key(model_bytes: bytes, batches: Sequence[Array]) -> str:
    """Return the name under which the calibration of a file on these batches may be kept.

    At least 32 hexadecimal digits, the same in every process. It differs if the file differs, or
    values, shapes, dtypes, order or cuts of the batches; how an array lies in memory does not
    matter.
    """
    # BEGIN SOLUTION s6.cache_key
    digest = hashlib.sha256(f"{len(model_bytes)} {len(batches)} ".encode() + model_bytes)
    for batch in batches:
        digest.update(f"{batch.dtype.str} {batch.shape} ".encode())
        digest.update(np.ascontiguousarray(batch).tobytes())
    return digest.hexdigest()
    # END SOLUTION


# ---- extra credit: outliers ----------------------------------------------------------------------


def smooth(weight: Tensor, activation_absmax: Tensor, alpha: float = 0.5) -> tuple[Tensor, Tensor]:
    """Return a weight that takes over the outliers of its inputs, and the scales (SmoothQuant).

    With s_j = max|X_j|**alpha / max|W_:j|**(1 - alpha) (Xiao et al. 2023, equation 4), inputs are
    divided by s and columns of the weight multiplied by it: the product stays, both are easier to
    quantise. A channel whose inputs or weights are all 0 keeps s = 1.

    Args:
        weight: (out, in).
        activation_absmax: (in,), the largest magnitude of each input channel, 0 or more.
        alpha: share of the difficulty that moves to the weight, 0..1.

    Returns:
        (weight times s, s), in the weight's dtype.

    Raises:
        ValueError: shapes that do not match, a negative maximum, another `alpha`.
    """
    check_shape("weight", weight, "out", "in")
    check_shape("activation_absmax", activation_absmax, weight.shape[1])
    check_fraction("alpha", alpha)
    if bool((activation_absmax < 0).any()):
        raise refuse("activation_absmax", "numbers of at least 0", activation_absmax.min())
    # BEGIN SOLUTION s6.smooth
    inputs, columns = activation_absmax.double(), weight.double().abs().amax(dim=0)
    scales = inputs**alpha / columns ** (1 - alpha)
    scales = torch.where((inputs > 0) & (columns > 0), scales, 1.0)
    return (weight.double() * scales).to(weight.dtype), scales.to(weight.dtype)
    # END SOLUTION


def rounded(weight: Tensor, bits: int, group: int | None) -> Tensor:
    """The weight (out, in) as symmetric codes of `bits` bits give it back, float64.

    One scale, max|w| / (2**(bits - 1) - 1), per row and group of `group` columns (None: per row).
    """
    out, columns = weight.shape
    parts = weight.double().reshape(out, -1, group or columns)
    top = 2 ** (bits - 1) - 1
    scale = parts.abs().amax(dim=2, keepdim=True) / top
    scale = torch.where(scale > 0, scale, 1.0)
    return ((parts / scale).round().clamp(-top, top) * scale).reshape(out, columns)


def awq_scales(
    weight: Tensor, activations: Tensor, bits: int, group: int | None, grid: int
) -> Tensor:
    """Return scales (in,) under which rounding the weight hurts least (AWQ, Lin et al. 2024).

    Columns that meet loud inputs matter more. Multiplied by s before they are rounded and divided
    by it afterwards, they lose less. The candidates are s = mean|x|**alpha with `grid` exponents
    from 0 to 1; the best one has the least ||(Q(W s) / s - W) X^T||, where Q is `rounded`. As
    alpha = 0 is among them, the result is never worse than plain rounding.

    Args:
        weight: (out, in).
        activations: (n, in), inputs of the layer.
        bits: 2 or more.
        group: columns that share a scale, a divisor of `in`; None: the whole row.
        grid: number of exponents, 1 or more.

    Raises:
        ValueError: anything else.
    """
    check_shape("weight", weight, "out", "in")
    check_shape("activations", activations, "n", weight.shape[1])
    check_bits("bits", bits, minimum=2)
    check_int("grid", grid, 1)
    if group is not None:
        check_int("group", group, 1)
        if weight.shape[1] % group:
            raise refuse("group", f"a divisor of {weight.shape[1]}", group)
    # BEGIN SOLUTION s6.awq_scales
    exact, inputs = weight.double(), activations.double()
    loudness = inputs.abs().mean(dim=0)
    silent = loudness == 0  # any scale is right for them
    loudness = torch.where(silent, loudness.max(), loudness)
    loudness = torch.where(loudness > 0, loudness, 1.0)
    best, least = torch.ones_like(loudness), math.inf
    for alpha in np.linspace(0, 1, grid):
        scales = loudness**alpha
        scales = scales / (scales.max() * scales.min()).sqrt()  # the middle stays near 1
        error = rounded(exact * scales, bits, group) / scales - exact
        loss = float((error @ inputs.T).square().sum())
        if loss < least:
            best, least = scales, loss
    return best.to(weight.dtype)
    # END SOLUTION


# ---- extra credit: the cache of keys and values --------------------------------------------------


class KVCache:
    """Keys and values of past tokens in few bits (KIVI, Liu et al. 2024).

    Keys have channels that are always large, so they are quantised per channel and head over a
    group of `residual` tokens; values have none and are quantised per token and head. Both are
    asymmetric: scale (max - min) / (2**bits - 1), codes round((x - min) / scale), half to even.
    Tokens wait, exactly, until `residual` of them can be coded. It makes no difference whether
    tokens come one by one or all at once.

    Args:
        bits: of a code, 1..8.
        residual: tokens of a group, 1 or more.

    Raises:
        ValueError: anything else.
    """

    def __init__(self, bits: int, residual: int) -> None:
        check_bits("bits", bits, maximum=8)
        check_int("residual", residual, 1)
        # BEGIN SOLUTION s6.KVCache
        self._bits, self._residual = bits, residual
        self._waiting: list[tuple[Tensor, Tensor]] = []  # (keys, values) of a token, (heads, dim)
        self._coded: list[tuple[Tensor, Tensor]] = []  # of a group, (residual, heads, dim)
        # END SOLUTION

    def append(self, k: Tensor, v: Tensor) -> None:
        """Add keys and values, both (tokens, heads, dim), heads and dim as before."""
        # BEGIN SOLUTION s6.KVCache
        self._waiting += [(key.clone(), value.clone()) for key, value in zip(k, v)]
        while len(self._waiting) >= self._residual:
            group = self._waiting[: self._residual]
            self._waiting = self._waiting[self._residual :]
            keys, values = map(torch.stack, zip(*group))
            coded = self._in_few_bits(keys, dim=0), self._in_few_bits(values, dim=2)
            self._coded.append(coded)
        # END SOLUTION

    def _in_few_bits(self, x: Tensor, dim: int) -> Tensor:
        """What codes give back, with a scale and a minimum for all numbers along `dim`."""
        # BEGIN SOLUTION s6.KVCache
        low, high = x.amin(dim, keepdim=True), x.amax(dim, keepdim=True)
        scale = (high - low) / (2**self._bits - 1)
        codes = torch.where(scale > 0, (x - low) / scale, 0.0).round()
        return codes * scale + low
        # END SOLUTION

    def attend(self, q: Tensor) -> Tensor:
        """The attention of queries (heads, dim) over all tokens, with scale 1 / sqrt(dim).

        There is at least one token. Returns (heads, dim).
        """
        # BEGIN SOLUTION s6.KVCache
        waiting = [(key[None], value[None]) for key, value in self._waiting]
        keys, values = (torch.cat(parts) for parts in zip(*[*self._coded, *waiting]))
        scores = torch.einsum("hd,thd->ht", q, keys) / math.sqrt(q.shape[1])
        return torch.einsum("ht,thd->hd", scores.softmax(dim=1), values)
        # END SOLUTION

    @property
    def nbytes(self) -> int:
        """Bytes of the cache.

        Codes of `bits` bits, over the whole cache rounded up once; scales, minima and the numbers
        of waiting tokens have 2 bytes each.
        """
        # BEGIN SOLUTION s6.KVCache
        heads, dim = next((g[0].shape[-2:] for g in (*self._coded, *self._waiting)), (0, 0))
        groups = len(self._coded)
        tokens = groups * self._residual
        codes = -(-2 * tokens * heads * dim * self._bits // 8)
        halves = 2 * groups * heads * dim + 2 * tokens * heads  # scales and minima
        halves += 2 * len(self._waiting) * heads * dim
        return codes + 2 * halves
        # END SOLUTION


# ---- extra credit: two of four -------------------------------------------------------------------


def pack_2_4(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Return (values, metadata) of a weight with at most 2 nonzeros in 4 consecutive columns.

    Sparse tensor cores read it so: of every four columns two values, and for each of these two
    bits that say which column it is from (Mishra et al. 2021, figure 2).

    Args:
        weight: (rows, columns), columns divisible by 4.

    Returns:
        Values (rows, columns / 2) in the weight's dtype, and metadata uint8 of ceil(n / 8) bytes
        for n weights.

    Raises:
        ValueError: another shape, or more than 2 nonzeros in 4.
    """
    check_shape("weight", weight, "rows", "columns")
    # BEGIN SOLUTION s6.pack_2_4
    rows, columns = weight.shape
    if columns % 4:
        raise refuse("weight", "columns divisible by 4", weight)
    fours = weight.detach().reshape(-1, 4)
    if bool(((fours != 0).sum(dim=1) > 2).any()):
        raise ValueError("weight: expected at most 2 nonzeros in 4 columns, got more")
    zeros_last = (fours == 0).long().argsort(dim=1, stable=True)
    places = zeros_last[:, :2].sort(dim=1).values
    nibbles = places[:, 0] + 4 * places[:, 1]
    if len(nibbles) % 2:
        nibbles = torch.cat([nibbles, nibbles.new_zeros(1)])
    metadata = (nibbles[0::2] + 16 * nibbles[1::2]).to(torch.uint8)
    return fours.gather(1, places).reshape(rows, columns // 2), metadata
    # END SOLUTION


def unpack_2_4(values: Tensor, metadata: Tensor) -> Tensor:
    """Return the weight (rows, columns) that `pack_2_4` was given."""
    # BEGIN SOLUTION s6.pack_2_4
    rows, half = values.shape
    bits = metadata.long().flatten()
    nibbles = torch.stack([bits % 16, bits // 16], dim=1).flatten()[: values.numel() // 2]
    places = torch.stack([nibbles % 4, nibbles // 4], dim=1)
    fours = values.new_zeros(len(places), 4).scatter(1, places, values.reshape(-1, 2))
    return fours.reshape(rows, 2 * half)
    # END SOLUTION
