"""The command line's side of a cluster: who may grade, who has what, and what is done again.

Every submission is a task of Dask's for one worker, whose name is a number. A worker has a few at
a time, so that nothing large waits at the scheduler. If it goes, others get what it had.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import queue
import secrets
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from autograder.engine.host import preload
from autograder.engine.host.pool import tool_error_report
from autograder.engine.job import Deliver, GradingJob
from autograder.errors import AutograderError, EngineError
from autograder.grading.cluster import worker
from autograder.grading.cluster.terms import Sealed, Terms
from autograder.grading.results import present_versions
from autograder.records import Report
from autograder.submissions import Submission
from autograder.text_safety import clean_line

if TYPE_CHECKING:
    from distributed import Client, Future

CONNECT_SECONDS = 15.0
CLOSE_SECONDS = 25.0  # for workers to end their judges
GREET_SECONDS = 60.0
RESULT_SECONDS = 30.0  # for a report that is ready
NO_WORKER_SECONDS = 60.0  # without any worker; then the batch ends
LOOK_SECONDS = 1.0  # between two looks at who is there
AHEAD = 1  # tasks that a worker has beside those it works on
MAX_ATTEMPTS = 3  # for one submission, when its worker goes
CONTINUE = "what is graded is kept, continue with --resume"


@dataclass(frozen=True)
class RemoteWorker:
    """A worker as it is now: one that starts again at the same address has another folder."""

    address: str
    folder: str
    threads: int


@dataclass(frozen=True)
class _Task:
    submission: Submission
    attempt: int
    remote: RemoteWorker
    future: Future[Any]


@contextlib.contextmanager
def connected(address: str | None) -> Iterator[Cluster | None]:
    """The cluster of a scheduler, None without an address; AutograderError if none answers."""
    if address is None:
        yield None
        return
    try:
        import distributed
    except ImportError:
        raise AutograderError(
            "--scheduler needs Dask: pip install 'compression-course[cluster]'"
        ) from None
    _silence("distributed", "tornado", "asyncio")  # what they would say is said in one line
    try:
        client = distributed.Client(
            address, timeout=CONNECT_SECONDS, set_as_default=False, direct_to_workers=True
        )
    except (OSError, ValueError, TimeoutError) as error:
        reason = clean_line(str(error).partition("\n")[0], 200) or type(error).__name__
        raise EngineError(
            f"there is no Dask scheduler at {address} ({reason}); nothing was graded"
        ) from None
    try:
        yield Cluster(client)
    finally:
        with contextlib.suppress(OSError, TimeoutError):
            client.close(CLOSE_SECONDS)


def _silence(*families: str) -> None:
    """Nothing of these loggers is written, nor of those below them that have a level of their own.

    `distributed.client` has one: a client that loses its scheduler writes a traceback as a warning.
    """
    for name in (*families, *logging.root.manager.loggerDict):
        if name.partition(".")[0] in families:
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)


@dataclass(frozen=True)
class Cluster:
    """A scheduler that answers."""

    client: Client

    def grade(
        self,
        terms: Terms,
        job: GradingJob,
        submissions: Sequence[Submission],
        deliver: Deliver,
        note: Callable[[str], None],
    ) -> None:
        """Grade every submission and call `deliver` with each report as it comes.

        EngineError in one line if the cluster goes away, or none of its workers can grade.
        """
        every = tuple(exercise.id for exercise in job.exercises)
        terms = replace(
            terms,
            solution=job.solution,
            only_for={slug: ids for slug, ids in job.only_for.items() if ids != every},
            preload=preload.mentioned(preload.sources((), submissions)),
        )
        _Dispatch(self.client, terms, job, submissions, deliver, note).run()


class _Dispatch:
    """One batch on one cluster."""

    def __init__(
        self,
        client: Client,
        terms: Terms,
        job: GradingJob,
        submissions: Sequence[Submission],
        deliver: Deliver,
        note: Callable[[str], None],
    ) -> None:
        self._client, self._job, self._deliver, self._note = client, job, deliver, note
        self._terms = Sealed(terms)
        self._address = str(client.scheduler.address)
        self._token = secrets.token_hex(8)
        self._numbers = itertools.count()
        self._queue = deque((submission, 1) for submission in submissions)
        self._remotes: list[RemoteWorker] = []
        self._refused: dict[RemoteWorker, str] = {}
        self._tasks: dict[str, _Task] = {}
        self._ended: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._hosts: dict[RemoteWorker, str] = {}

    def run(self) -> None:
        """Work until every submission has a report."""
        try:
            self._work()
        except AutograderError:
            raise
        except Exception:
            if self._client.status == "running":
                raise
            raise self._gone() from None
        finally:
            self._close()

    def _work(self) -> None:
        alone_since, looked, had_any = time.monotonic(), 0.0, False
        while self._queue or self._tasks:
            if time.monotonic() - looked > LOOK_SECONDS:
                self._look()
                looked = time.monotonic()
            if self._remotes:
                alone_since, had_any = looked, True
            elif looked - alone_since > NO_WORKER_SECONDS or (self._refused and not had_any):
                raise EngineError(self._nobody())
            self._hand_out()
            with contextlib.suppress(queue.Empty):
                self._collect(self._ended.get(timeout=LOOK_SECONDS / 4))

    # ---- who is there ------------------------------------------------------------------------

    def _look(self) -> None:
        present = list(self._present())
        for remote in [remote for remote in self._remotes if remote not in present]:
            self._lose(remote, "is gone")
        known = {*self._remotes, *self._refused}
        new = [remote for remote in present if remote not in known]
        for remote, reason in zip(new, self._sync(self._greet_all, new), strict=True):
            if reason:
                self._refuse(remote, reason)
            else:
                self._remotes.append(remote)

    def _present(self) -> Iterator[RemoteWorker]:
        """The workers that the scheduler knows; EngineError if it cannot be asked."""
        workers = self._client.scheduler_info()["workers"]
        if self._client.status != "running":
            raise self._gone()
        for address, facts in workers.items():
            if facts.get("status") in (None, "running"):
                yield RemoteWorker(address, facts["local_directory"], facts["nthreads"])

    async def _greet_all(self, remotes: Sequence[RemoteWorker]) -> list[str]:
        return list(await asyncio.gather(*map(self._greet, remotes)))

    async def _greet(self, remote: RemoteWorker) -> str:
        """Open the batch on a worker; "" or why it cannot grade."""
        try:
            there = await self._ask(remote, worker.hello)
            self._hosts[remote] = there.pop(worker.HOST)
            here = present_versions()
            for name in sorted({*here, *there}):
                if here.get(name) != there.get(name):
                    found, needed = there.get(name, "missing"), here.get(name, "not there")
                    return f"its {name} is {found}, here it is {needed}"
            reason: str = await self._ask(
                remote, worker.open_batch, self._token, self._terms, remote.threads
            )
            return reason
        except (OSError, TimeoutError):
            return "it cannot be reached from here, and the key goes through no scheduler"
        except Exception as error:  # of its process: modules that are not there, mostly
            reason = clean_line(f"{type(error).__name__}: {error}", 200)
            return f"the course kit is not installed there, or another version ({reason})"

    async def _ask(
        self, remote: RemoteWorker, function: Callable[..., Any], *arguments: object
    ) -> Any:
        """Call a function in a worker's process, straight and not through the scheduler."""
        from distributed.core import clean_exception
        from distributed.protocol.pickle import dumps

        call = self._client.rpc(remote.address).run(function=dumps(function), args=dumps(arguments))
        answer = await asyncio.wait_for(call, GREET_SECONDS)
        if answer["status"] == "error":
            _, error, _ = clean_exception(**answer)
            raise error
        return answer["result"]

    def _sync(self, function: Callable[..., Any], *arguments: object) -> Any:
        return self._client.sync(function, *arguments)

    def _refuse(self, remote: RemoteWorker, reason: str) -> None:
        self._refused[remote] = reason
        self._note(f"{self._name(remote)} is refused: {reason}")

    def _lose(self, remote: RemoteWorker, why: str) -> None:
        """Nothing more comes of a worker: others get what it had."""
        self._remotes.remove(remote)
        lost = [name for name, task in self._tasks.items() if task.remote == remote]
        more = f"; what it had ({len(lost)}) is graded elsewhere" if lost else ""
        if why:
            self._note(f"{self._name(remote)} {why}{more}")
        for name in lost:
            task = self._tasks.pop(name)
            task.future.cancel()
            self._again(task, why or "its batch was closed")

    def _again(self, task: _Task, why: str) -> None:
        if task.attempt < MAX_ATTEMPTS:
            self._queue.appendleft((task.submission, task.attempt + 1))
        else:
            reason = f"{task.attempt} times the worker {why} that had it"
            self._deliver(tool_error_report(self._job, task.submission, reason))

    def _name(self, remote: RemoteWorker) -> str:
        host = self._hosts.get(remote)
        return clean_line(f"worker {remote.address}" + (f" on {host}" if host else ""), 120)

    def _gone(self) -> EngineError:
        return EngineError(f"the scheduler at {self._address} went away; {CONTINUE}")

    def _nobody(self) -> str:
        if self._refused:
            reasons = "; ".join(dict.fromkeys(self._refused.values()))
            return f"no worker of {self._address} can grade: {clean_line(reasons, 600)}; {CONTINUE}"
        return (
            f"the cluster at {self._address} has had no worker for {NO_WORKER_SECONDS:.0f} s; "
            + CONTINUE
        )

    # ---- who has what ------------------------------------------------------------------------

    def _hand_out(self) -> None:
        """Give each worker what it can work on, and a little more; the idlest first."""
        busy = Counter(task.remote for task in self._tasks.values())
        room = {remote: remote.threads + AHEAD - busy[remote] for remote in self._remotes}
        while self._queue and room:
            remote = max(room, key=lambda remote: room[remote] / remote.threads)
            if room[remote] <= 0:
                break
            room[remote] -= 1
            self._submit(remote, *self._queue.popleft())

    def _submit(self, remote: RemoteWorker, submission: Submission, attempt: int) -> None:
        name = f"autograder-{self._token}-{next(self._numbers)}"
        future = self._client.submit(
            worker.grade,
            self._token,
            Sealed(submission),
            key=name,
            workers=[remote.address],
            allow_other_workers=False,
            pure=False,
        )
        self._tasks[name] = _Task(submission, attempt, remote, future)
        future.add_done_callback(lambda _: self._ended.put(name))

    def _collect(self, name: str) -> None:
        task = self._tasks.get(name)
        if task is None:  # its worker was given up
            return
        try:
            answer = self._answer(task)
        except Exception as error:
            if task.remote in self._remotes:
                reason = clean_line(str(error).partition("\n")[0], 200)
                failed = f"failed ({type(error).__name__}: {reason})"
                self._lose(task.remote, failed if task.remote in self._present() else "is gone")
            return
        del self._tasks[name]
        if isinstance(answer, Report):
            self._deliver(answer)
            return
        kind, reason = answer
        self._queue.appendleft((task.submission, task.attempt))
        if task.remote in self._remotes:
            self._lose(task.remote, "")
            if kind == worker.FAILED:
                self._refuse(task.remote, reason)

    def _answer(self, task: _Task) -> worker.Answer:
        """What a worker answered; TimeoutError if it is gone or does not hand it over."""
        latest = time.monotonic() + RESULT_SECONDS
        while True:
            try:
                answer: worker.Answer = task.future.result(timeout=2 * LOOK_SECONDS).value
                return answer
            except TimeoutError:
                if time.monotonic() > latest or task.remote not in self._present():
                    raise

    def _close(self) -> None:
        """Give up what is still asked for, and have the workers end their judges."""
        for task in self._tasks.values():
            with contextlib.suppress(Exception):
                task.future.cancel()
        with contextlib.suppress(Exception):  # those that are gone close by themselves
            self._sync(self._close_all)

    async def _close_all(self) -> None:
        calls = [self._ask(remote, worker.close_batch, self._token) for remote in self._remotes]
        together = asyncio.gather(*calls, return_exceptions=True)
        await asyncio.wait_for(together, CLOSE_SECONDS)
