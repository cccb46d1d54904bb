"""Commands for teaching assistants: grade a class, make its pages again."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from autograder.cli.class_progress import ClassProgress
from autograder.cli.common import (
    CourseOption,
    DatasetOption,
    IsolationOption,
    MarksOption,
    OnlyOption,
    ResultsArgument,
    SessionName,
    SpawnOption,
    TimesOption,
    dataset_option,
    err,
    isolation_level,
    note,
    open_course,
    open_results,
    out,
)
from autograder.engine.job import grader_faults
from autograder.errors import ExitCode
from autograder.files import write_output
from autograder.grading import batch, checking, similarity
from autograder.grading.enrolment import grouped
from autograder.grading.kinds import kind_of
from autograder.grading.results import ResultsFolder
from autograder.grading.roster import read_roster
from autograder.records import Outcome, Report
from autograder.reports.junit import class_junit_xml
from autograder.reports.text import class_table, late_policy_line
from autograder.submissions import LAYOUTS, Submission, collect
from autograder.text_safety import clean_line

MAX_REASONS = 3  # of tool errors that are printed

LayoutOption = Annotated[
    str | None,
    typer.Option(
        "--layout",
        help=f"How the submissions are named: {', '.join(LAYOUTS)}; by default their names decide.",
    ),
]
AcceptMissingOption = Annotated[
    bool,
    typer.Option("--accept-missing", help="Grade even if most submissions lack every file."),
]
RosterOption = Annotated[
    Path | None,
    typer.Option(
        "--roster",
        help="CSV with student and name, email, section, group, ids on platforms, extensions.",
    ),
]
SchedulerOption = Annotated[
    str | None,
    typer.Option(
        "--scheduler",
        metavar="ADDRESS",
        help="Grade on the workers of a Dask cluster, as many at a time as they have threads.",
    ),
]
JunitOption = Annotated[
    Path | None, typer.Option("--junit", help="Also write JUnit XML of all students there.")
]


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command(epilog="Example: autograder grade s1 submissions/ -o results/ --jobs 2")(grade)
    app.command(epilog="Example: autograder report results/ --marks marks.csv")(report)
    app.command(epilog="Example: autograder similar s1 submissions/ -o similar.csv")(similar)


def grade(
    session: SessionName,
    submissions: Annotated[
        Path,
        typer.Argument(
            help="A platform's download, or a folder with one folder or zip per student."
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The results folder.")],
    jobs: Annotated[
        int, typer.Option("--jobs", "-j", min=1, help="Submissions graded at the same time.")
    ] = max(1, os.cpu_count() or 1),
    only: OnlyOption = None,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Grade what is new, was changed, or has other graders now."),
    ] = False,
    times: TimesOption = None,
    marks: MarksOption = None,
    roster: RosterOption = None,
    layout: LayoutOption = None,
    accept_missing: AcceptMissingOption = False,
    dataset: DatasetOption = None,
    require_isolation: IsolationOption = "process",
    scheduler: SchedulerOption = None,
    spawn: SpawnOption = False,
    course: CourseOption = None,
) -> None:
    """Grade a folder of submissions of any session into a results folder."""
    root, rules = open_course(course)
    part = rules.session(session)
    options = batch.Options(
        jobs=jobs,
        only=checking.exercise_ids(part, only or ()),
        resume=resume,
        spawn=spawn,
        require_isolation=isolation_level(require_isolation),
        times=times,
        marks=marks,
        roster=roster,
        dataset=dataset_option(rules, dataset),
        scheduler=scheduler,
    )
    batch.check_folders(submissions, output)
    collected = collect(
        submissions,
        part,
        kind_of(part).archive_limits(rules),
        layout=layout,
        accept_missing=accept_missing,
    )
    if collected.layout != "plain":
        note(f"read as {LAYOUTS[collected.layout].title}")
    for line in collected.errors:
        note(line)
    results = ResultsFolder(output)
    progress = ClassProgress(err, output)
    callbacks = batch.Callbacks(
        planned=progress.planned, stage=progress.stage, done=progress.done, note=note
    )
    with progress.shown():
        graded = batch.grade(rules, part, root, collected.submissions, results, options, callbacks)
    _print_class(graded.reports, output)
    if resume or only:
        _print_changes(graded)
    _exit_if_broken(graded.reports)


def report(
    results: ResultsArgument,
    times: TimesOption = None,
    marks: MarksOption = None,
    roster: RosterOption = None,
    junit: JunitOption = None,
    course: CourseOption = None,
) -> None:
    """Make pages and tables again: today's late policy, extensions, times and marks by hand."""
    there = open_results(results, course)
    callbacks = batch.Callbacks(note=note)
    made = batch.refresh(there.course, there.session, there.folder, times, marks, callbacks, roster)
    if junit is not None:
        write_output(junit, class_junit_xml(made.reports))
    _print_class(made.reports, results)
    _exit_if_broken(made.reports)
    if made.unreadable:
        raise typer.Exit(ExitCode.PARTIAL)


