"""How a test ended: from the exception that it raised to an outcome and its texts."""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from pathlib import Path

import pytest

from autograder.course.names import EXERCISE_ID
from autograder.engine.job import GRADER_FAULT
from autograder.graders.toolkit import Failure
from autograder.graders.toolkit.failures import StudentError, StudentFailure
from autograder.records import Outcome
from autograder.text_safety import clean_line

MAX_FAULT_TEXT = 200

Explanation = tuple[Outcome, str, str]
"""Outcome, sentence for the student, detail for the teaching assistant."""


def explain(error: BaseException | None, exercise_id: str) -> Explanation:
    """What became of a test whose student code was called, or that failed by a check."""
    if error is None:
        return Outcome.PASSED, "", ""
    if isinstance(error, Failure | AssertionError):
        return Outcome.FAILED, str(error), ""
    if isinstance(error, StudentError) and error.kind == "NotImplementedError":
        if error.text in ("", exercise_id):
            return Outcome.BLANK, "not written yet", ""
        if EXERCISE_ID.fullmatch(error.text):  # torch raises it too, with other words
            return Outcome.BLOCKED, f"needs {error.text}, which is not written yet", error.detail
    if isinstance(error, StudentFailure):
        return error.outcome, str(error), error.detail
    return Outcome.FAILED, "returned something that the check cannot work with", _trace(error)


def is_graders_fault(error: BaseException | None, requests: int) -> bool:
    """Whether a test failed by itself: before it asked for anything of the student's."""
    theirs = Failure | AssertionError | StudentFailure
    return error is not None and requests == 0 and not isinstance(error, theirs)


def explain_fault(error: BaseException, item: pytest.Item, graders: Sequence[str]) -> Explanation:
    """A fault of ours, to be repaired before anything is graded again."""
    line = locate(error, graders, f"{item.path}:{(item.location[1] or 0) + 1}")
    message = "this check is faulty; your course staff has to repair it and to grade again"
    advice = "grading again does not help before it is repaired"
    return Outcome.TOOL_ERROR, message, f"{GRADER_FAULT}{line} ({advice})\n{_trace(error)}"


def locate(error: BaseException, graders: Sequence[str], default: str = "") -> str:
    """`file:line: exception` of an error: the last place in the graders' own files.

    `default` is the place to name where the graders' files have no part in it.
    """
    if isinstance(error, pytest.Collector.CollectError) and error.__cause__ is not None:
        error = error.__cause__
    roots = [Path(path).resolve() for path in graders]
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if any(Path(f.filename).is_relative_to(root) for root in roots)]
    if isinstance(error, SyntaxError) and error.filename:
        place = f"{error.filename}:{error.lineno}"
    elif own or (frames and not default):
        place = f"{(own or frames)[-1].filename}:{(own or frames)[-1].lineno}"
    else:
        place = default
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    return clean_line(f"{place}: {type(error).__name__}: {text}", MAX_FAULT_TEXT + len(place))


def _trace(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))
