"""The command line: reads arguments, calls one function, prints, and chooses the exit code.

Everything that prints or exits is here; nothing imports this module.
"""

from __future__ import annotations

import getpass
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from autograder import doctor, release
from autograder.course import Course, DatasetName, FinalProject, Session, load_course
from autograder.engine.job import LEVELS, Level
from autograder.errors import AutograderError, ExitCode, SubmissionError
from autograder.files import check_writable, writable_folder, write
from autograder.grading import batch
from autograder.integrations import pull_request as pull_requests
from autograder.project import store
from autograder.project.card import Card, parse_card, read_card
from autograder.project.leaderboard import boards
from autograder.records import Outcome, Report
from autograder.records.measurement import Score
from autograder.reports.leaderboard import leaderboard_markdown, leaderboard_page, leaderboard_table
from autograder.reports.score import terminal
from autograder.reports.text import check_table, class_table
from autograder.submissions import collect, read_submission
from autograder.submissions.pack import pack
from autograder.text_safety import clean_line
from shared.datasets import DATASETS

COURSE_FILE = "course.yaml"
EXIT_CODES = (
    "Exit codes: 0 fine, 1 something was found (failed checks, files out of sync), "
    "2 bad arguments or input, 3 graded with tool errors, 4 the engine failed, 130 interrupted."
)

app = typer.Typer(
    name="autograder",
    help="Check, submit and grade the assignments of a course on compressing neural networks.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
out = Console()
err = Console(stderr=True)

SessionName = Annotated[str, typer.Argument(metavar="SESSION", help="Such as s1 or s1_intro.")]
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
DatasetOption = Annotated[
    str | None,
    typer.Option(help=f"{' or '.join(DATASETS)}; by default the card's, or the course's first."),
]
SpawnOption = Annotated[
    bool,
    typer.Option("--spawn", help="Start a new interpreter for each worker instead of forking."),
]


@app.command(
    epilog="Example: autograder check s1 --only split. Exit code 1 if a public test fails."
)
def check(
    session: SessionName,
    folder: Annotated[
        Path | None,
        typer.Argument(help="Your modules; by default the session's folder in assignments/."),
    ] = None,
    only: OnlyOption = None,
    spawn: SpawnOption = False,
    course: CourseOption = None,
) -> None:
    """Run the public tests of a session on your own code."""
    root, rules = _course(course)
    part = rules.session(session)
    place = folder if folder is not None else root / "assignments" / part.folder
    if part.kind == "project":  # the final project is a file, not functions
        score(place / "model.onnx", course=course)
        return
    submission = read_submission(place, part, rules.limits.archive, student="you")
    if not submission.sources:
        raise AutograderError(
            submission.problems[0] if submission.problems else f"nothing in {place}"
        )
    tests = _public_tests(root, place, part)
    wanted = batch.exercise_ids(part, only or ())
    with _bar(len(wanted) or len(part.exercises), "checking") as advance:
        report = batch.check(
            rules, part, submission, tests, wanted, lambda _, name: advance(name), spawn
        )
    out.print(check_table(report))
    _print_problems(report)
    passed = sum(e.outcome is Outcome.PASSED for e in report.exercises)
    total = len(report.exercises)
    out.print(
        f"\n[bold]{passed} of {total}[/bold] exercises pass their public tests. "
        "Grading uses other, hidden tests with new inputs."
    )
    if passed < total:
        raise typer.Exit(ExitCode.FOUND)


@app.command(epilog="Example: autograder submit s1 --student ada -o handin/")
def submit(
    session: SessionName,
    folder: Annotated[
        Path | None,
        typer.Argument(help="Your modules; by default the session's folder in assignments/."),
    ] = None,
    student: Annotated[str | None, typer.Option(help="Your id; by default your user name.")] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="Where the zip goes.")] = Path(),
    course: CourseOption = None,
) -> None:
    """Pack your modules of a session into one zip with a manifest of hashes."""
    root, rules = _course(course)
    part = rules.session(session)
    if part.kind == "project":
        raise AutograderError(
            f"{part.id} is handed in as a pull request: model.onnx and card.yaml in entries/TEAM/"
        )
    place = folder if folder is not None else root / "assignments" / part.folder
    packed = pack(part, place, output, getpass.getuser() if student is None else student)
    for warning in packed.warnings:
        err.print(f"[yellow]warning:[/yellow] {escape(warning)}")
    out.print(f"Wrote {packed.path}. Hand in this file.", highlight=False, soft_wrap=True)


