"""A front of cost and accuracy: several students of one teacher, several seeds, in a given time.

    python -m benchmarks.front train build/front --device cuda --bfloat16 --batch-size 256
    python -m benchmarks.front score build/front --figure front.svg

`train` has the final project's `train.py` train a teacher and store its answers, then all students
beside each other, each a process of its own: small networks keep neither a GPU nor many cores busy.
How many epochs fit is found by trying one of each phase first. What is there already is not done
again. `score` measures every file under three keys, that is with three draws of changed images,
and needs no GPU; with `--hold-out` the table has the share of held-out images as well. CIFAR-10 is
where COURSE_DATA says; `--dataset digits` needs nothing.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import importlib
import itertools
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from autograder.course import FinalProject
from autograder.project import scorer
from autograder.project.card import Card
from benchmarks.common import ROOT, STARTER, final_project, last_checkpoint, undated
from shared import plots

OWN = "own"  # the student of the plan itself
KEYS = (b"first", b"second", b"third")
RESERVE_SECONDS = 10.0  # for epochs that take longer than the ones that were tried


def plans() -> Any:
    """The starter's plans."""
    sys.path.insert(0, str(STARTER))
    return importlib.import_module("plans")


@dataclass(frozen=True)
class Student:
    """One training: which student, which seed."""

    name: str
    seed: int

    def folder(self, out: Path) -> Path:
        """Where its files are."""
        return out / f"{self.name}-{self.seed}"

    @property
    def arguments(self) -> list[str]:
        """For train.py."""
        student = [] if self.name == OWN else ["--student", self.name]
        return [*student, "--seed", str(self.seed)]


@dataclass(frozen=True)
class Running:
    """A started train.py, and the file that says what it does."""

    process: subprocess.Popen[bytes]
    log: Path


def trainer(options: argparse.Namespace, out: Path, *more: str) -> Running:
    """Start train.py with its output in a file beside its results."""
    out.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "train.py", "--dataset", options.dataset, "--out", str(out)]
    command += ["--device", options.device, "--threads", str(options.threads)]
    switches = {"--bfloat16": options.bfloat16, "--hold-out": options.hold_out}
    command += [*(name for name, on in switches.items() if on), *more]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_WAIT_POLICY": "passive"}
    log = out / "train.log"
    with log.open("ab") as file:
        process = subprocess.Popen(command, cwd=STARTER, env=environment, stdout=file, stderr=file)
    return Running(process, log)


def finish(trainings: Sequence[Running], seconds: float) -> None:
    """Wait for all; RuntimeError if one fails or the time is up, and then none goes on."""
    end = time.monotonic() + seconds
    try:
        for each in trainings:
            if each.process.wait(max(0.1, end - time.monotonic())) != 0:
                raise RuntimeError(f"a training failed: see {each.log}")
    except subprocess.TimeoutExpired:
        raise RuntimeError("the time is up; the same command goes on") from None
    finally:
        for each in trainings:
            each.process.kill()
            each.process.wait()


def low_seconds(folder: Path) -> float:
    """What the epochs at low precision took: from the last checkpoint before them to their own."""
    before = max(path.stat().st_mtime for path in folder.glob("float-*.pt"))
    return last_checkpoint(folder).stat().st_mtime - before


def train(options: argparse.Namespace) -> None:
    """Teacher, labels, then all students at once, in as many epochs as there is time for."""
    begin = time.monotonic()

    def left() -> float:
        return 60 * options.minutes - (time.monotonic() - begin)

    out = options.folder.absolute()
    note, labels = out / "length.json", out / "teacher" / "labels.pt"
    finish([trainer(options, labels.parent, "--until", "labels")], left())
    print(f"teacher and labels: {time.monotonic() - begin:.0f} s", flush=True)
    names = [OWN, *plans().OTHER_STUDENTS[options.dataset]]
    students = [Student(name, seed) for name in names for seed in range(options.seeds)]

    def together(folder: Path, length: float) -> float:
        now = time.monotonic()
        more = ["--labels", str(labels), "--length", str(length)]
        if options.batch_size:
            more += ["--batch-size", str(options.batch_size)]
        started = [trainer(options, s.folder(folder), *more, *s.arguments) for s in students]
        finish(started, left())
        return time.monotonic() - now

    if note.is_file():
        length = float(json.loads(note.read_text()))
    else:
        plan = plans().PLANS[options.dataset]
        low = [*itertools.chain(*plan.quantised_cycles)]
        parts = [*itertools.chain(*plan.float_cycles), *low]
        tried = together(out / "tried", 0.0)  # one epoch of each part
        pace = max(low_seconds(s.folder(out / "tried")) for s in students)
        pace /= len(low)
        start = max(0.0, tried - pace * len(parts)) + RESERVE_SECONDS
        epochs = sum(count for count, _ in parts)
        length = min(options.length, max(0.0, left() - start) / pace / epochs)
        note.write_text(json.dumps(length))
        print(f"{len(students)} students, {pace:.1f} s an epoch: {length:.2f} of the plan's epochs")
    print(f"students: {together(out, length):.0f} s; {left():.0f} s are left")


