"""What the final project's scorer catches, and how long an entry takes.

    COURSE_DATA=... python -m benchmarks.scoring

Counts the bank of cheating and broken files by what becomes of them, then scores the reference
network on CIFAR-10's 10,000 images, if they are there, and the sample entry on the digits. Beside
it: the same images through the network once, in this process and in one batch size, which is what
measuring the accuracy alone would cost.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.table import Table

from autograder.course import DatasetName, FinalProject
from autograder.errors import AutograderError
from autograder.project import inference, scorer
from autograder.project.card import Card
from autograder.records.measurement import Measurement
from benchmarks.common import ROOT, final_project
from tests.project.cheats import CHEATS, RUNNING, Cheat
from tests.project.test_cheats import measure, widths

ENTRIES: dict[DatasetName, Path] = {
    "cifar10": ROOT / "solutions/s7_final_project/reference/model.onnx",
    "digits": ROOT / "tests/submissions/s7_final_project/samples/ada/model.onnx",
}


def verdicts(project: FinalProject) -> Iterator[tuple[str, str]]:
    """(name, what became of it) for each file of the bank."""
    for name, cheat in CHEATS.items():
        yield name, _verdict(cheat, measure(cheat.content()))
    for name, cheat in RUNNING.items():
        score, *_ = scorer.score(cheat.content(), Card(team="none"), "digits", project)
        caught = re.search(cheat.refused, score.refusal)
        yield name, "refused when it ran" if caught else "MISSED"


def _verdict(cheat: Cheat, measured: str | Measurement) -> str:
    if cheat.refused:
        caught = isinstance(measured, str) and re.search(cheat.refused, measured)
        return "refused by its graph" if caught else "MISSED"
    if isinstance(measured, str):
        return "MISSED"
    charged = {name: getattr(measured, name) for name in cheat.charged} == dict(cheat.charged)
    seen = not cheat.widths or widths(measured) == list(cheat.widths)
    return "charged in full" if charged and seen else "MISSED"


def seconds(name: DatasetName, project: FinalProject) -> tuple[float, float]:
    """(to score the entry of a data set, to run it once without anything else)."""
    content = ENTRIES[name].read_bytes()
    images, _ = scorer.test_images(name)
    started = time.perf_counter()
    score, *_ = scorer.score(content, Card(team="none"), name, project)
    scored = time.perf_counter() - started
    if not score.valid:
        raise SystemExit(f"{name}: the entry is not valid: {score.refusal}")
    started = time.perf_counter()
    inference.logits(inference.session(content), images, scorer.BATCHES[-1])
    return scored, time.perf_counter() - started


def main() -> None:
    """Print both tables."""
    console = Console()
    project = final_project()
    outcomes = dict(verdicts(project))
    table = Table("what became of it", "files")
    for what, count in sorted(Counter(outcomes.values()).items()):
        table.add_row(what, str(count))
    console.print(table)
    if missed := [name for name, what in outcomes.items() if what == "MISSED"]:
        console.print(f"missed: {', '.join(missed)}")
    table = Table("data set", "images", "seconds to score", "seconds to run it once")
    for name in ENTRIES:
        try:
            scored, once = seconds(name, project)
        except AutograderError as error:
            console.print(f"{name}: {error}")
            continue
        count = len(scorer.test_images(name)[0])
        table.add_row(name, f"{count:,}", f"{scored:.1f}", f"{once:.1f}")
    console.print(table)


if __name__ == "__main__":
    main()
