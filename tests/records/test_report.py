"""Points of a report: sums, cents, what counts towards the maximum, and what is not marked yet."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autograder.records import ExerciseResult, Lateness, Mark, Outcome, Report, TestResult, Usage
from tests.support import ROOT


def result(points: float, maximum: float = 100, **fields: object) -> ExerciseResult:
    made = ExerciseResult("s1.x", "X", "work", Outcome.PARTIAL, points, maximum)
    return replace(made, **fields)  # type: ignore[arg-type]


def report(*results: ExerciseResult, penalty: float = 0.0) -> Report:
    return Report("c", "s1", "ada", "ada", "", results, lateness=Lateness(penalty=penalty))


def test_a_test_counts_once_and_earns_nothing_unless_it_says_so() -> None:
    plain = TestResult("t", "T", Outcome.PARTIAL)
    assert (plain.credit, plain.weight, plain.guard) == (0, 1, False)
    assert (plain.seconds, plain.student_seconds) == (0, 0)


def test_a_result_is_the_graders_unless_it_says_so() -> None:
    plain = result(3)
    assert (plain.extra_credit, plain.by_hand, plain.mark, plain.earned) == (False, False, None, 3)


@pytest.mark.parametrize("points", [0.0, 2.0, 9.0])
def test_a_mark_replaces_the_points(points: float) -> None:
    assert result(3, mark=Mark(points)).earned == points


def test_points_are_summed_with_marks_and_the_graders_without() -> None:
    graded = report(result(3), result(5, mark=Mark(1)), result(0, by_hand=True, mark=Mark(20)))
    assert (graded.raw_points, graded.automatic_points) == (24, 8)


def test_sums_are_rounded_to_cents() -> None:
    graded = report(result(0.104), result(0.204), result(0.304))  # 0.612
    assert (graded.raw_points, graded.automatic_points) == (0.61, 0.61)
    assert report(result(0, 0.104), result(0, 0.204), result(0, 0.304)).maximum == 0.61
    assert report(result(0.1), result(0.2)).raw_points == 0.3  # and no more digits than that


def test_the_penalty_is_a_share_of_all_points() -> None:
    assert report(result(80), penalty=0.0).points == 80
    assert report(result(80), penalty=0.25).points == 60
    assert report(result(80), penalty=1.0).points == 0
    assert report(result(33.33), penalty=0.1).points == 30.0  # 29.997
    assert report(result(33.31), penalty=0.1).points == 29.98  # 29.979


@given(st.lists(st.floats(0, 100), max_size=5), st.floats(0, 1))
def test_nobody_loses_more_than_everything(points: list[float], penalty: float) -> None:
    graded = report(*map(result, points), penalty=penalty)
    assert 0 <= graded.points <= graded.raw_points == round(sum(points), 2)


def test_extra_credit_earns_and_is_not_part_of_the_maximum() -> None:
    graded = report(result(50, 60), result(5, 10, extra_credit=True), result(10, 40))
    assert (graded.maximum, graded.raw_points) == (100, 65)


def test_exercises_that_wait_for_a_mark_are_counted() -> None:
    waiting = result(0, outcome=Outcome.NOT_MARKED)
    assert report().unmarked == 0
    graded = report(result(1), waiting, waiting, result(2), result(0, outcome=Outcome.FAILED))
    assert graded.unmarked == 2


@pytest.mark.parametrize("outcome", Outcome)
def test_only_a_fault_of_ours_is_a_tool_error(outcome: Outcome) -> None:
    graded = report(result(1), result(0, outcome=outcome))
    assert graded.has_tool_error == (outcome is Outcome.TOOL_ERROR)


@pytest.mark.parametrize(
    ("policy", "due", "submitted", "is_unknown"),
    [
        ("cut_off", "2027-01-25", None, True),
        ("none", "2027-01-25", None, False),
        ("cut_off", None, None, False),
        ("cut_off", "2027-01-25", "2027-01-26", False),
    ],
)
def test_a_penalty_is_unknown_where_a_policy_meets_no_time(
    policy: str, due: str | None, submitted: str | None, is_unknown: bool
) -> None:
    assert Lateness(submitted, due, policy=policy).unknown == is_unknown


def test_nothing_is_late_and_costs_nothing_by_default() -> None:
    assert Lateness() == Lateness(None, None, 0, 0, "none")
    assert Usage() == Usage(0, 0, 0, 0)


def test_the_version_of_the_written_form_is_the_documented_one() -> None:
    page = (ROOT / "docs" / "report-schema.md").read_text("utf-8")
    assert f"| `schema_version` | integer | {report().schema_version} |" in page
