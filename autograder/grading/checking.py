"""One submission on its author's machine, or one entry by itself: nothing is kept here."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from autograder.course import ArchiveLimits, Course, DatasetName, Session
from autograder.engine.host import pool
from autograder.engine.job import GradingJob, Level, Progress
from autograder.errors import AutograderError
from autograder.grading.assembly import finished, merged
from autograder.grading.kinds import Settings, automatic, kind_of, project_of
from autograder.grading.results import given_secret
from autograder.project.context import CARD, MODEL, ProjectContext
from autograder.records import Outcome, Report
from autograder.submissions import Submission, read_submission
from autograder.submissions.identity import display_name, slug
from autograder.submissions.submission import content_hash

PUBLIC_SECRET = b"public tests use no secret"


def exercise_ids(session: Session, names: Iterable[str]) -> tuple[str, ...]:
    """Resolve `s1.split` or `split` to ids of the session; CourseError for an unknown one.

    AutograderError for an exercise that only a person grades.
    """

    def full(name: str) -> str:
        return name if name.startswith(f"{session.id}.") else f"{session.id}.{name}"

    ids = tuple(session.exercise(full(name)).id for name in names)
    by_hand = [exercise_id for exercise_id in ids if exercise_id not in automatic(session)]
    if by_hand:
        raise AutograderError(f"{by_hand[0]} is graded by hand: give its points with --marks")
    return ids


# ---- functions -----------------------------------------------------------------------------------


def public_tests(root: Path, session: Session) -> Path:
    """The course's public tests of a session, by the folder of course.yaml.

    Never those beside the modules: whoever checks somebody else's folder would run them.
    """
    candidates = [root / part / session.folder / "tests" for part in ("assignments", "solutions")]
    for folder in candidates:
        if folder.is_dir():
            return folder.resolve()
    raise AutograderError(f"no public tests in {candidates[0]}")


def own_submission(folder: Path, session: Session, limits: ArchiveLimits) -> Submission:
    """The files of a folder to be checked for their author; AutograderError if there are none."""
    submission = read_submission(folder, session, limits, student="you")
    if not submission.files:
        raise AutograderError(
            submission.problems[0] if submission.problems else f"nothing in {folder}"
        )
    if all((folder / name).is_file() for name in session.required_files):
        return replace(submission, remarks=())  # whatever lies beside them: nobody submits it
    return submission


def check(
    course: Course,
    session: Session,
    submission: Submission,
    tests: Path,
    only: tuple[str, ...],
    progress: Progress,
    spawn: bool = False,
) -> Report:
    """Run public tests on one submission, on the student's own machine."""
    job = GradingJob(
        course_id=course.id,
        session=session,
        limits=course.limits,
        tests=(str(tests),),
        secret=PUBLIC_SECRET,
        only=automatic(session, only),
        data_root=os.environ.get("COURSE_DATA", ""),
        public=True,
    )
    return pool.graded(job, submission, progress, spawn)


# ---- the final project ---------------------------------------------------------------------------


def project_session(course: Course) -> Session:
    """The session of the final project; AutograderError in a course without one."""
    project_of(course)
    for session in course.sessions:
        if session.kind == "project":
            return session
    raise AutograderError("course.yaml has no session of kind project")


def score(
    course: Course,
    team: str,
    model: bytes,
    card: bytes | None,
    *,
    dataset: DatasetName | None = None,
    require_isolation: Level = "process",
    progress: Progress = lambda *_: None,
    spawn: bool = False,
) -> Report:
    """The report of one entry, whose card says which team it is; without a card, of a file.

    The draws of perturbed images are keyed by the environment's secret, else they are public.
    AutograderError if the entry cannot be scored for a reason that is not its own.
    """
    session = project_session(course)
    files = {MODEL: model} if card is None else {MODEL: model, CARD: card}
    submission = Submission(
        student=display_name(team),
        slug=slug(team),
        sha256=content_hash(files),
        files=tuple(files.items()),
    )
    settings = Settings(given_secret().encode(), (), require_isolation, dataset)
    kind = kind_of(session)
    job = kind.job(course, session, settings)
    assert isinstance(job.context, ProjectContext)
    context = ProjectContext(
        job.context.project, dataset, team_from_card=True, has_card=card is not None
    )
    report = pool.graded(replace(job, context=context), submission, progress, spawn)
    for exercise in report.exercises:
        if exercise.outcome is Outcome.TOOL_ERROR:
            raise AutograderError(exercise.tests[0].detail or exercise.tests[0].message)
    if report.score is None:
        raise AutograderError(report.exercises[0].tests[0].message)
    fingerprints = kind.fingerprints(course, session, settings)
    return finished(merged(report, None, fingerprints), course, session, None, {})
