"""Another format of relative indices, Moffat and Katajainen's code lengths, one long integer."""

from __future__ import annotations

import math
import zlib
from collections.abc import Hashable, Mapping, Sequence

import torch
from torch import Tensor


def require(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)


def require_int(value: object, name: str, low: int, high: int = 2**63) -> None:
    valid = type(value) is int and low <= value <= high
    require(valid, f"{name} is no integer in {low}..{high}: {value!r}")


def relative_index_encode(mask: Tensor, bits: int) -> Tensor:
    """0 skips 2**bits - 1 zeros; another entry e skips e - 1 zeros and stands for a nonzero."""
    require_int(bits, "bits", 1, 32)
    most = 2**bits - 1
    places = mask.reshape(-1).bool().nonzero().reshape(-1)
    before = torch.cat([places.new_full((1,), -1), places[:-1]])
    gaps = places - before[: len(places)] - 1
    skips = torch.div(gaps, most, rounding_mode="floor")
    pairs = torch.stack([torch.zeros_like(gaps), gaps - skips * most + 1], 1).reshape(-1)
    repeats = torch.stack([skips, torch.ones_like(skips)], 1).reshape(-1)
    return pairs.repeat_interleave(repeats)


def relative_index_decode(gaps: Tensor, n: int, bits: int) -> Tensor:
    require_int(bits, "bits", 1, 32)
    require_int(n, "n", 0)
    most = 2**bits - 1
    entries = gaps.reshape(-1).long()
    require(bool(((entries >= 0) & (entries <= most)).all()), f"gaps outside 0..{most}")
    ends = torch.where(entries == 0, most, entries).cumsum(0)
    places = ends[entries > 0] - 1
    require(not len(places) or int(places[-1]) < n, f"gaps go beyond {n} elements")
    mask = torch.zeros(n, dtype=torch.bool)
    return mask.index_fill(0, places, True)


def require_frequencies(frequencies: Mapping[Hashable, float]) -> None:
    for symbol, frequency in frequencies.items():
        require(frequency >= 0, f"frequency of {symbol!r} is negative: {frequency}")


def entropy(frequencies: Mapping[Hashable, float]) -> float:
    """H = log2(N) - sum f log2(f) / N."""
    require_frequencies(frequencies)
    total = math.fsum(frequencies.values())
    if total == 0:
        return 0.0
    inner = math.fsum(f * math.log2(f) for f in frequencies.values() if f > 0)
    return max(math.log2(total) - inner / total, 0.0)


def code_lengths(ascending: Sequence[float]) -> list[int]:
    """Lengths of an optimal code for frequencies in ascending order, computed in place.

    A. Moffat and J. Katajainen, In-place calculation of minimum-redundancy codes (1995).
    """
    a = list(ascending)
    n = len(a)
    if n < 2:
        return [1] * n
    a[0] += a[1]
    root, leaf = 0, 2
    for following in range(1, n - 1):
        if leaf >= n or a[root] < a[leaf]:
            a[following] = a[root]
            a[root] = following
            root += 1
        else:
            a[following] = a[leaf]
            leaf += 1
        if leaf >= n or (root < following and a[root] < a[leaf]):
            a[following] += a[root]
            a[root] = following
            root += 1
        else:
            a[following] += a[leaf]
            leaf += 1
    a[n - 2] = 0
    for following in range(n - 3, -1, -1):
        a[following] = a[int(a[following])] + 1
    available, used, depth = 1, 0, 0
    root, following = n - 2, n - 1
    while available > 0:
        while root >= 0 and a[root] == depth:
            used += 1
            root -= 1
        while available > used:
            a[following] = depth
            following -= 1
            available -= 1
        available, used, depth = 2 * used, 0, depth + 1
    return [int(length) for length in a]


def canonical(lengths: Sequence[int]) -> list[str]:
    """Words of lengths that do not ascend, the longest first: counts down from all ones."""
    words = []
    code = 2 ** lengths[0] if lengths else 0
    last = lengths[0] if lengths else 0
    for length in lengths:
        code = (code >> (last - length)) - 1
        last = length
        words.append(f"{code:0{length}b}")
    return words


def huffman_code(frequencies: Mapping[Hashable, float]) -> dict[Hashable, str]:
    require_frequencies(frequencies)
    symbols = sorted(frequencies, key=lambda symbol: frequencies[symbol])
    lengths = code_lengths([frequencies[symbol] for symbol in symbols])
    return dict(zip(symbols, canonical(lengths), strict=True))


def huffman_encode(symbols: Sequence[int]) -> bytes:
    """Symbols and code lengths as text, then one integer whose binary digits are the words."""
    counts: dict[int, int] = {}
    for symbol in symbols:
        counts[int(symbol)] = counts.get(int(symbol), 0) + 1
    words = huffman_code(counts)
    head = ";".join(f"{symbol},{len(word)}" for symbol, word in words.items()).encode()
    head = zlib.compress(head, 9)
    # The leading 1 keeps the zeros in front of the first one.
    digits = "1" + "".join([words[int(symbol)] for symbol in symbols])
    number = int(digits, 2)
    body = number.to_bytes((number.bit_length() + 7) // 8, "little")
    return len(head).to_bytes(4, "little") + head + body


def huffman_decode(data: bytes) -> list[int]:
    start = 4 + int.from_bytes(data[:4], "little")
    head = zlib.decompress(data[4:start]).decode()
    pairs = [tuple(map(int, each.split(","))) for each in head.split(";")] if head else []
    words = canonical([length for _, length in pairs])
    tree: dict = {}
    for (symbol, _), word in zip(pairs, words, strict=True):
        node = tree
        for digit in word[:-1]:
            node = node.setdefault(digit, {})
        node[word[-1]] = symbol
    symbols, node = [], tree
    for digit in f"{int.from_bytes(data[start:], 'little'):b}"[1:]:
        node = node[digit]
        if not isinstance(node, dict):
            symbols.append(node)
            node = tree
    return symbols
