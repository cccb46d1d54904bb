"""Feedback as plain text, and the tables that the command line prints with rich."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence

from rich.table import Table
from rich.text import Text

from autograder.records import ExerciseResult, FeedbackLevel, Outcome, Report
from autograder.records.measurement import Score
from autograder.reports.disclosure import EVERYTHING, Shown, disclosed, wording
from autograder.reports.score import figures, verdict
from autograder.reports.view import (
    GLYPH,
    GUARD_NOTE,
    LINE_LIMIT,
    NAME_LIMIT,
    QUIET,
    CheckView,
    ExerciseView,
    ModuleView,
    by_student,
    calls_line,
    duration,
    exercises_of,
    isolation_line,
    late_policy_note,
    memory,
    modules_of,
    moment,
    number,
    penalty_line,
    percent,
    quantity,
    stopped_first,
)
from autograder.text_safety import clean, clean_line

_WIDTH = 80
_WIDE = 120  # columns from which a table has room for cost and isolation
_NUMBERS, _LOOK = 17, 14  # columns that points and lateness, and what needs a look, take at least

# rich styles; the word or the glyph is always printed as well
STYLE = {
    Outcome.PASSED: "green",
    Outcome.PARTIAL: "yellow",
    Outcome.FAILED: "red",
    Outcome.BLANK: "dim",
    Outcome.CRASHED: "magenta",
    Outcome.TIMED_OUT: "magenta",
    Outcome.OUT_OF_MEMORY: "magenta",
    Outcome.REFUSED: "bold red",
    Outcome.BLOCKED: "cyan",
    Outcome.MISSING: "dim",
    Outcome.NOT_MARKED: "blue",
    Outcome.TOOL_ERROR: "bold blue",
}


# ---- plain text --------------------------------------------------------------------------------


def student_text(report: Report, shown: Shown = EVERYTHING) -> str:
    """The student's feedback as plain text of 80 columns: no escape sequences, no markup.

    A hint keeps its line breaks, every line of it indented, so that it cannot pass for a line
    of the report itself.
    """
    isolation = isolation_line(report, shown.level is FeedbackLevel.VERDICTS)
    told, report = wording(report, shown), disclosed(report, shown.level)
    modules = stopped_first(modules_of(report, "student"))
    lines = [*_head(report, shown.level is not FeedbackLevel.NOTHING), ""]
    for module in modules:
        lines += [*_module(module), ""]
    if report.score is not None:
        lines += [*_measured(report.score), ""]
    if any(exercise.has_guard for module in modules for exercise in module.exercises):
        lines += [*_wrapped(GUARD_NOTE), ""]
    lines += [*_wrapped(told), "", *_wrapped(isolation)]
    return "\n".join(lines) + "\n"


def _head(report: Report, with_points: bool) -> list[str]:
    course = f"{clean_line(report.course, NAME_LIMIT)}: {clean_line(report.session, NAME_LIMIT)}"
    lines = [*_wrapped(course), *_wrapped(clean_line(report.student, NAME_LIMIT)), ""]
    if with_points:
        lines.append(f"{number(report.points)} of {number(report.maximum)} points")
    lines += _wrapped(penalty_line(report)) + _wrapped(late_policy_note(report))
    if report.lateness.submitted_at:
        due = f", due {moment(report.lateness.due)}" if report.lateness.due else ""
        lines += _wrapped(f"Submitted {moment(report.lateness.submitted_at)}{due}")
    if report.has_tool_error:
        lines += _wrapped("A fault of the grader touched this result; it will be graded again.")
    for problem in report.problems:
        lines += _wrapped(clean_line(problem, LINE_LIMIT), "Note: ", "      ")
    return lines


def _measured(score: Score) -> list[str]:
    """Quantity, value and remark of everything that was measured of a final project."""
    lines = [*_wrapped(f"{score.dataset}: {verdict(score)}"), "-" * _WIDTH]
    for name, value, remark in figures(score):
        lines += _wrapped(f"{name:<22}{value:>20}  {remark}".rstrip(), rest=" " * 44)
    return lines


def _module(module: ModuleView) -> list[str]:
    lines = [_spread(module.name, _of(module.points, module.maximum)), "-" * _WIDTH]
    for exercise in module.exercises:
        lines += _exercise(exercise)
    return lines


def _exercise(exercise: ExerciseView) -> list[str]:
    extra = " (extra credit)" if exercise.extra_credit else ""
    lines = [
        _spread(
            f"{exercise.outcome:<15}{exercise.title}{extra}",
            _of(exercise.points, exercise.maximum),
        )
    ]
    lines += _wrapped(exercise.mark, "    ", "      ")
    if exercise.outcome in QUIET:
        return lines
    lines += _wrapped(calls_line(exercise), "    ", "      ")
    for check in exercise.checks:
        lines += _check(check)
    if exercise.hidden:
        lines += _wrapped(str(exercise.hidden), "    ", "    ")
    return lines


def _check(check: CheckView) -> list[str]:
    share = f" {percent(check.credit)}" if check.outcome is Outcome.PARTIAL else ""
    mark = " (guard)" if check.counted and check.guard else ""
    mark = mark if check.counted else " (guard, not counted yet)"
    if check.essential and check.outcome is not Outcome.PASSED:
        mark = " (essential: at most half of the points without it)"
    lines = _wrapped(f"{check.outcome}{share}: {check.title}{mark}", "    ", "      ")
    for line in [] if check.repeated else check.hint.splitlines():
        lines += _wrapped(line, "      | ", "      | ")
    return lines


def _wrapped(text: str, first: str = "", rest: str = "") -> list[str]:
    return textwrap.wrap(text, _WIDTH, initial_indent=first, subsequent_indent=rest)


def _spread(left: str, right: str) -> str:
    """`left` cut so that `right` ends at the last column, at least two blanks between them."""
    room = max(_WIDTH - len(right) - 2, 1)
    return f"{clean(left, room):<{room}}  {right}"


def _of(points: float, maximum: float) -> str:
    return f"{number(points)} of {number(maximum)}"


# ---- tables for rich -----------------------------------------------------------------------------


def class_table(reports: Sequence[Report], width: int = _WIDTH) -> Table:
    """One row per student: points, a strip with one glyph per exercise, what needs a look.

    From 120 columns (`width` of the console) on, isolation, seconds and memory are shown too; below
    80 what needs a look stands under the name. Names are folded, never cut.
    """
    ids = [exercise.id for exercise in exercises_of(reports)]
    narrow = width < _WIDTH
    room = width - len(ids) - _NUMBERS - (0 if narrow else _LOOK)
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("Student", max_width=min(max(room, 12), 32), overflow="fold")
    table.add_column("Points", justify="right", no_wrap=True, min_width=6)
    table.add_column("Late", justify="right", no_wrap=True, min_width=6)
    table.add_column("Exercises", overflow="fold", min_width=min(len(ids), max(width // 2, 9)))
    if width >= _WIDE:
        table.add_column("Isolation", no_wrap=True)
        table.add_column("Student code", justify="right", no_wrap=True)
        table.add_column("Grader", justify="right", no_wrap=True)
        table.add_column("Memory", justify="right", no_wrap=True)
    if not narrow:
        table.add_column("To look at", ratio=1, overflow="fold")
    for report in by_student(reports):
        name, look = Text(clean_line(report.student, NAME_LIMIT)), Text(_to_look_at(report))
        under = Text("\n").append(look) if narrow and look else Text()
        table.add_row(
            name + under,
            number(report.points),
            _late(report),
            _strip(report.exercises, ids),
            *(_cost(report) if width >= _WIDE else []),
            *([] if narrow else [look]),
        )
    return table


def late_policy_line(reports: Sequence[Report]) -> str:
    """For how many submissions the late policy was not applied; empty if it was for all."""
    unknown = sum(report.lateness.unknown for report in reports)
    if not unknown:
        return ""
    return (
        f"the late policy was not applied to {quantity(unknown, 'submission')}: "
        "no time of submission is known; give them with --times"
    )


def _late(report: Report) -> str:
    if report.lateness.unknown:
        return "?"
    return f"−{percent(report.lateness.penalty)}" if report.lateness.penalty > 0 else ""


def _cost(report: Report) -> list[Text]:
    usage = report.usage
    other = max(usage.seconds - usage.student_seconds, 0.0)
    return [
        Text(clean_line(report.isolation.level, 16)),
        Text(duration(usage.student_seconds)),
        Text(duration(other)),
        Text(memory(usage.peak_memory_bytes)),
    ]


def _strip(exercises: Iterable[ExerciseResult], ids: Sequence[str]) -> Text:
    outcomes = {exercise.id: exercise.outcome for exercise in exercises}
    strip = Text()
    for exercise_id in ids:
        outcome = outcomes.get(exercise_id)
        strip.append(GLYPH[outcome] if outcome else " ", STYLE[outcome] if outcome else "")
    return strip


def _to_look_at(report: Report) -> str:
    notes = [*(["grade again"] if report.has_tool_error else []), *report.incidents]
    if report.unmarked:
        notes.append(f"{report.unmarked} not marked")
    if report.problems:
        notes.append(quantity(len(report.problems), "problem"))
    return clean_line("; ".join(notes), LINE_LIMIT)
