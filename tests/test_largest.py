"""The largest values that a student's code can return keep no judge busy, in any exercise."""

from __future__ import annotations

import pytest

from autograder.grading.kinds import graders_of
from autograder.records import Outcome
from tests import stubs
from tests.support import grade
from tests.test_banks import SESSIONS, with_session

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("session", SESSIONS)
def test_the_largest_values_are_the_students_failure(session: str) -> None:
    """Every exercise gets some of the forms in turn; what takes long is ended."""
    course = SESSIONS[session]
    entries = stubs.stubs(course, stubs.LARGEST)
    turns = {
        entry.slug: tuple(
            exercise.id
            for place, exercise in enumerate(course.exercises)
            if place % len(entries) == number or (place + 5) % len(entries) == number
        )
        for number, entry in enumerate(entries)
    }
    reports = grade(with_session(course), entries, graders_of(course), jobs=2, only_for=turns)
    assert reports.keys() == stubs.LARGEST.keys()
    for kind, report in reports.items():
        for exercise in report.exercises:
            assert exercise.points == 0, (kind, exercise.id)
            ended = {test.outcome for test in exercise.tests}
            assert Outcome.TOOL_ERROR not in ended, (kind, exercise.id)
            assert ended - {Outcome.PASSED}, (kind, exercise.id)


@pytest.mark.parametrize("kind", ["code", "text", "texts", "mapping"])
def test_long_words_in_the_coding_exercises(kind: str) -> None:
    """Code words may have any length: walking them takes time in proportion to their bits."""
    course = SESSIONS["s3"]
    ids = ("s3.huffman_code", "s3.huffman_encode", "s3.relative_index_encode", "s3.entropy")
    (entry,) = stubs.stubs(course, {kind: stubs.LARGEST[kind]})
    report = grade(with_session(course), [entry], graders_of(course), only_for={entry.slug: ids})[
        kind
    ]
    outcomes = {test.outcome for exercise in report.exercises for test in exercise.tests}
    assert not outcomes & {Outcome.TOOL_ERROR, Outcome.TIMED_OUT}
