"""Deep Compression with lists, strings of bits and Huffman's code, tensor by tensor."""

import heapq
import json
import math
import zlib
from bisect import bisect_left, bisect_right
from collections.abc import Mapping
from itertools import accumulate, pairwise
from typing import Any

import torch
from torch import Tensor

ROUNDS = 50


def _check(sparsity: Any, bits: Any) -> None:
    if isinstance(bits, bool) or not isinstance(bits, int) or not 1 <= bits <= 32:
        raise ValueError(f"bits must be an integer in 1..32, got {bits!r}")
    if not 0 <= sparsity <= 1:
        raise ValueError(f"sparsity must be in 0..1, got {sparsity!r}")


def _raw(tensor: Tensor) -> bytes:
    flat = tensor.detach().cpu().reshape(-1).clone(memory_format=torch.contiguous_format)
    return bytes(flat.view(torch.uint8).tolist()) if flat.numel() else b""


def _tensor(data: bytes, dtype: torch.dtype, shape: list[int]) -> Tensor:
    if not data:
        return torch.zeros(shape, dtype=dtype)
    return torch.tensor(list(data), dtype=torch.uint8).view(dtype).reshape(shape)


def _prunable(tensor: Tensor) -> bool:
    return tensor.is_floating_point() and tensor.dim() >= 2 and tensor.numel() > 0


# ---- pruning and sharing -----------------------------------------------------------------------


def _pruned(tensor: Tensor, sparsity: float) -> list[float]:
    numbers = tensor.detach().flatten().double().tolist()
    ascending = sorted(range(len(numbers)), key=lambda place: abs(numbers[place]))
    for place in ascending[: round(sparsity * len(numbers))]:
        numbers[place] = 0.0
    return numbers


