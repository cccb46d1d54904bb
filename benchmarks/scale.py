"""Does the cost grow in proportion? A mixed class on this machine and on a cluster of two workers.

    python -m benchmarks.scale [--count 1000] [--only linear_macs] [--jobs 2] [--busy 7]

Grades a tenth, a third and the whole of a synthetic class (right, wrong, hostile, endless) on this
machine, with `--busy` other processes that only burn time beside it, and on two Dask workers of
one thread. Prints wall time and processor time for each submission, the largest process and the
largest sum of all, and what a line through the points leaves over. A right submission that loses
a point, a wrong one that gets one, and gradebooks that differ end it with status 1.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.common import ROOT, Run, burners, run
from benchmarks.synthetic import EXERCISE, write_class

LOCAL, LOADED, CLUSTER = "this machine", "this machine, busy", "two workers"


@dataclass(frozen=True)
class Point:
    """One batch: where, how many submissions, what it took, and its gradebook."""

    where: str
    count: int
    run: Run
    rows: list[dict[str, str]]


@contextlib.contextmanager
def two_workers(folder: Path) -> Iterator[str]:
    """A Dask cluster of two workers with one thread each; its address."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    address = f"tcp://127.0.0.1:{port}"
    dask = [sys.executable, "-m"]
    scheduler = ["distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", str(port)]
    worker = ["distributed.cli.dask_worker", address, "--nthreads", "1", "--no-nanny"]
    commands = [scheduler, worker, worker]
    with (folder / "dask.log").open("ab") as log:
        started = [
            subprocess.Popen(
                [*dask, *command, "--no-dashboard"], cwd=folder, stdout=log, stderr=log
            )
            for command in commands
        ]
    try:
        yield address
    finally:
        for process in reversed(started):
            process.terminate()
            process.wait()


def gradebook(results: Path) -> list[dict[str, str]]:
    """The rows of `grades.csv`."""
    with (results / "grades.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def faults(rows: Sequence[dict[str, str]]) -> tuple[str, ...]:
    """Right submissions without all points, and others that got them."""
    found = []
    for row in rows:
        right = row["student"].startswith("right")
        if right != (row[f"s1.{EXERCISE} outcome"] == "passed"):
            outcome = row[f"s1.{EXERCISE} outcome"]
            found.append(f"{row['student']}: {outcome}, {row['total']} of {row['maximum']}")
    return tuple(found)


def measure(where: str, count: int, options: argparse.Namespace, folder: Path) -> Point:
    """Grade a class of `count`; RuntimeError if the command fails."""
    root = Path(tempfile.mkdtemp(dir=folder))
    submissions, results = write_class(root / "in", count), root / "results"
    command = [str(Path(sys.executable).with_name("autograder")), "grade", "s1", str(submissions)]
    command += ["-o", str(results), "--jobs", str(options.jobs)]
    command += ["--course", str(ROOT / "course.yaml")]
    command += [word for name in options.only for word in ("--only", name)]
    with contextlib.ExitStack() as stack:
        if where == LOADED:
            stack.enter_context(burners(options.busy))
        if where == CLUSTER:
            command += ["--scheduler", stack.enter_context(two_workers(root))]
        environment = {"AUTOGRADER_SECRET": "benchmark"}
        done = run(
            command, cwd=root, environment=environment, timeout=24 * 3600, sample=where != CLUSTER
        )
    if done.status != 0:
        raise RuntimeError(done.output[-1500:])
    return Point(where, count, done, gradebook(results))


def line_through(points: Sequence[Point]) -> tuple[float, float, float]:
    """(seconds to start, seconds each, largest relative deviation) of wall times."""
    counts = np.array([point.count for point in points], dtype=float)
    walls = np.array([point.run.wall for point in points])
    each, start = np.polyfit(counts, walls, 1)
    fitted = each * counts + start
    return float(start), float(each), float(np.max(np.abs(walls - fitted) / fitted))


def table_of(points: Sequence[Point]) -> Table:
    """One row a batch."""
    table = Table(title="A mixed class", title_justify="left")
    table.add_column("where", no_wrap=True)
    for head in ("n", "wall s", "s each", "CPU s each", "largest process", "all processes"):
        table.add_column(head, justify="right")
    for point in points:
        done = point.run
        local = point.where != CLUSTER  # the workers are processes of others
        table.add_row(
            point.where,
            str(point.count),
            f"{done.wall:.1f}",
            f"{done.wall / point.count:.2f}",
            f"{done.cpu / point.count:.2f}" if local else "",
            f"{done.peak / 2**20:.0f} MB",
            f"{done.total / 2**20:.0f} MB" if local else "",
        )
    return table


def main() -> None:
    """Read the arguments, measure, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--only", action="append", default=[], help="exercises (default: all)")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--busy", type=int, default=7)
    parser.add_argument("--where", action="append", choices=[LOCAL, LOADED, CLUSTER], default=[])
    options = parser.parse_args()
    counts = sorted({max(8, options.count // 10), max(8, options.count // 3), options.count})
    console = Console(width=110)
    points: list[Point] = []
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        Path(name).chmod(0o755)
        for where in options.where or (LOCAL, LOADED, CLUSTER):
            for count in counts:
                points.append(measure(where, count, options, Path(name)))
                console.print(f"{where}, {count}: {points[-1].run.wall:.1f} s")
    console.print(table_of(points))
    for where in dict.fromkeys(point.where for point in points):
        own = [point for point in points if point.where == where]
        if len(own) > 1:
            start, each, off = line_through(own)
            console.print(f"{where}: {start:.1f} s + {each:.3f} s each, off by {off:.0%} at most")
    found = [fault for point in points for fault in faults(point.rows)]
    first = {point.count: point for point in reversed(points)}
    found += [
        f"{point.where}, {point.count}: another gradebook than {first[point.count].where}"
        for point in points
        if point.rows != first[point.count].rows
    ]
    console.print(f"{len(found)} verdicts that should not be")
    for fault in found:
        console.print(f"  {fault}", markup=False)
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
