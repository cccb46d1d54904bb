"""Deep Compression on MNIST, stage by stage beside the paper's tables.

    python -m benchmarks.deep_compression [lenet300] [lenet5] [--seed N] [--json FILE]

Runs `solutions/s3_weight_clustering/reproduce.py`: about three minutes of one processor for
LeNet-300-100, about ten for LeNet-5. Needs MNIST in the folder that COURSE_DATA names. Ratios
count everything that the file holds; errors are those of the network that was read back.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from benchmarks.common import ROOT
from shared.data import load_mnist

FOLDER = ROOT / "solutions" / "s3_weight_clustering"
STAGES = ("pruned", "quantised", "huffman")
PAPER: dict[str, dict[str, tuple[float, ...]]] = {
    "lenet300": {"ratios": (12, 32, 40), "errors": (0.0164, 0.0158)},
    "lenet5": {"ratios": (12, 33, 39), "errors": (0.0080, 0.0074)},
}
"""Han et al. (2016): table 1, and tables 2 and 3 for the stages; errors dense and compressed."""


def load() -> Any:
    """The session's script, with its modules, as a student runs it."""
    sys.path.insert(0, str(FOLDER))
    import reproduce

    return reproduce


def table(name: str, results: list[Any]) -> Table:
    """One line per file, the paper's first."""
    shown = Table(title=f"{name}: times smaller than dense float32", title_justify="left")
    shown.add_column("file")
    for head in ("nonzeros", "pruned", "+ shared", "+ Huffman", "bytes", "test error", "of dense"):
        shown.add_column(head, justify="right")
    dense, after = (f"{error:.2%}" for error in PAPER[name]["errors"])
    ratios = [f"{ratio:g}x" for ratio in PAPER[name]["ratios"]]
    shown.add_row("the paper's", "", *ratios, "", after, dense)
    for result in results[1:]:
        shown.add_row(
            result.name,
            f"{result.nonzeros:,}",
            *(f"{result.ratio(stage):.1f}x" for stage in STAGES),
            f"{result.stages['huffman']:,}",
            f"{1 - result.test:.2%}",
            f"{1 - results[0].test:.2%}",
        )
    return shown


def main() -> None:
    """Read the arguments, train and compress, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("networks", nargs="*", metavar="NETWORK", help=", ".join(PAPER))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    if unknown := set(options.networks) - set(PAPER):
        parser.error(f"no such network: {', '.join(sorted(unknown))}")
    torch.set_num_threads(1)
    reproduce, data, console = load(), load_mnist(), Console()
    by_network = {}
    for name in options.networks or PAPER:
        started = time.process_time()
        results = list(reproduce.reproduce(reproduce.PLANS[name], data, options.seed))
        console.print(table(name, results))
        console.print(f"{time.process_time() - started:.0f} processor seconds")
        by_network[name] = [asdict(result) for result in results]
    if options.json:
        options.json.write_text(json.dumps(by_network, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
