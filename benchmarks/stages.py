"""Where this kit's time goes: counters in memory that zygote, judge and workers share.

Opt-in instrumentation that lives outside the engine. `install` is called in the zygote before
anything else; forks inherit the wrapped functions and the counters.
"""

from __future__ import annotations

import functools
import json
import mmap
import os
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

STAGES = (
    "zygote: imports",
    "zygote: prepare",
    "zygote: fork judge",
    "zygote: fork worker",
    "zygote: reap worker",
    "judge: total",
    "judge: take worker",
    "judge: load module",
    "judge: calls",
    "judge: end worker",
    "judge: one test",
    "judge: deliver",
    "worker: confine",
    "worker: load module",
    "worker: answer",
    "worker: total",
)
_RECORD = struct.Struct("ddd")  # wall seconds, processor seconds, count


class Counters:
    """Wall time, processor time and number of calls of each stage, over all processes.

    Additions are not atomic: meant for one job on one processor.
    """

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, _RECORD.size * len(STAGES))

    def add(self, stage: str, wall: float, cpu: float, count: int = 1) -> None:
        """Add to a stage."""
        offset = STAGES.index(stage) * _RECORD.size
        had = _RECORD.unpack_from(self._memory, offset)
        new = (had[0] + wall, had[1] + cpu, had[2] + count)
        _RECORD.pack_into(self._memory, offset, *new)

    def read(self) -> dict[str, tuple[float, float, int]]:
        """All stages."""
        values = _RECORD.iter_unpack(self._memory[:])
        return {
            stage: (wall, cpu, int(count))
            for stage, (wall, cpu, count) in zip(STAGES, values, strict=True)
        }

    def timed(self, stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """`function`, counted; a call that raises counts too."""

        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            wall, cpu, pid = time.perf_counter(), time.process_time(), os.getpid()
            try:
                return function(*args, **kwargs)
            finally:
                if os.getpid() == pid:  # not in the child that a fork made
                    self.add(stage, time.perf_counter() - wall, time.process_time() - cpu)

        return wrapper


def install(report: Path) -> None:
    """Wrap the engine's functions in this process; the zygote writes `report` when it ends."""
    counters = Counters()
    started = (time.perf_counter(), time.process_time())
    from autograder.engine.judge import processes, workers
    from autograder.engine.messages import Messages
    from autograder.engine.sandbox import policy
    from autograder.engine.worker import server as worker
    from autograder.engine.zygote import server as zygote

    def wrap(owner: Any, name: str, stage: str) -> None:
        setattr(owner, name, counters.timed(stage, getattr(owner, name)))

    wrap(policy, "prepare", "zygote: prepare")
    wrap(policy, "confine", "worker: confine")
    wrap(worker.WorkerServer, "_load", "worker: load module")
    wrap(worker.WorkerServer, "_answer", "worker: answer")
    wrap(zygote.ZygoteServer, "_fork_judge", "zygote: fork judge")
    wrap(zygote.ZygoteServer, "_fork_worker", "zygote: fork worker")
    wrap(workers.ZygoteWorkers, "take", "judge: take worker")
    wrap(processes.WorkerProcess, "close", "judge: end worker")

    serve, reap, become_judge = (
        zygote.ZygoteServer.serve,
        zygote.ZygoteServer._reap,
        zygote.become_judge,
    )

    def timed_serve(self: Any) -> None:
        counters.add(
            "zygote: imports",
            time.perf_counter() - started[0],
            time.process_time() - started[1],
        )
        serve(self)
        report.write_text(json.dumps(counters.read()), encoding="utf-8")

    def timed_reap(self: Any, pidfd: int) -> None:
        is_judge = self._children[pidfd][1] is self._root
        before = os.times()
        counters.timed("zygote: reap worker", reap)(self, pidfd)
        after = os.times()
        used = after.children_user + after.children_system
        used -= before.children_user + before.children_system
        if not is_judge:
            counters.add("worker: total", 0.0, used)

    def timed_judge(module: str, connection: int, control: int) -> None:
        from autograder.engine.judge import exercise_run, plugin, student

        wrap(exercise_run.ExerciseRun, "_load", "judge: load module")
        wrap(plugin.JudgePlugin, "_run_test", "judge: one test")
        wrap(student.Student, "_request", "judge: calls")
        wrap(Messages, "send", "judge: deliver")
        end = os._exit
        begun = time.perf_counter()

        def timed_exit(status: int) -> None:
            counters.add("judge: total", time.perf_counter() - begun, time.process_time())
            end(status)

        os._exit = timed_exit  # type: ignore[assignment]
        become_judge(module, connection, control)

    zygote.ZygoteServer.serve = timed_serve  # type: ignore[method-assign]
    zygote.ZygoteServer._reap = timed_reap  # type: ignore[method-assign]
    zygote.become_judge = timed_judge
