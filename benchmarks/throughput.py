"""Seconds, processor seconds and memory for one submission: this kit beside stock graders.

    python -m benchmarks.throughput                   every grader, the same light submissions
    python -m benchmarks.throughput --scale 10 1000   this kit only: is it flat?

Every grader runs on the same single processor. Nothing here is a test: no number is asserted.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.common import CHECKS, MODULE, SOLUTION, processors
from benchmarks.peers import Files, Graded, Grader, Kit, graders, ready

TIMEOUT = 120.0
ONE_BY_ONE = ("pytest", "gradescope-utils", "otter-grader")
"""Graders that start a process for each submission: their cost grows by the same amount each."""


@dataclass(frozen=True)
class Cost:
    """What one grader took for `submissions` submissions; seconds and bytes.

    `marginal` is wall time for one more submission, start-up left out.
    """

    grader: str
    submissions: int
    wall: float
    cpu: float
    marginal: float
    peak: int
    total: int = 0

    @property
    def seconds(self) -> float:
        """Wall seconds per submission, start-up included."""
        return self.wall / self.submissions


def light(count: int) -> dict[str, Files]:
    """`count` right submissions, all different."""
    return {
        f"student{number:04}": {f"{MODULE}.py": f"{SOLUTION}\n# {number}\n"}
        for number in range(count)
    }


def cost(name: str, graded: Graded, start_up: float = 0.0) -> Cost:
    """Add up a grader's processes; RuntimeError if a right submission did not get its points."""
    wrong = [student for student, points in graded.points.items() if points != len(CHECKS)]
    if wrong:
        tail = graded.runs[-1].output[-1500:]
        raise RuntimeError(f"{name} did not grade {wrong[0]} as right:\n{tail}")
    count = len(graded.points)
    wall = sum(run.wall for run in graded.runs)
    return Cost(
        name,
        count,
        wall,
        sum(run.cpu for run in graded.runs),
        (wall - start_up) / max(1, count - (1 if start_up else 0)),
        max(run.peak for run in graded.runs),
        max(run.total for run in graded.runs),
    )


def measure(grader: Grader, submissions: Mapping[str, Files], cpu: int) -> Cost:
    """Grade once for the time; batch graders also grade one submission, to tell start-up apart."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        root = Path(folder)
        grader.prepare(root)
        alone = 0.0
        if grader.name not in ONE_BY_ONE:
            first = dict(list(submissions.items())[:1])
            alone = cost(grader.name, grader.grade(root, first, cpu, TIMEOUT)).wall
        return cost(grader.name, grader.grade(root, submissions, cpu, TIMEOUT), alone)


def compare(costs: Sequence[Cost]) -> Table:
    """The table of all graders, with ratios to the first."""
    table = Table(title="Light submissions on one processor", title_justify="left")
    table.add_column("grader", no_wrap=True)
    for head in ("n", "s each", "s one more", "CPU s each", "peak memory", "ratio"):
        table.add_column(head, justify="right")
    for row in costs:
        table.add_row(
            row.grader,
            str(row.submissions),
            f"{row.seconds:.3f}",
            f"{row.marginal:.3f}",
            f"{row.cpu / row.submissions:.3f}",
            f"{row.peak / 2**20:.0f} MB",
            f"{row.seconds / costs[0].seconds:.1f}",
        )
    return table


def scale(counts: Sequence[int], cpu: int) -> tuple[list[Cost], Table, Table]:
    """This kit for several numbers of submissions, and where its time went."""
    costs, stages = [], {}
    for count in counts:
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            root = Path(folder)
            kit = Kit(root / "stages.json")
            kit.prepare(root)
            graded = kit.grade(root, light(count), cpu, TIMEOUT, sample=True)
            costs.append(cost(f"{kit.name}, n={count}", graded))
            stages[count] = json.loads((root / "stages.json").read_text(encoding="utf-8"))
    table = Table(title="This kit by number of submissions", title_justify="left")
    table.add_column("n", justify="right")
    for head in ("wall s", "s each", "CPU s each", "largest process", "all processes"):
        table.add_column(head, justify="right")
    for row in costs:
        table.add_row(
            str(row.submissions),
            f"{row.wall:.1f}",
            f"{row.seconds:.3f}",
            f"{row.cpu / row.submissions:.3f}",
            f"{row.peak / 2**20:.0f} MB",
            f"{row.total / 2**20:.0f} MB",
        )
    where = Table(title="Where its processor time goes (ms per submission)", title_justify="left")
    where.add_column("stage")
    for count in counts:
        where.add_column(f"n={count}", justify="right")
    for name in stages[counts[0]]:
        values = [1000 * stages[count][name][1] / count for count in counts]
        where.add_row(name, *(f"{value:.2f}" for value in values))
    parts = ("zygote: imports", "zygote: prepare", "zygote: fork worker", "judge: total")
    rest = []
    for row in costs:
        stage_times = stages[row.submissions]
        named = sum(stage_times[name][1] for name in (*parts, "worker: total"))
        rest.append(f"{1000 * (row.cpu - named) / row.submissions:.2f}")
    where.add_row("command line, reaping, rest", *rest)
    return costs, table, where


def main() -> None:
    """Read the arguments, measure, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--submissions", type=int, default=40, metavar="N")
    parser.add_argument(
        "--linear",
        type=int,
        default=6,
        metavar="N",
        help="time graders that start a process for each submission on the first N only",
    )
    parser.add_argument("--skip", action="append", default=[], metavar="PEER")
    parser.add_argument("--scale", type=int, nargs="+", metavar="N")
    parser.add_argument("--cpu", type=int, default=processors()[-1])
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    console = Console()
    if options.scale:
        costs, *tables = scale(options.scale, options.cpu)
        for table in tables:
            console.print(table)
    else:
        costs = []
        for name, grader in graders().items():
            if name in options.skip or (name != Kit.name and not ready()):
                console.print(f"{name}: left out")
                continue
            count = options.submissions
            if name in ONE_BY_ONE:
                count = min(count, options.linear)
            costs.append(measure(grader, light(count), options.cpu))
            console.print(f"{name}: {costs[-1].seconds:.3f} s each")
        console.print(compare(costs))
    if options.json:
        options.json.write_text(json.dumps([asdict(cost) for cost in costs], indent=1), "utf-8")


if __name__ == "__main__":
    main()
