"""Deep Compression with NumPy: bytes of gaps and labels, handed to lzma or zlib."""

import lzma
import struct
import zlib

import numpy as np
import torch

DTYPES = sorted({each for each in vars(torch).values() if isinstance(each, torch.dtype)}, key=str)
LZMA = [{"id": lzma.FILTER_LZMA2, "preset": 6, "dict_size": 1 << 20, "lc": 0, "lp": 0, "pb": 0}]


def _check(sparsity, bits):
    if not 0.0 <= sparsity <= 1.0:
        raise ValueError(f"sparsity: expected 0..1, got {sparsity!r}")
    if isinstance(bits, bool) or not isinstance(bits, int) or not 1 <= bits <= 32:
        raise ValueError(f"bits: expected an integer in 1..32, got {bits!r}")


# ---- bytes -------------------------------------------------------------------------------------


def _huffman_only(data):
    packer = zlib.compressobj(9, zlib.DEFLATED, -15, 9, zlib.Z_HUFFMAN_ONLY)
    return packer.compress(data) + packer.flush()


def _squeeze(data):
    """The shortest of several ways to write `data`, with its size and the way in front."""
    ways = [
        data,
        zlib.compress(data, 9),
        _huffman_only(data),
        lzma.compress(data, lzma.FORMAT_RAW, filters=LZMA),
    ]
    way = min(range(len(ways)), key=lambda each: len(ways[each]))
    return struct.pack("<BI", way, len(ways[way])) + ways[way]


class _Reader:
    """Takes pieces from the front of some bytes."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, size):
        self.at += size
        return self.data[self.at - size : self.at]

    def unpack(self, form):
        return struct.unpack(form, self.take(struct.calcsize(form)))

    def expand(self):
        way, size = self.unpack("<BI")
        data = self.take(size)
        if way == 0:
            return data
        if way == 1:
            return zlib.decompress(data)
        if way == 2:
            return zlib.decompress(data, -15)
        return lzma.decompress(data, lzma.FORMAT_RAW, filters=LZMA)


def _memory(tensor):
    flat = tensor.detach().cpu().reshape(-1).clone(memory_format=torch.contiguous_format)
    return flat.view(torch.uint8).numpy().tobytes() if flat.numel() else b""


def _from_memory(data, dtype, shape):
    if not data:
        return torch.zeros(shape, dtype=dtype)
    return torch.frombuffer(bytearray(data), dtype=torch.uint8).view(dtype).reshape(shape)


# ---- weights -----------------------------------------------------------------------------------


def _is_weight(tensor):
    return tensor.is_floating_point() and tensor.dim() > 1 and tensor.numel() > 0


def _pruned(tensor, sparsity):
    values = tensor.detach().cpu().double().flatten().numpy().copy()
    order = np.argsort(np.abs(values), kind="stable")
    values[order[: round(sparsity * values.size)]] = 0
    return values


def _codebook(values, levels):
    """At most `levels` values that stand for `values`, by Lloyd's algorithm from even spacing."""
    distinct, counts = np.unique(values, return_counts=True)
    if distinct.size <= levels:
        return distinct
    sizes = np.concatenate([[0], np.cumsum(counts)])
    sums = np.concatenate([[0.0], np.cumsum(counts * distinct)])
    centroids = np.linspace(distinct[0], distinct[-1], levels)
    for _ in range(100):
        borders = np.searchsorted(distinct, (centroids[1:] + centroids[:-1]) / 2, side="right")
        cuts = np.unique(np.concatenate([[0], borders, [distinct.size]]))
        moved = np.diff(sums[cuts]) / np.diff(sizes[cuts])
        if np.array_equal(moved, centroids):
            break
        centroids = moved
    return centroids


def _share(tensor, sparsity, bits):
    """(codebook in the tensor's dtype, label of each element, -1 for a zero)."""
    values = _pruned(tensor, sparsity)
    nonzero = values != 0
    centroids = _codebook(values[nonzero], 2**bits)
    labels = np.full(values.size, -1, dtype=np.int64)
    labels[nonzero] = np.searchsorted((centroids[1:] + centroids[:-1]) / 2, values[nonzero])
    return torch.from_numpy(centroids).to(tensor.dtype), labels


