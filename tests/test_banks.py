"""The graders are graded: right work keeps its points, each mistake loses some, and only there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, cached_property
from typing import Any

import pytest

from autograder.course import Course, Session
from autograder.engine.judge.calls import exercise_calls
from autograder.grading.kinds import graders_of
from autograder.records import Outcome, Report
from autograder.submissions import Submission
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


def each(entries: Mapping[str, Sequence[bank.Wrong]]) -> pytest.MarkDecorator:
    """One test for each entry, given its session."""
    return pytest.mark.parametrize(
        ("session", "entry"),
        [pytest.param(key, w, id=w.name) for key, some in entries.items() for w in some],
    )


class Graded:
    """Reports of one session's bank, each part graded once, when it is asked for."""

    def __init__(self, key: str, update_goldens: bool) -> None:
        self.key = key
        self._session = SESSIONS[key]
        self._update = update_goldens

    def _grade(self, submissions: Iterable[Submission], **options: Any) -> dict[str, Report]:
        course, graders = with_session(self._session), graders_of(self._session)
        return grade(course, submissions, graders, jobs=2, **options)

    @cached_property
    def correct(self) -> dict[str, Report]:
        """The solution, the right variants and the blank, by name."""
        session = self._session
        texts = {"solution": bank.solution(session), "blank": bank.blank(session)}
        texts |= bank.right(session)
        return self._grade([submission(name, files) for name, files in texts.items()])

    @cached_property
    def mistaken(self) -> dict[str, Report]:
        """The wrong submissions, each graded on the exercise that it changes."""
        if self._update:
            feedback.forget(self._session)
        solution = {name: text.encode() for name, text in bank.solution(self._session).items()}
        entries = WRONG[self.key]
        return self._grade(
            [entry.submission for entry in entries],
            only_for={entry.submission.slug: (entry.exercise,) for entry in entries},
            solution=solution,
            diagnosis_seconds=300.0,  # what is named may not depend on the machine
        )

    @cached_property
    def several(self) -> Report:
        """Mistakes `apart` in one submission, graded on all exercises."""
        entry = bank.several(self._session, apart(self.key))
        return self._grade([entry])[entry.student]

    @cached_property
    def composed(self) -> dict[str, Report]:
        """`CALLED`, on the mistaken exercise and on those whose solutions call it."""
        entries, calling = CALLED[self.key], CALLERS[self.key]
        own = {w.submission.slug: (w.exercise, *sorted(calling[w.exercise])) for w in entries}
        return self._grade([w.submission for w in entries], only_for=own)


@pytest.fixture(scope="module")
def graded(request: pytest.FixtureRequest) -> Callable[[str], Graded]:
    """The graded bank of a session."""
    update = bool(request.config.getoption("--update-goldens"))
    return cache(lambda key: Graded(key, update))


@pytest.mark.parametrize(
    ("session", "name"), [(key, name) for key, names in RIGHT.items() for name in names]
)
def test_right_work_keeps_every_point(
    graded: Callable[[str], Graded], session: str, name: str
) -> None:
    report = graded(session).correct[name]
    lost = [
        (t.name, t.message, t.detail) for e in report.exercises for t in e.tests if t.credit < 1
    ]
    assert lost == []
    assert report.points == sum(exercise.maximum for exercise in report.exercises)
    assert report.incidents == ()


@pytest.mark.parametrize("session", SESSIONS)
def test_the_blank_is_blank_everywhere(graded: Callable[[str], Graded], session: str) -> None:
    report = graded(session).correct["blank"]
    assert report.points == 0
    assert {exercise.outcome for exercise in report.exercises} == {Outcome.BLANK}


@each(WRONG)
def test_a_mistake_loses_points_in_its_exercise(
    graded: Callable[[str], Graded], session: str, entry: bank.Wrong
) -> None:
    report = graded(session).mistaken[entry.submission.student]
    assert lost_in(report) == {entry.exercise}, entry.reason


@pytest.mark.parametrize("session", SESSIONS)
def test_a_mistake_fails_what_is_stated_and_is_named(
    graded: Callable[[str], Graded], session: str, request: pytest.FixtureRequest
) -> None:
    """`expected.yaml` says of each file which checks it fails and which mistakes are named."""
    mistaken = graded(session).mistaken
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
    graded: Callable[[str], Graded], session: str
) -> None:
    mistaken = graded(session).mistaken
    starred = feedback.starred(SESSIONS[session])
    assert len(starred) >= 10
    for entry in WRONG[session]:
        if entry.name in starred:
            (result,) = mistaken[entry.submission.student].exercises
            assert result.points <= result.maximum / 2, entry.name


@pytest.mark.parametrize("session", SESSIONS)
def test_checks_of_arguments_are_worth_a_tenth_at_most(
    graded: Callable[[str], Graded], session: str
) -> None:
    for result in graded(session).correct["solution"].exercises:
        weights = [(test.weight, test.guard) for test in result.tests]
        guards = sum(weight for weight, guard in weights if guard)
        assert guards <= 0.1 * sum(weight for weight, _ in weights) + 1e-9, result.id


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
CALLED = {
    key: [next(w for w in WRONG[key] if w.exercise == callee) for callee in sorted(found)]
    for key, found in CALLERS.items()
}
"""A mistake in each exercise that the solution of another one calls."""


@cache
def apart(key: str) -> list[bank.Wrong]:
    """A mistake in each of many exercises, of which none calls another or shares its class.

    Every other one stays right, to lose nothing.
    """
    near: dict[str, set[str]] = {entry.exercise: set() for entry in WRONG[key]}
    for callee, calling in CALLERS[key].items():
        near[callee] |= calling
        for caller in calling:
            near[caller].add(callee)
    chosen: dict[str, bank.Wrong] = {}
    for entry in sorted(WRONG[key], key=lambda entry: len(near[entry.exercise])):
        shares_class = any(entry.defines & other.defines for other in chosen.values())
        if not shares_class and near[entry.exercise].isdisjoint(chosen):
            chosen[entry.exercise] = entry
    return list(chosen.values())[::2]


@pytest.mark.parametrize("session", SESSIONS)
def test_mistakes_lose_points_nowhere_else(graded: Callable[[str], Graded], session: str) -> None:
    entries = apart(session)
    assert entries
    assert lost_in(graded(session).several) == {entry.exercise for entry in entries}


@each(CALLED)
def test_a_mistake_does_not_reach_what_calls_its_function(
    graded: Callable[[str], Graded], session: str, entry: bank.Wrong
) -> None:
    report = graded(session).composed[entry.submission.student]
    assert len(report.exercises) > 1
    assert lost_in(report) == {entry.exercise}, entry.reason


@pytest.mark.parametrize("entry", [w for e in WRONG.values() for w in e], ids=lambda e: e.name)
def test_a_mistake_says_what_it_is(entry: bank.Wrong) -> None:
    assert entry.reason
