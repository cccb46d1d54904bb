"""The graders are graded: right work keeps its points, each mistake loses some, and only there."""

from __future__ import annotations

import pytest

from autograder.course import Course, Session
from autograder.engine.judge.calls import exercise_calls
from autograder.grading.kinds import graders_of
from autograder.records import Outcome, Report
from tests import bank, feedback
from tests.support import grade, submission

COURSE = bank.course()
SESSIONS = {session.id: session for session in COURSE.sessions if session.kind == "functions"}
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
    """Reports of the wrong submissions, each graded on the exercise that it changes."""
    reports: dict[str, Report] = {}
    for session in SESSIONS.values():
        entries = WRONG[session.id]
        own = {entry.submission.slug: (entry.exercise,) for entry in entries}
        course, graders = with_session(session), graders_of(session)
        solution = {name: text.encode() for name, text in bank.solution(session).items()}
        submissions = [entry.submission for entry in entries]
        reports |= grade(course, submissions, graders, jobs=2, only_for=own, solution=solution)
    return reports


SAMPLE = [entries[place] for entries in WRONG.values() for place in range(0, len(entries), 25)]
"""Some mistakes of each session, graded on the whole session."""


@pytest.fixture(scope="module")
def sampled() -> dict[str, Report]:
    """Reports of `SAMPLE` on all exercises."""
    reports: dict[str, Report] = {}
    for session in SESSIONS.values():
        entries = [w.submission for w in SAMPLE if w in WRONG[session.id]]
        reports |= grade(with_session(session), entries, graders_of(session), jobs=2)
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
    assert report.points == sum(e.maximum for e in report.exercises)  # extra credit as well
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
def test_a_mistake_loses_points_in_its_exercise(
    mistaken: dict[str, Report], entry: bank.Wrong
) -> None:
    assert lost_in(mistaken[entry.submission.student]) == {entry.exercise}, entry.reason


@pytest.mark.parametrize("session", SESSIONS)
def test_a_mistake_fails_what_is_stated_and_is_named(
    mistaken: dict[str, Report], session: str, request: pytest.FixtureRequest
) -> None:
    """`expected.yaml` says of each file which checks it fails and which mistakes are named."""
    known = feedback.sentences(SESSIONS[session])
    found = {}
    for entry in WRONG[session]:
        (result,) = mistaken[entry.submission.student].exercises
        found[entry.name] = feedback.feedback(result, known.get(entry.exercise, ()))
    if request.config.getoption("--update-goldens"):
        feedback.write(SESSIONS[session], found)
    stated = feedback.stated(SESSIONS[session])
    assert found.keys() == stated.keys()
    wrong = {
        name: (one, stated[name])
        for name, one in found.items()
        if not feedback.as_stated(name, one, stated[name])
    }
    assert wrong == {}


@pytest.mark.parametrize("session", SESSIONS)
def test_what_an_exercise_is_about_costs_half_of_it(
    mistaken: dict[str, Report], session: str
) -> None:
    starred = feedback.starred(SESSIONS[session])
    assert len(starred) >= 10
    for entry in WRONG[session]:
        if entry.name in starred:
            (result,) = mistaken[entry.submission.student].exercises
            assert result.points <= result.maximum / 2, entry.name


@pytest.mark.parametrize("session", SESSIONS)
def test_checks_of_arguments_are_worth_a_tenth_at_most(
    correct: dict[tuple[str, str], Report], session: str
) -> None:
    for result in correct[session, "solution"].exercises:
        weights = [(test.weight, test.guard) for test in result.tests]
        guards = sum(weight for weight, guard in weights if guard)
        assert guards <= 0.1 * sum(weight for weight, _ in weights) + 1e-9, result.id


@pytest.mark.parametrize("entry", SAMPLE, ids=lambda entry: entry.name)
def test_a_mistake_loses_points_nowhere_else(sampled: dict[str, Report], entry: bank.Wrong) -> None:
    assert lost_in(sampled[entry.submission.student]) == {entry.exercise}, entry.reason


def lost_in(report: Report) -> set[str]:
    return {e.id for e in report.exercises if e.points < e.maximum}


def callers(session: Session) -> dict[str, set[str]]:
    """Exercise id -> those whose solutions call it, at once or through another."""
    files = bank.solution(session).items()
    sources = {name.removesuffix(".py"): text.encode() for name, text in files}
    calls = exercise_calls(sources, session.exercises)
    found: dict[str, set[str]] = {}
    for caller in calls:
        waiting, met = list(calls[caller]), set()
        while waiting:
            callee = waiting.pop()
            if callee not in met:
                met.add(callee)
                waiting += calls[callee]
                found.setdefault(callee, set()).add(caller)
    return found


CALLERS = {key: callers(session) for key, session in SESSIONS.items()}
CALLED = [
    next(w for w in WRONG[key] if w.exercise == callee)
    for key, found in CALLERS.items()
    for callee in sorted(found)
]
"""A mistake in each exercise that the solution of another one calls."""


@pytest.fixture(scope="module")
def composed() -> dict[str, Report]:
    """Reports of `CALLED`, on the mistaken exercise and on those whose solutions call it."""
    reports: dict[str, Report] = {}
    for key, session in SESSIONS.items():
        entries = [w for w in CALLED if w in WRONG[key]]
        graded = {
            w.submission.slug: (w.exercise, *sorted(CALLERS[key][w.exercise])) for w in entries
        }
        course, graders = with_session(session), graders_of(session)
        subs = [w.submission for w in entries]
        reports |= grade(course, subs, graders, jobs=2, only_for=graded)
    return reports


@pytest.mark.parametrize("entry", CALLED, ids=lambda entry: entry.name)
def test_a_mistake_does_not_reach_what_calls_its_function(
    composed: dict[str, Report], entry: bank.Wrong
) -> None:
    report = composed[entry.submission.student]
    assert len(report.exercises) > 1
    assert lost_in(report) == {entry.exercise}, entry.reason


@pytest.mark.parametrize("entry", [w for e in WRONG.values() for w in e], ids=lambda e: e.name)
def test_a_mistake_says_what_it_is(entry: bank.Wrong) -> None:
    assert entry.reason
