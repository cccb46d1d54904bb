"""Zeros are clustered with the other weights, and sparsity is lost.

Source: curriculum list.
"""

import json
import math
import zlib

import torch


def compress(state, sparsity, bits):
    if not 0 <= sparsity <= 1:
        raise ValueError(f"sparsity must be in 0..1, got {sparsity!r}")
    if type(bits) is not int or not 1 <= bits <= 32:
        raise ValueError(f"bits must be an integer in 1..32, got {bits!r}")

    def memory(tensor):
        flat = tensor.detach().reshape(-1).clone(memory_format=torch.contiguous_format)
        return flat.view(torch.uint8).numpy().tobytes()

    def share(values, levels):
        centroids = values.unique()
        if len(centroids) > levels:
            low, high = centroids[0].item(), centroids[-1].item()
            steps = torch.arange(levels, dtype=torch.float64) / max(levels - 1, 1)
            centroids = low + (high - low) * steps
            for _ in range(50):
                labels = torch.searchsorted((centroids[1:] + centroids[:-1]) / 2, values)
                counts = torch.bincount(labels, minlength=len(centroids))
                sums = torch.bincount(labels, weights=values, minlength=len(centroids))
                centroids = sums[counts > 0] / counts[counts > 0]
        return centroids, torch.searchsorted((centroids[1:] + centroids[:-1]) / 2, values)

    def squeeze(numbers):
        small = not len(numbers) or int(numbers.max()) < 256
        data = memory(numbers.to(torch.uint8 if small else torch.int32))
        packer = zlib.compressobj(9, zlib.DEFLATED, -15, 9, zlib.Z_HUFFMAN_ONLY)
        packed = packer.compress(data) + packer.flush()
        return packed, [len(packed), small]

    head, parts = [], []
    for name, tensor in state.items():
        entry = [name, str(tensor.dtype)[6:], list(tensor.shape)]
        if tensor.is_floating_point() and tensor.dim() >= 2 and tensor.numel():
            values = tensor.detach().double().flatten().clone()
            count = round(sparsity * len(values))
            values[values.abs().sort(stable=True).indices[:count]] = 0
            choices = []
            for turned in (False, True):
                each = values.reshape(len(tensor), -1).T.flatten() if turned else values
                places = torch.arange(len(each))
                codebook, labels = share(each[places], 2**bits)
                gaps = places.diff(prepend=torch.tensor([-1])) - 1
                parts_of_it = [squeeze(gaps), squeeze(labels)]
                data = b"".join(part for part, _ in parts_of_it)
                sizes = [len(codebook), turned, *(size for _, size in parts_of_it)]
                choices.append((memory(codebook.to(tensor.dtype)) + data, sizes))
            data, sizes = min(choices, key=lambda choice: len(choice[0]))
            entry += sizes
            parts.append(data)
        else:
            parts.append(memory(tensor))
        head.append(entry)
    text = zlib.compress(json.dumps(head).encode(), 9)
    return len(text).to_bytes(4, "big") + text + b"".join(parts)


def decompress(data):
    start = 4 + int.from_bytes(data[:4], "big")
    head, at = json.loads(zlib.decompress(data[4:start])), start

    def take(size):
        nonlocal at
        at += size
        return data[at - size : at]

    def tensor(data, dtype):
        if not data:
            return torch.zeros(0, dtype=dtype)
        return torch.frombuffer(bytearray(data), dtype=torch.uint8).view(dtype)

    def expand(size, small):
        piece = zlib.decompress(take(size), -15)
        return tensor(piece, torch.uint8 if small else torch.int32).long()

    state = {}
    for name, kind, shape, *more in head:
        dtype = getattr(torch, kind)
        bytes_each = torch.zeros((), dtype=dtype).element_size()
        if more:
            levels, turned, gaps, labels = more
            codebook = tensor(take(levels * bytes_each), dtype)
            places = (expand(*gaps) + 1).cumsum(0) - 1
            flat = torch.zeros(math.prod(shape), dtype=dtype)
            flat[places] = codebook[expand(*labels)]
            if turned:
                flat = flat.reshape(-1, shape[0]).T.flatten()
        else:
            flat = tensor(take(math.prod(shape) * bytes_each), dtype)
        state[name] = flat.reshape(shape)
    return state