def similar(
    session: SessionName,
    submissions: Annotated[Path, typer.Argument(help="What was given to `grade`.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Also write the pairs there, as CSV.")
    ] = None,
    roster: RosterOption = None,
    layout: LayoutOption = None,
    course: CourseOption = None,
) -> None:
    """List pairs of submissions that share unusual code, for a person to look at; no points."""
    root, rules = open_course(course)
    part = rules.session(session)
    limits = kind_of(part).archive_limits(rules)
    collected = collect(submissions, part, limits, layout=layout, accept_missing=True)
    known = similarity.known_texts(root, part.folder)
    found: Sequence[Submission] = collected.submissions
    if roster is not None:
        found = grouped(found, read_roster(roster, rules))
    pairs = similarity.similar_pairs(found, known, note)
    if output is not None:
        write_output(output, similarity.pairs_csv(pairs))
    for pair in pairs:
        names = " and ".join(clean_line(name, 40) for name in pair.students)
        shares = " and ".join(f"{share:.0%}" for share in pair.shares)
        out.print(
            f"{escape(names)}: {shares} of what is unusual in their code is the same",
            highlight=False,
        )
        for name, passages in zip(pair.students, pair.passages, strict=True):
            where = escape(f"  {clean_line(name, 40)}: {', '.join(passages)}")
            out.print(where, highlight=False, soft_wrap=True)
    number = f"{len(pairs)} pair{'' if len(pairs) == 1 else 's'}"
    out.print(
        f"{number} of {len(collected.submissions)} submissions. Look at both before you conclude "
        "anything: likeness has many reasons, and no points depend on it.",
        highlight=False,
    )


def _print_class(reports: Sequence[Report], results: Path) -> None:
    out.print(class_table(reports, out.width))
    if line := late_policy_line(reports):
        note(line)
    page = (results / "index.html").resolve()
    out.print(f"\nClass page: {page}", highlight=False, soft_wrap=True)


def _print_changes(graded: batch.Batch) -> None:
    """What a further run left as it was, and whose points it changed."""
    submissions = graded.kept + graded.graded
    out.print(f"Kept {graded.kept} of {submissions}, graded {graded.graded}.", highlight=False)
    for change in graded.changes:
        name = escape(clean_line(change.student, 40))
        difference = change.after - change.before
        out.print(
            f"  {name}: {change.before:g} -> {change.after:g} points ({difference:+g})",
            highlight=False,
        )


def _exit_if_broken(reports: Sequence[Report]) -> None:
    broken = [report for report in reports if report.has_tool_error]
    if not broken:
        return
    names = escape(", ".join(clean_line(report.student, 24) for report in broken[:5]))
    reasons = dict.fromkeys(reason for report in broken for reason in _reasons(report))
    for reason in list(reasons)[:MAX_REASONS]:
        err.print(f"[red]{escape(reason)}[/red]", highlight=False, soft_wrap=True)
    faulty = any(grader_faults(report) for report in broken)
    first = "mend the grader, then " if faulty else "see to that, then " if reasons else ""
    again = "grade again with --resume"
    if all(report.failed_runs >= batch.MAX_FAILED_RUNS for report in broken):
        again = f"after {batch.MAX_FAILED_RUNS} runs --resume leaves them alone; grade without it"
    err.print(f"[red]tool errors[/red] ({names}): {first}{again}")
    raise typer.Exit(ExitCode.PARTIAL)


def _reasons(report: Report) -> list[str]:
    """Why we failed to grade something, one line each."""
    details = (
        test.detail
        for exercise in report.exercises
        for test in exercise.tests
        if test.outcome is Outcome.TOOL_ERROR
    )
    return [clean_line(detail.partition("\n")[0], 800) for detail in details if detail]
