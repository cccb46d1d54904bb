"""An aside to session 3: reading Huffman's code with a table, for files of millions of symbols.

The solution's `huffman_decode` reads bit by bit, as everybody would on paper. Only one thing about
a prefix code is sequential: where a word starts is known once all words before it are. So this
reader looks up, at *every* bit of the stream and in a few array operations, which word would start
there; the true starts are then a walk of one addition a word.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.int64]


def decode(coding: Any, data: bytes) -> list[int]:
    """What `coding.huffman_decode(data)` gives, for words of at most 57 bits.

    `coding` is the solution's module, whose format this is.
    """
    n, at = coding._read_varint(data, 0)
    longest, at = coding._read_varint(data, at)
    lengths: list[int] = []
    for length in range(1, longest + 1):
        count, at = coding._read_varint(data, at)
        lengths += [length] * count
    alphabet, symbol = [], 0
    for _ in lengths:
        step, at = coding._read_varint(data, at)
        symbol += coding._unzigzag(step)
        alphabet.append(symbol)
    ranks = decode_ranks(coding._canonical(lengths), data[at:], n)
    return list(map(alphabet.__getitem__, ranks.tolist()))


def decode_ranks(words: Sequence[str], packed: bytes, n: int) -> Array:
    """The first `n` code words in `packed`, each as its rank among the canonical `words`.

    Args:
        words: strings of "0" and "1", ascending once they are filled up with zeros on the right.
        packed: bits, the first one on top of the first byte.
        n: how many words to read.

    Returns:
        int64 (n,).
    """
    if n == 0:
        return np.zeros(0, np.int64)
    # Filled up to 64 bits, canonical words ascend: the word at the head of 64 bits of the stream
    # is the last one that is not above them (Moffat and Turpin 1997).
    left = np.array([int(word.ljust(64, "0"), 2) for word in words], np.uint64)
    stream = np.frombuffer(packed + bytes(8), np.uint8)
    windows = np.zeros(len(packed), np.uint64)  # 64 bits of the stream from each byte on
    for k in range(8):
        windows = windows << np.uint64(8) | stream[k : k + len(packed)]
    sizes = np.array([len(word) for word in words], np.uint8)
    steps = np.empty((len(packed), 8), np.uint8)
    for bit in range(8):  # 64 - 7 bits are left of a window, longer than any word
        steps[:, bit] = sizes[_rank(left, windows << np.uint64(bit))]
    starts = np.fromiter(_walk(steps.tobytes(), n), np.int64, n)
    return _rank(left, windows[starts // 8] << (starts % 8).astype(np.uint64))


def _rank(left: npt.NDArray[np.uint64], windows: npt.NDArray[np.uint64]) -> Array:
    """For each window the rank of the code word that it starts with; `left` is sorted."""
    return np.searchsorted(left, windows, side="right") - 1


def _walk(steps: bytes, n: int) -> Iterator[int]:
    """Positions 0, then always as much further as `steps` says where one is, `n` in all."""
    at = 0
    for _ in range(n):
        yield at
        at += steps[at]
