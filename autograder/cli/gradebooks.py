"""What a platform's gradebook takes of a results folder: `autograder export canvas …`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from autograder.cli.common import CourseOption, ResultsArgument, note, open_results, out
from autograder.course import Course, Session
from autograder.errors import AutograderError
from autograder.files import writable_folder, write_output
from autograder.grading.assembly import outdated
from autograder.grading.disclosure import shown_now
from autograder.grading.roster import Roster, kept_roster
from autograder.integrations import canvas as canvas_gradebook
from autograder.integrations import moodle as moodle_worksheet
from autograder.integrations.feedback_archive import archive, names_of_download
from autograder.integrations.gradebook import Filled, read_sheet
from autograder.records import FeedbackLevel, Report
from autograder.submissions.identity import quoted, some_of

OutputOption = Annotated[
    Path | None,
    typer.Option("--output", "-o", help="Folder of the files; by default RESULTS/export."),
]


def register(export: typer.Typer) -> None:
    """Add the commands of this module to the group `export`."""
    for function, example in (
        (canvas, "autograder export canvas results/ --gradebook gradebook.csv"),
        (moodle, "autograder export moodle results/ --gradebook worksheet.csv"),
        (feedback, "autograder export feedback results/"),
    ):
        export.command(epilog=f"Example: {example}")(function)


def canvas(
    results: ResultsArgument,
    gradebook: Annotated[Path, typer.Option(help="The gradebook that Canvas exported (CSV).")],
    column: Annotated[
        str | None,
        typer.Option(help="The assignment's column, if its title does not name the session."),
    ] = None,
    output: OutputOption = None,
    course: CourseOption = None,
) -> None:
    """Fill in Canvas' gradebook, and pack the feedback for "Upload submissions"."""
    graded = _graded(results, course)
    sheet = read_sheet(gradebook)
    filled = canvas_gradebook.fill(sheet, graded.reports, graded.roster, graded.session, column)
    _write(graded, filled, "canvas", gradebook, output)


def moodle(
    results: ResultsArgument,
    gradebook: Annotated[Path, typer.Option(help="Moodle's grading worksheet (CSV).")],
    output: OutputOption = None,
    course: CourseOption = None,
) -> None:
    """Fill in Moodle's grading worksheet, and pack the feedback for its upload in a zip."""
    graded = _graded(results, course)
    filled = moodle_worksheet.fill(
        read_sheet(gradebook), graded.reports, graded.roster, graded.session
    )
    _write(graded, filled, "moodle", gradebook, output)


def feedback(
    results: ResultsArgument, output: OutputOption = None, course: CourseOption = None
) -> None:
    """Pack all feedback pages under the names that the download had."""
    graded = _graded(results, course)
    folder = writable_folder(output if output is not None else results / "export")
    path = folder / "feedback.zip"
    names = names_of_download(graded.reports)
    write_output(path, archive(graded.reports, names, graded.course, graded.session))
    _say(path, f"{len(names)} pages")


# ---- shared --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Graded:
    """What a results folder holds, under the course's rules."""

    path: Path
    course: Course
    session: Session
    reports: tuple[Report, ...]
    roster: Roster | None


def _graded(results: Path, course: Path | None) -> _Graded:
    there = open_results(results, course)
    loaded = there.folder.load()
    _notes(loaded.errors)
    if not loaded.reports:
        raise AutograderError(f"{results} holds no records that can be read")
    roster = kept_roster(there.folder.roster, there.course)
    return _Graded(results, there.course, there.session, loaded.reports, roster)


def _write(
    graded: _Graded, filled: Filled, platform: str, gradebook: Path, output: Path | None
) -> None:
    folder = writable_folder(output if output is not None else graded.path / "export")
    table = folder / f"{platform}-{graded.session.id}.csv"
    pages = folder / f"{platform}-{graded.session.id}-feedback.zip"
    if gradebook.resolve() in (table.resolve(), pages.resolve()):
        raise AutograderError(f"{gradebook} would be overwritten; choose another --output")
    write_output(table, filled.sheet.to_bytes())
    write_output(pages, archive(graded.reports, filled.feedback, graded.course, graded.session))
    _notes(filled.lines)
    _notes(_penalties_of_before(graded))
    _notes(_early(graded))
    _say(table, f"{filled.grades} of {len(graded.reports)} grades")
    _say(pages, f"{len(filled.feedback)} pages")


def _penalties_of_before(graded: _Graded) -> Iterable[str]:
    """A line if course.yaml, or the roster, gives other late penalties than the records have."""
    roster = graded.roster
    course = graded.course if roster is None else roster.with_extensions(graded.course)
    others = [quoted(each.student) for each in outdated(graded.reports, course, graded.session)]
    if others:
        yield (
            f"late policy or extensions have changed since, for {some_of(others)}: "
            f"`autograder report {graded.path}` applies them, then export again"
        )


def _early(graded: _Graded) -> Iterable[str]:
    """A line if the file holds grades that course.yaml does not show yet."""
    policy, now = graded.course.feedback, datetime.now(UTC)
    levels = [shown_now(policy, report.lateness, now).level for report in graded.reports]
    early = sum(level is FeedbackLevel.NOTHING for level in levels)
    if early:
        yield (
            f"course.yaml shows {early} of {len(levels)} students no points yet: "
            "they see them once the platform shows these grades"
        )


def _notes(lines: Iterable[str]) -> None:
    for line in lines:
        note(line)


def _say(path: Path, what: str) -> None:
    out.print(f"Wrote {path} ({what}).", highlight=False, soft_wrap=True)
