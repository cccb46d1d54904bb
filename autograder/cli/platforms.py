"""Commands that another platform's tools call, or that talk to what such a tool keeps."""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from autograder.cli.common import (
    CourseOption,
    ResultsArgument,
    SessionName,
    note,
    open_course,
    open_results,
    out,
)
from autograder.errors import AutograderError, ExitCode
from autograder.files import write_output
from autograder.grading import checking
from autograder.grading.disclosure import shown_now
from autograder.grading.roster import kept_roster
from autograder.integrations.classroom50 import results as classroom50_results
from autograder.integrations.github import checks, commands
from autograder.integrations.gradescope import harness
from autograder.integrations.gradescope.bundle import DEFAULT_MINUTES
from autograder.records import Lateness, Outcome
from autograder.submissions import limits_of_clone, read_submission

nbgrader = typer.Typer(help="Talk to a gradebook of nbgrader.", no_args_is_help=True)


@nbgrader.callback()
def _group() -> None:
    """Keeps `sync` a command of its own, also while there is no other."""


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    for function in (gradescope, github, classroom50):
        app.command(function.__name__, hidden=True)(function)
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


def github(session: SessionName, course: CourseOption = None) -> None:
    """Public checks as annotations and job summary; a workflow of the student's calls it.

    Exit code 1 if an exercise does not pass.
    """
    root, rules = open_course(course)
    part = rules.session(session)
    tests = checking.public_tests(root, part)
    folder = root / "assignments" / part.folder
    submission = checking.own_submission(folder, part, rules.limits.archive)
    report = checking.check(rules, part, submission, tests, (), lambda *_: None)
    _print(commands.uninterpreted(checks.log(report)))
    repository = Path(os.environ.get("GITHUB_WORKSPACE", "") or root)
    paths = checks.paths_of(part, folder, repository)
    _print(map(commands.command, checks.messages(report, dict(submission.files), paths)))
    if summary := os.environ.get("GITHUB_STEP_SUMMARY", ""):
        with Path(summary).open("a", encoding="utf-8") as file:
            file.write(checks.summary(report, part))
    _print([checks.headline(report)])
    if any(result.outcome is not Outcome.PASSED for result in report.exercises):
        raise typer.Exit(ExitCode.PROBLEMS)


def classroom50(session: SessionName, course: CourseOption = None) -> None:
    """Public checks of this folder as result.json; Classroom 50's runner calls it.

    Exit code 0 whatever the checks say.
    """
    root, rules = open_course(course)
    part = rules.session(session)
    about = classroom50_results.submitted(os.environ)
    here, tests = Path.cwd(), checking.public_tests(root, part)
    limits = limits_of_clone(rules.limits.archive)
    submission = read_submission(here, part, limits, student=about.owner)
    report = checking.check(rules, part, submission, tests, (), lambda *_: None)
    if report.has_tool_error:
        raise AutograderError("the checks themselves failed; run the workflow again")
    now = datetime.now(UTC)
    due = part.due.isoformat() if part.due else None
    shown = shown_now(rules.feedback, Lateness(due=due), now)
    report = classroom50_results.as_shown(report, shown.level)
    result = classroom50_results.result_json(report, about, now)
    write_output(here / classroom50_results.RESULT, result)
    write_output(here / classroom50_results.BODY, classroom50_results.release_body(report, part))
    typer.echo(f"wrote {classroom50_results.RESULT} and {classroom50_results.BODY}")


def _print(lines: Iterable[str]) -> None:
    """Print lines as they are."""
    for line in lines:
        typer.echo(line)


@nbgrader.command(
    epilog="Example: autograder nbgrader sync results/ ../nbgrader-course --marks marks.csv"
)
def sync(
    results: ResultsArgument,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The nbgrader course.")],
    marks: Annotated[
        Path | None,
        typer.Option("--marks", help="A new CSV with points that were given by hand there."),
    ] = None,
    course: CourseOption = None,
) -> None:
    """Write a batch run's points into gradebook.db, and read marks by hand from it."""
    there = open_results(results, course)
    if marks is not None and marks.exists():
        raise AutograderError(f"{marks} already exists; remove it, or choose another name")
    try:
        from autograder.integrations.nbgrader import sync as gradebook
    except ImportError as error:
        raise AutograderError(f"{error.name} is not installed: pip install nbgrader") from None
    found = there.folder.load()
    for line in found.errors:
        note(line)
    roster = kept_roster(there.folder.roster, there.course)
    done = gradebook.sync(folder, there.session, found.reports, roster)
    for line in done.lines:
        note(line)
    out.print(f"Wrote {done.points} points of {done.students} students", highlight=False)
    out.print(f"Marks by hand: {done.marked} of exercises, {done.answers} of written answers")
    if marks is not None and done.marks:
        write_output(marks, done.marks)
        out.print(f"Apply them: autograder report {results} --marks {marks}", soft_wrap=True)
