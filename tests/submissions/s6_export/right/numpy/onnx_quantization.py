"""Everything that can be is NumPy: arrays saved in its format are the key, groups are reshapes."""

import hashlib
import io
import os
import tempfile

import numpy as np
import onnx
import torch
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType
from onnxruntime.quantization import quantize_static as quantize_file


class CalibrationReader(CalibrationDataReader):
    def __init__(self, batches, input_name):
        if len(batches) == 0:
            raise ValueError("batches: expected at least one")
        self.batches, self.name, self.at = list(batches), input_name, 0

    def get_next(self):
        if self.at >= len(self.batches):
            return None
        self.at += 1
        return {self.name: self.batches[self.at - 1]}

    def rewind(self):
        self.at = 0


def quantize_static(model_bytes, batches, per_channel=True):
    from onnx_export import parse

    model = parse(model_bytes)
    stored = {tensor.name for tensor in model.graph.initializer}
    (port,) = (value for value in model.graph.input if value.name not in stored)
    dims = port.type.tensor_type.shape.dim
    for batch in batches:
        fixed = [d.dim_value or size for d, size in zip(dims, batch.shape)]
        if batch.ndim != len(dims) or tuple(fixed) != batch.shape:
            wanted = [d.dim_value or d.dim_param for d in dims]
            raise ValueError(f"batches: {batch.shape} for an input of {wanted}")
    reader = CalibrationReader([batch.astype(np.float32) for batch in batches], port.name)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model.onnx")
        quantize_file(
            model,
            path,
            reader,
            quant_format=QuantFormat.QDQ,
            per_channel=per_channel,
            weight_type=QuantType.QInt8,
            activation_type=QuantType.QInt8,
            extra_options={"ActivationSymmetric": True, "QuantizeBias": False},
        )
        return onnx.load(path).SerializeToString()


def cache_key(model_bytes, batches):
    stream = io.BytesIO()
    for array in (np.frombuffer(model_bytes, np.uint8), *batches):
        np.save(stream, np.ascontiguousarray(array))
    return hashlib.sha256(stream.getvalue()).hexdigest()


def smooth(weight, activation_absmax, alpha=0.5):
    if tuple(activation_absmax.shape) != (weight.shape[1],) or not 0 <= alpha <= 1:
        raise ValueError("activation_absmax: one for each input; alpha in 0..1")
    largest = weight.abs().amax(dim=0)
    scales = activation_absmax**alpha / largest ** (1 - alpha)
    alive = (activation_absmax > 0) & (largest > 0)
    scales = torch.where(alive, scales, torch.ones_like(scales))
    return weight * scales, scales


def awq_scales(weight, activations, bits, group, grid):
    out, inputs = weight.shape
    width = inputs if group is None else group
    if bits < 2 or grid < 1 or activations.shape[1] != inputs or inputs % width:
        raise ValueError("weight, activations, bits, group or grid do not fit")
    w, x = weight.double().numpy(), activations.double().numpy()
    loud = np.abs(x).mean(axis=0)
    loud[loud == 0] = 1.0 if not loud.any() else loud[loud > 0].min()
    top = 2 ** (bits - 1) - 1

    def error(scales):
        groups = (w * scales).reshape(out, -1, width)
        step = np.abs(groups).max(axis=2, keepdims=True) / top
        rounded = np.round(groups / np.where(step == 0, 1, step)) * step
        return np.sum(((rounded.reshape(out, inputs) / scales - w) @ x.T) ** 2)

    candidates = [loud**power for power in np.linspace(0, 1, grid)]
    return torch.from_numpy(min(candidates, key=error)).float()


class KVCache:
    def __init__(self, bits, residual):
        for value, most in ((bits, 32), (residual, 2**31)):
            if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
                raise ValueError(f"expected 1..{most}, got {value!r}")
        self._bits, self._residual = bits, residual
        self._coded = []  # (keys, values) as they come back, float32
        self._waiting = []
        self._code_bits = self._numbers = 0

    def _rounded(self, x, axis):
        low, high = x.amin(axis, keepdim=True), x.amax(axis, keepdim=True)
        step = (high - low) / (2**self._bits - 1)
        codes = torch.round((x - low) / torch.where(step > 0, step, torch.ones_like(step)))
        self._code_bits += x.numel() * self._bits
        self._numbers += 2 * low.numel()
        return codes * step + low

    def append(self, k, v):
        self._waiting += [(key.detach().clone(), value.detach().clone()) for key, value in zip(k, v)]
        while len(self._waiting) >= self._residual:
            some, self._waiting = self._waiting[: self._residual], self._waiting[self._residual :]
            keys, values = (torch.stack(part) for part in zip(*some))
            self._coded.append((self._rounded(keys, 0), self._rounded(values, 2)))

    def attend(self, q):
        parts = list(self._coded)
        if self._waiting:
            parts.append(tuple(torch.stack(part) for part in zip(*self._waiting)))
        keys, values = (torch.cat(part) for part in zip(*parts))
        scores = torch.einsum("thd,hd->ht", keys, q) / q.shape[-1] ** 0.5
        return torch.einsum("ht,thd->hd", scores.softmax(dim=1), values)

    @property
    def nbytes(self):
        exact = sum(key.numel() + value.numel() for key, value in self._waiting)
        return (self._code_bits + 7) // 8 + 2 * (self._numbers + exact)


def pack_2_4(weight):
    rows, columns = weight.shape
    if columns % 4:
        raise ValueError(f"columns: expected a multiple of 4, got {columns}")
    groups = weight.reshape(-1, 4)
    if bool(((groups != 0).sum(dim=1) > 2).any()):
        raise ValueError("weight: more than 2 of 4 are not 0")
    kept = (groups == 0).to(torch.uint8).argsort(dim=1, stable=True)[:, :2].sort(dim=1).values
    values = groups.gather(1, kept)
    halves = (kept[:, 0] + 4 * kept[:, 1]).tolist()
    if len(halves) % 2:
        halves.append(0)
    metadata = torch.tensor([a + 16 * b for a, b in zip(halves[::2], halves[1::2])])
    return values.reshape(rows, columns // 2), metadata.to(torch.uint8)


def unpack_2_4(values, metadata):
    pairs = values.reshape(-1, 2)
    halves = torch.stack([metadata % 16, metadata // 16], dim=1).flatten()[: len(pairs)].long()
    places = torch.stack([halves % 4, halves // 4], dim=1)
    full = torch.zeros(len(pairs), 4, dtype=values.dtype).scatter(1, places, pairs)
    return full.reshape(len(values), -1)
