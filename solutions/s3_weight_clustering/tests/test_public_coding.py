"""Public tests of coding.py; see test_public_clustering.py."""

from __future__ import annotations

import itertools
from typing import Any

import torch

from autograder.graders.toolkit import (
    Exercise,
    check,
    close,
    expect_dict,
    expect_float,
    expect_list,
    expect_tensor,
    expect_value_error,
)

relative_index_encode = Exercise("s3.relative_index_encode")


@relative_index_encode.check(visibility="visible")
def test_positions_come_back(student: Any) -> None:
    """Masks with short, long and no gaps survive, with numbers of 2 bits."""
    for mask in (
        torch.tensor([0, 1, 0, 0, 0, 0, 1, 0]),
        torch.tensor([1] + [0] * 20 + [1]),
        torch.tensor([1, 1, 1]),
        torch.tensor([0, 0, 0, 0, 0]),
        torch.tensor([0, 0, 0, 1]),
    ):
        gaps = student.relative_index_encode(mask.bool(), 2)
        numbers = torch.as_tensor(gaps)
        check(bool(((numbers >= 0) & (numbers <= 3)).all()), "2 bits hold 0..3")
        back = student.relative_index_decode(gaps, len(mask), 2)
        back = expect_tensor(back, "relative_index_decode", (len(mask),), torch.bool)
        check(torch.equal(back, mask.bool()), "the mask that was encoded")


entropy = Exercise("s3.entropy")


@entropy.check(visibility="visible")
def test_entropy_by_hand(student: Any) -> None:
    """Shares of 1/2, 1/4 and 1/4 have 1.5 bits a symbol; nothing has none."""
    value = expect_float(student.entropy({"a": 2, "b": 1, "c": 1, "d": 0}), "entropy")
    check(close(value, 1.5), "1/2 * 1 + 1/4 * 2 + 1/4 * 2")
    check(expect_float(student.entropy({}), "entropy") == 0.0, "empty: 0.0")


huffman_code = Exercise("s3.huffman_code")


@huffman_code.check(visibility="visible")
def test_code_by_hand(student: Any) -> None:
    """Frequencies 5, 2, 1 and 1 get words of 1, 2, 3 and 3 bits, none the beginning of another."""
    code = student.huffman_code({"a": 5, "b": 1, "c": 1, "d": 2})
    code = expect_dict(code, "huffman_code", ["a", "b", "c", "d"])
    check(all(set(word) <= {"0", "1"} for word in code.values()), "words of 0 and 1")
    check(
        [len(code[symbol]) for symbol in "adbc"] == [1, 2, 3, 3], "the two rarest are joined first"
    )
    pairs = itertools.permutations(code.values(), 2)
    check(not any(b.startswith(a) for a, b in pairs), "no word is the beginning of another")


@huffman_code.check(visibility="visible")
def test_code_of_one_symbol(student: Any) -> None:
    """One symbol gets one bit, no symbols an empty code; a negative frequency is refused."""
    code = expect_dict(student.huffman_code({"only": 3}), "huffman_code", ["only"])
    check(code["only"] in ("0", "1"), "one bit, or nothing would be written")
    check(student.huffman_code({}) == {}, "empty: {}")
    expect_value_error(student.huffman_code, {"a": 1, "b": -1})


huffman_encode = Exercise("s3.huffman_encode")


@huffman_encode.check(visibility="visible")
def test_symbols_come_back(student: Any) -> None:
    """Lists of ints survive, also empty ones and those of a single symbol."""
    for symbols in ([], [7], [0] * 13, [3, -1, 3, 3, 10**12], list(range(100))):
        data = student.huffman_encode(symbols)
        check(isinstance(data, bytes), "huffman_encode returns bytes")
        back = expect_list(student.huffman_decode(data), "huffman_decode", len(symbols))
        check(back == symbols, "the symbols in their order")


@huffman_encode.check(visibility="visible")
def test_frequent_symbols_are_short(student: Any) -> None:
    """900 zeros and 100 ones take a bit each: 125 bytes, a head, and a table of two symbols."""
    size = len(student.huffman_encode([0] * 900 + [1] * 100))
    check(size <= 125 + 64 + 2 * 24, "pack 8 bits into a byte")
