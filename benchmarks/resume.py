"""Seconds of a class of light submissions, graded and then resumed with nothing to do.

    python -m benchmarks.resume [--submissions 300] [--kit OTHER/.venv/bin/autograder]

Every kit grades one exercise of session 1 of its own course, with one job; processor seconds are
those of the whole command with its children, so that a busy machine shows less.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.common import ROOT
from benchmarks.synthetic import EXERCISE


@dataclass(frozen=True)
class Cost:
    """Seconds of one command by the clock, and of processor time with all its children."""

    wall: float
    cpu: float


def submissions(folder: Path, count: int) -> Path:
    """So many right submissions, all different."""
    solution = ROOT / "solutions" / "s1_intro"
    for number in range(count):
        target = folder / f"student{number:04}"
        target.mkdir(parents=True)
        for module in ("metrics.py", "evaluation.py", "training.py"):
            text = (solution / module).read_text("utf-8")
            (target / module).write_text(f"{text}\n# {number}\n", "utf-8")
    return folder


def run(command: list[str], folder: Path) -> Cost:
    """The cost of one command; RuntimeError if it fails."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    environment = {**os.environ, "AUTOGRADER_SECRET": "benchmark"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, check=False)
    after, wall = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic() - started
    if done.returncode:
        raise RuntimeError(done.stderr.decode()[-1000:])
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Cost(wall, cpu)


def measure(kit: Path, folder: Path, results: Path) -> tuple[Cost, Cost]:
    """(grade, resume) of a folder of submissions with the `autograder` of one kit."""
    course = kit.parents[2]  # KIT/.venv/bin/autograder
    command = [str(kit), "grade", "s1", str(folder), "-o", str(results), "--only", EXERCISE]
    return run([*command, "--jobs", "1"], course), run([*command, "--resume"], course)


def main() -> None:
    """Measure every kit in one run and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--submissions", type=int, default=300)
    parser.add_argument("--kit", type=Path, action="append", default=[])
    options = parser.parse_args()
    table = Table(title=f"{options.submissions} light submissions, one exercise, one job")
    for head in ("kit", "grade CPU s", "per submission ms", "wall s", "resume CPU s", "wall s"):
        table.add_column(head, justify="left" if head == "kit" else "right")
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = submissions(Path(name) / "in", options.submissions)
        for number, kit in enumerate((Path(sys.executable).with_name("autograder"), *options.kit)):
            grade, resume = measure(kit.absolute(), folder, Path(name) / f"results{number}")
            table.add_row(
                str(kit.parents[2].name),
                f"{grade.cpu:.1f}",
                f"{1000 * grade.cpu / options.submissions:.0f}",
                f"{grade.wall:.1f}",
                f"{resume.cpu:.2f}",
                f"{resume.wall:.2f}",
            )
    Console().print(table)


if __name__ == "__main__":
    main()