@app.command(epilog="Example: autograder grade s1 submissions/ -o results/ --jobs 2")
def grade(
    session: SessionName,
    submissions: Annotated[
        Path, typer.Argument(help="A folder with one folder or archive a student, or one of them.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The results folder.")],
    jobs: Annotated[
        int, typer.Option("--jobs", "-j", min=1, help="Submissions graded at the same time.")
    ] = max(1, os.cpu_count() or 1),
    only: OnlyOption = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue: keep what is already graded.")
    ] = False,
    require_isolation: IsolationOption = "process",
    spawn: SpawnOption = False,
    course: CourseOption = None,
) -> None:
    """Grade a folder of submissions with the hidden graders."""
    _, rules = _course(course)
    part = rules.session(session)
    options = batch.Options(
        jobs=jobs,
        only=batch.exercise_ids(part, only or ()),
        resume=resume,
        spawn=spawn,
        require_isolation=_level(require_isolation),
    )
    collected = collect(submissions, part, rules.limits.archive)
    for line in collected.errors:
        err.print(f"[yellow]note:[/yellow] {escape(line)}", highlight=False)
    results = batch.ResultsFolder(output)
    with _bar(len(collected.submissions), "grading") as advance:
        reports = batch.grade(
            rules,
            part,
            collected,
            results,
            options,
            lambda *_: None,
            lambda report: advance(clean_line(report.student, 24)),
        )
    out.print(class_table(reports, out.width))
    _print_page(output)
    broken = [report.student for report in reports if report.has_tool_error]
    if broken:
        names = ", ".join(clean_line(name, 24) for name in broken[:5])
        err.print(f"[red]tool errors[/red] ({escape(names)}): grade again with --resume")
        raise typer.Exit(ExitCode.PARTIAL)


@app.command(epilog="Example: autograder report results/")
def report(
    results: Annotated[Path, typer.Argument(help="A results folder that `grade` wrote.")],
    course: CourseOption = None,
) -> None:
    """Make the pages and the CSV of a results folder again from its records."""
    _, rules = _course(course)
    folder = batch.ResultsFolder(results)
    reports = folder.load()
    if not reports:
        raise AutograderError(f"no reports in {folder.reports}")
    part = rules.session(reports[0].session)
    reports = [batch.with_lateness(r, rules, part, r.lateness.submitted_at) for r in reports]
    for each in reports:
        folder.keep(each, rules.title, part.title)
    folder.summarise(reports, rules, part)
    out.print(class_table(reports, out.width))
    out.print(
        f"\nClass page: {(results / 'index.html').resolve()}", highlight=False, soft_wrap=True
    )


@app.command("release", epilog="Example: autograder release --check")
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
    root, rules = _course(course)
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
        raise typer.Exit(ExitCode.FOUND)
    out.print(f"{target} is in sync", highlight=False, soft_wrap=True)


