"""What a student may read of one exercise, as lines of plain text for other platforms' pages."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from autograder.records import ExerciseResult, Outcome, Report, TestResult, Visibility
from autograder.reports.view import QUIET, CheckView, calls_line, modules_of


def exercise_lines(
    report: Report, result: ExerciseResult, shown: Visibility = Visibility.VISIBLE
) -> list[str]:
    """Outcome, checks and hints of one exercise, where checks of visibility `shown` are shown.

    `result` may have fewer tests than the report's own result of that exercise.
    """
    tests = tuple(_as_visible(test, shown) for test in result.tests)
    others = tuple(e if e.id != result.id else replace(e, tests=tests) for e in report.exercises)
    lines = [str(result.outcome)]
    if result.outcome in QUIET:
        return lines
    for module in modules_of(replace(report, exercises=others), "student"):
        for exercise in module.exercises:
            if exercise.id == result.id:
                lines += filter(None, (exercise.mark, calls_line(exercise)))
                lines += [line for check in exercise.checks for line in _check(check)]
                lines += [str(exercise.hidden)] if exercise.hidden else []
    return lines


def _as_visible(test: TestResult, shown: Visibility) -> TestResult:
    return replace(test, visibility=Visibility.VISIBLE) if test.visibility is shown else test


def _check(check: CheckView) -> Iterator[str]:
    share = f" {check.credit:.0%}" if check.outcome is Outcome.PARTIAL else ""
    remark = "" if check.counted else " (not counted yet)"
    if check.essential and check.outcome is not Outcome.PASSED:
        remark = " (essential: at most half of the points without it)"
    yield f"{check.outcome}{share}: {check.title}{remark}"
    if not check.repeated:
        yield from (f"    {line}" for line in check.hint.splitlines())
