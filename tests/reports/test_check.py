"""What `check` prints: everything about the tests that did not pass, whole at every width."""

from __future__ import annotations

import io
import re
from dataclasses import replace

import pytest
from rich.console import Console

from autograder.records import ExerciseResult, Outcome, Report, TestResult
from autograder.reports.check import check_view
from autograder.reports.plain import PLAIN, plain_signs
from autograder.reports.text import class_table
from tests.reports import samples

LONG = "a_function_with_a_name_that_is_longer_than_terminals_are_wide_and_then_some_more"
WIDTHS = (60, 80, 120)


def printed(report: Report, width: int = 80) -> str:
    console = Console(width=width, file=io.StringIO())
    console.print(check_view(report))
    output = console.file
    assert isinstance(output, io.StringIO)
    return output.getvalue()


def checked(**changes: object) -> Report:
    """A public test that failed, and one that passed."""
    message = "Worth checking: halves\ncall: half(3)\nexpected: 1.5\nactual: 1"
    failed = TestResult("test_half", "Half of 3.", Outcome.FAILED, message=message, output="hello")
    tests = (replace(failed, **changes), TestResult("test_none", "Half of 0.", Outcome.PASSED, 1.0))
    exercise = ExerciseResult("s1.half", "Half", "work", Outcome.FAILED, 0.0, 9.0, tests=tests)
    return replace(samples.mixed(), exercises=(exercise,))


def test_all_that_is_known_of_a_failed_test_is_printed() -> None:
    shown = printed(checked())
    wanted = (
        "work.py",
        "half",
        "failed",
        "test_half: Half of 3.",
        "call: half(3)",
        "expected: 1.5",
        "actual: 1",
        "printed: hello",
    )
    for text in wanted:
        assert text in shown
    assert "test_none" not in shown
    assert "9" not in shown  # public tests earn no points


def test_what_to_repair_first_stands_before_the_tests() -> None:
    report = checked()
    callee = replace(report.exercises[0], id="s1.mask")
    caller = replace(report.exercises[0], id="s1.share", calls=("s1.mask",))
    shown = " ".join(printed(replace(report, exercises=(callee, caller))).split())
    assert "it calls `mask`, which does not pass: repair that first test_half" in shown


def test_one_cause_of_a_whole_file_is_said_once() -> None:
    message = "work.py cannot be imported: SyntaxError (work.py:3): invalid syntax"
    one = checked(outcome=Outcome.CRASHED, message=message).exercises[0]
    one = replace(one, outcome=Outcome.CRASHED, tests=one.tests[:1])
    shown = printed(replace(checked(), exercises=(one, replace(one, id="s1.third"))))
    assert shown.count("cannot be imported") == 1
    assert "third" in shown


@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_is_cut_at_any_width(width: int) -> None:
    report = checked(name=f"test_{LONG}", title=LONG, message=LONG, output=LONG)
    report = replace(report, exercises=(replace(report.exercises[0], id=f"s1.{LONG}"),))
    lines = printed(report, width).splitlines()
    assert all(len(line) <= width for line in lines)
    assert "".join("".join(lines).split()).count(LONG) == 5


@pytest.mark.parametrize("width", WIDTHS)
def test_the_class_table_is_whole_at_any_width(width: int) -> None:
    reports = samples.course_class(5)
    reports = [replace(reports[0], student=LONG, incidents=(LONG,)), *reports[1:]]
    console = Console(width=width, file=io.StringIO())
    console.print(class_table(reports, width))
    output = console.file
    assert isinstance(output, io.StringIO)
    lines = output.getvalue().splitlines()
    assert all(len(line) <= width for line in lines)
    for report in reports:
        assert f"{report.points:g}" in output.getvalue()
    strips = re.findall("[✓◐✗○!◷▣⊘◇–…?]", "".join(lines[1:]))
    assert len(strips) >= sum(len(report.exercises) for report in reports)


def test_every_text_has_a_plain_form_of_the_same_length() -> None:
    import codecs

    codecs.register_error(PLAIN, plain_signs)
    for text in (*samples.NASTY, "✓◐✗○!◷▣⊘◇–…?", "Çağla Müller “x” − 3 ≤ 4", "漢字"):
        kept = "".join(char for char in text if not 0xD800 <= ord(char) < 0xE000)
        plain = kept.encode("ascii", PLAIN).decode("ascii")
        assert len(plain) == len(kept)
    assert "Müller ✓".encode("ascii", PLAIN) == b"Muller +"
