"""Kinds of sessions: how a submission becomes a report. course.yaml states the kind.

    functions   hidden graders call the student's functions in a worker     engine.judge
    project     a final project is measured from its file                   project.judge

A kind is the judge process that turns one submission after the other into reports; the host
(`engine.host`) runs judges of any kind, with jobs, retries and limits.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from autograder.course import ArchiveLimits, Course, DatasetName, FinalProject, Session
from autograder.course.graders import GRADERS
from autograder.engine.job import GradingJob, Level
from autograder.errors import AutograderError
from autograder.grading import fingerprints
from autograder.project.context import PRELOAD, SUBMISSION_SECONDS, ProjectContext

JUDGE_OF_PROJECTS = "autograder.project.judge"
ARCHIVE_MARGIN = 1_000_000  # bytes beside a model: the card, the report


@dataclass(frozen=True)
class Settings:
    """The options of a run, the same for every kind.

    `only` are exercise ids (empty: all that are graded automatically). `dataset` is what final
    projects are scored on instead of the data set that their card names.
    """

    secret: bytes
    only: tuple[str, ...] = ()
    require_isolation: Level = "process"
    dataset: DatasetName | None = None


@dataclass(frozen=True)
class Kind:
    """One kind of session: its job, what results depend on, how large a submission may be."""

    job: Callable[[Course, Session, Settings], GradingJob]
    fingerprints: Callable[[Course, Session, Settings], Mapping[str, str]]
    archive_limits: Callable[[Course], ArchiveLimits]


def kind_of(session: Session) -> Kind:
    """The kind that course.yaml states."""
    return KINDS[session.kind]


def automatic(session: Session, only: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Ids of the exercises that are graded automatically, or of those of them in `only`."""
    ids = tuple(e.id for e in session.exercises if e.graded == "automatically")
    return tuple(exercise_id for exercise_id in ids if not only or exercise_id in only)


# ---- functions -----------------------------------------------------------------------------------


def graders_of(session: Session) -> Path:
    """The folder with a session's hidden graders; AutograderError in a kit without them."""
    folder = GRADERS / session.folder
    if not folder.is_dir():
        raise AutograderError(f"this kit has no graders for {session.id} (a student's copy?)")
    return folder


def _functions_job(course: Course, session: Session, settings: Settings) -> GradingJob:
    if not automatic(session):
        raise AutograderError(f"{session.id} has no exercise that is graded automatically")
    return GradingJob(
        course_id=course.id,
        session=session,
        limits=course.limits,
        tests=(str(graders_of(session)),),
        secret=settings.secret,
        only=automatic(session, settings.only),
        data_root=os.environ.get("COURSE_DATA", ""),
        require_isolation=settings.require_isolation,
    )


def _functions_fingerprints(course: Course, session: Session, _: Settings) -> Mapping[str, str]:
    return fingerprints.of_functions(course, session, graders_of(session))


def _functions_limits(course: Course) -> ArchiveLimits:
    return course.limits.archive


# ---- the final project ---------------------------------------------------------------------------


def project_of(course: Course) -> FinalProject:
    """The rules of the final project; AutograderError in a course without one."""
    if course.final_project is None:
        raise AutograderError("course.yaml has no final_project")
    return course.final_project


def _project_job(course: Course, session: Session, settings: Settings) -> GradingJob:
    project = project_of(course)
    limits = {"submission_seconds": SUBMISSION_SECONDS}  # the judge knows the processes' own
    return GradingJob(
        course_id=course.id,
        session=session,
        limits=course.limits.model_copy(update=limits),
        tests=(),
        secret=settings.secret,
        only=automatic(session, settings.only),
        data_root=os.environ.get("COURSE_DATA", ""),
        require_isolation=settings.require_isolation,
        entry=JUDGE_OF_PROJECTS,
        preload=PRELOAD,
        context=ProjectContext(project, settings.dataset),
    )


def _project_fingerprints(
    course: Course, session: Session, settings: Settings
) -> Mapping[str, str]:
    return fingerprints.of_project(course, session, settings.secret, settings.dataset)


def _project_limits(course: Course) -> ArchiveLimits:
    largest = project_of(course).max_bytes + ARCHIVE_MARGIN
    return course.limits.archive.model_copy(update={"max_bytes": largest})


KINDS: Mapping[str, Kind] = {
    "functions": Kind(_functions_job, _functions_fingerprints, _functions_limits),
    "project": Kind(_project_job, _project_fingerprints, _project_limits),
}
"""By the name that course.yaml uses."""
