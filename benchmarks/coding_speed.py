"""Processor seconds of session 3's clustering and coding, beside well-known packages.

    python -m benchmarks.coding_speed [--json FILE]

On ResNet-18's 11.2 million weights, as they are initialised:

- the whole file, 90 % pruned and 5 bits: `compress` and `decompress` (no peer does the same);
- k-means with 32 centroids from the same linear start, at most 50 iterations, on all 2,359,296
  weights of the largest layer: `kmeans_1d` and `sklearn.cluster.KMeans`, with one thread;
- Huffman's code for the labels of the nonzero weights: `huffman_encode` and `huffman_decode`, and
  the package dahuffman in the environment of the peers (`python -m benchmarks.peers --setup`).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_limits

from benchmarks import table_huffman
from benchmarks.common import PEER_BIN, ROOT
from shared.models import ResNet18

FOLDER = ROOT / "solutions" / "s3_weight_clustering"
SPARSITY, BITS, ITERATIONS = 0.9, 5, 50
PEER_HUFFMAN = """\
import json, sys, time
import numpy as np
from dahuffman import HuffmanCodec
symbols = np.load(sys.argv[1]).tolist()
start = time.process_time()
codec = HuffmanCodec.from_data(symbols)
data = codec.encode(symbols)
middle = time.process_time()
assert list(codec.decode(data)) == symbols
print(json.dumps([middle - start, time.process_time() - middle, len(data)]))
"""

T = TypeVar("T")


@dataclass(frozen=True)
class Row:
    """One measurement: processor seconds, and what came out (bytes or squared error)."""

    task: str
    who: str
    seconds: float
    result: str


def timed(function: Callable[..., T], *arguments: Any) -> tuple[float, T]:
    """Processor seconds, and the result."""
    started = time.process_time()
    result = function(*arguments)
    return time.process_time() - started, result


def whole_file(modules: dict[str, Any], state: dict[str, torch.Tensor]) -> list[Row]:
    """Prune, share and code all of ResNet-18, and read it back."""
    seconds, data = timed(modules["deep_compression"].compress, state, SPARSITY, BITS)
    back, _ = timed(modules["deep_compression"].decompress, data)
    ratio = sum(tensor.nbytes for tensor in state.values()) / len(data)
    return [
        Row("whole file", "compress", seconds, f"{len(data):,} bytes, {ratio:.1f}x"),
        Row("whole file", "decompress", back, ""),
    ]


def clusters(modules: dict[str, Any], weights: torch.Tensor) -> list[Row]:
    """k-means on one layer, both from the same start."""
    clustering = modules["clustering"]
    start = clustering.init_centroids(weights, 2**BITS).double().numpy()
    seconds, (centroids, labels) = timed(
        clustering.kmeans_1d, weights, 2**BITS, "linear", ITERATIONS
    )
    error = float(((centroids.double()[labels] - weights.double()) ** 2).sum())
    peer = KMeans(2**BITS, init=start[:, None], n_init=1, max_iter=ITERATIONS, tol=0.0)
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says that 50 iterations were not enough
        peer_seconds, _ = timed(peer.fit, weights.double().numpy()[:, None])
    task = f"k-means, {len(weights):,} weights"
    return [
        Row(task, "kmeans_1d", seconds, f"sum of squares {error:.4f}"),
        Row(task, "scikit-learn", peer_seconds, f"sum of squares {peer.inertia_:.4f}"),
    ]


def huffman(modules: dict[str, Any], labels: list[int]) -> list[Row]:
    """Encode and decode a list of labels."""
    coding = modules["coding"]
    seconds, data = timed(coding.huffman_encode, labels)
    back, _ = timed(coding.huffman_decode, data)
    fast, symbols = timed(table_huffman.decode, coding, data)
    assert symbols == labels
    task = f"Huffman, {len(labels):,} labels"
    rows = [
        Row(task, "huffman_encode", seconds, f"{len(data):,} bytes with the table"),
        Row(task, "huffman_decode, bit by bit", back, ""),
        Row(task, "the same with a table", fast, ""),
    ]
    python = PEER_BIN / "python"
    if not python.exists():
        return rows
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        file = Path(folder, "labels.npy")
        np.save(file, np.array(labels))
        command = [str(python), "-c", PEER_HUFFMAN, str(file)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    encode, decode, size = json.loads(done.stdout)
    return [
        *rows,
        Row(task, "dahuffman, encode", encode, f"{size:,} bytes without a table"),
        Row(task, "dahuffman, decode", decode, ""),
    ]


def measure() -> list[Row]:
    """All rows, one after the other on one thread."""
    sys.path.insert(0, str(FOLDER))
    import clustering
    import coding
    import deep_compression

    modules = {"clustering": clustering, "coding": coding, "deep_compression": deep_compression}
    torch.set_num_threads(1)
    torch.manual_seed(0)
    state = ResNet18().state_dict()
    largest = max(state.values(), key=torch.Tensor.numel).flatten()
    parts = [tensor.flatten() for tensor in state.values() if tensor.dim() >= 2]
    weights = torch.cat(parts)
    kept = weights.abs() > weights.abs().kthvalue(round(SPARSITY * len(weights))).values
    _, labels = clustering.kmeans_1d(weights[kept], 2**BITS)
    return [
        *whole_file(modules, state),
        *clusters(modules, largest),
        *huffman(modules, labels.tolist()),
    ]


def main() -> None:
    """Read the arguments, measure, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    rows = measure()
    table = Table(title="One thread, processor seconds", title_justify="left")
    table.add_column("task")
    table.add_column("who")
    table.add_column("seconds", justify="right")
    table.add_column("result")
    for row in rows:
        table.add_row(row.task, row.who, f"{row.seconds:.2f}", row.result)
    Console().print(table)
    if options.json:
        options.json.write_text(json.dumps([asdict(row) for row in rows], indent=1), "utf-8")


if __name__ == "__main__":
    main()
