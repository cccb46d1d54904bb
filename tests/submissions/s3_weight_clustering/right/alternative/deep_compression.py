"""Deep Compression with an adaptive binary arithmetic coder in place of Huffman's code.

Each decision of one bit has its own probability, which follows what was seen so far, so that no
tables are written. The coder is of the carry-free kind: an interval of 32 bits whose equal leading
bytes are written out.
"""

from __future__ import annotations

import ast
import zlib
from collections.abc import Iterator, Mapping

import numpy as np
import torch
from torch import Tensor

TOP = 0xFF000000
ALL = 0xFFFFFFFF
HALF = 1 << 15
SLOWEST = 7
BINS = 512


def require_arguments(sparsity: float, bits: int) -> None:
    if not 0 <= sparsity <= 1:
        raise ValueError(f"sparsity outside 0..1: {sparsity}")
    if type(bits) is not int or not 1 <= bits <= 32:
        raise ValueError(f"bits is no integer in 1..32: {bits!r}")


# ---- arithmetic coding -------------------------------------------------------------------------


class Model:
    """Probability of a 0, in 1/65536, of every decision by its context; adapts more slowly on."""

    def __init__(self) -> None:
        self.zero: dict[int, int] = {}
        self.seen: dict[int, int] = {}

    def chance(self, context: int) -> int:
        return self.zero.get(context, HALF)

    def learn(self, context: int, bit: int) -> None:
        old = self.zero.get(context, HALF)
        rate = self.seen.get(context, 1)
        if rate < (1 << SLOWEST):
            self.seen[context] = rate + 1
        target = 64 if bit else 65472
        self.zero[context] = old + int((target - old) / (rate + 0.5))


class Encoder:
    def __init__(self) -> None:
        self.low, self.high, self.out = 0, ALL, bytearray()
        self.model = Model()

    def code(self, context: int, bit: int) -> int:
        middle = self.low + ((self.high - self.low) * self.model.chance(context) >> 16)
        self.model.learn(context, bit)
        if bit:
            self.low = middle + 1
        else:
            self.high = middle
        while not (self.low ^ self.high) & TOP:
            self.out.append(self.high >> 24)
            self.low = self.low << 8 & ALL
            self.high = (self.high << 8 & ALL) | 255
        return bit

    def finish(self) -> bytes:
        return bytes(self.out) + (self.low + 1 & ALL).to_bytes(4, "big")


class Decoder:
    def __init__(self, data: bytes) -> None:
        self.low, self.high, self.data, self.at = 0, ALL, data, 4
        self.value = int.from_bytes(data[:4], "big")
        self.model = Model()

    def code(self, context: int, bit: int = 0) -> int:
        middle = self.low + ((self.high - self.low) * self.model.chance(context) >> 16)
        bit = int(self.value > middle)
        self.model.learn(context, bit)
        if bit:
            self.low = middle + 1
        else:
            self.high = middle
        while not (self.low ^ self.high) & TOP:
            self.low = self.low << 8 & ALL
            self.high = (self.high << 8 & ALL) | 255
            byte = self.data[self.at] if self.at < len(self.data) else 0
            self.value = (self.value << 8 & ALL) | byte
            self.at += 1
        return bit


Coder = Encoder | Decoder


def code_number(coder: Coder, context: int, width: int, value: int = 0) -> int:
    """A number of `width` bits, the highest first; beyond eight, bits have no context of theirs."""
    node = 1
    for place in range(width - 1, -1, -1):
        known = node if node < 256 else 256 + place
        node = 2 * node | coder.code(context | known, value >> place & 1)
    return node - (1 << width)


def code_gap(coder: Coder, context: int, value: int = 0) -> int:
    """The length of value + 1 in bits, then what follows its leading one."""
    length = code_number(coder, context, 6, (value + 1).bit_length())
    rest = length - 1
    tail = (value + 1) & ((1 << rest) - 1)
    return (1 << rest | code_number(coder, context | 1 << 10 | length << 11, rest, tail)) - 1


