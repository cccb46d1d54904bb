"""Session 3, Deep Compression: prune, share, Huffman, in one file (Han et al., ICLR 2016).

`compress` writes a state dict as bytes, `decompress` reads them, with nothing else at hand. The
private functions are one way to divide the work; only `compress`, `decompress` and `stage_report`
are called from outside, so change or replace the others as you like.

A file of this format is

    two sizes | head | exact numbers | code words, tensor by tensor

where the head says for each tensor what it is called and how it is coded, code tables included,
and the exact numbers are codebooks and tensors that are not compressed.
"""

from __future__ import annotations

import heapq
import io
import itertools
import json
import lzma
import math
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from shared.checks import check_bits, check_fraction

State = Mapping[str, Tensor]
Array = npt.NDArray[np.int64]

WIDTHS = range(1, 11)
"""Bits of a relative index that are tried."""


def _is_compressed(tensor: Tensor) -> bool:
    """Whether a tensor is pruned and shared; the others (biases, counters) are kept exactly."""
    return tensor.is_floating_point() and tensor.dim() >= 2 and tensor.numel() > 0


def _tensor_bytes(tensor: Tensor) -> bytes:
    """The values of a tensor of any dtype and shape, as they lie in memory."""
    raw = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
    return raw.numpy().tobytes()


def _tensor_from(data: bytes, dtype: torch.dtype, shape: Sequence[int]) -> Tensor:
    """The tensor that `_tensor_bytes` was given."""
    raw = torch.frombuffer(bytearray(data), dtype=torch.uint8) if data else torch.empty(0)
    return raw.view(dtype).reshape(tuple(shape)) if data else raw.to(dtype).reshape(tuple(shape))


# ---- stage 1: prune ----------------------------------------------------------------------------


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


# ---- stage 2: share ----------------------------------------------------------------------------


def _share(values: Tensor, bits: int) -> tuple[Tensor, Array]:
    """A codebook of at most 2**bits values, in the dtype of `values`, and labels (n,).

    If there are no more different values than that, nothing is lost. Otherwise: k-means from
    evenly spaced centroids, on sorted values (paper, sections 3.1 and 3.2).
    """
    # BEGIN SOLUTION s3.compress
    codebook, labels = values.unique(return_inverse=True)
    if len(codebook) <= 2**bits:
        return codebook, labels.numpy()
    ordered = np.sort(values.double().numpy())
    total = np.concatenate([[0.0], np.cumsum(ordered)])
    means = np.linspace(ordered[0], ordered[-1], 2**bits)
    for _ in range(50):
        cuts = np.searchsorted(ordered, (means[1:] + means[:-1]) / 2, side="right")
        cuts = np.unique([0, *cuts, len(ordered)])  # a cluster that became empty is dropped
        means = np.diff(total[cuts]) / np.diff(cuts)
    codebook = torch.from_numpy(means).to(values.dtype).unique()
    centers = codebook.double().numpy()
    return codebook, np.searchsorted((centers[1:] + centers[:-1]) / 2, values.double().numpy())
    # END SOLUTION


# ---- stage 3: positions as relative indices, and Huffman's code --------------------------------


def _relative_indices(positions: Array, width: int) -> Array:
    """The zeros before each nonzero, in numbers of `width` bits (paper, figure 2).

    The largest number is a filler: so many zeros and no nonzero. See `coding.py`.
    """
    # BEGIN SOLUTION s3.compress
    filler = 2**width - 1
    zeros = np.diff(positions, prepend=-1) - 1
    entries = zeros // filler + 1
    gaps = np.full(int(entries.sum()), filler)
    gaps[np.cumsum(entries) - 1] = zeros % filler
    return gaps
    # END SOLUTION


def _positions(gaps: Array, width: int) -> Array:
    """The positions that `_relative_indices` wrote."""
    # BEGIN SOLUTION s3.compress
    filler = 2**width - 1
    return (np.cumsum(gaps + (gaps < filler)) - 1)[gaps < filler]
    # END SOLUTION


def _code_lengths(counts: Sequence[int]) -> list[int]:
    """Bits of the code word of each symbol in Huffman's code; 0 for symbols that do not occur."""
    # BEGIN SOLUTION s3.compress
    lengths = [0] * len(counts)
    heap = [(count, i, [i]) for i, count in enumerate(counts) if count]
    if len(heap) == 1:
        lengths[heap[0][1]] = 1
    heapq.heapify(heap)
    for number in itertools.count(len(counts)):
        if len(heap) < 2:
            break
        (first, _, left), (second, _, right) = heapq.heappop(heap), heapq.heappop(heap)
        for leaf in left + right:
            lengths[leaf] += 1
        heapq.heappush(heap, (first + second, number, left + right))
    return lengths
    # END SOLUTION


