"""What a judge is told before it sees a submission. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from autograder.course import Exercise, Limits, Session
from autograder.engine.control import WorkerLimits
from autograder.records import Isolation

Level = Literal["process", "partial", "strict"]
LEVELS: tuple[Level, ...] = ("process", "partial", "strict")
"""Isolation from weak to strong."""


def isolation_shortfall(isolation: Isolation, required: Level) -> str:
    """Why an isolation is less than what is required, in one line; empty if it is enough."""
    if LEVELS.index(isolation.level) >= LEVELS.index(required):
        return ""
    return (
        f"isolation {required!r} is required, this machine gives {isolation.level!r}: "
        f"{'; '.join(isolation.missing)} (see `autograder doctor`)"
    )


Progress = Callable[[str, str], None]
"""Called with a student's name and the id of the exercise that begins."""


@dataclass(frozen=True)
class JudgeSpec:
    """Everything that a judge needs to know besides the submissions.

    `tests` are folders or files with graders, `secret` keys the random draws, `only` names the
    exercises to grade (empty: all), `only_for` fewer of them by student. `data_root` is
    COURSE_DATA for graders that use real data, `without` switches sandbox mechanisms off (for
    tests). `scratch` is the folder for everything temporary; the pool makes and removes it.
    """

    course_id: str
    session: Session
    limits: Limits
    tests: tuple[str, ...]
    secret: bytes
    only: tuple[str, ...] = ()
    only_for: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    data_root: str = ""
    require_isolation: Level = "process"
    without: tuple[str, ...] = ()
    scratch: str = ""

    @property
    def exercises(self) -> tuple[Exercise, ...]:
        """The exercises to be graded, in the course's order."""
        return tuple(e for e in self.session.exercises if not self.only or e.id in self.only)

    def exercises_for(self, student: str) -> tuple[Exercise, ...]:
        """Those of them that are graded for a student."""
        wanted = self.only_for.get(student)
        return tuple(e for e in self.exercises if wanted is None or e.id in wanted)

    @property
    def worker_limits(self) -> WorkerLimits:
        """The limits of one worker process."""
        return WorkerLimits(
            memory_bytes=self.limits.memory_mb << 20,
            cpu_seconds=int(self.limits.submission_seconds) + 10,
            reply_bytes=self.limits.reply_mb << 20,
            output_bytes=self.limits.output_kb << 10,
        )
