"""What several commands share: consoles, options, the course, a progress bar."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from autograder.course import Course, DatasetName, Session, load_course
from autograder.course.reading import COURSE_FILE, course_above
from autograder.engine.job import LEVELS, Level
from autograder.errors import AutograderError
from autograder.grading.results import ResultsFolder
from shared.datasets import DATASETS

out = Console()
err = Console(stderr=True)

SessionName = Annotated[str, typer.Argument(metavar="SESSION", help="Such as s1 or s1_intro.")]
ResultsArgument = Annotated[Path, typer.Argument(help="A results folder that `grade` wrote.")]
CourseOption = Annotated[
    Path | None,
    typer.Option("--course", help="course.yaml; by default the nearest one above this folder."),
]
OnlyOption = Annotated[
    list[str] | None,
    typer.Option("--only", metavar="EXERCISE", help="Only this exercise; may be repeated."),
]
IsolationOption = Annotated[
    str, typer.Option(help=f"Refuse to run anything with less: {', '.join(LEVELS)}.")
]
SpawnOption = Annotated[
    bool,
    typer.Option("--spawn", help="Start a new interpreter for each worker instead of forking."),
]
DatasetOption = Annotated[
    str | None,
    typer.Option(
        "--dataset",
        help=f"Of final projects: {' or '.join(DATASETS)}; by default the card's, or the first.",
    ),
]
TimesOption = Annotated[
    Path | None,
    typer.Option(
        "--times", help="CSV with student and time (ISO 8601 with its offset): the late policy."
    ),
]
MarksOption = Annotated[
    Path | None,
    typer.Option(
        "--marks",
        help="CSV with student, exercise, points, comment, by; kept in the results folder.",
    ),
]


def open_course(path: Path | None) -> tuple[Path, Course]:
    """The course's root folder and rules; AutograderError where there is no course."""
    if path is None:
        path = course_above(Path.cwd())
    if path is None:
        raise AutograderError(
            f"no {COURSE_FILE} here or above; run it in the course's folder, or give --course"
        )
    return path.resolve().parent, load_course(path)


@dataclass(frozen=True)
class OpenedResults:
    """A results folder, and the course and session that it belongs to."""

    folder: ResultsFolder
    course: Course
    session: Session


def open_results(path: Path, course: Path | None) -> OpenedResults:
    """A results folder under the rules of its course; AutograderError if it is none, or another's.

    `course` is the value of --course.
    """
    _, rules = open_course(course)
    folder = ResultsFolder(path)
    run = folder.run()
    if run is None:
        raise AutograderError(f"{path} is not a results folder: it has no run.json")
    if run.course != rules.id:
        raise AutograderError(f"{path} holds results of {run.course}, not of {rules.id}")
    return OpenedResults(folder, rules, rules.session(run.session))


def isolation_level(text: str) -> Level:
    """The value of --require-isolation."""
    for level in LEVELS:
        if level == text:
            return level
    raise AutograderError(f"--require-isolation {text}: expected one of {', '.join(LEVELS)}")


def dataset_option(course: Course, text: str | None) -> DatasetName | None:
    """The value of --dataset, which has to be one of the course's."""
    if text is None:
        return None
    known = course.final_project.datasets if course.final_project is not None else {}
    for name in known:
        if name == text:
            return name
    raise AutograderError(f"--dataset {text}: expected one of {', '.join(known) or 'none'}")


def note(line: str) -> None:
    """A line for whoever runs the command, on standard error."""
    err.print(f"[yellow]note:[/yellow] {escape(line)}", highlight=False, soft_wrap=True)


@contextmanager
def progress_bar(total: int, verb: str) -> Iterator[Advance]:
    """A progress bar on standard error, gone when all is done."""
    columns = (
        TextColumn(verb),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.description}", markup=False),
    )
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as progress:
        yield Advance(progress, total)


class Advance:
    """Moves a progress bar on by one and shows what it is at."""

    def __init__(self, progress: Progress, total: int) -> None:
        self._progress = progress
        self._task = progress.add_task("", total=total)

    def __call__(self, description: str) -> None:
        """One step is done."""
        self._progress.update(self._task, advance=1, description=description)
