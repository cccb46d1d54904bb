"""Relative indices and Huffman's code with NumPy arrays."""

import heapq
import struct
from collections import Counter

import numpy as np
import torch


def _check_bits(bits):
    if isinstance(bits, bool) or not isinstance(bits, int) or not 1 <= bits <= 32:
        raise ValueError(f"bits: expected an integer in 1..32, got {bits!r}")


def relative_index_encode(mask, bits):
    _check_bits(bits)
    flags = mask.cpu().numpy().astype(bool).ravel()
    places = np.flatnonzero(flags)
    gaps = np.diff(places, prepend=-1) - 1
    filler = 2**bits - 1
    fillers, rest = np.divmod(gaps, filler)
    ends = np.cumsum(fillers + 1)
    entries = np.full(ends[-1] if len(ends) else 0, filler, dtype=np.int64)
    entries[ends - 1] = rest
    return torch.from_numpy(entries)


def relative_index_decode(gaps, n, bits):
    _check_bits(bits)
    if isinstance(n, bool) or not isinstance(n, int) or n < 0:
        raise ValueError(f"n: expected an integer of at least 0, got {n!r}")
    entries = gaps.cpu().numpy().astype(np.int64).ravel()
    filler = 2**bits - 1
    if entries.size and (entries.min() < 0 or entries.max() > filler):
        raise ValueError(f"gaps: expected 0..{filler}, got {entries.min()}..{entries.max()}")
    nonzero = entries != filler
    places = np.cumsum(entries + nonzero)[nonzero] - 1
    if places.size and places[-1] >= n:
        raise ValueError(f"gaps: a nonzero at {places[-1]} does not fit in n = {n}")
    mask = np.zeros(n, dtype=bool)
    mask[places] = True
    return torch.from_numpy(mask)


def entropy(frequencies):
    counts = np.array([float(value) for value in frequencies.values()])
    if (counts < 0).any():
        raise ValueError(f"frequencies: expected at least 0, got {counts.min()}")
    shares = counts[counts > 0] / max(counts.sum(), np.finfo(float).tiny)
    return float(np.sum(shares * -np.log2(shares)))


def huffman_code(frequencies):
    """Parents of each node by a heap, lengths from the root down, canonical words."""
    symbols = list(frequencies)
    counts = [frequencies[symbol] for symbol in symbols]
    for symbol, count in zip(symbols, counts, strict=True):
        if count < 0:
            raise ValueError(f"frequencies: expected at least 0 for {symbol!r}, got {count}")
    if not symbols:
        return {}
    if len(symbols) == 1:
        return {symbols[0]: "0"}
    heap = [(count, node) for node, count in enumerate(counts)]
    heapq.heapify(heap)
    parent = [-1] * (2 * len(symbols) - 1)
    for node in range(len(symbols), len(parent)):
        (a, left), (b, right) = heapq.heappop(heap), heapq.heappop(heap)
        parent[left] = parent[right] = node
        heapq.heappush(heap, (a + b, node))
    depth = [0] * len(parent)
    for node in range(len(parent) - 2, -1, -1):
        depth[node] = depth[parent[node]] + 1
    order = np.argsort(depth[: len(symbols)], kind="stable").tolist()
    code = {}
    word, length = -1, depth[order[0]]
    for node in order:
        word = (word + 1) << (depth[node] - length)
        length = depth[node]
        code[symbols[node]] = f"{word:0{length}b}"
    return code


def huffman_encode(symbols):
    """Counts, then for each symbol its size, itself and the length of its word; then the bits."""
    words = huffman_code(Counter(symbols))
    head = [struct.pack("<QI", len(symbols), len(words))]
    for symbol, word in words.items():
        size = symbol.bit_length() // 8 + 1
        head.append(struct.pack("<HI", len(word), size))
        head.append(symbol.to_bytes(size, "little", signed=True))
    if not words:
        return head[0]
    as_bits = {s: np.frombuffer(w.encode(), np.uint8) - ord("0") for s, w in words.items()}
    stream = np.concatenate([as_bits[symbol] for symbol in symbols])
    return b"".join(head) + np.packbits(stream).tobytes()


def huffman_decode(data):
    count, distinct = struct.unpack_from("<QI", data)
    at = struct.calcsize("<QI")
    tree = {}
    word, last = -1, 0
    for _ in range(distinct):
        length, size = struct.unpack_from("<HI", data, at)
        at += struct.calcsize("<HI")
        symbol = int.from_bytes(data[at : at + size], "little", signed=True)
        at += size
        word = (word + 1) << (length - last)
        last = length
        tree[length, word] = symbol
    bits = np.unpackbits(np.frombuffer(data, np.uint8, offset=at)).tolist()
    symbols = []
    length = word = 0
    for bit in bits:
        if len(symbols) == count:
            break
        length, word = length + 1, 2 * word + bit
        if (length, word) in tree:
            symbols.append(tree[length, word])
            length = word = 0
    return symbols
