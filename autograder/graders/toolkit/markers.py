"""Decorators that say what a test is about, what it counts and when a student sees it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from gradescope_utils.autograder_utils import decorators as gradescope

from autograder.records import Visibility

Grader = TypeVar("Grader", bound=Callable[..., Any])


def weight(value: float) -> Callable[[Grader], Grader]:
    """Gradescope's decorator: the test's share of its exercise's points, 1 by default."""
    return gradescope.weight(value)  # type: ignore[no-any-return]


def number(value: str) -> Callable[[Grader], Grader]:
    """Gradescope's decorator: the place of the test in its list."""
    return gradescope.number(value)  # type: ignore[no-any-return]


def visibility(value: Visibility | str) -> Callable[[Grader], Grader]:
    """Gradescope's decorator: when the student sees the test; by default the exercise's."""
    return gradescope.visibility(Visibility(value))  # type: ignore[no-any-return]


def exercise(exercise_id: str) -> Callable[[Grader], Grader]:
    """Say which exercise of course.yaml a test belongs to."""

    def mark(function: Grader) -> Grader:
        function.__exercise__ = exercise_id  # type: ignore[attr-defined]
        return function

    return mark


def guard(function: Grader) -> Grader:
    """Mark a check that a degenerate answer passes too (raises ValueError, input unchanged).

    Its weight counts only if an ordinary test of the same exercise earned credit.
    """
    function.__guard__ = True  # type: ignore[attr-defined]
    return function


def limit(seconds: float) -> Callable[[Grader], Grader]:
    """Give one test another time limit than course.yaml's `test_seconds`."""

    def mark(function: Grader) -> Grader:
        function.__seconds__ = seconds  # type: ignore[attr-defined]
        return function

    return mark


def reads_thresholds(*_names: str) -> Callable[[Grader], Grader]:
    """State which thresholds of its exercise a test reads: "name" or, in order, "lower < higher".

    Nothing happens at run time: course.yaml is compared with the source when it is read.
    """
    return lambda function: function