@dataclass(frozen=True)
class Point:
    """A scored file: right answers are those of each key."""

    student: str
    seed: str
    cost: float
    macs: int
    right: tuple[int, ...]
    perturbed: tuple[int, ...]
    counted: tuple[int, ...]
    images: int
    held_out: float | None


def scored(path: Path, dataset: Any, project: FinalProject) -> Point:
    """One file under every key; ValueError if it is no entry."""
    content, card = path.read_bytes(), Card(team="front")
    runs = [scorer.score(content, card, dataset, project, secret=key)[0] for key in KEYS]
    first, found = runs[0], [run.answers for run in runs if run.answers is not None]
    if first.measurement is None or len(found) < len(KEYS):
        raise ValueError(f"{path}: {first.refusal}")
    name, _, seed = path.parent.name.rpartition("-")
    history = torch.load(last_checkpoint(path.parent), weights_only=True)["history"]
    return Point(
        name,
        seed,
        first.costs["imt-2025"],
        first.measurement.macs,
        tuple(answers.correct for answers in found),
        tuple(answers.correct_perturbed for answers in found),
        tuple(int(run.counted or 0) for run in runs),
        found[0].images,
        history["val_accuracy"][-1] if history["val_accuracy"] else None,
    )


def rows(points: Sequence[Point], gate: int) -> Iterator[str]:
    """A table: one row a file, the cheapest first."""
    yield "| student | seed | MACs | imt-2025 | held out | right | perturbed | counted | valid |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for p in sorted(points, key=lambda p: (p.cost, p.student, p.seed)):
        perturbed, counted = (", ".join(f"{n:,}" for n in ns) for ns in (p.perturbed, p.counted))
        valid = "yes" if min(p.counted) >= gate else "no"
        held_out = "" if p.held_out is None else f"{p.held_out:.2%}"
        yield (
            f"| {p.student} | {p.seed} | {p.macs:,} | {p.cost:.4f} | {held_out} | {p.right[0]:,} "
            f"| {perturbed} | {counted} | {valid} |"
        )


def means(points: Sequence[Point]) -> dict[str, tuple[float, float]]:
    """Of each student (cost, share of right answers that counts), over its seeds and the keys."""
    found = {}
    for name in dict.fromkeys(p.student for p in points):
        own = [p for p in points if p.student == name]
        right = statistics.mean(n / p.images for p in own for n in p.counted)
        found[name] = statistics.mean(p.cost for p in own), right
    return found


def score(options: argparse.Namespace) -> None:
    """Measure every file, print the table, draw the front."""
    project = final_project()
    gate = project.datasets[options.dataset].gate_correct
    files = sorted(options.folder.glob("*-*/model.onnx"))
    if not files:
        raise SystemExit(f"{options.folder}: no */model.onnx; `train` writes them")
    status = Console(stderr=True).status(f"scoring {len(files)} files")
    with status, concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        points = list(pool.map(lambda path: scored(path, options.dataset, project), files))
    print("\n".join(rows(points, gate)))
    if options.figure:
        figure = plots.plot_pareto(means(points), "cost (imt-2025)")
        figure.axes[0].axhline(100 * gate / points[0].images, color=plots.GRAY, linestyle="--")
        figure.savefig(options.figure, metadata=undated(options.figure))


def main() -> None:
    """Read the arguments; train or score."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    steps = parser.add_subparsers(required=True)
    training = steps.add_parser("train")
    training.set_defaults(run=train)
    training.add_argument("--minutes", type=float, default=10.0, help="for everything")
    training.add_argument("--seeds", type=int, default=3, help="of each student")
    training.add_argument("--length", type=float, default=1.0, help="at most, of the plan's epochs")
    training.add_argument("--batch-size", type=int)
    training.add_argument("--device", default="cpu")
    training.add_argument("--threads", type=int, default=1, help="of each process")
    training.add_argument("--bfloat16", action="store_true")
    training.add_argument("--hold-out", action="store_true", help="measure held-out images")
    scoring = steps.add_parser("score")
    scoring.set_defaults(run=score)
    scoring.add_argument("--jobs", type=int, default=2)
    scoring.add_argument("--figure", type=Path, help="SVG or PNG file")
    for each in (training, scoring):
        each.add_argument("folder", type=Path)
        each.add_argument("--dataset", choices=("cifar10", "digits"), default="cifar10")
    options = parser.parse_args()
    try:
        options.run(options)
    except (RuntimeError, ValueError) as error:
        raise SystemExit(f"error: {error}") from None


if __name__ == "__main__":
    main()
