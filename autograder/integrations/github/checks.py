"""Public checks of one session as GitHub shows them: annotations and the job's summary."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from autograder.course import Session
from autograder.integrations.github.commands import MAX_ANNOTATIONS, Annotation
from autograder.records import ExerciseResult, Outcome, Report
from autograder.reports.feedback import exercise_lines
from autograder.reports.score import escape_markdown
from autograder.reports.source import opening
from autograder.reports.view import GLYPH, LINE_LIMIT, QUIET, first_lines, short_name
from autograder.text_safety import clean_line

MAX_SUMMARY = 200_000  # characters; GitHub takes 1 MiB of a step
MINOR = (Outcome.PARTIAL, Outcome.BLOCKED, Outcome.MISSING)

PUBLIC = (
    "These are public checks: anybody may read them, in `tests/` beside the assignment. The points "
    "come from hidden checks with other inputs, which the course staff runs elsewhere."
)


def messages(
    report: Report, sources: Mapping[str, bytes], paths: Mapping[str, str]
) -> tuple[Annotation, ...]:
    """One message for each exercise that is wrong, at most as many of a kind as GitHub shows.

    `sources` are the student's modules by file name, `paths` where they lie in the repository; a
    module without a path gets messages without a place.
    """
    made: list[Annotation] = []
    for result in report.exercises:
        if result.outcome in QUIET:
            continue
        kind = "warning" if result.outcome in MINOR else "error"
        if sum(each.kind == kind for each in made) < MAX_ANNOTATIONS:
            made.append(_annotation(report, result, kind, sources, paths))
    return tuple(made)


def _annotation(
    report: Report,
    result: ExerciseResult,
    kind: str,
    sources: Mapping[str, bytes],
    paths: Mapping[str, str],
) -> Annotation:
    file = f"{result.module}.py"
    text = "\n".join(exercise_lines(report, result)[1:]) or str(result.outcome)
    title = f"{short_name(result.id)}: {result.outcome}"
    line = _line(result, file, sources[file]) if file in sources and file in paths else 0
    place = paths[file] if line else ""
    return Annotation("warning" if kind == "warning" else "error", title, text, place, line)


def _line(result: ExerciseResult, file: str, source: bytes) -> int:
    """Where the code stopped, else where the function begins, else the file's first line."""
    lines = source.decode("utf-8", "replace").split("\n")
    frame = re.compile(rf'^  File "{re.escape(file)}", line (\d{{1,7}})', re.MULTILINE)
    for test in result.tests:
        if test.outcome is Outcome.CRASHED and (found := frame.findall(test.detail)):
            return min(max(int(found[-1]), 1), len(lines))
    definition = opening(short_name(result.id))
    numbers = (number for number, line in enumerate(lines, start=1) if definition.match(line))
    return next(numbers, 1)


# ---- summary -------------------------------------------------------------------------------------


def headline(report: Report) -> str:
    """How many exercises pass, in one sentence."""
    passed = sum(result.outcome is Outcome.PASSED for result in report.exercises)
    return f"{passed} of {len(report.exercises)} exercises pass their public checks."


def summary(report: Report, session: Session) -> str:
    """The job's summary in Markdown, with nothing in it that means anything but text."""
    lines = [f"### {escape_markdown(session.title)}", "", f"**{headline(report)}**", "", PUBLIC, ""]
    lines += [f"- {escape_markdown(line)}" for line in first_lines(report.problems)]
    lines += ["", "| | exercise | outcome | what to look at |", "|---|---|---|---|"]
    lines += _rows(report)
    kept = "\n".join(lines) + "\n"
    return kept if len(kept) <= MAX_SUMMARY else kept[: kept.rindex("\n", 0, MAX_SUMMARY) + 1]


def _rows(report: Report) -> Iterator[str]:
    for result in report.exercises:
        quiet = result.outcome in QUIET
        looked = "" if quiet else " ".join(exercise_lines(report, result)[1:])
        cells = (
            GLYPH[result.outcome],
            clean_line(f"{short_name(result.id)}: {result.title}", LINE_LIMIT),
            str(result.outcome),
            clean_line(looked, LINE_LIMIT),
        )
        yield f"| {' | '.join(map(escape_markdown, cells))} |"


def log(report: Report) -> Iterator[str]:
    """Outcome, checks and hints of every exercise, for the step's output."""
    for result in report.exercises:
        first, *rest = exercise_lines(report, result)
        yield f"{short_name(result.id)}: {first}"
        yield from (f"    {line}" for line in rest)
    yield from (f"note: {line}" for line in first_lines(report.problems))


def paths_of(session: Session, folder: Path, repository: Path) -> dict[str, str]:
    """Where each module lies in the repository; none if `folder` is elsewhere."""
    try:
        inside = folder.resolve().relative_to(repository.resolve())
    except ValueError:
        return {}
    return {
        name: (inside / name).as_posix()
        for name in session.required_files
        if (folder / name).is_file()
    }
