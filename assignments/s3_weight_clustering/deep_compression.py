# Generated from solutions/s3_weight_clustering/deep_compression.py by `autograder release`: change it there.
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
    # TODO(s3.compress): your code; the docstring says what it must do
    raise NotImplementedError("s3.compress")


# ---- stage 2: share ----------------------------------------------------------------------------


def _share(values: Tensor, bits: int) -> tuple[Tensor, Array]:
    """A codebook of at most 2**bits values, in the dtype of `values`, and labels (n,).

    If there are no more different values than that, nothing is lost. Otherwise: k-means from
    evenly spaced centroids, on sorted values (paper, sections 3.1 and 3.2).
    """
    # TODO(s3.compress): your code; the docstring says what it must do
    raise NotImplementedError("s3.compress")


# ---- stage 3: positions as relative indices, and Huffman's code --------------------------------


def _relative_indices(positions: Array, width: int) -> Array:
    """The zeros before each nonzero, in numbers of `width` bits (paper, figure 2).

    The largest number is a filler: so many zeros and no nonzero. See `coding.py`.
    """
    # TODO(s3.compress): your code; the docstring says what it must do
    raise NotImplementedError("s3.compress")


def _positions(gaps: Array, width: int) -> Array:
    """The positions that `_relative_indices` wrote."""
    # TODO(s3.compress): your code; the docstring says what it must do
    raise NotImplementedError("s3.compress")


def _code_lengths(counts: Sequence[int]) -> list[int]:
    """Bits of the code word of each symbol in Huffman's code; 0 for symbols that do not occur."""
    # TODO(s3.compress): your code; the docstring says what it must do
    raise NotImplementedError("s3.compress")


def _canonical(lengths: Sequence[int]) -> dict[int, str]:
    """Symbol to code word, in ascending order of the words, for the lengths of all symbols."""
    # TODO(s3.compress): your code; the docstring says what it must do
    raise NotImplementedError("s3.compress")


def _pack(symbols: Array, lengths: Sequence[int]) -> bytes:
    """The code words of `symbols`, one behind the other; nothing if there is only one symbol."""
    # TODO(s3.compress): your code; the docstring says what it must do
    raise NotImplementedError("s3.compress")


def _unpack(data: bytes, lengths: Sequence[int], n: int) -> Array:
    """The `n` symbols that `_pack` wrote.

    What a word is can be looked up at every bit at once; only the walk from word to word is
    sequential. `coding.py` explains the steps.
    """
    # TODO(s3.compress): your code; the docstring says what it must do
    raise NotImplementedError("s3.compress")


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

    # TODO(s3.compress): your code; the docstring says what it must do
    raise NotImplementedError("s3.compress")


def _decode(coded: _Coded, shape: Sequence[int]) -> Tensor:
    """The tensor that `_code` was given, with its weights shared."""
    # TODO(s3.compress): your code; the docstring says what it must do
    raise NotImplementedError("s3.compress")


def _fixed_bits(coded: _Coded) -> int:
    """Bits without Huffman's code: indices and labels of a fixed width, and the codebook."""
    # TODO(s3.compress): your code; the docstring says what it must do
    raise NotImplementedError("s3.compress")


def _index_bits(coded: _Coded) -> int:
    """Bits of the relative indices, all of the width for which that is least."""
    # TODO(s3.compress): your code; the docstring says what it must do
    raise NotImplementedError("s3.compress")


def _stages(
    state: State, sparsity: float, bits: int
) -> Iterator[tuple[str, Tensor, _Coded | None]]:
    """Name, tensor and coded form of each tensor, in order.

    There is no coded form for a tensor that must be kept exactly, and for one so small that
    codebook and indices take as much as the shared weights themselves; then those are the tensor.
    """
    # TODO(s3.compress): your code; the docstring says what it must do
    raise NotImplementedError("s3.compress")


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
    # TODO(s3.compress): your code; the docstring says what it must do
    raise NotImplementedError("s3.compress")


def decompress(data: bytes) -> dict[str, Tensor]:
    """Return the state dict in `data`, with the names in their order, all dtypes and shapes.

    Tensors are on the CPU.
    """
    # TODO(s3.compress): your code; the docstring says what it must do
    raise NotImplementedError("s3.compress")


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
    # TODO(s3.stage_report): your code; the docstring says what it must do
    raise NotImplementedError("s3.stage_report")


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
