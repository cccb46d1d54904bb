"""Session 3, Deep Compression: prune, share, Huffman, in one file (Han et al., ICLR 2016).

`compress` writes a state dict as bytes, `decompress` reads them, with nothing else at hand. What
the paper puts together is what you have: `cluster_nonzero` shares, `relative_index_encode` writes
positions, `huffman_encode` makes both short. Only `compress`, `decompress` and `stage_report` are
called from outside, so change or replace the private functions as you like.

A file of this format is

    two sizes | head | exact numbers | code words, tensor by tensor

where the head says for each tensor what it is called and how it is coded, and the exact numbers
are codebooks and tensors that are not compressed.
"""

from __future__ import annotations

import io
import json
import lzma
import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from shared.checks import check_bits, check_fraction

# Import your own functions where you call them, inside a function: should clustering.py not be
# importable, this module still is.

State = Mapping[str, Tensor]


def _is_weight(tensor: Tensor) -> bool:
    """Whether a tensor is pruned and shared; the others (biases, counters) are kept exactly."""
    return tensor.is_floating_point() and tensor.dim() >= 2 and tensor.numel() > 0


def _tensor_bytes(tensor: Tensor) -> bytes:
    """The values of a tensor of any dtype and shape, as they lie in memory."""
    raw = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
    return raw.numpy().tobytes()


def _tensor_from(data: bytes, dtype: torch.dtype, shape: Sequence[int]) -> Tensor:
    """The tensor that `_tensor_bytes` was given."""
    if not data:
        return torch.empty(tuple(shape), dtype=dtype)
    return torch.frombuffer(bytearray(data), dtype=torch.uint8).view(dtype).reshape(tuple(shape))


_WINDOW = 1 << 20  # bytes back that repetitions are found; the preset's 64 MB cost 0.2 s a call
_TEXT = {"id": lzma.FILTER_LZMA1, "preset": 9, "dict_size": _WINDOW}
_NUMBERS = {**_TEXT, "lc": 0, "lp": 2, "pb": 2}
"""For 4-byte numbers: each of the four bytes is predicted apart, so that exponents help."""


def _squeeze(data: bytes, options: dict[str, int]) -> bytes:
    """`data` through lzma without any of its headers."""
    return lzma.compress(data, lzma.FORMAT_RAW, filters=[options])


def _expand(data: bytes, options: dict[str, int]) -> bytes:
    """What `_squeeze` was given with the same options."""
    return lzma.decompress(data, lzma.FORMAT_RAW, filters=[options])


# ---- one tensor --------------------------------------------------------------------------------


def _prune(weight: Tensor, sparsity: float) -> Tensor:
    """A copy in which at least round(sparsity * n) weights, the smallest magnitudes, are 0.

    Zeros that were there are among them; of equal magnitudes the earlier one goes first.
    """
    # BEGIN SOLUTION s3.compress
    pruned = weight.detach().cpu().flatten().clone()
    count = round(sparsity * pruned.numel())
    if count > pruned.numel() - int(pruned.count_nonzero()):
        pruned[pruned.abs().argsort(stable=True)[:count]] = 0.0
    return pruned.reshape(weight.shape)
    # END SOLUTION


def _widths(mask: Tensor) -> range:
    """Bits of a relative index that are worth a try: from log2 of the mean gap on."""
    gap = mask.numel() / max(int(mask.sum()), 1)
    start = max(int(math.log2(gap)), 1)
    return range(start, start + 5)


def _columns(tensor: Tensor) -> Tensor:
    """The elements of a tensor (out, ...), with all that one input feeds in succession.

    An input without use, such as a pixel at the border, is then one long gap.
    """
    return tensor.flatten(1).T.flatten()


@dataclass(frozen=True)
class _Coded:
    """A pruned and shared tensor: centroids (the first is 0), and Huffman's code of the rest.

    `gaps` are relative indices of `width` bits, read column by column if `by_column`; `labels`
    are those of the nonzeros, in the same order.
    """

    centroids: Tensor
    width: int
    by_column: bool
    gaps: bytes
    labels: bytes


def _code(weight: Tensor, bits: int) -> _Coded:
    """Share the nonzeros of a pruned weight; of all ways to write positions take the shortest."""
    # BEGIN SOLUTION s3.compress
    from clustering import cluster_nonzero
    from coding import huffman_encode, relative_index_encode

    mask = weight != 0
    centroids, labels = cluster_nonzero(weight, mask, bits)
    ways = [
        (huffman_encode(relative_index_encode(order(mask), width).tolist()), width, order)
        for order in (torch.flatten, _columns)
        for width in _widths(mask)
    ]
    gaps, width, order = min(ways, key=lambda way: len(way[0]))
    nonzero = [label for label in order(labels).tolist() if label]
    return _Coded(centroids, width, order is _columns, gaps, huffman_encode(nonzero))
    # END SOLUTION


def _decode(coded: _Coded, shape: Sequence[int]) -> Tensor:
    """The tensor of `shape` that `_code` was given, with its weights shared."""
    # BEGIN SOLUTION s3.compress
    from clustering import decode_clusters
    from coding import huffman_decode, relative_index_decode

    gaps = torch.tensor(huffman_decode(coded.gaps), dtype=torch.int64)
    mask = relative_index_decode(gaps, math.prod(shape), coded.width)
    labels = torch.zeros(math.prod(shape), dtype=torch.int64)
    labels[mask] = torch.tensor(huffman_decode(coded.labels), dtype=torch.int64)
    if coded.by_column:
        labels = labels.reshape(-1, shape[0]).T
    return decode_clusters(coded.centroids, labels, shape)
    # END SOLUTION


