"""Asymmetric activations; tensors handled in NumPy; a cache that codes groups when it is asked."""

import hashlib
import os

import numpy as np
import onnx
import torch
from onnxruntime.quantization import CalibrationDataReader, QuantType
from onnxruntime.quantization import quantize_static as ort_quantize


class CalibrationReader(CalibrationDataReader):
    def __init__(self, batches, input_name):
        if len(batches) == 0:
            raise ValueError("batches: none")
        self.batches, self.input_name = batches, input_name
        self.rewind()

    def rewind(self):
        self.iterator = iter(self.batches)

    def get_next(self):
        for batch in self.iterator:
            return {self.input_name: batch}
        return None


def quantize_static(model_bytes, batches, per_channel=True):
    from onnx_export import _load

    model = _load(model_bytes)
    name = model.graph.input[0].name
    dims = model.graph.input[0].type.tensor_type.shape.dim
    for batch in batches:
        sizes = [d.dim_value for d in dims]
        if len(sizes) != batch.ndim or any(s and s != b for s, b in zip(sizes, batch.shape)):
            raise ValueError(f"batches: {batch.shape} does not fit {sizes}")
    reader = CalibrationReader([batch.astype("float32") for batch in batches], name)
    path = os.path.join(os.environ.get("TMPDIR", "."), "static.onnx")
    try:
        ort_quantize(
            model,
            path,
            reader,
            per_channel=per_channel,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
        with open(path, "rb") as file:
            return file.read()
    finally:
        if os.path.exists(path):
            os.remove(path)


def cache_key(model_bytes, batches):
    parts = [hashlib.md5(model_bytes).hexdigest()]
    for batch in batches:
        digest = hashlib.md5(batch.tobytes(order="C"))
        parts.append(f"{batch.dtype} {batch.shape} {digest.hexdigest()}")
    return hashlib.sha512("/".join(parts).encode()).hexdigest()[:40]


def smooth(weight, activation_absmax, alpha=0.5):
    if weight.dim() != 2 or tuple(activation_absmax.shape) != (weight.shape[1],):
        raise ValueError("weight, activation_absmax: shapes")
    if not 0 <= alpha <= 1 or (activation_absmax < 0).any():
        raise ValueError("alpha or activation_absmax")
    scales = []
    for j in range(weight.shape[1]):
        x, w = float(activation_absmax[j]), float(weight[:, j].abs().max())
        scales.append(x**alpha * w ** (alpha - 1) if x > 0 and w > 0 else 1.0)
    scales = torch.tensor(scales, dtype=torch.float64)
    return (weight * scales).to(weight.dtype), scales.to(weight.dtype)


def _round(weight, bits, group):
    top = 2.0 ** (bits - 1) - 1
    out = []
    for part in np.split(weight, weight.shape[1] // group, axis=1):
        step = np.abs(part).max(1, keepdims=True) / top
        step[step == 0] = 1
        out.append(np.rint(part / step) * step)
    return np.concatenate(out, 1)


def awq_scales(weight, activations, bits, group, grid):
    if weight.dim() != 2 or activations.dim() != 2 or weight.shape[1] != activations.shape[1]:
        raise ValueError("weight, activations: shapes")
    group = weight.shape[1] if group is None else group
    if bits < 2 or grid < 1 or group < 1 or weight.shape[1] % group:
        raise ValueError("bits, grid, group")
    w, x = weight.double().numpy(), activations.double().numpy()
    gram = x.T @ x
    loud = np.abs(x).mean(0)
    loud[loud == 0] = loud.max() or 1.0
    found = []
    for k in range(grid):
        s = loud ** (k / max(grid - 1, 1))
        s /= np.exp(np.log(s).mean())
        error = _round(w * s, bits, group) / s - w
        found.append((np.einsum("ij,jk,ik->", error, gram, error), k, s))
    return torch.from_numpy(min(found, key=lambda f: f[:2])[2]).to(weight.dtype)


class KVCache:
    def __init__(self, bits, residual):
        if type(bits) is not int or not 1 <= bits <= 16:
            raise ValueError(f"bits: {bits!r}")
        if type(residual) is not int or residual < 1:
            raise ValueError(f"residual: {residual!r}")
        self.bits, self.residual = bits, residual
        self.k = self.v = None

    def append(self, k, v):
        self.k = k if self.k is None else torch.cat([self.k, k])
        self.v = v if self.v is None else torch.cat([self.v, v])

    def _coded(self):
        return len(self.k) // self.residual * self.residual

    def _approximate(self, x, axis):
        low = x.min(axis, keepdim=True)[0]
        step = (x.max(axis, keepdim=True)[0] - low) / ((1 << self.bits) - 1)
        codes = torch.round((x - low) / torch.where(step == 0, torch.ones_like(step), step))
        return low + step * codes

    def attend(self, q):
        n = self._coded()
        groups = self.k[:n].reshape(-1, self.residual, *self.k.shape[1:])
        keys = torch.cat([self._approximate(groups, 1).reshape(n, *q.shape), self.k[n:]])
        values = torch.cat([self._approximate(self.v[:n], 2) if n else self.v[:0], self.v[n:]])
        out = []
        for head in range(len(q)):
            weights = torch.softmax(keys[:, head] @ q[head] * q.shape[1] ** -0.5, 0)
            out.append(weights @ values[:, head])
        return torch.stack(out)

    @property
    def nbytes(self):
        if self.k is None:
            return 0
        tokens, heads, dim = self.k.shape
        n = self._coded()
        bits = 2 * n * heads * dim * self.bits
        sixteens = 2 * (n // self.residual) * heads * dim + 2 * n * heads
        sixteens += 2 * (tokens - n) * heads * dim
        return (bits + 7) // 8 + 2 * sixteens


def pack_2_4(weight):
    if weight.dim() != 2 or weight.shape[1] % 4:
        raise ValueError("weight: columns")
    values, codes = [], []
    for four in weight.reshape(-1, 4).unbind():
        kept = [i for i in range(4) if four[i] != 0]
        if len(kept) > 2:
            raise ValueError("weight: more than two nonzeros in four")
        kept += [i for i in range(4) if i not in kept][: 2 - len(kept)]
        values += [four[i] for i in kept]
        codes.append(kept[0] | kept[1] << 2)
    codes += [0] * (len(codes) % 2)
    metadata = [codes[i] | codes[i + 1] << 4 for i in range(0, len(codes), 2)]
    return torch.stack(values).reshape(len(weight), -1), torch.tensor(metadata, dtype=torch.uint8)


def unpack_2_4(values, metadata):
    flat = values.flatten()
    out = torch.zeros(2 * len(flat), dtype=values.dtype)
    for i in range(len(flat) // 2):
        code = int(metadata[i // 2]) >> (4 * (i % 2))
        for j in range(2):
            place = 4 * i + (code >> (2 * j) & 3)
            if flat[2 * i + j] != 0:
                out[place] = flat[2 * i + j]
    return out.reshape(len(values), -1)


assert onnx
