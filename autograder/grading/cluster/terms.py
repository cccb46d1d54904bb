"""What a worker has to know to grade as the command line would. Imports nothing of Dask."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Generic, TypeVar

from autograder.course import Course
from autograder.engine.job import GradingJob
from autograder.grading.kinds import Settings, kind_of

T = TypeVar("T")


class Sealed(Generic[T]):
    """A value whose text says nothing: Dask logs the arguments of what fails."""

    def __init__(self, value: T) -> None:
        self.value = value

    def __repr__(self) -> str:
        return "Sealed(…)"


@dataclass(frozen=True)
class Terms:
    """A batch as workers get it; without paths, which are theirs.

    `fingerprints` are the exercises' on the command line's machine, `solution`, `only_for` and
    `preload` as in `GradingJob`. `spawn` is the option of the command line.
    """

    course: Course
    session: str
    settings: Settings = field(repr=False)
    fingerprints: Mapping[str, str]
    solution: Mapping[str, bytes] = field(default_factory=dict)
    only_for: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    preload: tuple[str, ...] = ()
    spawn: bool = False

    def job(self) -> GradingJob:
        """The job with this machine's graders, data and interpreter."""
        session = self.course.session(self.session)
        job = kind_of(session).job(self.course, session, self.settings)
        return replace(
            job,
            solution=self.solution,
            only_for=self.only_for,
            preload=(*job.preload, *self.preload),
        )

    def other_exercises(self) -> list[str]:
        """Ids of the exercises whose graders, library or engine are others on this machine."""
        session = self.course.session(self.session)
        here = kind_of(session).fingerprints(self.course, session, self.settings)
        return [name for name, value in self.fingerprints.items() if here.get(name) != value]
