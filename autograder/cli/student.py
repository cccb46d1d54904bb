"""Commands for students: check their own code, pack a submission."""

from __future__ import annotations

import getpass
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from autograder.cli import project
from autograder.cli.common import (
    CourseOption,
    OnlyOption,
    SessionName,
    SpawnOption,
    err,
    note,
    open_course,
    out,
    progress_bar,
)
from autograder.errors import AutograderError, ExitCode
from autograder.grading import checking
from autograder.grading.kinds import project_of
from autograder.project import entry
from autograder.project.context import MODEL
from autograder.records import Outcome
from autograder.reports.check import check_view
from autograder.submissions.pack import pack

FolderArgument = Annotated[
    Path | None,
    typer.Argument(help="Your modules; by default the session's folder in assignments/."),
]


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command(
        epilog="Example: autograder check s1 --only split. Exit code 1 if a public test fails."
    )(check)
    app.command(epilog="Example: autograder submit s1 --student ada -o submissions/")(submit)


def check(
    session: SessionName,
    folder: FolderArgument = None,
    only: OnlyOption = None,
    spawn: SpawnOption = False,
    course: CourseOption = None,
) -> None:
    """Run the public tests of a session on your own code; score a final project."""
    root, rules = open_course(course)
    part = rules.session(session)
    folder = folder if folder is not None else root / "assignments" / part.folder
    if part.kind == "project":
        project.score(folder / MODEL, spawn=spawn, course=course)
        return
    submission = checking.own_submission(folder, part, rules.limits.archive)
    tests = checking.public_tests(root, part)
    ids = checking.exercise_ids(part, only or ())
    with progress_bar(len(ids) or len(part.exercises), "checking") as advance:
        report = checking.check(
            rules, part, submission, tests, ids, lambda _, name: advance(name), spawn
        )
    out.print(check_view(report))
    for problem in report.problems:
        note(problem)
    passed = sum(exercise.outcome is Outcome.PASSED for exercise in report.exercises)
    total = len(report.exercises)
    out.print(
        f"\n[bold]{passed} of {total}[/bold] exercises pass their public tests. "
        "Grading uses other, hidden tests with new inputs."
    )
    if passed < total:
        raise typer.Exit(ExitCode.PROBLEMS)


def _user_name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user id without a name, as in containers
        raise AutograderError("your user has no name here; give your id with --student") from None


def submit(
    session: SessionName,
    folder: FolderArgument = None,
    student: Annotated[str | None, typer.Option(help="Your id; by default your user name.")] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="Where the zip goes.")] = Path(),
    course: CourseOption = None,
) -> None:
    """Pack your files of a session into one zip with a manifest of hashes."""
    root, rules = open_course(course)
    part = rules.session(session)
    folder = folder if folder is not None else root / "assignments" / part.folder
    name = _user_name() if student is None else student
    about_entry = entry.advice(folder, project_of(rules)) if part.kind == "project" else ()
    packed = pack(part, folder, output, name)
    for warning in (*about_entry, *packed.warnings):
        err.print(f"[yellow]warning:[/yellow] {escape(warning)}")
    out.print(f"Wrote {packed.path}. Submit this file.", highlight=False, soft_wrap=True)
