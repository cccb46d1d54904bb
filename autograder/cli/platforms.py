"""Commands that another platform's tools call, or that talk to what such a tool keeps."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from autograder.cli.common import CourseOption, SessionName, note, open_course, out
from autograder.errors import AutograderError
from autograder.files import write
from autograder.grading.results import ResultsFolder
from autograder.integrations.gradescope import harness
from autograder.integrations.gradescope.bundle import DEFAULT_MINUTES

nbgrader = typer.Typer(help="Talk to a gradebook of nbgrader.", no_args_is_help=True)


@nbgrader.callback()
def _group() -> None:
    """Keeps `sync` a command of its own, also while there is no other."""


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command("gradescope", hidden=True)(gradescope)
    app.add_typer(nbgrader, name="nbgrader")


def gradescope(
    session: SessionName,
    minutes: Annotated[float, typer.Option(help="The harness's time limit.")] = DEFAULT_MINUTES,
    home: Annotated[Path, typer.Option(help="The harness's folder.")] = harness.HOME,
    course: CourseOption = None,
) -> None:
    """Grade the submission in Gradescope's container; run_autograder calls it."""
    root, rules = open_course(course)
    report = harness.grade(rules, root, rules.session(session), minutes, home)
    out.print(harness.summary(report), markup=False, highlight=False, soft_wrap=True)


@nbgrader.command(
    epilog="Example: autograder nbgrader sync results/ ../nbgrader-course --marks marks.csv"
)
def sync(
    results: Annotated[Path, typer.Argument(help="A results folder that `grade` wrote.")],
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The nbgrader course.")],
    marks: Annotated[
        Path | None,
        typer.Option("--marks", help="A new CSV with points that were given by hand there."),
    ] = None,
    course: CourseOption = None,
) -> None:
    """Write a batch run's points into gradebook.db, and read marks by hand from it."""
    _, rules = open_course(course)
    loaded = ResultsFolder(results)
    run = loaded.run()
    if run is None or run.course != rules.id:
        raise AutograderError(f"{results} holds no results of {rules.id}")
    if marks is not None and marks.exists():
        raise AutograderError(f"{marks} already exists; remove it, or choose another name")
    try:
        from autograder.integrations.nbgrader import sync as gradebook
    except ImportError as error:
        raise AutograderError(f"{error.name} is not installed: pip install nbgrader") from None
    found = loaded.load()
    for line in found.errors:
        note(line)
    done = gradebook.sync(folder, rules.session(run.session), found.reports)
    out.print(f"Wrote {done.points} points of {done.students} students", highlight=False)
    out.print(f"Marks by hand: {done.marked} of exercises, {done.answers} of written answers")
    if marks is not None and done.marks:
        write(marks, done.marks)
        out.print(f"Apply them: autograder report {results} --marks {marks}", soft_wrap=True)
