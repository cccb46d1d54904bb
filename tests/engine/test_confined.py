"""Trusted functions in confined processes, forked and started anew."""

from __future__ import annotations

import json
import math
import operator
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from autograder.engine.confined import (
    Caps,
    ConfinedFailure,
    IsolationTooWeak,
    confined,
    spawned_workers,
)
from autograder.engine.host.judges import ZygoteProcess
from autograder.engine.host.pool import can_fork
from autograder.engine.job import GradingJob
from autograder.engine.judge.workers import Workers, ZygoteWorkers
from autograder.engine.sandbox import scratch
from autograder.records import Isolation
from tests.support import TEST_SECRET, small_course

pytestmark = pytest.mark.slow
CAPS = Caps(seconds=20, memory_mb=1024)


@pytest.fixture(scope="module", params=["forked", "spawned"])
def workers(request: pytest.FixtureRequest) -> Iterator[Workers]:
    if request.param == "spawned":
        with spawned_workers(CAPS.limits, ()) as source:
            yield source
        return
    if not can_fork():
        pytest.skip("this platform does not fork")
    course = small_course(["add"])
    base = scratch.make_base(Path("/tmp"))
    job = GradingJob(
        course.id, course.sessions[0], course.limits, (), TEST_SECRET, scratch=str(base)
    )
    zygote = ZygoteProcess(job)
    forked = ZygoteWorkers(zygote.control, CAPS.limits, base)
    yield forked
    forked.close()
    zygote.close()
    scratch.remove(base)


def test_several_calls_go_to_one_process(workers: Workers) -> None:
    with confined(workers, seconds=20) as process:
        assert process.call(math.hypot, 3.0, 4.0) == 5.0
        first = process.call(os.getpid)
        assert process.call(os.getpid) == first != os.getpid()
        assert process.isolation.mechanisms
    with confined(workers, seconds=20) as process:
        assert process.call(os.getpid) != first


def test_values_cross_as_they_are(workers: Workers) -> None:
    value = {"a": [1, 2.5, None, True], "b": ("x", b"\x00\xff")}
    images = np.arange(12, dtype=np.uint8).reshape(3, 4)
    with confined(workers, seconds=20) as process:
        assert process.call(operator.getitem, [value], 0) == value
        returned = process.call(operator.getitem, images, np.array([0, 2]))
    assert returned.dtype == np.uint8
    assert np.array_equal(returned, images[[0, 2]])


def test_an_exception_is_named_and_the_process_goes_on(workers: Workers) -> None:
    with confined(workers, seconds=20) as process:
        with pytest.raises(ConfinedFailure, match=r"^it raised JSONDecodeError: Expecting value"):
            process.call(json.loads, "no")
        assert process.call(math.sqrt, 4.0) == 2.0


@pytest.mark.parametrize(
    ("function", "arguments", "reason"),
    [
        (os._exit, (0,), "it ended its process"),
        (os._exit, (3,), r"it crashed \(exit code 3\)"),
        (signal.raise_signal, (int(signal.SIGSEGV),), r"it crashed \(SIGSEGV\)"),
        (os.fork, (), "it raised|it used a system call that is not allowed"),
        (np.ones, (1 << 30,), "memory|Memory"),
        (operator.mul, ("x", 5_000_000), "it raised Unsendable"),
        (object, (), "it gave a malformed answer"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_goes_wrong_is_said(
    workers: Workers, function: object, arguments: tuple[object, ...], reason: str
) -> None:
    with (
        confined(workers, seconds=20) as process,
        pytest.raises(ConfinedFailure, match=reason) as failure,
    ):
        process.call(function, *arguments)  # type: ignore[arg-type]
    assert "your" not in str(failure.value)
    assert "\n" not in str(failure.value)


def test_the_limit_is_that_of_all_calls(workers: Workers) -> None:
    with confined(workers, seconds=0.5) as process:
        for _ in range(2):
            process.call(sum, list(range(100)))
        with pytest.raises(ConfinedFailure, match="within the time limit"):
            process.call(time.sleep, 3)
        with pytest.raises(ConfinedFailure, match="it has no process any more"):
            process.call(math.sqrt, 4.0)


def test_files_of_the_machine_are_out_of_reach(workers: Workers, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("x")
    with confined(workers, seconds=20) as process:
        if not any("Landlock" in text for text in process.isolation.mechanisms):
            pytest.skip("this machine has no Landlock")
        with pytest.raises(ConfinedFailure, match="PermissionError"):
            process.call(os.open, str(secret), os.O_RDONLY)


def test_too_little_isolation_is_an_error_of_the_machine(
    workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    weak = Isolation("process", missing=("Landlock: switched off",))
    monkeypatch.setattr("autograder.engine.judge.processes.Isolation", lambda *_, **__: weak)
    words = "'strict' is required, this machine gives 'process': Landlock: switched off"
    with pytest.raises(IsolationTooWeak, match=words), confined(workers, 5, "strict"):
        pass
