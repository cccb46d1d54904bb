"""Credit becomes points in one place; these are its rules."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autograder.course import CourseExercise
from autograder.course.schema import Module
from autograder.records import Outcome, TestResult
from autograder.records.points import earned_share, exercise_outcome, exercise_result


def result(outcome: Outcome, weight: float = 1, credit: float = 0, guard: bool = False):
    return TestResult("t", "T", outcome, credit=credit, weight=weight, guard=guard)


tests = st.lists(
    st.builds(
        result,
        st.sampled_from(Outcome),
        st.floats(0.1, 10),
        st.floats(0, 1),
        st.booleans(),
    ),
    min_size=1,
    max_size=6,
)


@given(tests)
def test_points_lie_between_zero_and_the_maximum(results: list[TestResult]) -> None:
    exercise = exercise_result(CourseExercise(id="s1.x", title="X", points=7), results)
    assert 0 <= exercise.points <= 7
    assert (exercise.outcome is Outcome.PASSED) <= (exercise.points == 7)


@given(tests)
def test_only_passed_and_partial_earn(results: list[TestResult]) -> None:
    if not any(t.outcome in (Outcome.PASSED, Outcome.PARTIAL) for t in results):
        assert earned_share(results) == 0


def test_weights_are_shares() -> None:
    results = [result(Outcome.PASSED, 3), result(Outcome.FAILED, 1)]
    assert earned_share(results) == 0.75


def test_partial_credit_counts_by_its_share() -> None:
    results = [result(Outcome.PARTIAL, 1, 0.25), result(Outcome.PASSED, 1)]
    assert earned_share(results) == 0.625


@pytest.mark.parametrize(
    ("outcome", "credit", "weight", "expected"),
    [
        (Outcome.PASSED, 0, 1, 1.0),
        (Outcome.FAILED, 0, 1, 0.5),
        (Outcome.PARTIAL, 0.9, 1, 0.5),
        (Outcome.FAILED, 0, 27, 0.25),
        (Outcome.CRASHED, 0, 1, 0.5),
    ],
)
def test_without_an_essential_check_at_most_half_is_earned(
    outcome: Outcome, credit: float, weight: float, expected: float
) -> None:
    results = [
        result(Outcome.PASSED, 9),
        dataclasses.replace(result(outcome, weight, credit), essential=True),
    ]
    assert earned_share(results) == pytest.approx(expected)


def test_guards_alone_earn_nothing() -> None:
    results = [result(Outcome.PASSED, 5, guard=True), result(Outcome.FAILED)]
    assert earned_share(results) == 0
    assert exercise_outcome(results) is Outcome.FAILED


def test_guards_count_beside_a_value_check() -> None:
    results = [result(Outcome.PASSED, 5, guard=True), result(Outcome.PARTIAL, 5, 0.5)]
    assert earned_share(results) == 0.75


@pytest.mark.parametrize("weight", [0.01, 0.5, 1, 7])
def test_what_a_single_check_weighs_does_not_matter(weight: float) -> None:
    assert earned_share([result(Outcome.PASSED, weight)]) == 1
    assert earned_share([result(Outcome.PARTIAL, weight, 0.25)]) == 0.25


def test_checks_without_weight_earn_nothing() -> None:
    assert earned_share([result(Outcome.PASSED, 0)]) == 0
    assert earned_share([]) == 0


@pytest.mark.parametrize(
    ("credit", "share"), [(-1, 0), (0, 0), (0.75, 0.75), (1, 1), (1.5, 1), (40, 1)]
)
def test_partial_credit_is_a_share(credit: float, share: float) -> None:
    assert earned_share([result(Outcome.PARTIAL, 1, credit)]) == share


def test_points_are_rounded_to_cents() -> None:
    exercise = CourseExercise(id="s1.x", title="X", points=10)
    third = [result(Outcome.PASSED, 1), result(Outcome.FAILED, 2)]
    assert exercise_result(exercise, third).points == 3.33
    assert exercise_result(exercise, [result(Outcome.PARTIAL, 1, 0.66666)]).points == 6.67


def test_an_exercise_keeps_what_the_course_says_of_it() -> None:
    (exercise,) = Module(
        file="work.py",
        exercises=(CourseExercise(id="s1.x", title="X", points=7, extra_credit=True),),
    ).exercises
    made = exercise_result(exercise, [result(Outcome.PASSED)])
    assert (made.id, made.title, made.module) == ("s1.x", "X", "work")
    assert (made.points, made.maximum, made.extra_credit) == (7, 7, True)
    assert made.tests == (result(Outcome.PASSED),)


GRAVEST_FIRST = (
    "tool error, refused, out of memory, timed out, crashed, blocked, failed, blank, missing"
)


def test_without_credit_the_gravest_reason_is_the_word() -> None:
    order = [Outcome(name) for name in GRAVEST_FIRST.split(", ")]
    for place, grave in enumerate(order):
        for other in order[place:]:
            assert exercise_outcome([result(other), result(grave)]) is grave


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        ([Outcome.PASSED, Outcome.PASSED], Outcome.PASSED),
        ([Outcome.PASSED, Outcome.FAILED], Outcome.PARTIAL),
        ([Outcome.BLANK, Outcome.BLANK], Outcome.BLANK),
        ([Outcome.BLANK, Outcome.FAILED], Outcome.FAILED),
        ([Outcome.FAILED, Outcome.CRASHED], Outcome.CRASHED),
        ([Outcome.REFUSED, Outcome.CRASHED], Outcome.REFUSED),
        ([Outcome.PASSED, Outcome.TOOL_ERROR], Outcome.TOOL_ERROR),
        ([], Outcome.TOOL_ERROR),
    ],
)
def test_an_exercise_is_named_by_what_matters_most(
    outcomes: list[Outcome], expected: Outcome
) -> None:
    assert exercise_outcome([result(outcome) for outcome in outcomes]) is expected
