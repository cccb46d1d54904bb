"""Where the time of the kit's own tests goes, by test function and by file.

    python -m benchmarks.suite [--rows 15] [ARGUMENT of pytest]...

Runs pytest with the arguments, `make test`'s by default, and prints processor seconds (of the test
and of the processes that it started) beside seconds that passed. Ends with pytest's exit code.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from rich.table import Table

from benchmarks.common import ROOT

AS_MAKE_TEST = ("--dist", "loadfile", "--no-loadscope-reorder", "--numprocesses", "3")
TIMES = "SUITE_TIMES"
COLLECTING = "collecting the tests"


@dataclass(frozen=True)
class Spent:
    """What one test took, in seconds."""

    test: str
    processor: float
    elapsed: float


# ---- in pytest's processes -----------------------------------------------------------------------


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, Any, Any]:
    """Note what a test took, with what it was the first to need."""
    return (yield from _noted(item.nodeid))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection() -> Generator[None, Any, Any]:
    """Note what collecting took, once in each process."""
    return (yield from _noted(COLLECTING))


def _noted(test: str) -> Generator[None, Any, Any]:
    processor, started = _processor_seconds(), time.monotonic()
    result = yield
    spent = (_processor_seconds() - processor, time.monotonic() - started)
    with Path(os.environ[TIMES]).open("a", encoding="utf-8") as file:  # short lines arrive whole
        file.write("\t".join([*(f"{seconds:.3f}" for seconds in spent), test]) + "\n")
    return result


def _processor_seconds() -> float:
    """Of this process, of those that it waited for, and of those that go on (Linux only)."""
    times = os.times()
    ours = times.user + times.system + times.children_user + times.children_system
    alive = Path("/proc/self/task", str(os.getpid()), "children")
    return ours + sum(map(_child_seconds, alive.read_text().split() if alive.exists() else ()))


def _child_seconds(pid: str) -> float:
    """User and system time, its own and that of its children that ended (see man 5 proc)."""
    try:
        fields = Path("/proc", pid, "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:  # it has just ended
        return 0.0
    after_name = fields.rpartition(")")[2].split()
    return sum(map(int, after_name[11:15])) / os.sysconf("SC_CLK_TCK")


# ---- the command ---------------------------------------------------------------------------------


def read(text: str) -> list[Spent]:
    """What the plugin wrote."""
    lines = (line.split("\t", 2) for line in text.splitlines())
    return [Spent(test, float(processor), float(elapsed)) for processor, elapsed, test in lines]


def grouped(spent: Iterable[Spent], separator: str) -> list[Spent]:
    """Sums over tests whose names agree before `separator`, the largest first."""
    groups: dict[str, list[Spent]] = {}
    for each in spent:
        groups.setdefault(each.test.partition(separator)[0], []).append(each)
    sums = (
        Spent(name, sum(e.processor for e in some), sum(e.elapsed for e in some))
        for name, some in groups.items()
    )
    return sorted(sums, key=lambda each: -each.processor)


def table(title: str, spent: Sequence[Spent], rows: int) -> Table:
    """The first `rows`, the rest in one, the sum."""
    result = Table(title=title)
    result.add_column("", overflow="fold")
    for column in ("processor, s", "elapsed, s"):
        result.add_column(column, justify="right")
    rest = spent[rows:]
    for name, some in [
        *((each.test, [each]) for each in spent[:rows]),
        *([(f"{len(rest)} more", rest)] if rest else []),
        ("all", spent),
    ]:
        sums = sum(e.processor for e in some), sum(e.elapsed for e in some)
        result.add_row(name, *(f"{seconds:,.0f}" for seconds in sums))
    return result


def main() -> int:
    """Run pytest, print where its time went, return its exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=15)
    options, arguments = parser.parse_known_args()
    with tempfile.TemporaryDirectory() as folder:
        times = Path(folder, "times.txt")
        times.touch()
        started = time.monotonic()
        command = [sys.executable, "-m", "pytest", "-p", "benchmarks.suite"]
        done = subprocess.run(
            [*command, *(arguments or AS_MAKE_TEST)],
            cwd=ROOT,
            env={**os.environ, TIMES: str(times)},
            check=False,
        )
        minutes = (time.monotonic() - started) / 60
        spent = read(times.read_text(encoding="utf-8"))
    if not spent:  # pytest has said why
        return done.returncode
    console = Console()
    console.print(table(f"By test, of {minutes:.1f} minutes", grouped(spent, "["), options.rows))
    console.print(table("By file", grouped(spent, "::"), options.rows))
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
