"""Commands that write the course for somewhere else: `autograder export TARGET …`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from autograder.cli import gradebooks
from autograder.cli.common import CourseOption, SessionName, open_course, out
from autograder.integrations.classroom50 import bundle as classroom50_bundle
from autograder.integrations.github.template import write_template
from autograder.integrations.gradescope.bundle import DEFAULT_MINUTES, write_bundle
from autograder.integrations.nbgrader.course import write_course
from autograder.release.student_kit import write_student_kit

export = typer.Typer(
    help="Write the course, or its results, for students and for other platforms.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)


def register(app: typer.Typer) -> None:
    """Add the commands of this module, and those that write gradebooks."""
    gradebooks.register(export)
    app.add_typer(export, name="export")


def _print(what: str, written: object) -> None:
    out.print(f"{what} {written}", markup=False, highlight=False, soft_wrap=True)


@export.command(
    "student-kit", epilog="Example: autograder export student-kit build/student-kit.zip"
)
def student_kit(
    target: Annotated[
        Path, typer.Argument(metavar="DIR_OR_ZIP", help="A new folder, or a new file.zip.")
    ],
    course: CourseOption = None,
) -> None:
    """What students get: assignments, library, public tests, checker; nothing hidden."""
    root, rules = open_course(course)
    _print("Student kit", write_student_kit(rules, root, target))


@export.command(
    "gradescope", epilog="Example: autograder export gradescope s3 build/s3-gradescope.zip"
)
def gradescope(
    session: SessionName,
    target: Annotated[Path, typer.Argument(metavar="OUT.zip", help="A new file.")],
    minutes: Annotated[
        float, typer.Option("--minutes", help="The time limit that is set on Gradescope.")
    ] = DEFAULT_MINUTES,
    course: CourseOption = None,
) -> None:
    """A session's autograder for Gradescope. Keep the file to yourself: it holds the graders."""
    root, rules = open_course(course)
    written = write_bundle(rules, root, rules.session(session), target, minutes)
    _print("Gradescope autograder", written)


@export.command("nbgrader", epilog="Example: autograder export nbgrader ../nbgrader-course")
def nbgrader(
    target: Annotated[Path, typer.Argument(metavar="DIR", help="A new folder.")],
    course: CourseOption = None,
) -> None:
    """A course that the stock nbgrader runs: its source/ and its nbgrader_config.py."""
    root, rules = open_course(course)
    _print("nbgrader course", write_course(rules, root, target))


@export.command("github", epilog="Example: autograder export github build/github-s1 --session s1")
def github(
    target: Annotated[
        Path, typer.Argument(metavar="DIR_OR_ZIP", help="A new folder, or a new file.zip.")
    ],
    session: Annotated[
        str | None, typer.Option("--session", help="Only this one, such as s1; by default all.")
    ] = None,
    course: CourseOption = None,
) -> None:
    """A repository for students: the student kit, and workflows that run its public checks."""
    root, rules = open_course(course)
    part = None if session is None else rules.session(session)
    _print("Repository for students", write_template(rules, root, target, part))


@export.command(
    "classroom50", epilog="Example: autograder export classroom50 s1 build/classroom50-s1"
)
def classroom50(
    session: SessionName,
    target: Annotated[Path, typer.Argument(metavar="DIR", help="A new folder.")],
    course: CourseOption = None,
) -> None:
    """A session's template and autograder.py for Classroom 50, with public checks only."""
    root, rules = open_course(course)
    written = classroom50_bundle.write_bundle(rules, root, rules.session(session), target)
    _print("Classroom 50 assignment", written)
