"""Before a class is graded, the model solution is: it has to get all points.

A grader that fails correct code would cost a whole class points, so the graders run on
`solutions/` first. The result is remembered by fingerprint, in a cache that may be deleted at
any time.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from autograder.engine.host import pool
from autograder.engine.job import GradingJob, grader_faults
from autograder.errors import AutograderError
from autograder.files import write
from autograder.records import Report
from autograder.submissions import Submission, read_submission
from autograder.text_safety import clean_line

NAME = "model solution"
MAX_SHOWN = 3


def with_solution(job: GradingJob, root: Path) -> GradingJob:
    """`job` with the model solution, on which known mistakes are tried, where there is one."""
    solution = _solution(job, root)
    return job if solution is None else replace(job, solution=dict(solution.files))


def _solution(job: GradingJob, root: Path) -> Submission | None:
    """The model solution as a submission, where there is one and the session compares with it."""
    folder = _folder(job, root)
    if job.session.kind != "functions" or not folder.is_dir():
        return None
    solution = read_submission(folder, job.session, job.limits.archive, student=NAME)
    return replace(solution, remarks=())  # other versions beside it are the course's own business


def _folder(job: GradingJob, root: Path) -> Path:
    return root / "solutions" / job.session.folder


def verify(
    job: GradingJob, fingerprints: Mapping[str, str], root: Path, spawn: bool = False
) -> None:
    """AutograderError, naming test and reason, unless the solution gets all points of the job.

    `root` is the folder of course.yaml. Without `solutions/`, and for final projects, whose scorer
    compares nothing with a solution, there is nothing to be tried.
    """
    solution = _solution(job, root) if job.exercises else None
    if solution is None:
        return
    key = _key(job, fingerprints, solution)
    cache = root / ".cache" / "autograder" / "verified.json"
    known = _known(cache)
    if key in known:
        return
    if lost := _lost(pool.graded(replace(job, only_for={}), solution, spawn=spawn)):
        more = f" (and {len(lost) - MAX_SHOWN} more)" if len(lost) > MAX_SHOWN else ""
        raise AutograderError(
            f"the graders of {job.session.id} do not give the model solution in "
            f"{_folder(job, root)} all points, so nobody was graded: "
            f"{'; '.join(lost[:MAX_SHOWN])}{more}"
        )
    with contextlib.suppress(OSError):  # a cache
        cache.parent.mkdir(parents=True, exist_ok=True)
        write(cache, json.dumps(sorted(known | {key})) + "\n")


def _key(job: GradingJob, fingerprints: Mapping[str, str], solution: Submission) -> str:
    parts = [*sorted(fingerprints[exercise.id] for exercise in job.exercises), solution.sha256]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _known(cache: Path) -> set[str]:
    try:
        return set(map(str, json.loads(cache.read_text("utf-8"))))
    except (OSError, ValueError, TypeError):
        return set()


def _lost(report: Report) -> list[str]:
    """What the solution lost points for, one line per test."""
    lines = [clean_line(problem, 200) for problem in report.problems]
    for exercise in report.exercises:
        if exercise.points >= exercise.maximum:
            continue
        for test in exercise.tests:
            if test.credit < 1:
                reason = clean_line(test.message or test.outcome, 200)
                lines.append(f"{exercise.id}, {test.name}: {reason}")
    return [*grader_faults(report), *lines]
