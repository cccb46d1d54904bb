"""What `check` prints of the public tests: every test that did not pass, and all that is known."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Group
from rich.padding import Padding
from rich.text import Text

from autograder.records import Outcome, Report
from autograder.reports.text import STYLE
from autograder.reports.view import (
    GLYPH,
    CheckView,
    ExerciseView,
    ModuleView,
    calls_line,
    modules_of,
    short_name,
)

_WORD = max(map(len, Outcome))
_OUTPUT_LINES = 20  # of what one test printed


def check_view(report: Report) -> Group:
    """Public tests of one student by file and function; public tests earn no points.

    Of each test that did not pass: its name and property, the hint, for a wrong value the call and
    what was expected, and what the code printed. Lines are folded, never cut, at any width.
    """
    return Group(*(part for module in modules_of(report, "student") for part in _module(module)))


def _module(module: ModuleView) -> Iterator[Padding]:
    yield _line(0, Text(f"{module.name}.py", "bold"))
    if module.cause:
        yield _line(4, Text(module.cause, STYLE[module.exercises[0].outcome]))
    for exercise in module.exercises:
        yield from _exercise(exercise, told=bool(module.cause))


def _exercise(exercise: ExerciseView, told: bool) -> Iterator[Padding]:
    outcome = f"{GLYPH[exercise.outcome]} {exercise.outcome:<{_WORD}} "
    yield _line(2, Text(outcome, STYLE[exercise.outcome]).append(short_name(exercise.id), ""))
    if told or exercise.outcome in (Outcome.PASSED, Outcome.BLANK):
        return
    if cause := calls_line(exercise, how="does not pass"):
        yield _line(6, Text(cause))
    for check in exercise.checks:
        if check.outcome is not Outcome.PASSED:
            yield from _check(check)


def _check(check: CheckView) -> Iterator[Padding]:
    yield _line(6, Text(check.name, "bold").append(f": {check.title}", "not bold"))
    for line in [] if check.repeated else check.hint.splitlines():
        yield _line(8, Text(line))
    printed = check.output.splitlines()
    for index, line in enumerate(printed[:_OUTPUT_LINES]):
        label = "printed: " if index == 0 else "         "
        yield _line(8, Text(label + line, "dim"))
    if len(printed) > _OUTPUT_LINES:
        yield _line(8, Text(f"         ({len(printed) - _OUTPUT_LINES} more lines)", "dim"))


def _line(indent: int, text: Text) -> Padding:
    text.overflow = "fold"
    return Padding(text, (0, 0, 0, indent))
