# Generated from solutions/s3_weight_clustering/coding.py by `autograder release`: change it there.
"""Session 3, coding: where the nonzeros are, and as few bits as possible for every symbol.

Relative index coding stores the distances between nonzeros (Han et al., Deep Compression, 2016,
figure 2); Huffman's code (1952) gives frequent symbols short code words. Files start with what a
reader needs, so that the bytes alone are enough to get everything back.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence

import torch
from torch import Tensor

from shared.checks import check_bits, check_int, check_integers


def _check_frequencies(frequencies: Mapping[Hashable, float]) -> None:
    """ValueError unless every frequency is a number of at least 0."""
    for symbol, frequency in frequencies.items():
        if not frequency >= 0:  # also refuses NaN
            raise ValueError(f"frequency of {symbol!r}: expected at least 0, got {frequency}")


# ---- numbers as bytes --------------------------------------------------------------------------


def _varint(value: int) -> bytes:
    """A number of at least 0 in as few bytes as it needs: 7 bits a byte, the lowest first.

    The top bit of a byte says that more bytes follow.

    >>> _varint(5).hex(), _varint(300).hex()
    ('05', 'ac02')
    """
    out = bytearray()
    while value >= 128:
        out.append(value % 128 + 128)
        value //= 128
    return bytes([*out, value])


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    """The number that `_varint` wrote at `data[at]`, and the position behind it.

    >>> _read_varint(_varint(300), 0)
    (300, 2)
    """
    value = shift = 0
    while data[at] >= 128:
        value |= (data[at] - 128) << shift
        at, shift = at + 1, shift + 7
    return value | data[at] << shift, at + 1


def _zigzag(value: int) -> int:
    """0, -1, 1, -2, 2, ... as 0, 1, 2, 3, 4, ...: small numbers of either sign stay small."""
    return 2 * value if value >= 0 else -2 * value - 1


def _unzigzag(value: int) -> int:
    """The number that `_zigzag` made `value` of."""
    return value // 2 if value % 2 == 0 else -(value + 1) // 2


# ---- positions ---------------------------------------------------------------------------------


def relative_index_encode(mask: Tensor, bits: int) -> Tensor:
    """Return the positions of the True elements of `mask` as short numbers.

    The zeros before each nonzero are counted. A count below 2**bits - 1 is one entry. The largest
    entry, 2**bits - 1, is a *filler*: so many zeros, and no nonzero behind them; a longer gap is
    written as fillers and a rest (which may be 0). Zeros behind the last nonzero need no entry,
    because the reader knows how many elements there are.

    Han et al. (2016, figure 2) let a filler stand for one more position, whose weight is a stored
    zero. Here it needs no weight, and the positions can be read without the weights.

    Args:
        mask: bool, any shape, read row by row.
        bits: bits of an entry, 1..32.

    Returns:
        int64 (entries,), each in 0..2**bits - 1. This format is a suggestion: entries in that
        range are graded by what your own `relative_index_decode` makes of them.

    Raises:
        ValueError: if `bits` is no int in 1..32.

    With 2 bits, 3 is the filler: gaps of 1 and 4 zeros are 1 and 3 + 1.

    >>> relative_index_encode(torch.tensor([0, 1, 0, 0, 0, 0, 1, 0]).bool(), bits=2)
    tensor([1, 3, 1])
    """
    # TODO(s3.relative_index_encode): your code; the docstring says what it must do
    raise NotImplementedError("s3.relative_index_encode")


def relative_index_decode(gaps: Tensor, n: int, bits: int) -> Tensor:
    """Return the mask, flattened, whose positions `relative_index_encode` wrote.

    Args:
        gaps: integers (entries,).
        n: number of elements of the mask, at least 0.
        bits: as in encoding.

    Returns:
        bool (n,).

    Raises:
        ValueError: if `bits` is no int in 1..32, `n` is below 0, an entry is outside
            0..2**bits - 1, or a nonzero would lie behind the end.

    >>> relative_index_decode(torch.tensor([1, 3, 1]), 8, bits=2).int()
    tensor([0, 1, 0, 0, 0, 0, 1, 0], dtype=torch.int32)
    """
    # TODO(s3.relative_index_encode): your code; the docstring says what it must do
    raise NotImplementedError("s3.relative_index_encode")


# ---- Huffman's code ----------------------------------------------------------------------------


def entropy(frequencies: Mapping[Hashable, float]) -> float:
    """Return the entropy in bits per symbol: no code that works symbol by symbol needs less.

    H = -sum_i p_i log2(p_i), where p_i is the share of frequency i (Shannon 1948); a frequency of
    0 adds nothing. The entropy of nothing is 0.0.

    Args:
        frequencies: symbol to count, at least 0.

    Raises:
        ValueError: if a frequency is negative.

    >>> entropy({"a": 2, "b": 1, "c": 1})
    1.5
    """
    # TODO(s3.entropy): your code; the docstring says what it must do
    raise NotImplementedError("s3.entropy")


def _code_lengths(frequencies: Sequence[float]) -> list[int]:
    """The length in bits of the code word of each frequency, for an optimal prefix-free code.

    Args:
        frequencies: at least 0. None gives [], a single one gives [1].

    >>> _code_lengths([5, 1, 1, 2])
    [1, 3, 3, 2]
    """
    # TODO(s3.huffman_code): your code; the docstring says what it must do
    raise NotImplementedError("s3.huffman_code")


def _canonical(lengths: Sequence[int]) -> list[str]:
    """Code words of the given lengths, which ascend: each is the one before plus 1.

    Behind it zeros are appended where the next length is larger (Schwartz and Kallick 1964). So
    the lengths alone are enough to know the code, and all words, filled up with zeros on the
    right, ascend.

    >>> _canonical([1, 2, 3, 3])
    ['0', '10', '110', '111']
    """
    words, word, before = [], 0, 0
    for length in lengths:
        word <<= length - before
        words.append(f"{word:0{length}b}")
        word, before = word + 1, length
    return words


def huffman_code(frequencies: Mapping[Hashable, float]) -> dict[Hashable, str]:
    """Return Huffman's code (1952): for each symbol its code word, a string of "0" and "1".

    No word is the beginning of another, and sum_i frequency_i * length_i is as small as possible:
    the two rarest trees are joined until one is left. A symbol of frequency 0 gets a word as
    well. One symbol alone gets a word of one bit, for otherwise nothing would be written; no
    symbols give {}. The same mapping always gives the same code.

    Args:
        frequencies: symbol to frequency, any number of at least 0. Symbols need not be
            comparable with each other.

    Raises:
        ValueError: if a frequency is negative.

    >>> huffman_code({"a": 5, "b": 1, "c": 1, "d": 2})
    {'a': '0', 'd': '10', 'b': '110', 'c': '111'}
    """
    # TODO(s3.huffman_code): your code; the docstring says what it must do
    raise NotImplementedError("s3.huffman_code")


def huffman_encode(symbols: Sequence[int]) -> bytes:
    """Return bytes from which `huffman_decode` gets the symbols back, with nothing else known.

    A head holds how many symbols there are and the code, then follow the code words one behind
    the other, the last byte filled up. With a canonical code the head needs only how many words
    have each length, and the symbols in the order of their words. May be at most
    n (H + 1) / 8 + 64 + 24 * distinct bytes long, where H is the entropy in bits per symbol of
    these n symbols and `distinct` how many of them differ.

    Args:
        symbols: Python ints, also negative or large ones; may be empty.

    >>> len(huffman_encode([7] * 1000)) < 1000 / 8 + 10
    True
    """
    # TODO(s3.huffman_encode): your code; the docstring says what it must do
    raise NotImplementedError("s3.huffman_encode")


def huffman_decode(data: bytes) -> list[int]:
    """Return the symbols that `huffman_encode` wrote, as Python ints.

    Bits that only fill the last byte are no symbols.

    >>> huffman_decode(huffman_encode([3, -1, 3, 10**20]))
    [3, -1, 3, 100000000000000000000]
    """
    # TODO(s3.huffman_encode): your code; the docstring says what it must do
    raise NotImplementedError("s3.huffman_encode")