# ---- the file ----------------------------------------------------------------------------------


def compress(state: State, sparsity: float, bits: int) -> bytes:
    """Return a file that holds `state`, pruned, shared and coded; as short as you can make it.

    In each floating tensor with two or more dimensions at least round(sparsity * n) weights, the
    smallest magnitudes, become 0 (those that are 0 already count), and the others take at most
    2**bits different values. All other tensors are kept exactly. Nothing is trained here: hand in
    a state whose training went through pruning and sharing, with sparsity 0.

    Graded by the length of the result and by the accuracy of what `decompress` makes of it in a
    process of its own, so codebooks and code tables have to be in the bytes. The same arguments
    always give the same bytes. zlib and lzma are allowed.

    Args:
        state: names to tensors of any dtype and shape, also empty, constant, 0-d or all zero;
            not changed.
        sparsity: share in 0..1.
        bits: 1..32.

    Raises:
        ValueError: if `sparsity` or `bits` is anything else.
    """
    check_fraction("sparsity", sparsity)
    check_bits("bits", bits)
    # BEGIN SOLUTION s3.compress
    head: list[list[Any]] = []
    exact, words = [], []
    for name, tensor in state.items():
        entry = [name, str(tensor.dtype).removeprefix("torch."), list(tensor.shape)]
        if _is_weight(tensor):
            coded = _code(_prune(tensor, sparsity), bits)
            exact.append(_tensor_bytes(coded.centroids))
            words += [coded.gaps, coded.labels]
            entry += [len(coded.centroids), coded.width, coded.by_column]
            entry += [len(coded.gaps), len(coded.labels)]
        else:
            exact.append(_tensor_bytes(tensor))
        head.append(entry)
    text = json.dumps(head, separators=(",", ":")).encode()
    parts = [_squeeze(text, _TEXT), _squeeze(b"".join(exact), _NUMBERS)]
    return b"".join([struct.pack("<2I", *map(len, parts)), *parts, *words])
    # END SOLUTION


def decompress(data: bytes) -> dict[str, Tensor]:
    """Return the state dict in `data`, with the names in their order, all dtypes and shapes.

    Tensors are on the CPU.
    """
    # BEGIN SOLUTION s3.compress
    stream = io.BytesIO(data)
    size, exact_size = struct.unpack("<2I", stream.read(8))
    head = json.loads(_expand(stream.read(size), _TEXT))
    exact = io.BytesIO(_expand(stream.read(exact_size), _NUMBERS))
    state = {}
    for name, dtype_name, shape, *form in head:
        dtype = getattr(torch, dtype_name)
        if form:
            k, width, by_column, *sizes = form
            centroids = _tensor_from(exact.read(k * dtype.itemsize), dtype, [k])
            coded = _Coded(centroids, width, by_column, *map(stream.read, sizes))
            state[name] = _decode(coded, shape)
        else:
            state[name] = _tensor_from(exact.read(math.prod(shape) * dtype.itemsize), dtype, shape)
    return state
    # END SOLUTION


def stage_report(state: State, sparsity: float, bits: int) -> dict[str, int]:
    """Return the bytes after each stage, as in the paper's tables 1 to 3.

    - "dense": all tensors as they lie in memory.
    - "pruned": in place of a pruned tensor its nonzero weights and their relative indices.
    - "quantised": in place of the weights labels of a fixed width, and codebooks.
    - "huffman": the file, `len(compress(state, sparsity, bits))`, code tables and all.

    Tensors that are not compressed count fully in the first three.

    Args:
        state: as in `compress`, and so are `sparsity` and `bits`.

    Raises:
        ValueError: as `compress` does.
    """
    check_fraction("sparsity", sparsity)
    check_bits("bits", bits)
    # BEGIN SOLUTION s3.stage_report
    from clustering import cluster_nonzero
    from coding import relative_index_encode

    dense = pruned = quantised = 0  # bits
    for tensor in state.values():
        whole = pruned_size = shared_size = 8 * tensor.nbytes
        if _is_weight(tensor):
            weight = _prune(tensor, sparsity)
            mask = weight != 0
            orders = [torch.flatten(mask), _columns(mask)]
            places = min(
                w * len(relative_index_encode(o, w)) for o in orders for w in _widths(mask)
            )
            k = len(cluster_nonzero(weight, mask, bits)[0]) - 1  # without the 0
            kept, label_bits = int(mask.sum()), max(k - 1, 0).bit_length()
            pruned_size = min(places + kept * 8 * tensor.itemsize, whole)
            shared_size = min(places + kept * label_bits + k * 8 * tensor.itemsize, whole)
        dense, pruned, quantised = dense + whole, pruned + pruned_size, quantised + shared_size
    return {
        "dense": dense // 8,
        "pruned": -(-pruned // 8),
        "quantised": -(-quantised // 8),
        "huffman": len(compress(state, sparsity, bits)),
    }
    # END SOLUTION
