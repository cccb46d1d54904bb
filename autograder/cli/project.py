"""Commands of the final project: tidy and score a file, rank records, check a pull request."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from autograder.cli.common import (
    CourseOption,
    DatasetOption,
    IsolationOption,
    SpawnOption,
    dataset_option,
    err,
    isolation_level,
    note,
    open_course,
    out,
)
from autograder.errors import AutograderError, ExitCode
from autograder.files import check_writable, writable_folder, write_output
from autograder.grading import checking, scores, tidying
from autograder.grading.kinds import project_of
from autograder.integrations import pull_request as pull_requests
from autograder.project.card import NO_CARD, Card, parse_card, read_bytes
from autograder.project.context import CARD, dataset_of
from autograder.project.leaderboard import boards
from autograder.reports.leaderboard import leaderboard_markdown, leaderboard_page, leaderboard_table
from autograder.reports.score import terminal
from autograder.reports.tidy import tidy_report

NO_ENTRY = "without a card this is no entry: write card.yaml beside the model"


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command(
        epilog="Example: autograder score model.onnx --dataset digits. Exit code 1 if the file is "
        "refused or below the gate."
    )(score)
    app.command(
        epilog="Example: autograder tidy exported.onnx -o model.onnx. Exit code 1 if the scorer "
        "would still refuse the file."
    )(tidy)
    app.command(epilog="Example: autograder leaderboard scores/")(leaderboard)
    app.command(
        "pull-request",
        epilog="Example: autograder pull-request BASE HEAD --artefact artefact/ "
        "--records scores/ --answer answer/. Exit code 1 if it is no valid entry.",
    )(pull_request)


def score(
    model: Annotated[Path, typer.Argument(help="The ONNX file.")],
    card: Annotated[
        Path | None,
        typer.Option(help="By default card.yaml beside the model; without one, no entry."),
    ] = None,
    dataset: DatasetOption = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Folder for the record (.json) and a page (.md)."),
    ] = None,
    brief: Annotated[bool, typer.Option("--brief", help="Print the verdict only.")] = False,
    require_isolation: IsolationOption = "process",
    spawn: SpawnOption = False,
    course: CourseOption = None,
) -> None:
    """Measure a final project from its file: accuracy, parameters, bits, operations, costs."""
    _, rules = open_course(course)
    project = project_of(rules)
    required = isolation_level(require_isolation)
    content = read_bytes(model, project.max_bytes)
    chosen = dataset_option(rules, dataset)
    about, text = _card_of(model, card)
    dataset_of(project, chosen, about)  # a card that names no data set of the course
    if output is not None:
        if text is None:
            raise AutograderError(f"--output keeps entries, and {NO_ENTRY}")
        check_writable(output)  # before minutes of scoring
    with err.status("scoring") as status:
        report = checking.score(
            rules,
            about.team,
            content,
            text,
            dataset=chosen,
            require_isolation=required,
            progress=lambda _, step: status.update(step),
            spawn=spawn,
        )
    assert report.score is not None
    out.print(terminal(report.score, brief))
    if text is None:
        note(NO_ENTRY)
    if output is not None:
        written = scores.keep(report, output)
        out.print(f"Record: {written}", highlight=False, soft_wrap=True)
    if not report.score.valid:
        raise typer.Exit(ExitCode.PROBLEMS)


def _card_of(model: Path, option: Path | None) -> tuple[Card, bytes | None]:
    """The card and its text; no text where none was named and none lies beside the model."""
    path = option if option is not None else model.with_name(CARD)
    if option is None and not path.exists():
        return NO_CARD, None
    text = read_bytes(path, None)
    return parse_card(text, str(path)), text


def tidy(
    model: Annotated[Path, typer.Argument(help="What an exporter or a quantiser wrote.")],
    out_file: Annotated[
        Path | None, typer.Argument(metavar="[OUT]", help="As --output.", show_default=False)
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="The tidied file; by default MODEL.tidy.onnx."),
    ] = None,
    require_isolation: IsolationOption = "process",
    course: CourseOption = None,
) -> None:
    """Write an ONNX file as the scorer reads it, with the same outputs."""
    _, rules = open_course(course)
    project = project_of(rules)
    contracts = [(each.input_shape, each.classes) for each in project.datasets.values()]
    required = isolation_level(require_isolation)
    if output is not None and out_file is not None:
        raise AutograderError("give the tidied file once: OUT or --output")
    target = output or out_file or model.with_name(f"{model.stem}.tidy.onnx")
    check_writable(target.parent)
    with err.status("tidying"):
        report = tidying.tidy(model, target, contracts, required)
    out.print(tidy_report(report))
    if report.written:
        out.print(f"Wrote {target} ({report.size:,} bytes).", highlight=False, soft_wrap=True)
    if report.scorer:
        raise typer.Exit(ExitCode.PROBLEMS)


def leaderboard(
    records: Annotated[
        Path,
        typer.Argument(
            metavar="SCORES", help="A folder of records of `score`, or a results folder of `grade`."
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Where the pages go; by default the same folder."),
    ] = None,
    course: CourseOption = None,
) -> None:
    """Rank the final projects: a page and a table from records alone."""
    _, rules = open_course(course)
    project = project_of(rules)
    if not records.is_dir():
        raise AutograderError(f"{records}: there is no such folder")
    loaded = scores.load(records, project)
    for line in loaded.errors:
        note(line)
    if not loaded.reports:
        raise AutograderError(f"{records}: no score records in it")
    ranked = boards(scores.scores_of(loaded.reports), project.costs)
    target = writable_folder(output if output is not None else records)
    write_output(target / "leaderboard.md", leaderboard_markdown(ranked, rules.title))
    page = target / "leaderboard.html"
    write_output(page, leaderboard_page(ranked, rules.title))
    for board in ranked:
        out.print(leaderboard_table(board))
    out.print(f"\nLeaderboard: {page.resolve()}", highlight=False, soft_wrap=True)


BaseArgument = Annotated[str, typer.Argument(help="Commit of the default branch, in full.")]
HeadArgument = Annotated[str, typer.Argument(help="Commit of the pull request, in full.")]
RepositoryOption = Annotated[Path, typer.Option(help="The git repository that has both commits.")]


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
    _, rules = open_course(course)
    required = isolation_level(require_isolation)
    chosen = dataset_option(rules, dataset)
    writable_folder(answer)
    with err.status("scoring") as status:
        reply = pull_requests.check(
            rules,
            pull_requests.Commits(pull_requests.Repository(repository), base, head),
            artefact,
            records,
            dataset=chosen,
            require_isolation=required,
            progress=lambda _, step: status.update(step),
        )
    for file, content in (
        ("state", reply.state),
        ("summary", reply.summary),
        ("comment.md", reply.comment),
    ):
        write_output(answer / file, content)
    out.print(f"{reply.state}: {reply.summary}", markup=False, highlight=False, soft_wrap=True)
    if reply.state != "success":
        raise typer.Exit(ExitCode.PROBLEMS)
