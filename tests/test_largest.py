"""The largest values that a student's code can return keep no judge busy, in any exercise."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from autograder.grading.kinds import graders_of
from autograder.records import Outcome
from tests import stubs
from tests.support import grade
from tests.test_banks import SESSIONS, with_session

pytestmark = pytest.mark.slow


HEAVY = ("integers", "texts", "mapping", "tensors", "model")
"""What takes the worker seconds to make and to send: one lost check of an exercise is enough."""
LIGHT = tuple(kind for kind in stubs.LARGEST if kind not in HEAVY)


@pytest.mark.parametrize(("kinds", "only_first_loss"), [(LIGHT, False), (HEAVY, True)])
@pytest.mark.parametrize("session", SESSIONS)
def test_the_largest_values_are_the_students_failure(
    session: str, kinds: Sequence[str], only_first_loss: bool
) -> None:
    """Every exercise gets forms in turn, one heavy and two light; what takes long is ended."""
    course = SESSIONS[session]
    entries = stubs.stubs(course, {kind: stubs.LARGEST[kind] for kind in kinds})
    apart = 0 if only_first_loss else len(entries) // 2
    turns = {
        entry.slug: tuple(
            exercise.id
            for place, exercise in enumerate(course.exercises)
            if number in {place % len(entries), (place + apart) % len(entries)}
        )
        for number, entry in enumerate(entries)
    }
    reports = grade(
        with_session(course),
        entries,
        graders_of(course),
        jobs=2,
        only_for=turns,
        only_first_loss=only_first_loss,
    )
    assert reports.keys() == set(kinds)
    for kind, report in reports.items():
        for exercise in report.exercises:
            ended = {test.outcome for test in exercise.tests}
            assert Outcome.TOOL_ERROR not in ended, (kind, exercise.id)
            assert ended - {Outcome.PASSED}, (kind, exercise.id)
            assert only_first_loss or exercise.points == 0, (kind, exercise.id)


def test_long_words_in_the_coding_exercises() -> None:
    """Code words may have any length: walking them takes time in proportion to their bits."""
    course = SESSIONS["s3"]
    ids = ("s3.huffman_code", "s3.huffman_encode", "s3.relative_index_encode", "s3.entropy")
    kinds = {kind: stubs.LARGEST[kind] for kind in ("code", "text", "texts", "mapping")}
    entries = stubs.stubs(course, kinds)
    own = {entry.slug: ids for entry in entries}
    reports = grade(with_session(course), entries, graders_of(course), only_for=own)
    assert reports.keys() == kinds.keys()
    for kind, report in reports.items():
        outcomes = {test.outcome for exercise in report.exercises for test in exercise.tests}
        assert not outcomes & {Outcome.TOOL_ERROR, Outcome.TIMED_OUT}, kind