def contexts(tensor: int, last: int) -> tuple[int, int]:
    """Where the decisions about a gap and a label of this tensor begin."""
    busy = min((last + 1).bit_length(), 7) // 2
    return (tensor * 8 + busy) << 18, (tensor * 8 + 7) << 18


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
    """Few values for many: weights in narrow bins, the bins in the best clusters."""
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
    cuts = best_cuts(sums / counts, counts, levels)[:-1]
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
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    return flat.view(torch.uint8).numpy().tobytes() if len(flat) else b""


def from_memory(data: bytes, dtype: torch.dtype, shape: tuple[int, ...]) -> Tensor:
    if not data:
        return torch.empty(shape, dtype=dtype)
    return torch.frombuffer(bytearray(data), dtype=torch.uint8).view(dtype).reshape(shape)


def compress(state: Mapping[str, Tensor], sparsity: float, bits: int) -> bytes:
    require_arguments(sparsity, bits)
    coder = Encoder()
    head, exact = [], bytearray()
    for number, (name, tensor) in enumerate(state.items()):
        entry = [name, str(tensor.dtype).removeprefix("torch."), tuple(tensor.shape)]
        if is_weight(tensor):
            shared, labels = share(tensor, sparsity, bits)
            turned = labels.reshape(tensor.shape[0], -1).T.reshape(-1)
            columns = np.log2(gaps_of(turned) + 1).sum() < np.log2(gaps_of(labels) + 1).sum()
            labels = turned if columns else labels
            told = labels[labels >= 0].tolist()
            entry += [len(shared), len(told), bool(columns)]
            exact += memory(shared)
            width, last = label_width(len(shared)), 0
            for gap, label in zip(gaps_of(labels).tolist(), told, strict=True):
                at_gap, at_label = contexts(number, last)
                code_gap(coder, at_gap, gap)
                code_number(coder, at_label, width, label)
                last = gap
        else:
            exact += memory(tensor)
        head.append(tuple(entry))
    text = zlib.compress(repr(head).encode("utf-8", "surrogatepass"), 9)
    numbers = zlib.compress(bytes(exact), 9)
    sizes = len(text).to_bytes(4, "big") + len(numbers).to_bytes(4, "big")
    return sizes + text + numbers + coder.finish()


def decompress(data: bytes) -> dict[str, Tensor]:
    first = 8 + int.from_bytes(data[:4], "big")
    second = first + int.from_bytes(data[4:8], "big")
    text = zlib.decompress(data[8:first]).decode("utf-8", "surrogatepass")
    head, exact = ast.literal_eval(text), pieces(zlib.decompress(data[first:second]))
    next(exact)
    coder = Decoder(data[second:])
    state = {}
    for number, (name, kind, shape, *more) in enumerate(head):
        dtype = getattr(torch, kind)
        bytes_each = torch.empty((), dtype=dtype).element_size()
        if not more:
            size = int(np.prod(shape, dtype=np.int64))
            state[name] = from_memory(exact.send(size * bytes_each), dtype, shape)
            continue
        levels, alive, columns = more
        shared = from_memory(exact.send(levels * bytes_each), dtype, (levels,))
        state[name] = read_weight(coder, number, shared, shape, alive, columns)
    return state


def pieces(data: bytes) -> Iterator[bytes]:
    """Send a size, get so many bytes."""
    at, piece = 0, b""
    while True:
        size = yield piece
        piece = data[at : at + size]
        at += size


def read_weight(
    coder: Decoder, number: int, shared: Tensor, shape: tuple[int, ...], alive: int, columns: bool
) -> Tensor:
    width, last, place = label_width(len(shared)), 0, -1
    places, labels = [], []
    for _ in range(alive):
        at_gap, at_label = contexts(number, last)
        last = code_gap(coder, at_gap)
        place += last + 1
        places.append(place)
        labels.append(code_number(coder, at_label, width))
    n = int(np.prod(shape, dtype=np.int64))
    flat = torch.zeros(n, dtype=shared.dtype)
    flat[torch.tensor(places, dtype=torch.long)] = shared[torch.tensor(labels, dtype=torch.long)]
    if columns:
        flat = flat.reshape(-1, shape[0]).T.contiguous()
    return flat.reshape(shape)


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