@app.command(
    epilog="Example: autograder score model.onnx --dataset digits. Exit code 1 if the file is "
    "refused or below the gate."
)
def score(
    model: Annotated[Path, typer.Argument(help="The ONNX file.")],
    card: Annotated[
        Path | None, typer.Option(help="By default card.yaml beside the model.")
    ] = None,
    dataset: DatasetOption = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Folder for the record (.json) and a page (.md)."),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(min=0, max=2**63 - 1, help="Repeat a score: the seed that its record names."),
    ] = None,
    brief: Annotated[bool, typer.Option("--brief", help="Print the verdict only.")] = False,
    require_isolation: IsolationOption = "process",
    course: CourseOption = None,
) -> None:
    """Measure a final project from its file: accuracy, parameters, bits, operations, costs."""
    _, rules = _course(course)
    project = _project(rules)
    from autograder.project import scorer  # imports torch, which other commands do without

    required = _level(require_isolation)
    content = scorer.read_model(model, project.max_bytes)
    about = read_card(card if card is not None else model.with_name("card.yaml"))
    name = _dataset(project, dataset, about)
    if output is not None:
        check_writable(output)  # before minutes of work
    with err.status("scoring") as status:
        found = scorer.score(
            content,
            about,
            name,
            project,
            require_isolation=required,
            seed=seed,
            progress=status.update,
        )
    out.print(terminal(found, brief))
    if output is not None:
        written = store.keep(found, output)
        out.print(f"Record: {written}", highlight=False, soft_wrap=True)
    if not found.valid:
        raise typer.Exit(ExitCode.FOUND)


@app.command(epilog="Example: autograder leaderboard scores/")
def leaderboard(
    scores: Annotated[Path, typer.Argument(help="A folder with the records that `score` wrote.")],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Where the pages go; by default the same folder."),
    ] = None,
    course: CourseOption = None,
) -> None:
    """Rank the final projects: a page and a table from score records alone."""
    _, rules = _course(course)
    project = _project(rules)
    if not scores.is_dir():
        raise AutograderError(f"{scores}: there is no such folder")
    entries = []
    for path, found in store.load(scores, project):
        if isinstance(found, Score):
            entries.append(found)
        else:
            err.print(f"[yellow]note:[/yellow] {escape(f'{path.name}: {found}')}", highlight=False)
    if not entries:
        raise AutograderError(f"{scores}: no score records in it")
    ranked = boards(entries, project.costs)
    target = writable_folder(output if output is not None else scores)
    write(target / "leaderboard.md", leaderboard_markdown(ranked, rules.title))
    page = target / "leaderboard.html"
    write(page, leaderboard_page(ranked, rules.title))
    for board in ranked:
        out.print(leaderboard_table(board))
    out.print(f"\nLeaderboard: {page.resolve()}", highlight=False, soft_wrap=True)


BaseArgument = Annotated[str, typer.Argument(help="Commit of the default branch, in full.")]
HeadArgument = Annotated[str, typer.Argument(help="Commit of the pull request, in full.")]
RepositoryOption = Annotated[Path, typer.Option(help="The git repository that has both commits.")]


@app.command(
    "pull-request",
    epilog="Example: autograder pull-request BASE HEAD --artefact artefact/ "
    "--records scores/ --answer answer/. Exit code 1 if it is no valid entry.",
)
def pull_request(
    base: BaseArgument,
    head: HeadArgument,
    artefact: Annotated[Path, typer.Option(help="What stage one handed over.")],
    records: Annotated[Path, typer.Option(help="Where score records are kept.")],
    answer: Annotated[Path, typer.Option(help="Folder for state, summary and comment.md.")],
    repository: RepositoryOption = Path(),
    dataset: DatasetOption = None,
    require_isolation: IsolationOption = "process",
    course: CourseOption = None,
) -> None:
    """Check a final project's pull request: compare the artefact with the commit, and score it."""
    _, rules = _course(course)
    project = _project(rules)
    from autograder.project import scorer

    required = _level(require_isolation)
    writable_folder(answer)
    try:
        entry, model, text = pull_requests.verify(
            pull_requests.Repository(repository), base, head, artefact, project.max_bytes
        )
        card = parse_card(text, entry.card.path)
        if card.team != entry.team:
            raise SubmissionError(f"{entry.card.path}: team is {card.team!r}, not {entry.team!r}")
        name = _dataset(project, dataset, card)
        with err.status("scoring") as status:
            found = scorer.score(
                model, card, name, project, require_isolation=required, progress=status.update
            )
    except SubmissionError as error:
        said = pull_requests.refusal(error)
    else:
        earlier = [
            each
            for _, each in store.load(records, project)
            if isinstance(each, Score)
            and (each.team, each.dataset) == (entry.team, name)
            and each.valid
        ]
        said = pull_requests.answer(found, earlier, project.costs[0])
        store.keep(found, records)
    for file, content in (
        ("state", said.state),
        ("summary", said.summary),
        ("comment.md", said.comment),
    ):
        write(answer / file, content)
    out.print(f"{said.state}: {said.summary}", markup=False, highlight=False, soft_wrap=True)
    if said.state != "success":
        raise typer.Exit(ExitCode.FOUND)


