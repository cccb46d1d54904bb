"""The judge of final projects: scores each submission's file and makes a report of it.

It holds the labels and the key of the draws. A submission's file is only ever read and run in
confined processes (`engine.confined`), which see neither.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import NoReturn

from autograder.course import CourseExercise
from autograder.engine.control import Control
from autograder.engine.job import Deliver, GradingJob, Progress, report_of
from autograder.engine.judge.serving import GraderError, serve
from autograder.engine.judge.workers import Workers, workers_of
from autograder.engine.messages import Messages
from autograder.errors import AutograderError, EngineError, SubmissionError
from autograder.project import credit, scorer
from autograder.project.card import NO_CARD, TEAM, parse_card
from autograder.project.context import (
    CARD,
    MEMORY_MB,
    MODEL,
    SECONDS,
    ProjectContext,
    dataset_of,
)
from autograder.project.runner import Caps, IsolationTooWeak
from autograder.records import ExerciseResult, Isolation, Outcome, Report, TestResult, Usage
from autograder.records.measurement import Score
from autograder.records.points import exercise_result
from autograder.submissions.submission import Submission

CAPS = Caps(SECONDS, MEMORY_MB)


def main(connection: Messages, control: Control | None) -> NoReturn:
    """Learn the project's rules, score what comes, until nothing comes."""

    def grade(
        job: GradingJob, submissions: Iterator[Submission], deliver: Deliver, progress: Progress
    ) -> None:
        workers = workers_of(control, job, CAPS.limits)
        try:
            for submission in submissions:
                deliver(graded(job, submission, workers, progress))
        finally:
            workers.close()

    serve(connection, grade)


def graded(job: GradingJob, submission: Submission, workers: Workers, progress: Progress) -> Report:
    """The report of one submission, whatever it holds; GraderError if the machine is too weak."""
    assert isinstance(job.context, ProjectContext)
    started = time.monotonic()
    exercises = job.exercises_for(submission)
    files = dict(submission.files)
    score, isolation, usage = None, Isolation(), Usage()
    needed = (MODEL, CARD) if job.context.has_card else (MODEL,)
    if missing := [name for name in needed if name not in files]:
        text = f"{' and '.join(missing)}: not in the submission"
        results = _all(exercises, Outcome.MISSING, text)
    else:
        try:
            score, isolation, usage = _score(job, job.context, submission, files, workers, progress)
            results = credit.results(exercises, score, job.context.project)
        except SubmissionError as error:
            results = _all(exercises, Outcome.FAILED, str(error))
        except IsolationTooWeak as error:
            raise GraderError(str(error)) from None
        except EngineError:  # not the file's doing: the host starts another judge
            raise
        except AutograderError as error:
            text = "the scorer failed; your course staff will look into it"
            results = _all(exercises, Outcome.TOOL_ERROR, text, str(error))
    return replace(
        report_of(job, submission, results),
        isolation=isolation,
        usage=replace(usage, seconds=round(time.monotonic() - started, 4)),
        score=score,
    )


def _score(
    job: GradingJob,
    context: ProjectContext,
    submission: Submission,
    files: dict[str, bytes],
    workers: Workers,
    progress: Progress,
) -> tuple[Score, Isolation, Usage]:
    card = parse_card(files[CARD], CARD) if context.has_card else NO_CARD
    dataset = dataset_of(context.project, context.dataset, card)
    if not context.team_from_card:
        card = card.model_copy(update={"team": team_of(submission)})
    elif context.has_card and not context.project.admits(card.team):
        raise SubmissionError(f"team {card.team!r} is not in course.yaml")
    return scorer.score(
        files[MODEL],
        card,
        dataset,
        context.project,
        workers=workers,
        caps=CAPS,
        require_isolation=job.require_isolation,
        secret=job.secret,
        progress=lambda step: progress(submission.student, step),
    )


def team_of(submission: Submission) -> str:
    """The team as which a submission is listed: its student's name, in a team's letters.

    Who submitted is known from the platform or the folder, never from a file in it.
    """
    if TEAM.fullmatch(submission.student):
        return submission.student
    letters = re.sub(r"[^a-z0-9_-]", "", submission.slug)
    # Long names may begin alike: what tells them apart is the hash at the end of a slug.
    return letters if len(letters) <= 40 else letters[:27] + letters[-13:]


def _all(
    exercises: tuple[CourseExercise, ...], outcome: Outcome, message: str, detail: str = ""
) -> tuple[ExerciseResult, ...]:
    """Every exercise with one outcome and reason."""
    test = TestResult("entry", "The entry can be scored.", outcome, message=message, detail=detail)
    return tuple(exercise_result(exercise, [test]) for exercise in exercises)
