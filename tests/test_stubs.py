"""Answers that answer nothing earn nothing, in any exercise."""

from __future__ import annotations

import pytest

from autograder.grading.kinds import graders_of
from autograder.records import Outcome, Report
from tests import stubs
from tests.support import grade
from tests.test_banks import SESSIONS, with_session

pytestmark = pytest.mark.slow

RIGHT_ANSWERS = {
    ("s6.build_engine", f"{fill}_of_the_right_shape"): "the solution, which it calls, refuses"
    for fill in ("zeros", "ones")
}
"""(exercise, kind of stub) -> why this stub is a right answer to some of what is asked."""


@pytest.fixture(scope="module", params=SESSIONS)
def session(request: pytest.FixtureRequest) -> str:
    """The id of a session."""
    return str(request.param)


@pytest.fixture(scope="module")
def graded(session: str) -> dict[str, Report]:
    """The reports of one session, by kind of stub."""
    known = SESSIONS[session]
    return grade(with_session(known), stubs.stubs(known), graders_of(known), jobs=2)


def test_stubs_earn_nothing(graded: dict[str, Report]) -> None:
    paid = {
        (exercise.id, kind): exercise.points
        for kind, report in graded.items()
        for exercise in report.exercises
        if exercise.points > 0 and (exercise.id, kind) not in RIGHT_ANSWERS
    }
    assert paid == {}


def test_stubs_are_run(graded: dict[str, Report]) -> None:
    """None of them earns nothing because it cannot be imported, or by a mistake in the stub."""
    assert graded.keys() == stubs.ANSWERS.keys()
    broken = [
        (kind, test.name, test.message)
        for kind, report in graded.items()
        for exercise in report.exercises
        for test in exercise.tests
        if test.outcome in {Outcome.BLANK, Outcome.MISSING, Outcome.BLOCKED, Outcome.TOOL_ERROR}
        or "cannot be imported" in test.message
        or "NameError" in test.message
    ]
    assert broken == []


def test_raising_is_no_answer(graded: dict[str, Report]) -> None:
    """Checks of bad arguments pass for who always raises ValueError, and count nothing alone."""
    tests = [test for each in graded["value_error"].exercises for test in each.tests]
    passed = [test for test in tests if test.outcome is Outcome.PASSED]
    assert passed
    assert all(test.guard for test in passed)