@app.command("doctor", epilog="Example: autograder doctor")
def doctor_command() -> None:
    """Show what this machine can run and enforce."""
    for renderable in doctor.tables(doctor.examine()):
        out.print(renderable)
        out.print()


def main() -> None:
    """Entry point: turns every error that a person is meant to read into one line."""
    try:
        code = app(standalone_mode=False)
    except AutograderError as error:
        err.print(f"[red]error:[/red] {escape(str(error))}", highlight=False, soft_wrap=True)
        sys.exit(error.exit_code)
    except typer.Exit as error:
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        err.print("interrupted; what is graded is kept, continue with --resume")
        sys.exit(130)
    except Exception as error:
        show = getattr(error, "show", None)  # click's own usage errors
        if show is None:
            raise
        show()
        sys.exit(ExitCode.USAGE)
    sys.exit(code or 0)


def _course(path: Path | None) -> tuple[Path, Course]:
    """The course's root folder and rules."""
    if path is None:
        here = Path.cwd()
        found = [folder / COURSE_FILE for folder in (here, *here.parents)]
        path = next((each for each in found if each.is_file()), None)
        if path is None:
            raise AutograderError(
                f"no {COURSE_FILE} here or above; run inside the course or --course"
            )
    return path.resolve().parent, load_course(path)


def _project(rules: Course) -> FinalProject:
    if rules.final_project is None:
        raise AutograderError("course.yaml has no final_project")
    return rules.final_project


def _dataset(project: FinalProject, option: str | None, card: Card) -> DatasetName:
    """The data set that the option names, else the card, else the course's first."""
    name = card.dataset if option is None else option
    for known in project.datasets:
        if name in (known, None):
            return known
    expected = f"expected one of {', '.join(project.datasets)}"
    if option is None:
        raise SubmissionError(f"card.yaml: dataset: {expected}, got {name}")
    raise AutograderError(f"--dataset {name}: {expected}")


def _public_tests(root: Path, place: Path, session: Session) -> Path:
    """Public tests beside the student's modules, else those of the course."""
    candidates = (place / "tests", root / "assignments" / session.folder / "tests")
    for folder in candidates:
        if folder.is_dir():
            return folder
    raise AutograderError(f"no public tests in {candidates[0]} or {candidates[1]}")


def _level(text: str) -> Level:
    for level in LEVELS:
        if level == text:
            return level
    raise AutograderError(f"--require-isolation {text}: expected one of {', '.join(LEVELS)}")


def _print_page(results: Path) -> None:
    page = (results / "index.html").resolve()
    out.print(f"\nClass page: {page}", highlight=False, soft_wrap=True)


def _print_problems(report: Report) -> None:
    for problem in report.problems:
        err.print(f"[yellow]note:[/yellow] {escape(problem)}", highlight=False)


@contextmanager
def _bar(total: int, verb: str) -> Iterator[_Advance]:
    """A progress bar on standard error, gone when the work is done."""
    columns = (
        TextColumn(verb),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.description}", markup=False),
    )
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as progress:
        yield _Advance(progress, total)


class _Advance:
    """Moves a progress bar on by one and shows what it is at."""

    def __init__(self, progress: Progress, total: int) -> None:
        self._progress = progress
        self._task = progress.add_task("", total=total)

    def __call__(self, description: str) -> None:
        self._progress.update(self._task, advance=1, description=description)
