"""Deep Compression with asymmetric numeral systems in place of Huffman's code.

A range coder (rANS; J. Duda, 2013) spends on each symbol hardly more than its entropy. Several
states take turns, so that NumPy can advance them together.
"""

from __future__ import annotations

import ast
import zlib
from collections.abc import Iterator, Mapping

import numpy as np
import torch
from torch import Tensor

LANES = 16
PRECISION = 14
TOTAL = 1 << PRECISION
LOWEST = 1 << 16
BINS = 512
EXACT = 32


def require_arguments(sparsity: float, bits: int) -> None:
    if not 0 <= sparsity <= 1:
        raise ValueError(f"sparsity outside 0..1: {sparsity}")
    if type(bits) is not int or not 1 <= bits <= 32:
        raise ValueError(f"bits is no integer in 1..32: {bits!r}")


# ---- entropy coding ----------------------------------------------------------------------------


def frequencies(symbols: np.ndarray) -> np.ndarray:
    """How often each symbol occurs, scaled to the sum TOTAL, at least 1 where it occurs at all."""
    counts = np.bincount(symbols, minlength=1)
    scaled = np.where(counts > 0, np.maximum(counts * TOTAL // max(len(symbols), 1), 1), 0)
    while scaled.sum() > TOTAL:
        scaled[scaled.argmax()] -= min(scaled.sum() - TOTAL, scaled.max() // 2)
    scaled[scaled.argmax()] += TOTAL - scaled.sum()
    return scaled


def table_of(streams: list[np.ndarray]) -> np.ndarray:
    """For each position in the concatenated streams, which stream it is in."""
    return np.repeat(np.arange(len(streams)), [len(stream) for stream in streams])


def padded(tables: list[np.ndarray]) -> np.ndarray:
    """Frequencies as one array, a row for each table."""
    rows = np.zeros((len(tables), max(map(len, tables), default=1)), dtype=np.uint64)
    for row, table in zip(rows, tables, strict=True):
        row[: len(table)] = table
    return rows


def entropy_encode(streams: list[np.ndarray], tables: list[np.ndarray]) -> bytes:
    frequency = padded(tables)
    first = np.cumsum(frequency, axis=1, dtype=np.uint64) - frequency
    symbols = np.concatenate([*streams, np.zeros(0, np.int64)])
    owner = table_of(streams)
    share, start = frequency[owner, symbols], first[owner, symbols]
    limit = share << np.uint64(32 - PRECISION)
    states = np.full(LANES, LOWEST, dtype=np.uint64)
    words = []
    for at in range((len(symbols) - 1) // LANES * LANES, -1, -LANES):
        f, c = share[at : at + LANES], start[at : at + LANES]
        x = states[: len(f)]
        full = x >= limit[at : at + LANES]
        words.append(x[full].astype("<u2"))
        x = np.where(full, x >> np.uint64(16), x)
        quotient = x // f
        states[: len(f)] = (quotient << np.uint64(PRECISION)) + (x - quotient * f) + c
    body = b"".join(piece.tobytes() for piece in reversed(words))
    return states.astype("<u4").tobytes() + body


def entropy_decode(data: bytes, sizes: list[int], tables: list[np.ndarray]) -> list[np.ndarray]:
    frequency = padded(tables)
    first = np.cumsum(frequency, axis=1, dtype=np.uint64) - frequency
    symbol_at = [np.repeat(np.arange(len(table)), table) for table in tables]
    lookup = np.stack(symbol_at) if tables else np.zeros((0, TOTAL), np.int64)
    owner = np.repeat(np.arange(len(sizes)), sizes)
    states = np.frombuffer(data, "<u4", LANES).astype(np.uint64)
    words = np.frombuffer(data, "<u2", offset=4 * LANES).astype(np.uint64)
    symbols = np.zeros(len(owner), dtype=np.int64)
    taken = 0
    for at in range(0, len(owner), LANES):
        table = owner[at : at + LANES]
        x = states[: len(table)]
        slot = x & np.uint64(TOTAL - 1)
        found = lookup[table, slot.astype(np.int64)]
        symbols[at : at + LANES] = found
        x = frequency[table, found] * (x >> np.uint64(PRECISION)) + slot - first[table, found]
        hungry = np.flatnonzero(x < LOWEST)
        x[hungry] = x[hungry] << np.uint64(16) | words[taken : taken + len(hungry)]
        taken += len(hungry)
        states[: len(table)] = x
    return np.split(symbols, np.cumsum(sizes)[:-1]) if sizes else []


def split_gaps(gaps: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(symbol, how many bits follow, these bits): short gaps exactly, else three leading bits."""
    size = np.frexp(gaps.astype(np.float64))[1].astype(np.int64)
    rest = np.where(gaps < EXACT, 0, size - 3)
    symbol = np.where(gaps < EXACT, gaps, EXACT + (size - 6) * 4 + (gaps >> rest) - 4)
    return symbol, rest, gaps & ((1 << rest) - 1)


def gap_base(symbol: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The smallest gap of each symbol, and how many bits follow."""
    size, lead = np.divmod(np.maximum(symbol - EXACT, 0), 4)
    rest = np.where(symbol < EXACT, 0, size + 3)
    return np.where(symbol < EXACT, symbol, (lead + 4) << rest), rest


def spread_bits(values: np.ndarray, widths: np.ndarray) -> np.ndarray:
    """The lowest `widths` bits of each value, one after the other, as zeros and ones."""
    owner = np.repeat(np.arange(len(values)), widths)
    within = np.arange(len(owner)) - np.repeat(np.cumsum(widths) - widths, widths)
    return (values[owner] >> within & 1).astype(np.uint8)


def gather_bits(bits: np.ndarray, widths: np.ndarray) -> np.ndarray:
    """What `spread_bits` was given."""
    owner = np.repeat(np.arange(len(widths)), widths)
    within = np.arange(len(owner)) - np.repeat(np.cumsum(widths) - widths, widths)
    values = np.zeros(len(widths), dtype=np.int64)
    np.add.at(values, owner, bits[: len(owner)].astype(np.int64) << within)
    return values


# ---- weights -----------------------------------------------------------------------------------


def is_weight(tensor: Tensor) -> bool:
    return tensor.is_floating_point() and tensor.dim() >= 2 and tensor.numel() > 0


def pruned(tensor: Tensor, sparsity: float) -> np.ndarray:
    values = tensor.detach().cpu().double().reshape(-1).clone()
    order = values.abs().sort(stable=True).indices
    values[order[: round(sparsity * len(values))]] = 0.0
    return values.numpy()


def best_cuts(values: np.ndarray, counts: np.ndarray, k: int) -> np.ndarray:
    """Cuts between ascending values that give the least within-cluster sum of squares."""
    n = len(values)
    mass, first = np.zeros(n + 1), np.zeros(n + 1)
    mass[1:], first[1:] = np.cumsum(counts), np.cumsum(counts * values)
    price = np.full(n + 1, np.inf)  # the constant sum of squares is left out
    price[0] = 0.0
    back = np.zeros((k, n + 1), dtype=np.int64)

    for layer in range(k):
        best = np.full(n + 1, np.inf)
        todo = [(1, n, 0, n - 1)]
        while todo:
            left, right, low, high = todo.pop()
            middle = (left + right) // 2
            cut = np.arange(low, min(high, middle - 1) + 1)
            gain = (first[middle] - first[cut]) ** 2 / (mass[middle] - mass[cut])
            totals = price[cut] - gain
            place = int(np.argmin(totals))
            best[middle], back[layer, middle] = totals[place], cut[place]
            if left < middle:
                todo.append((left, middle - 1, low, int(cut[place])))
            if middle < right:
                todo.append((middle + 1, right, int(cut[place]), high))
        price = best
    cuts = [n]
    for layer in range(k - 1, -1, -1):
        cuts.append(int(back[layer, cuts[-1]]))
    return np.array(cuts[::-1])


def codebook(values: np.ndarray, levels: int) -> np.ndarray:
    """Few values for many: weights in narrow bins, the bins in the best clusters.

    A bin counts with a low power of its weights only: of equally many clusters, some that are
    spread more evenly than the ones of least error have labels of a lower entropy.
    """
    distinct = np.unique(values)
    if len(distinct) <= levels:
        return distinct
    edges = np.linspace(distinct[0], distinct[-1], (BINS if levels <= 64 else levels) + 1)
    bins = np.clip(np.searchsorted(edges, values, side="right") - 1, 0, len(edges) - 2)
    counts = np.bincount(bins)
    used = np.flatnonzero(counts)
    sums, counts = np.bincount(bins, weights=values)[used], counts[used]
    if len(used) <= levels:
        return sums / counts
    cuts = best_cuts(sums / counts, counts**0.25, levels)[:-1]
    return np.add.reduceat(sums, cuts) / np.add.reduceat(counts, cuts)


def share(tensor: Tensor, sparsity: float, bits: int) -> tuple[Tensor, np.ndarray]:
    """(codebook, label of each element; -1 for zeros)."""
    values = pruned(tensor, sparsity)
    alive = np.flatnonzero(values)
    shared = codebook(values[alive], 2**bits)
    labels = np.full(len(values), -1)
    labels[alive] = np.searchsorted((shared[:-1] + shared[1:]) / 2, values[alive])
    return torch.from_numpy(shared).to(tensor.dtype), labels


def gaps_of(labels: np.ndarray) -> np.ndarray:
    return np.diff(np.flatnonzero(labels >= 0), prepend=-1) - 1


def label_width(levels: int) -> int:
    return max(levels - 1, 0).bit_length()


# ---- the file ----------------------------------------------------------------------------------


def memory(tensor: Tensor) -> bytes:
    flat = tensor.detach().cpu().reshape(-1).clone(memory_format=torch.contiguous_format)
    return flat.view(torch.uint8).numpy().tobytes() if len(flat) else b""


def from_memory(data: bytes, dtype: torch.dtype, shape: tuple[int, ...]) -> Tensor:
    if not data:
        return torch.empty(shape, dtype=dtype)
    return torch.frombuffer(bytearray(data), dtype=torch.uint8).view(dtype).reshape(shape)


def low_bits(levels: int) -> int:
    """The lowest bits of a label, beyond eight, are written as they are."""
    return max(label_width(levels) - 8, 0)


def compress(state: Mapping[str, Tensor], sparsity: float, bits: int) -> bytes:
    require_arguments(sparsity, bits)
    head, exact, streams, plain = [], bytearray(), [], [np.zeros(0, np.uint8)]
    for name, tensor in state.items():
        entry = [name, str(tensor.dtype).removeprefix("torch."), tuple(tensor.shape)]
        if is_weight(tensor):
            shared, labels = share(tensor, sparsity, bits)
            turned = labels.reshape(tensor.shape[0], -1).T.reshape(-1)
            columns = np.log2(gaps_of(turned) + 1).sum() < np.log2(gaps_of(labels) + 1).sum()
            labels = turned if columns else labels
            told = labels[labels >= 0]
            entry += [len(shared), len(told), bool(columns)]
            exact += memory(shared)
            symbol, widths, rest = split_gaps(gaps_of(labels))
            low = low_bits(len(shared))
            streams += [symbol, told >> low]
            plain += [spread_bits(rest, widths), spread_bits(told, np.full(len(told), low))]
        else:
            exact += memory(tensor)
        head.append(tuple(entry))
    tables = [frequencies(stream) for stream in streams]
    told_tables = [table.tolist() for table in tables]
    text = zlib.compress(repr((head, told_tables)).encode(), 9)
    numbers = zlib.compress(bytes(exact), 9)
    coded = entropy_encode(streams, tables)
    sizes = b"".join(len(part).to_bytes(4, "big") for part in (text, numbers, coded))
    return sizes + text + numbers + coded + np.packbits(np.concatenate(plain)).tobytes()


def decompress(data: bytes) -> dict[str, Tensor]:
    parts = pieces(data[12:])
    next(parts)
    text, numbers, coded = (
        parts.send(int.from_bytes(data[at : at + 4], "big")) for at in (0, 4, 8)
    )
    plain = np.unpackbits(np.frombuffer(parts.send(len(data)), np.uint8))
    head, tables = ast.literal_eval(zlib.decompress(text).decode())
    sizes = [entry[4] for entry in head if len(entry) > 3 for _ in range(2)]
    streams = iter(entropy_decode(coded, sizes, [np.array(table) for table in tables]))
    exact = pieces(zlib.decompress(numbers))
    next(exact)
    state = {}
    for name, kind, shape, *more in head:
        dtype = getattr(torch, kind)
        bytes_each = torch.empty((), dtype=dtype).element_size()
        if not more:
            size = int(np.prod(shape, dtype=np.int64))
            state[name] = from_memory(exact.send(size * bytes_each), dtype, shape)
            continue
        levels, alive, columns = more
        shared = from_memory(exact.send(levels * bytes_each), dtype, (levels,))
        gaps, widths = gap_base(next(streams))
        gaps = gaps + gather_bits(plain, widths)
        plain = plain[widths.sum() :]
        low = low_bits(levels)
        labels = (next(streams) << low) + gather_bits(plain, np.full(alive, low))
        plain = plain[alive * low :]
        places = np.cumsum(gaps + 1) - 1
        flat = torch.zeros(int(np.prod(shape, dtype=np.int64)), dtype=dtype)
        flat[torch.from_numpy(places)] = shared[torch.from_numpy(labels)]
        if columns:
            flat = flat.reshape(-1, shape[0]).T.contiguous()
        state[name] = flat.reshape(shape)
    return state


def pieces(data: bytes) -> Iterator[bytes]:
    """Send a size, get so many bytes."""
    at, piece = 0, b""
    while True:
        size = yield piece
        piece = data[at : at + size]
        at += size


def stage_report(state: Mapping[str, Tensor], sparsity: float, bits: int) -> dict[str, int]:
    require_arguments(sparsity, bits)
    dense = sum(tensor.nbytes for tensor in state.values())
    weights = [tensor for tensor in state.values() if is_weight(tensor)]
    exact = dense - sum(tensor.nbytes for tensor in weights)
    only_pruned = quantised = exact
    for tensor in weights:
        shared, labels = share(tensor, sparsity, bits)
        gaps = gaps_of(labels)
        index = min(int((gaps // (2**w - 1) + 1).sum()) * w for w in range(1, 33))
        index_bytes = (index + 7) // 8
        only_pruned += len(gaps) * tensor.element_size() + index_bytes
        quantised += (len(gaps) * label_width(len(shared)) + 7) // 8 + index_bytes + shared.nbytes
    final = len(compress(state, sparsity, bits))
    return {"dense": dense, "pruned": only_pruned, "quantised": quantised, "huffman": final}
