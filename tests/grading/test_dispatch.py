"""Who gets what on a cluster, whatever its workers do; the cluster is played, the rules real."""

from __future__ import annotations

import asyncio
import inspect
import pickle
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from autograder.engine.job import GradingJob
from autograder.errors import EngineError
from autograder.grading.cluster import dispatch, worker
from autograder.grading.cluster.dispatch import Cluster
from autograder.grading.cluster.terms import Sealed, Terms
from autograder.grading.kinds import Settings
from autograder.grading.results import present_versions
from autograder.records import Report
from autograder.submissions import Submission
from tests.support import TEST_SECRET, small_course, submission

NAMES = [f"s{number}" for number in range(7)]


@dataclass(eq=False)
class Played:
    """A worker: what it says when greeted, and what becomes of each submission that it gets."""

    address: str
    versions: dict[str, str] = field(default_factory=present_versions)
    refusal: str = ""
    becomes: Callable[[str], object] = lambda _: None  # None: a report; "dies"; or an answer
    threads: int = 1
    folder: str = "first"
    graded: list[str] = field(default_factory=list)
    opened: int = 0
    closed: int = 0

    async def run(self, function: bytes, args: bytes) -> dict[str, Any]:
        del args
        name = pickle.loads(function).__name__
        if name == "hello":
            return {"status": "OK", "result": {**self.versions, worker.HOST: "host"}}
        if name == "open_batch":
            self.opened += 1
            return {"status": "OK", "result": self.refusal}
        self.closed += 1
        return {"status": "OK", "result": None}


@dataclass(eq=False)
class PlayedFuture:
    """A task that has ended, or never will."""

    answer: object = None
    cancelled: bool = False

    def add_done_callback(self, done: Callable[[Any], None]) -> None:
        if self.answer is not None:
            done(self)

    def cancel(self) -> None:
        self.cancelled = True

    def result(self, timeout: float) -> object:
        del timeout
        if isinstance(self.answer, Exception):
            raise self.answer
        return Sealed(self.answer)


@dataclass(eq=False)
class PlayedClient:
    """What `dispatch` uses of `distributed.Client`; names of tasks are kept."""

    workers: dict[str, Played]
    status: str = "running"
    address: str = "tcp://scheduler:1"
    names: list[str] = field(default_factory=list)
    after: Callable[[int], None] = lambda _: None  # called with the number of tasks so far

    @property
    def scheduler(self) -> PlayedClient:
        return self

    def scheduler_info(self) -> dict[str, Any]:
        facts = {
            address: {"local_directory": there.folder, "nthreads": there.threads}
            for address, there in self.workers.items()
        }
        return {"workers": facts}

    def sync(self, function: Callable[..., Any], *arguments: object) -> Any:
        return asyncio.run(function(*arguments))

    def rpc(self, address: str) -> Played:
        return self.workers[address]

    def submit(self, function: object, _: str, sealed: Any, **options: Any) -> PlayedFuture:
        assert function is worker.grade
        assert options["allow_other_workers"] is False
        (address,) = options["workers"]
        self.names.append(options["key"])
        self.after(len(self.names))
        there = self.workers.get(address)
        if there is None:
            return PlayedFuture()
        submitted: Submission = sealed.value
        answer = there.becomes(submitted.student)
        if answer == "dies":
            self.workers.pop(address, None)
            return PlayedFuture()
        if answer is None:
            there.graded.append(submitted.student)
            answer = Report("c", "s1", submitted.student, submitted.slug, submitted.sha256)
        return PlayedFuture(answer)


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatch, "LOOK_SECONDS", 0.0)  # before every task
    monkeypatch.setattr(dispatch, "NO_WORKER_SECONDS", 0.2)


def grade(client: PlayedClient, notes: list[str]) -> list[Report]:
    course = small_course(["add"])
    session = course.sessions[0]
    job = GradingJob(course.id, session, course.limits, (), TEST_SECRET)
    terms = Terms(course, session.id, Settings(TEST_SECRET), {})
    reports: list[Report] = []
    submissions = [submission(name, {"work.py": name}) for name in NAMES]
    Cluster(client).grade(terms, job, submissions, reports.append, notes.append)
    return reports


def cluster(*workers: Played, **fields: Any) -> PlayedClient:
    return PlayedClient({there.address: there for there in workers}, **fields)


