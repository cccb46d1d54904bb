"""A class graded by stock nbgrader and by a batch run, step by step, in one run.

    python -m benchmarks.nbgrader_class [--students 50] [--sheet questions]

The course is what `autograder export nbgrader` writes, and both get the same submissions of
session 1: right ones, known mistakes and blanks of the banks. nbgrader's commands run as they are,
in its own folder: generate_assignment, autograde, generate_feedback, export. The batch run grades,
makes pages and gradebook once more, and writes its points into a second copy of the gradebook.
Prints seconds of each step, for the class and for one submission, and whether both gradebooks
have the same points; ends with status 1 if they differ.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

import nbformat
from nbgrader.api import Gradebook
from rich.console import Console
from rich.table import Table

from autograder.course import Session
from autograder.integrations.nbgrader.cells import BRIDGE
from benchmarks.common import ROOT, run
from tests import bank

HOURS = 4 * 3600.0
PROGRAMS = Path(sys.executable).parent
NBGRADER, KIT = "nbgrader", "this kit"
KINDS = ("right", "wrong", "right", "wrong", "blank", "right", "wrong", "right", "wrong", "right")
SHEETS = ("questions", "whole", "none")


@dataclass(frozen=True)
class Step:
    """One command of one of the two: seconds by the clock and of all its processes."""

    who: str
    name: str
    wall: float
    cpu: float


Points = Mapping[tuple[str, str], float | None]
"""Automatic points by student and bridge cell; None where there are none."""


def members(session: Session, count: int) -> Iterator[tuple[str, Mapping[str, str]]]:
    """`count` students and their modules: of ten, five right, four wrong, one blank.

    Every module ends in a line with the student's number, so that no two submissions are equal.
    """
    right, wrong = cycle(bank.right(session).values()), cycle(bank.wrong(session))
    for number, kind in zip(range(count), cycle(KINDS)):
        if kind == "wrong":
            contents = {name: data.decode() for name, data in next(wrong).submission.files}
        else:
            contents = dict(next(right) if kind == "right" else bank.blank(session))
        yield (
            f"{kind}{number:03}",
            {name: f"{text}\n# {number}\n" for name, text in contents.items()},
        )


def hand_in(released: Path, target: Path, modules: Mapping[str, str], sheet: str) -> None:
    """What a student hands in to nbgrader: the released folder with the own modules.

    `sheet` is how much of the lab sheet goes along: its questions, the whole of it, or nothing.
    """
    shutil.copytree(released, target)
    for name, text in modules.items():
        (target / name).write_text(text, "utf-8")
    for path in target.glob("lab.ipynb") if sheet != "whole" else ():
        if sheet == "none":
            path.unlink()
            continue
        notebook = nbformat.read(path, as_version=4)
        notebook.cells = [cell for cell in notebook.cells if cell.metadata.get("nbgrader")]
        nbformat.write(notebook, path)


def timed(who: str, name: str, command: Sequence[str | Path], folder: Path) -> Step:
    """Run one command in the activated environment; RuntimeError if it fails."""
    path = os.pathsep.join((str(PROGRAMS), os.environ["PATH"]))
    environment = {"AUTOGRADER_SECRET": "benchmark", "PATH": path}
    done = run(command, cwd=folder, environment=environment, timeout=HOURS)
    if done.status != 0:
        raise RuntimeError(f"{name} failed:\n{done.output[-2000:]}")
    return Step(who, name, done.wall, done.cpu)


def points(course: Path, session: Session) -> Points:
    """What a gradebook has for the exercises."""
    found: dict[tuple[str, str], float | None] = {}
    with Gradebook(f"sqlite:///{course / 'gradebook.db'}") as book:
        for submission in book.assignment_submissions(session.folder):
            for notebook in submission.notebooks:
                for grade in notebook.grades if notebook.name == BRIDGE else ():
                    found[submission.student.id, grade.name] = grade.auto_score
    return found


def measure(session: Session, count: int, sheet: str, jobs: int, folder: Path) -> list[Step]:
    """Run both; the gradebooks are left in `folder`, in `course` and `synced`."""
    steps: list[Step] = []
    course, synced, results = folder / "course", folder / "synced", folder / "results"
    kit = [PROGRAMS / "autograder"]
    where = ["--course", ROOT / "course.yaml"]
    timed(KIT, "export", [*kit, "export", "nbgrader", course, *where], folder)
    stock = [sys.executable, "-m", "nbgrader"]

    def step(name: str, *arguments: str) -> None:
        steps.append(timed(NBGRADER, name, [*stock, name, *arguments], course))

    step("generate_assignment", session.folder)
    shutil.copytree(course, synced)
    plain = folder / "submissions"
    for student, modules in members(session, count):
        released = course / "release" / session.folder
        hand_in(released, course / "submitted" / student / session.folder, modules, sheet)
        (plain / student).mkdir(parents=True)
        for name, text in modules.items():
            (plain / student / name).write_text(text, "utf-8")
    step("autograde", session.folder)
    step("generate_feedback", session.folder)
    step("export")

    grade = ["grade", session.id, plain, "-o", results, "--jobs", str(jobs)]
    commands: Mapping[str, Sequence[str | Path]] = {
        "grade (pages and gradebook included)": [*grade, *where],
        "report (pages and gradebook again)": ["report", results, *where],
        "nbgrader sync": ["nbgrader", "sync", results, synced, *where],
    }
    steps += [timed(KIT, name, [*kit, *words], folder) for name, words in commands.items()]
    return steps


def differences(one: Points, other: Points) -> list[str]:
    """A line for each exercise that has other points in the second gradebook."""
    return [
        f"{student}, {cell}: {one.get((student, cell))} and {other.get((student, cell))}"
        for student, cell in sorted(one.keys() | other.keys())
        if one.get((student, cell)) != other.get((student, cell))
    ]


def table_of(steps: Sequence[Step], count: int) -> Table:
    """A row for each step, and the sum of each grader."""
    version = importlib.metadata.version("nbgrader")
    table = Table(title=f"A class of {count}, nbgrader {version}", title_justify="left")
    table.add_column("grader", no_wrap=True)
    table.add_column("step", no_wrap=True)
    for head in ("s", "s each", "CPU s", "CPU s each"):
        table.add_column(head, justify="right")
    for who in (NBGRADER, KIT):
        own = [each for each in steps if each.who == who]
        total = Step(who, "all", sum(s.wall for s in own), sum(s.cpu for s in own))
        for each in (*own, total):
            numbers = (each.wall, each.wall / count, each.cpu, each.cpu / count)
            table.add_row(who, each.name, *(f"{number:.2f}" for number in numbers))
        table.add_section()
    return table


def machine() -> str:
    """What the figures belong to."""
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    return (
        f"{os.cpu_count()} processors, {platform.machine()}, Python {platform.python_version()}, "
        f"torch {importlib.metadata.version('torch')}; load average {load}"
    )


def main() -> None:
    """Read the arguments, measure, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--students", type=int, default=50, metavar="N")
    parser.add_argument("--jobs", type=int, default=2, help="of the batch run")
    parser.add_argument(
        "--sheet", choices=SHEETS, default="questions", help="of the lab sheet, what is handed in"
    )
    options = parser.parse_args()
    console = Console(width=110)
    session = bank.course().session("s1")
    before = machine()
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        steps = measure(session, options.students, options.sheet, options.jobs, folder)
        stock, ours = (points(folder / each, session) for each in ("course", "synced"))
    console.print(table_of(steps, options.students))
    console.print(f"before: {before}", markup=False, soft_wrap=True)
    console.print(f"after: {machine()}", markup=False, soft_wrap=True)
    found = differences(stock, ours)
    students = {student for student, _ in stock}
    agree = students - {line.partition(",")[0] for line in found}
    console.print(
        f"{len(students)} students, {len(stock)} exercises: the totals of {len(agree)} agree"
    )
    for line in found:
        console.print(f"  {line}", markup=False)
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