def _gap_bytes(labels):
    """Zeros before each nonzero, 255 and the rest where a byte is too small."""
    gaps = np.diff(np.flatnonzero(labels >= 0), prepend=-1) - 1
    fillers, rest = np.divmod(gaps, 255)
    ends = np.cumsum(fillers + 1)
    entries = np.full(ends[-1] if ends.size else 0, 255, dtype=np.uint8)
    entries[ends - 1] = rest
    return entries.tobytes()


def _label_bytes(labels, levels):
    """The labels of nonzeros, byte plane by byte plane."""
    width = 1 if levels <= 256 else 4
    told = labels[labels >= 0].astype("<u4").view(np.uint8).reshape(-1, 4)
    return told[:, :width].T.tobytes()


def _write_weight(tensor, sparsity, bits):
    codebook, labels = _share(tensor, sparsity, bits)
    rows = tensor.shape[0]
    turned = labels.reshape(rows, -1).T.ravel()
    options = []
    for transposed, each in enumerate([labels, turned]):
        head = struct.pack("<BI", transposed, len(codebook))
        body = _squeeze(_gap_bytes(each)) + _squeeze(_label_bytes(each, len(codebook)))
        options.append(head + _squeeze(_memory(codebook)) + body)
    return min(options, key=len)


def _read_weight(reader, dtype, shape):
    transposed, levels = reader.unpack("<BI")
    codebook = _from_memory(reader.expand(), dtype, (levels,))
    entries = np.frombuffer(reader.expand(), np.uint8).astype(np.int64)
    width = 1 if levels <= 256 else 4
    planes = np.frombuffer(reader.expand(), np.uint8).reshape(width, -1).astype(np.int64)
    labels = (planes << (8 * np.arange(width))[:, None]).sum(0)
    filled = entries != 255
    places = np.cumsum(entries + filled)[filled] - 1
    n = int(np.prod(shape))
    weight = torch.zeros(n, dtype=dtype)
    weight[torch.from_numpy(places)] = codebook[torch.from_numpy(labels)]
    if transposed:
        weight = weight.reshape(-1, shape[0]).T
    return weight.reshape(shape).contiguous()


# ---- the file ----------------------------------------------------------------------------------


def compress(state, sparsity, bits):
    _check(sparsity, bits)
    head, exact, weights = [struct.pack("<I", len(state))], [], []
    for name, tensor in state.items():
        title = name.encode("utf-8", "surrogatepass")
        head.append(struct.pack("<I", len(title)) + title)
        head.append(struct.pack("<BB", DTYPES.index(tensor.dtype), tensor.dim()))
        head.append(struct.pack(f"<{tensor.dim()}Q", *tensor.shape))
        if _is_weight(tensor):
            weights.append(_write_weight(tensor, sparsity, bits))
        else:
            exact.append(_memory(tensor))
    return _squeeze(b"".join(head)) + _squeeze(b"".join(exact)) + b"".join(weights)


def decompress(data):
    reader = _Reader(data)
    head, exact = _Reader(reader.expand()), _Reader(reader.expand())
    state = {}
    for _ in range(*head.unpack("<I")):
        name = head.take(*head.unpack("<I")).decode("utf-8", "surrogatepass")
        code, dimensions = head.unpack("<BB")
        shape = head.unpack(f"<{dimensions}Q")
        blank = torch.zeros((), dtype=DTYPES[code]).expand(shape)
        if _is_weight(blank):
            state[name] = _read_weight(reader, DTYPES[code], shape)
        else:
            size = blank.numel() * blank.element_size()
            state[name] = _from_memory(exact.take(size), DTYPES[code], shape)
    return state


def stage_report(state, sparsity, bits):
    _check(sparsity, bits)
    dense = pruned = quantised = 0
    for tensor in state.values():
        size = tensor.numel() * tensor.element_size()
        dense += size
        if not _is_weight(tensor):
            pruned += size
            quantised += size
            continue
        codebook, labels = _share(tensor, sparsity, bits)
        alive = int((labels >= 0).sum())
        entries = len(_gap_bytes(labels))  # a byte each
        label_bits = max(len(codebook) - 1, 0).bit_length()
        pruned += alive * tensor.element_size() + entries
        quantised += (alive * label_bits + 7) // 8 + entries
        quantised += len(codebook) * tensor.element_size()
    file = len(compress(state, sparsity, bits))
    return {"dense": dense, "pruned": pruned, "quantised": quantised, "huffman": file}
