"""Kill a batch at random moments, again and again: is the gradebook that of an undisturbed run?

    python -m benchmarks.kills [--kills 100] [--submissions 12] [--seed 0]

The command line's process gets SIGKILL at a random moment of its run, and is started again with
`--resume` until all is graded; then a new results folder begins. After each kill no process of
the batch may live, every record has to be whole, and none that was there may be lost. In the end
the gradebook has to be the same to the byte, and the temporary folder empty.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console

from autograder.errors import AutograderError
from autograder.grading.results import read_report
from benchmarks.common import ROOT, descendants
from benchmarks.synthetic import EXERCISE, write_class

GONE_SECONDS = 20.0  # until processes whose parent was killed have to be gone; machines are busy


@dataclass
class Survival:
    """What went wrong over all kills; `faults` is empty if nothing did."""

    kills: int = 0
    finished: int = 0  # runs that had ended before they were to be killed
    folders: int = 0
    faults: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Batch:
    """A command that grades into a results folder, and the folder for its temporary files."""

    command: Sequence[str]
    results: Path
    temporary: Path
    environment: Mapping[str, str]

    def start(self, *more: str) -> subprocess.Popen[bytes]:
        """Start it in a session of its own, in which Ctrl-C is not ignored."""
        self.temporary.mkdir(exist_ok=True)
        self.temporary.chmod(0o755)  # workers are another user
        return subprocess.Popen(
            [*self.command, *more],
            env={**os.environ, **self.environment, "TMPDIR": str(self.temporary)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler) and None,
        )

    def finish(self, *more: str) -> str:
        """Run it to its end; RuntimeError with what it said if it fails."""
        process = self.start(*more)
        said = process.communicate()[0].decode()
        if process.returncode:
            raise RuntimeError(f"exit {process.returncode}: {said[-1000:]}")
        return said


def gradebook(results: Path) -> bytes:
    """What two runs are compared by."""
    return (results / "grades.csv").read_bytes()


def still_there(pids: Sequence[int]) -> list[int]:
    """Those that live on after a while; zombies do not live."""

    def lives(pid: int) -> bool:
        try:
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
        except OSError:
            return False

    deadline = time.monotonic() + GONE_SECONDS
    while (left := [pid for pid in pids if lives(pid)]) and time.monotonic() < deadline:
        time.sleep(0.05)
    return left


def kill(process: subprocess.Popen[bytes]) -> list[str]:
    """SIGKILL to the command line only; what outlived it."""
    below = descendants(process.pid)
    process.kill()
    process.communicate()
    return [f"process {pid} outlived the batch" for pid in still_there(below)]


def torn(results: Path, before: set[str]) -> list[str]:
    """Records that are not whole, and those that are not there any more."""
    faults = []
    there = {path.name for path in (results / "reports").glob("*.json")}
    for name in sorted(there):
        try:
            read_report(results / "reports" / name)
        except AutograderError as error:
            faults.append(str(error))
    return [*faults, *(f"{name} was lost" for name in sorted(before - there))]


def left_over(batch: Batch) -> list[str]:
    """What a finished batch left beside its results."""
    unfinished = [path for path in batch.results.rglob(".*") if path.is_file()]
    return [f"{path} was left behind" for path in (*batch.temporary.iterdir(), *unfinished)]


def kill_once(batch: Batch, moment: float, survival: Survival) -> bool:
    """Run it, kill it after `moment` seconds; whether it had ended by itself."""
    reports = batch.results / "reports"
    before = {path.name for path in reports.glob("*.json")}
    process = batch.start("--resume")
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(moment)
        if process.returncode:
            assert process.stdout is not None
            survival.faults.append(process.stdout.read().decode()[-500:])
        process.communicate()
        survival.finished += 1
        return True
    survival.faults += kill(process)
    survival.kills += 1
    survival.faults += torn(batch.results, before)
    return False


def torment(batch: Batch, folder: Path, kills: int, rng: random.Random, survival: Survival) -> None:
    """Kill so often, over as many results folders as it takes, below `folder`."""
    started = time.monotonic()
    reference = _into(batch, folder / "undisturbed")
    reference.finish()
    seconds = time.monotonic() - started
    expected = gradebook(reference.results)
    while survival.kills < kills and not survival.faults:
        survival.folders += 1
        run = _into(batch, folder / f"results{survival.folders}")
        ended = False
        while not ended and survival.kills < kills and not survival.faults:
            ended = kill_once(run, rng.uniform(0.1, seconds), survival)
            print(f"{survival.kills} kills", *survival.faults, sep="; ", flush=True)
        run.finish("--resume")
        if gradebook(run.results) != expected:
            survival.faults.append(f"{run.results} has another gradebook")
        survival.faults += left_over(run)


def _into(batch: Batch, results: Path) -> Batch:
    return Batch([*batch.command, "-o", str(results)], results, batch.temporary, batch.environment)


def main() -> None:
    """Read the arguments, kill, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--submissions", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        grade = [str(Path(sys.executable).with_name("autograder")), "grade", "s1"]
        submissions = str(write_class(folder / "in", options.submissions))
        course = ["--course", str(ROOT / "course.yaml"), "--only", EXERCISE]
        environment = {"AUTOGRADER_SECRET": "benchmark"}
        batch = Batch([*grade, submissions, *course], folder, folder / "tmp", environment)
        survival = Survival()
        torment(batch, folder, options.kills, random.Random(options.seed), survival)
    Console().print(
        f"{survival.kills} kills over {survival.folders} results folders, "
        f"{survival.finished} runs had ended before; {len(survival.faults)} faults"
    )
    for fault in survival.faults:
        Console().print(f"  {fault}", markup=False)
    sys.exit(bool(survival.faults))


if __name__ == "__main__":
    main()
