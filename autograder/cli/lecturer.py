"""Commands for lecturers: make what students get, look at the machine."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from autograder import doctor, release
from autograder.cli.common import CourseOption, err, open_course, out
from autograder.errors import ExitCode


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command("release", epilog="Example: autograder release --check")(release_command)
    app.command("doctor", epilog="Example: autograder doctor")(doctor_command)


def release_command(
    check: Annotated[
        bool, typer.Option("--check", help="Change nothing; exit code 1 and a diff if stale.")
    ] = False,
    to: Annotated[
        Path | None, typer.Option("--to", help="Another target than assignments/.")
    ] = None,
    course: CourseOption = None,
) -> None:
    """Generate assignments/ (what students get) from solutions/."""
    root, rules = open_course(course)
    target = to if to is not None else root / "assignments"
    files = release.build_release(rules, root / "solutions")
    if not check:
        release.write_release(files, target)
        out.print(f"Wrote {len(files)} files to {target}", highlight=False, soft_wrap=True)
        return
    difference = release.check_release(files, target)
    for line in difference:
        sys.stdout.write(line.rstrip("\n") + "\n")
    if difference:
        err.print(f"{target} is not what solutions/ gives: run `autograder release`")
        raise typer.Exit(ExitCode.PROBLEMS)
    out.print(f"{target} is in sync", highlight=False, soft_wrap=True)


def doctor_command() -> None:
    """Show what this machine can run and enforce."""
    for renderable in doctor.tables(doctor.examine()):
        out.print(renderable)
        out.print()
