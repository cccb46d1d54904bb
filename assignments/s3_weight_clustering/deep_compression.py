# Generated from solutions/s3_weight_clustering/deep_compression.py by `autograder release`: change it there.
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
    # TODO(s3.compress): your code; the docstring says what it must do
    raise NotImplementedError("s3.compress")


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
    # TODO(s3.compress): your code; the docstring says what it must do
    raise NotImplementedError("s3.compress")


def _decode(coded: _Coded, shape: Sequence[int]) -> Tensor:
    """The tensor of `shape` that `_code` was given, with its weights shared."""
    # TODO(s3.compress): your code; the docstring says what it must do
    raise NotImplementedError("s3.compress")


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
