"""Relative indices and Huffman's code with lists, strings of bits and plain loops."""

import math
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor


def _whole_number(value: Any, name: str, least: int, most: int | None = None) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{name} must be an integer, got {value!r}")
    if value < least or (most is not None and value > most):
        raise ValueError(f"{name} must be at least {least} and at most {most}, got {value!r}")
    return value


def relative_index_encode(mask: Tensor, bits: int) -> Tensor:
    _whole_number(bits, "bits", 1, 32)
    filler = 2**bits - 1
    gaps: list[int] = []
    zeros = 0
    for keep in mask.flatten().tolist():
        if keep:
            gaps.append(zeros)
            zeros = 0
        else:
            zeros += 1
            if zeros == filler:
                gaps.append(filler)
                zeros = 0
    return torch.tensor(gaps, dtype=torch.int64)


def relative_index_decode(gaps: Tensor, n: int, bits: int) -> Tensor:
    _whole_number(bits, "bits", 1, 32)
    _whole_number(n, "n", 0)
    filler = 2**bits - 1
    mask = [False] * n
    place = 0
    for gap in gaps.flatten().tolist():
        if not 0 <= gap <= filler:
            raise ValueError(f"gaps must be in 0..{filler}, got {gap}")
        place += gap
        if gap < filler:
            if place >= n:
                raise ValueError(f"gaps reach position {place}, but n is {n}")
            mask[place] = True
            place += 1
    return torch.tensor(mask, dtype=torch.bool)


def _checked(frequencies: Mapping[Hashable, float]) -> list[tuple[Hashable, float]]:
    pairs = list(frequencies.items())
    for symbol, frequency in pairs:
        if frequency < 0:
            raise ValueError(f"the frequency of {symbol!r} must not be negative: {frequency}")
    return pairs


def entropy(frequencies: Mapping[Hashable, float]) -> float:
    pairs = _checked(frequencies)
    total = sum(frequency for _, frequency in pairs)
    bits = 0.0
    for _, frequency in pairs:
        if frequency > 0:
            bits += frequency / total * math.log2(total / frequency)
    return bits


def huffman_code(frequencies: Mapping[Hashable, float]) -> dict[Hashable, str]:
    pairs = _checked(frequencies)
    if len(pairs) == 1:
        return {pairs[0][0]: "0"}
    words = {symbol: "" for symbol, _ in pairs}
    # Leaves in ascending order; joined trees come out in ascending order by themselves.
    ascending = sorted(pairs, key=lambda pair: pair[1])
    leaves = [([symbol], frequency) for symbol, frequency in ascending]
    joined: list[tuple[list[Hashable], float]] = []
    leaf = tree = 0

    def rarest() -> tuple[list[Hashable], float]:
        nonlocal leaf, tree
        if tree == len(joined) or (leaf < len(leaves) and leaves[leaf][1] <= joined[tree][1]):
            leaf += 1
            return leaves[leaf - 1]
        tree += 1
        return joined[tree - 1]

    for _ in range(len(pairs) - 1):
        left, right = rarest(), rarest()
        for symbol in left[0]:
            words[symbol] = "0" + words[symbol]
        for symbol in right[0]:
            words[symbol] = "1" + words[symbol]
        joined.append((left[0] + right[0], left[1] + right[1]))
    return words


def huffman_encode(symbols: Sequence[int]) -> bytes:
    """Number of symbols, then symbol and word of each code word as text, then the bits."""
    counts: dict[int, int] = {}
    for symbol in symbols:
        counts[symbol] = counts.get(symbol, 0) + 1
    words = huffman_code(counts)
    lines = [f"{len(symbols):x}"]
    for symbol, word in words.items():
        lines.append(f"{symbol:x} {int('1' + word, 2):x}")
    head = "\n".join(lines).encode() + b"\n\n"
    body = "".join([words[symbol] for symbol in symbols])
    body += "0" * (-len(body) % 8)
    return head + bytes(int(body[at : at + 8], 2) for at in range(0, len(body), 8))


def huffman_decode(data: bytes) -> list[int]:
    head, body = data.split(b"\n\n", 1)
    lines = head.decode().split("\n")
    missing = int(lines[0], 16)
    symbol_of = {}
    for line in lines[1:]:
        symbol, word = line.split(" ")
        symbol_of[f"{int(word, 16):b}"[1:]] = int(symbol, 16)
    symbols: list[int] = []
    word = ""
    for byte in body:
        for bit in f"{byte:08b}":
            if missing == 0:
                break
            word += bit
            if word in symbol_of:
                symbols.append(symbol_of[word])
                word = ""
                missing -= 1
    return symbols