def _codebook(values: list[float], levels: int) -> list[float]:
    """Shared values: Lloyd's algorithm on sorted weights and their running sums."""
    different = sorted(set(values))
    if len(different) <= levels:
        return different
    values = sorted(values)
    sums = [0.0, *accumulate(values)]
    step = (values[-1] - values[0]) / max(levels - 1, 1)
    centroids = [values[0] + step * i for i in range(levels)]
    for _ in range(max(1, min(ROUNDS, 1_000_000 // levels))):
        borders = [bisect_right(values, (a + b) / 2) for a, b in pairwise(centroids)]
        cuts = [0, *borders, len(values)]
        moved = [(sums[b] - sums[a]) / (b - a) for a, b in pairwise(cuts) if b > a]
        if moved == centroids:
            break
        centroids = moved
    return centroids


# ---- Huffman's code ----------------------------------------------------------------------------


def _lengths(counts: list[int]) -> list[int]:
    """Length of the code word of each symbol 0..len(counts) - 1; 0 if it does not occur."""
    heap = [(count, symbol, [symbol]) for symbol, count in enumerate(counts) if count]
    lengths = [0] * len(counts)
    if len(heap) == 1:
        lengths[heap[0][1]] = 1
        return lengths
    heapq.heapify(heap)
    while len(heap) > 1:
        first, second = heapq.heappop(heap), heapq.heappop(heap)
        joined = first[2] + second[2]
        for symbol in joined:
            lengths[symbol] += 1
        heapq.heappush(heap, (first[0] + second[0], first[1], joined))
    return lengths


def _words(lengths: list[int]) -> list[str]:
    """The canonical code words of these lengths."""
    words = [""] * len(lengths)
    code = last = 0
    for length, symbol in sorted((length, s) for s, length in enumerate(lengths) if length):
        code <<= length - last
        words[symbol] = f"{code:0{length}b}"
        code, last = code + 1, length
    return words


def _counts(symbols: list[int], size: int) -> list[int]:
    counts = [0] * size
    for symbol in symbols:
        counts[symbol] += 1
    return counts


# ---- gaps: exact when short, else three leading bits as a symbol and the rest as bits -----------

EXACT = 32
CLASSES = EXACT + 4 * 40


def _gap_symbol(gap: int) -> tuple[int, str]:
    if gap < EXACT:
        return gap, ""
    size = gap.bit_length()
    rest = size - 3
    symbol = EXACT + (size - 6) * 4 + (gap >> rest) - 4
    return symbol, f"{gap & ((1 << rest) - 1):0{rest}b}"


def _gap_form(symbol: int) -> tuple[int, int]:
    """The smallest gap of this symbol and how many bits follow."""
    if symbol < EXACT:
        return symbol, 0
    size, lead = divmod(symbol - EXACT, 4)
    rest = size + 3
    return (lead + 4) << rest, rest


# ---- the file ----------------------------------------------------------------------------------


def _column_order(shape: torch.Size, n: int) -> list[int]:
    """Position of each element when the last dimensions are gone through first."""
    rows = shape[0]
    columns = n // rows
    return [row * columns + column for column in range(columns) for row in range(rows)]


def _gaps(numbers: list[float], order: Any) -> tuple[list[int], list[float]]:
    gaps, values = [], []
    last = -1
    for at, place in enumerate(order):
        number = numbers[place]
        if number != 0:
            gaps.append(at - last - 1)
            values.append(number)
            last = at
    return gaps, values


def _price(gaps: list[int]) -> float:
    counts = _counts([_gap_symbol(gap)[0] for gap in gaps], CLASSES)
    bits = sum(count * (math.log2(len(gaps) / count)) for count in counts if count)
    return bits + sum(len(_gap_symbol(gap)[1]) for gap in gaps)


def _shared(tensor: Tensor, sparsity: float, bits: int) -> tuple[dict[str, Any], bytes, str]:
    """Entry of the head, exact numbers and bits of a tensor of weights."""
    numbers = _pruned(tensor, sparsity)
    by_row = _gaps(numbers, range(len(numbers)))
    by_column = _gaps(numbers, _column_order(tensor.shape, len(numbers)))
    columns = _price(by_column[0]) < _price(by_row[0])
    gaps, values = by_column if columns else by_row
    found = _codebook(values, min(2**bits, len(values)))
    codebook = torch.tensor(found, dtype=torch.float64).to(tensor.dtype)
    middles = [(a + b) / 2 for a, b in pairwise(found)]
    labels = [bisect_left(middles, value) for value in values]
    gap_symbols = [_gap_symbol(gap) for gap in gaps]
    gap_lengths = _lengths(_counts([symbol for symbol, _ in gap_symbols], CLASSES))
    while gap_lengths and gap_lengths[-1] == 0:
        gap_lengths.pop()
    label_lengths = _lengths(_counts(labels, len(found)))
    gap_words, label_words = _words(gap_lengths), _words(label_lengths)
    pieces = []
    for (symbol, rest), label in zip(gap_symbols, labels, strict=True):
        pieces.append(gap_words[symbol] + rest + label_words[label])
    entry = {"c": columns, "n": len(values), "k": len(found)}
    entry |= {"g": _packed(gap_lengths), "l": _packed(label_lengths)}
    return entry, _raw(codebook), "".join(pieces)


def _packed(lengths: list[int]) -> str:
    """Lengths as a text, one character each."""
    return "".join(chr(48 + length) for length in lengths)


def _unpacked(text: str) -> list[int]:
    return [ord(character) - 48 for character in text]


def compress(state: Mapping[str, Tensor], sparsity: float, bits: int) -> bytes:
    _check(sparsity, bits)
    entries, exact, stream = [], [], []
    for name, tensor in state.items():
        entry: dict[str, Any] = {"name": name, "d": str(tensor.dtype)[6:], "s": list(tensor.shape)}
        if _prunable(tensor):
            more, numbers, coded = _shared(tensor, sparsity, bits)
            entry |= more
            exact.append(numbers)
            stream.append(coded)
        else:
            exact.append(_raw(tensor))
        entries.append(entry)
    head = zlib.compress(json.dumps(entries, separators=(",", ":")).encode(), 9)
    numbers = b"".join(exact)
    numbers = min(b"\0" + numbers, b"\1" + zlib.compress(numbers, 9), key=len)
    sizes = len(head).to_bytes(4, "big") + len(numbers).to_bytes(4, "big")
    ones = "".join(stream)
    ones += "0" * (-len(ones) % 8)
    body = int("1" + ones, 2).to_bytes(len(ones) // 8 + 1, "big")[1:]
    return sizes + head + numbers + body


def _inverse(words: list[str]) -> dict[str, int]:
    return {word: symbol for symbol, word in enumerate(words) if word}


def decompress(data: bytes) -> dict[str, Tensor]:
    first = 8 + int.from_bytes(data[:4], "big")
    second = first + int.from_bytes(data[4:8], "big")
    entries = json.loads(zlib.decompress(data[8:first]))
    exact = data[first + 1 : second]
    if data[first] == 1:
        exact = zlib.decompress(exact)
    bits = "".join([f"{byte:08b}" for byte in data[second:]])
    state = {}
    at = place = 0
    for entry in entries:
        dtype, shape = getattr(torch, entry["d"]), entry["s"]
        count = entry["k"] if "k" in entry else math.prod(shape)
        size = count * torch.zeros((), dtype=dtype).element_size()
        numbers = exact[at : at + size]
        at += size
        if "k" in entry:
            codebook = _tensor(numbers, dtype, [count])
            weight, place = _read(entry, codebook, bits, place)
            state[entry["name"]] = weight
        else:
            state[entry["name"]] = _tensor(numbers, dtype, shape)
    return state


def _read(entry: dict[str, Any], codebook: Tensor, bits: str, at: int) -> tuple[Tensor, int]:
    gap_of = _inverse(_words(_unpacked(entry["g"])))
    label_of = _inverse(_words(_unpacked(entry["l"])))
    places, labels = [], []
    last = -1
    for _ in range(entry["n"]):
        end = at + 1
        while bits[at:end] not in gap_of:
            end += 1
        base, rest = _gap_form(gap_of[bits[at:end]])
        at = end + rest
        last += 1 + base + (int(bits[end:at], 2) if rest else 0)
        places.append(last)
        end = at + 1
        while bits[at:end] not in label_of:
            end += 1
        labels.append(label_of[bits[at:end]])
        at = end
    shape = entry["s"]
    n = math.prod(shape)
    weight = torch.zeros(n, dtype=codebook.dtype)
    weight[torch.tensor(places, dtype=torch.int64)] = codebook[
        torch.tensor(labels, dtype=torch.int64)
    ]
    if entry["c"]:
        weight = weight.reshape(n // shape[0], shape[0]).T
    return weight.reshape(shape).contiguous(), at


def stage_report(state: Mapping[str, Tensor], sparsity: float, bits: int) -> dict[str, int]:
    _check(sparsity, bits)
    dense = exact = 0
    pruned_bits = shared_bits = 0
    for tensor in state.values():
        size = tensor.element_size()
        dense += tensor.numel() * size
        if not _prunable(tensor):
            exact += tensor.numel() * size
            continue
        gaps, values = _gaps(_pruned(tensor, sparsity), range(tensor.numel()))
        index_bits = min(_index_bits(gaps, width) for width in range(1, 33))
        levels = len(_codebook(values, min(2**bits, len(values))))
        pruned_bits += len(values) * size * 8 + index_bits
        label_bits = (levels - 1).bit_length() if levels else 0
        shared_bits += len(values) * label_bits + index_bits + levels * size * 8
    return {
        "dense": dense,
        "pruned": exact + math.ceil(pruned_bits / 8),
        "quantised": exact + math.ceil(shared_bits / 8),
        "huffman": len(compress(state, sparsity, bits)),
    }


def _index_bits(gaps: list[int], width: int) -> int:
    """Bits of relative indices of this width, fillers included."""
    filler = 2**width - 1
    return width * sum(gap // filler + 1 for gap in gaps)