def test_everybody_is_graded_once_and_workers_are_closed() -> None:
    first, second = Played("tcp://a:1", threads=2), Played("tcp://b:1")
    client = cluster(first, second)
    reports = grade(client, notes := [])
    assert sorted(report.student for report in reports) == NAMES
    assert sorted(first.graded + second.graded) == NAMES
    assert first.graded
    assert second.graded
    assert (first.closed, second.closed, notes) == (1, 1, [])


def test_names_of_tasks_tell_nothing() -> None:
    client = cluster(Played("tcp://a:1"))
    grade(client, [])
    assert len(set(client.names)) == len(NAMES)
    assert not any(name in key for key in client.names for name in (*NAMES, "secret"))


def test_what_a_dead_worker_had_goes_to_others() -> None:
    dying = Played("tcp://a:1", threads=2, becomes=lambda name: "dies" if name == "s2" else None)
    other = Played("tcp://b:1")
    reports = grade(cluster(dying, other), notes := [])
    assert sorted(report.student for report in reports) == NAMES
    assert not any(report.has_tool_error for report in reports)
    assert len(notes) == 1
    assert "worker tcp://a:1 on host is gone" in notes[0]


def test_a_submission_that_ends_every_worker_is_given_up_and_the_others_are_graded() -> None:
    spare = [
        Played(f"tcp://{n}:1", becomes=lambda n: "dies" if n == "s3" else None) for n in "abcd"
    ]
    reports = {report.student: report for report in grade(cluster(*spare), [])}
    assert sorted(reports) == NAMES
    assert [name for name in NAMES if reports[name].has_tool_error] == ["s3"]


def test_a_worker_that_starts_again_at_its_address_is_greeted_again() -> None:
    there = Played("tcp://a:1")

    def restarted(count: int) -> None:
        if count == 3:
            there.folder = "second"

    reports = grade(cluster(there, after=restarted), [])
    assert sorted(report.student for report in reports) == NAMES
    assert there.opened == 2


def test_a_worker_that_forgot_its_batch_opens_it_again() -> None:
    asked: list[str] = []

    def forgets(name: str) -> object:
        asked.append(name)
        return (worker.NOT_OPEN, "") if len(asked) == 2 else None

    there = Played("tcp://a:1", becomes=forgets)
    reports = grade(cluster(there), notes := [])
    assert sorted(report.student for report in reports) == NAMES
    assert (there.opened, notes) == (2, [])


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"versions": {**present_versions(), "torch": "1.0"}}, "its torch is 1.0, here it is 2"),
        ({"versions": {}}, "is missing, here it is"),
        ({"refusal": "its graders are others"}, "its graders are others"),
        ({"becomes": lambda _: (worker.FAILED, "isolation 'strict' is required")}, "isolation"),
    ],
)
def test_a_worker_that_may_not_grade_is_one_line(fields: dict[str, Any], words: str) -> None:
    refused = Played("tcp://a:1", **fields)
    reports = grade(cluster(refused, Played("tcp://b:1")), notes := [])
    assert sorted(report.student for report in reports) == NAMES
    assert refused.graded == []
    assert len(notes) == 1
    assert notes[0].startswith("worker tcp://a:1")
    assert words in notes[0]
    with pytest.raises(EngineError, match=r"no worker of tcp://scheduler:1 can grade.*--resume"):
        grade(cluster(Played("tcp://a:1", **fields)), [])


def test_nobody_there_is_one_line() -> None:
    with pytest.raises(EngineError, match=r"has had no worker for .*--resume"):
        grade(cluster(), [])


@pytest.mark.parametrize("loud", [False, True])
def test_a_scheduler_that_goes_away_is_one_line(loud: bool) -> None:
    """Dask notices at the next question, or fails at the next task."""

    def lost(count: int) -> None:
        if count == 3:
            client.status = "connecting"
            if loud:
                raise ValueError("Tried sending message after closing")

    client = cluster(Played("tcp://a:1"), after=lost)
    with pytest.raises(EngineError, match="went away; what is graded is kept"):
        grade(client, [])


def test_a_fault_of_ours_is_not_hidden() -> None:
    def broken(_: int) -> None:
        raise ValueError("ours")

    with pytest.raises(ValueError, match="ours"):
        grade(cluster(Played("tcp://a:1"), after=broken), [])


def test_what_workers_do_is_what_is_called() -> None:
    """The played worker tells the functions apart by their names."""
    assert {worker.hello.__name__, worker.open_batch.__name__} == {"hello", "open_batch"}
    assert inspect.iscoroutinefunction(worker.open_batch)
    assert inspect.iscoroutinefunction(worker.close_batch)
