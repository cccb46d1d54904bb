"""Entropy of no library but hashlib; codes are really kept in the cache; packing by a table."""

import hashlib
import itertools
import json
import shutil
import tempfile

import numpy as np
import torch
from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType
from onnxruntime.quantization import quantize_static as static


class CalibrationReader:
    def __init__(self, batches, input_name):
        if not batches:
            raise ValueError("there are no batches")
        self.feeds = [{input_name: batch} for batch in batches]
        self.left = list(self.feeds)

    def get_next(self):
        return self.left.pop(0) if self.left else None

    def rewind(self):
        self.left = list(self.feeds)


def quantize_static(model_bytes, batches, per_channel=True):
    from onnx_export import opened

    value = opened(model_bytes).graph.input[0]
    wanted = [d.dim_value if d.HasField("dim_value") else None for d in value.type.tensor_type.shape.dim]
    for batch in batches:
        got = list(np.shape(batch))
        if len(got) != len(wanted) or any(w not in (None, g) for w, g in zip(wanted, got)):
            raise ValueError(f"a batch of {got} for an input of {wanted}")
    if not batches:
        raise ValueError("there are no batches")
    everything = np.concatenate([np.array(batch, np.float32) for batch in batches])
    reader = CalibrationReader([row[None] for row in everything], value.name)
    folder = tempfile.mkdtemp()
    try:
        with open(f"{folder}/float.onnx", "wb") as file:
            file.write(model_bytes)
        static(
            f"{folder}/float.onnx",
            f"{folder}/int8.onnx",
            reader,
            quant_format=QuantFormat.QDQ,
            calibrate_method=CalibrationMethod.MinMax,
            activation_type=QuantType.QInt8,
            weight_type=QuantType.QInt8,
            per_channel=per_channel,
        )
        with open(f"{folder}/int8.onnx", "rb") as file:
            return file.read()
    finally:
        shutil.rmtree(folder)


def cache_key(model_bytes, batches):
    described = [[str(b.dtype), list(b.shape), np.array(b).tobytes().hex()] for b in batches]
    text = json.dumps([model_bytes.hex(), described])
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def smooth(weight, activation_absmax, alpha=0.5):
    if activation_absmax.shape != weight.shape[1:] or not 0 <= alpha <= 1:
        raise ValueError("shapes, or alpha")
    x = activation_absmax.double()
    w = torch.maximum(weight.max(dim=0).values, -weight.min(dim=0).values).double()
    dead = (x == 0) | (w == 0)
    log = alpha * torch.where(dead, 1.0, x).log() - (1 - alpha) * torch.where(dead, 1.0, w).log()
    s = torch.where(dead, 0.0, log).exp()
    return (weight.double() @ torch.diag(s)).float(), s.float()


def quantised(weight, bits, group):
    most = 2 ** (bits - 1) - 1
    out = weight.clone()
    for row, start in itertools.product(range(len(weight)), range(0, weight.shape[1], group)):
        part = weight[row, start : start + group]
        step = part.abs().max() / most
        if step > 0:
            out[row, start : start + group] = torch.round(part / step) * step
    return out


def awq_scales(weight, activations, bits, group, grid):
    columns = weight.shape[1]
    if activations.shape[1] != columns or bits < 2 or grid < 1 or columns % (group or columns):
        raise ValueError("shapes, bits, grid or group")
    w, x = weight.double(), activations.double()
    magnitude = x.abs().mean(dim=0)
    if not magnitude.any():
        return torch.ones(columns)
    magnitude[magnitude == 0] = magnitude[magnitude > 0].min()
    losses = {}
    for number in range(grid):
        s = magnitude.pow(number / max(grid - 1, 1))
        back = quantised(w * s, bits, group or columns) / s
        losses[float(((back - w) @ x.T).norm())] = s
    return losses[min(losses)].float()


class KVCache:
    def __init__(self, bits, residual):
        if bits not in range(1, 33) or residual not in range(1, 10**9):
            raise ValueError("bits or residual")
        self.bits, self.residual = bits, residual
        self.groups, self.tail = [], []

    def code(self, x, axis):
        x = x.numpy()
        low = x.min(axis=axis, keepdims=True)
        step = (x.max(axis=axis, keepdims=True) - low) / np.float32(2**self.bits - 1)
        safe = np.where(step == 0, 1, step)
        return np.rint((x - low) / safe).astype(np.uint8), step, low

    def append(self, k, v):
        for key, value in zip(k, v):
            self.tail.append((key.clone(), value.clone()))
            if len(self.tail) == self.residual:
                keys = torch.stack([a for a, _ in self.tail])
                values = torch.stack([b for _, b in self.tail])
                self.groups.append((self.code(keys, 0), self.code(values, 2)))
                self.tail = []

    def everything(self, which):
        parts = [codes * step + low for codes, step, low in (group[which] for group in self.groups)]
        parts += [pair[which].numpy()[None] for pair in self.tail]
        return np.concatenate(parts)

    def attend(self, q):
        keys, values = self.everything(0), self.everything(1)
        scores = (keys * q.numpy()).sum(axis=2) / np.sqrt(q.shape[1])
        weights = np.exp(scores - scores.max(axis=0))
        weights /= weights.sum(axis=0)
        return torch.from_numpy((weights[:, :, None] * values).sum(axis=0)).float()

    @property
    def nbytes(self):
        bits = halves = 0
        for group in self.groups:
            for codes, step, low in group:
                bits += codes.size * self.bits
                halves += step.size + low.size
        for key, value in self.tail:
            halves += key.numel() + value.numel()
        return -(-bits // 8) + 2 * halves


PAIRS = list(itertools.combinations(range(4), 2))


def pack_2_4(weight):
    rows, columns = weight.shape
    if columns % 4:
        raise ValueError("columns")
    values, numbers = [], []
    for four in weight.reshape(-1, 4).tolist():
        fitting = [n for n, pair in enumerate(PAIRS) if all(four[i] == 0 for i in range(4) if i not in pair)]
        if not fitting:
            raise ValueError("three nonzeros in four")
        numbers.append(fitting[0])
        values.append([four[i] for i in PAIRS[fitting[0]]])
    numbers += [0] * (len(numbers) % 2)
    metadata = torch.tensor(numbers, dtype=torch.uint8).reshape(-1, 2)
    metadata = metadata[:, 0] * 16 + metadata[:, 1]
    return torch.tensor(values, dtype=weight.dtype).reshape(rows, columns // 2), metadata


def unpack_2_4(values, metadata):
    out = torch.zeros(len(values), values.shape[1] * 2, dtype=values.dtype)
    fours, pairs = out.view(-1, 4), values.reshape(-1, 2)
    for number, pair in enumerate(pairs):
        byte = int(metadata[number // 2])
        fours[number, list(PAIRS[byte % 16 if number % 2 else byte // 16])] = pair
    return out
