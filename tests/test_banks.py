"""The graders are graded: right work keeps its points, each mistake loses some, and only there."""

from __future__ import annotations

import pytest

from autograder.batch import graders_of
from autograder.course import Course, Session
from autograder.records import Outcome, Report
from tests import bank
from tests.support import grade, submission

COURSE = bank.course()
SESSIONS = {session.id: session for session in COURSE.sessions if session.exercises}
WRONG = {session.id: bank.wrong(session) for session in SESSIONS.values()}
RIGHT = {session.id: ["solution", *bank.right(session)] for session in SESSIONS.values()}

pytestmark = pytest.mark.slow


def with_session(session: Session) -> Course:
    """The course with this session only, for `support.grade`."""
    return COURSE.model_copy(update={"sessions": (session,)})


@pytest.fixture(scope="module")
def correct() -> dict[tuple[str, str], Report]:
    """Reports of the solution, the right variants and the blank, by session and name."""
    reports = {}
    for session in SESSIONS.values():
        texts = {
            "solution": bank.solution(session),
            "blank": bank.blank(session),
            **bank.right(session),
        }
        entries = [submission(name, files) for name, files in texts.items()]
        graded = grade(with_session(session), entries, graders_of(session), jobs=2)
        reports.update({(session.id, name): report for name, report in graded.items()})
    return reports


@pytest.fixture(scope="module")
def mistaken() -> dict[str, Report]:
    """Reports of the wrong submissions; only exercises of the changed module are graded."""
    reports: dict[str, Report] = {}
    for session in SESSIONS.values():
        for module in session.modules:
            ids = tuple(exercise.id for exercise in module.exercises)
            entries = [w.submission for w in WRONG[session.id] if w.exercise in ids]
            if entries:
                graders = graders_of(session)
                reports |= grade(with_session(session), entries, graders, jobs=2, only=ids)
    return reports


@pytest.mark.parametrize(
    ("session", "name"), [(key, name) for key, names in RIGHT.items() for name in names]
)
def test_right_work_keeps_every_point(
    correct: dict[tuple[str, str], Report], session: str, name: str
) -> None:
    report = correct[session, name]
    lost = [
        (t.name, t.message, t.detail) for e in report.exercises for t in e.tests if t.credit < 1
    ]
    assert lost == []
    assert report.points == 100
    assert report.incidents == ()


@pytest.mark.parametrize("session", SESSIONS)
def test_the_blank_is_blank_everywhere(
    correct: dict[tuple[str, str], Report], session: str
) -> None:
    report = correct[session, "blank"]
    assert report.points == 0
    assert {exercise.outcome for exercise in report.exercises} == {Outcome.BLANK}


@pytest.mark.parametrize(
    "entry", [w for entries in WRONG.values() for w in entries], ids=lambda entry: entry.name
)
def test_a_mistake_loses_points_in_its_exercise_only(
    mistaken: dict[str, Report], entry: bank.Wrong
) -> None:
    report = mistaken[entry.submission.student]
    lost = {e.id for e in report.exercises if e.points < e.maximum}
    assert lost == {entry.exercise}, entry.reason


@pytest.mark.parametrize("entry", [w for e in WRONG.values() for w in e], ids=lambda e: e.name)
def test_a_mistake_says_what_it_is(entry: bank.Wrong) -> None:
    assert entry.reason