def _canonical(lengths: Sequence[int]) -> dict[int, str]:
    """Symbol to code word, in ascending order of the words, for the lengths of all symbols."""
    # BEGIN SOLUTION s3.compress
    words, word, before = {}, 0, 0
    for length, symbol in sorted((length, i) for i, length in enumerate(lengths) if length):
        word <<= length - before
        words[symbol] = f"{word:0{length}b}"
        word, before = word + 1, length
    return words
    # END SOLUTION


def _pack(symbols: Array, lengths: Sequence[int]) -> bytes:
    """The code words of `symbols`, one behind the other; nothing if there is only one symbol."""
    # BEGIN SOLUTION s3.compress
    if np.count_nonzero(lengths) < 2:
        return b""
    bits = "".join(map(_canonical(lengths).__getitem__, symbols.tolist())).encode()
    return np.packbits(np.frombuffer(bits, np.uint8) & 1).tobytes()  # "0" is 48, "1" is 49
    # END SOLUTION


def _unpack(data: bytes, lengths: Sequence[int], n: int) -> Array:
    """The `n` symbols that `_pack` wrote.

    What a word is can be looked up at every bit at once; only the walk from word to word is
    sequential. `coding.py` explains the steps.
    """
    # BEGIN SOLUTION s3.compress
    if np.count_nonzero(lengths) < 2:
        return np.full(n, len(lengths) - 1)
    words = _canonical(lengths)
    left = np.array([int(word.ljust(64, "0"), 2) for word in words.values()], np.uint64)
    symbols = np.array(list(words))
    sizes = np.array([len(word) for word in words.values()], np.uint8)
    stream = np.frombuffer(data + bytes(8), np.uint8)
    windows = np.zeros(len(data), np.uint64)
    for k in range(8):
        windows = windows << np.uint64(8) | stream[k : k + len(data)]

    def rank(window: npt.NDArray[np.uint64]) -> Array:
        return np.searchsorted(left, window, side="right") - 1

    steps = np.stack([sizes[rank(windows << np.uint64(bit))] for bit in range(8)], axis=1)
    starts = np.fromiter(_walk(steps.tobytes(), n), np.int64, n)
    return symbols[rank(windows[starts // 8] << (starts % 8).astype(np.uint64))]
    # END SOLUTION


def _walk(steps: bytes, n: int) -> Iterator[int]:
    """Positions 0, then always as much further as `steps` says where one is, `n` in all."""
    at = 0
    for _ in range(n):
        yield at
        at += steps[at]


# ---- one tensor --------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Coded:
    """A pruned and shared tensor, ready to be packed.

    Read row by row, or column by column if `by_column` (a matrix has a row for each output), it
    has these relative indices `gaps` of `width` bits, and for each nonzero one of `labels`.
    """

    by_column: bool
    width: int
    gaps: Array
    codebook: Tensor
    labels: Array


def _read(weight: Tensor, by_column: bool) -> Tensor:
    """The elements of a tensor (out, ...), (n,): those of a row, or of a column, in succession."""
    rows = weight.reshape(len(weight), -1)
    return (rows.T if by_column else rows).flatten()


def _code(weight: Tensor, bits: int) -> _Coded:
    """Share the nonzeros of a pruned weight; of all ways to write positions take the shortest."""

    # BEGIN SOLUTION s3.compress
    def size(way: tuple[bool, int, Array]) -> float:
        _, width, gaps = way
        counts = np.bincount(gaps, minlength=2**width).tolist()
        lengths = _code_lengths(counts)
        table = 5 * sum(length > 0 for length in lengths)  # about so many bits in the head
        return sum(count * length for count, length in zip(counts, lengths)) + table

    ways = [
        (by_column, width, _relative_indices(positions, width))
        for by_column in (False, True)
        for positions in [_read(weight, by_column).nonzero().flatten().numpy()]
        for width in WIDTHS
    ]
    by_column, width, gaps = min(ways, key=size)
    values = _read(weight, by_column)
    return _Coded(by_column, width, gaps, *_share(values[values != 0], bits))
    # END SOLUTION


def _decode(coded: _Coded, shape: Sequence[int]) -> Tensor:
    """The tensor that `_code` was given, with its weights shared."""
    # BEGIN SOLUTION s3.compress
    values = coded.codebook.new_zeros(math.prod(shape))
    values[torch.from_numpy(_positions(coded.gaps, coded.width))] = coded.codebook[coded.labels]
    if coded.by_column:
        return values.reshape(-1, shape[0]).T.reshape(tuple(shape))
    return values.reshape(tuple(shape))
    # END SOLUTION


def _fixed_bits(coded: _Coded) -> int:
    """Bits without Huffman's code: indices and labels of a fixed width, and the codebook."""
    # BEGIN SOLUTION s3.compress
    label_bits = max(len(coded.codebook) - 1, 0).bit_length()
    return len(coded.labels) * label_bits + _index_bits(coded) + 8 * coded.codebook.nbytes
    # END SOLUTION


def _index_bits(coded: _Coded) -> int:
    """Bits of the relative indices, all of the width for which that is least."""
    # BEGIN SOLUTION s3.compress
    positions = _positions(coded.gaps, coded.width)
    return min(width * len(_relative_indices(positions, width)) for width in WIDTHS)
    # END SOLUTION


def _stages(
    state: State, sparsity: float, bits: int
) -> Iterator[tuple[str, Tensor, _Coded | None]]:
    """Name, tensor and coded form of each tensor, in order.

    There is no coded form for a tensor that must be kept exactly, and for one so small that
    codebook and indices take as much as the shared weights themselves; then those are the tensor.
    """
    # BEGIN SOLUTION s3.compress
    for name, tensor in state.items():
        tensor, coded = tensor.detach().cpu(), None
        if _is_compressed(tensor):
            coded = _code(_prune(tensor, sparsity), bits)
            if _fixed_bits(coded) >= 8 * tensor.nbytes:
                tensor, coded = _decode(coded, tensor.shape), None
        yield name, tensor, coded
    # END SOLUTION


# ---- the file ----------------------------------------------------------------------------------

_TEXT = {"id": lzma.FILTER_LZMA1, "preset": 9}
_NUMBERS = {"id": lzma.FILTER_LZMA1, "preset": 9, "lc": 0, "lp": 2, "pb": 2}
"""For 4-byte numbers: each of the four bytes is predicted apart, so that exponents help."""


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
    for name, tensor, coded in _stages(state, sparsity, bits):
        entry = [name, str(tensor.dtype).removeprefix("torch."), list(tensor.shape)]
        if coded is None:
            exact.append(_tensor_bytes(tensor))
        else:
            exact.append(_tensor_bytes(coded.codebook))
            entry += [len(coded.codebook), int(coded.by_column), coded.width]
            for symbols in (coded.gaps, coded.labels):
                lengths = _code_lengths(np.bincount(symbols).tolist())
                packed = _pack(symbols, lengths)
                words.append(packed)
                entry += [_as_text(lengths), len(symbols), len(packed)]
        head.append(entry)
    text = json.dumps(head, separators=(",", ":")).encode()
    parts = [_squeeze(text, _TEXT), _squeeze(b"".join(exact), _NUMBERS)]
    sizes = struct.pack("<2I", *map(len, parts))
    return b"".join([sizes, *parts, *words])
    # END SOLUTION


def decompress(data: bytes) -> dict[str, Tensor]:
    """Return the state dict in `data`, with the names in their order, all dtypes and shapes.

    Tensors are on the CPU.
    """
    # BEGIN SOLUTION s3.compress
    size, exact_size = struct.unpack_from("<2I", data)
    stream = io.BytesIO(data)
    stream.seek(8)
    head = json.loads(_expand(stream.read(size), _TEXT))
    exact = io.BytesIO(_expand(stream.read(exact_size), _NUMBERS))
    state = {}
    for name, dtype_name, shape, *form in head:
        dtype = getattr(torch, dtype_name)
        if not form:
            state[name] = _tensor_from(exact.read(math.prod(shape) * dtype.itemsize), dtype, shape)
            continue
        k, by_column, width, *codes = form
        codebook = _tensor_from(exact.read(k * dtype.itemsize), dtype, [k])
        gaps, labels = (
            _unpack(stream.read(length), _from_text(lengths), n)
            for lengths, n, length in (codes[:3], codes[3:])
        )
        state[name] = _decode(_Coded(bool(by_column), width, gaps, codebook, labels), shape)
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
    pruned = quantised = 0
    for _, tensor, coded in _stages(state, sparsity, bits):
        if coded is None:
            pruned += 8 * tensor.nbytes
            quantised += 8 * tensor.nbytes
        else:
            weights = 8 * tensor.element_size() * len(coded.labels)
            pruned += min(weights + _index_bits(coded), 8 * tensor.nbytes)
            quantised += _fixed_bits(coded)
    return {
        "dense": sum(tensor.nbytes for tensor in state.values()),
        "pruned": -(-pruned // 8),
        "quantised": -(-quantised // 8),
        "huffman": len(compress(state, sparsity, bits)),
    }
    # END SOLUTION


def _as_text(lengths: Sequence[int]) -> str:
    """Lengths of code words as a text, a character each: 10 is a, 35 is z."""
    return "".join("0123456789abcdefghijklmnopqrstuvwxyz"[length] for length in lengths)


def _from_text(text: str) -> list[int]:
    """The lengths that `_as_text` wrote."""
    return [int(character, 36) for character in text]


def _squeeze(data: bytes, options: dict[str, int]) -> bytes:
    """`data` through lzma without any of its headers."""
    return lzma.compress(data, lzma.FORMAT_RAW, filters=[options])


def _expand(data: bytes, options: dict[str, int]) -> bytes:
    """What `_squeeze` was given with the same options."""
    return lzma.decompress(data, lzma.FORMAT_RAW, filters=[options])
