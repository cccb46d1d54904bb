"""One submission in Gradescope's container.

    /autograder/submission/               what the student uploaded, unpacked
    /autograder/submission_metadata.json  who, when, due dates
    /autograder/results/results.json      written here, once, by the process that no student code
                                          runs in and that no worker's user can write for

Gradescope replaces everything by 0 when its limit passes, so the judge gets less time than that:
what it has not come to by then is reported as over time, with all that is known.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from autograder.course import Course, Session
from autograder.errors import AutograderError
from autograder.files import write
from autograder.grading.kinds import kind_of
from autograder.grading.results import SECRET_FILE, read_secret
from autograder.grading.single import grade_one
from autograder.integrations.gradescope.results import results_json
from autograder.moments import moment_with_offset
from autograder.records import Report
from autograder.submissions import read_submission
from autograder.submissions.identity import same_student_key
from autograder.text_safety import clean_line

HOME = Path("/autograder")
MARGIN_SECONDS, MARGIN_SHARE = 75.0, 0.3  # of the limit, for starting, ending and writing
MAX_METADATA = 10_000_000


@dataclass(frozen=True)
class Metadata:
    """What the platform says of a submission; `problems` are lines on what it does not say.

    `names` may identify the student in course.yaml. `due` is the student's own due date there, if
    it is not the assignment's.
    """

    student: str
    names: tuple[str, ...] = ()
    submitted_at: str | None = None
    due: datetime | None = None
    problems: tuple[str, ...] = ()


def grade(
    course: Course, root: Path, session: Session, minutes: float, home: Path = HOME
) -> Report:
    """Grade the one submission that lies there and write its results.json.

    `root` is the unpacked archive, `minutes` the harness's limit. AutograderError if we fail: no
    results are written then, and Gradescope tells the staff.
    """
    started = time.monotonic()
    results = home / "results"
    if not results.is_dir():
        raise AutograderError(
            f"{results}: no such folder; this command is for Gradescope's harness"
        )
    metadata = read_metadata(home / "submission_metadata.json")
    submission = read_submission(
        home / "submission",
        session,
        kind_of(session).archive_limits(course),
        student=metadata.student,
        submitted_at=metadata.submitted_at,
    )
    report = grade_one(
        _with_extension(course, session, metadata, submission.student),
        root,
        _with_own_due_date(session, metadata),
        replace(submission, problems=(*submission.problems, *metadata.problems)),
        read_secret(root / SECRET_FILE),
        _budget(minutes) - (time.monotonic() - started),
    )
    text = results_json(report, session, time.monotonic() - started, course.feedback)
    write(results / "results.json", text)
    return report


def _budget(minutes: float) -> float:
    """Seconds until everything has to be written, of the harness's limit."""
    total = 60 * minutes
    return total - min(MARGIN_SECONDS, MARGIN_SHARE * total)


# ---- who and when --------------------------------------------------------------------------------


def read_metadata(path: Path) -> Metadata:
    """Read submission_metadata.json; what is missing or malformed becomes a line."""
    try:
        with path.open("rb") as file:
            tree = json.loads(file.read(MAX_METADATA))
    except (OSError, ValueError, RecursionError):
        tree = None
    if not isinstance(tree, dict):
        line = f"{path.name} cannot be read, so that no time of submission is known"
        return Metadata("student", problems=(line,))
    users = [user for user in _listed(tree.get("users")) if isinstance(user, dict)]
    names = tuple(
        str(user[key]) for user in users for key in ("sid", "email", "name") if user.get(key)
    )
    shown = [str(user.get("name") or user.get("email") or user.get("id")) for user in users]
    submitted = moment_with_offset(tree.get("created_at"))
    problem = f"{path.name} has no created_at with a time zone, so the late policy is not applied"
    return Metadata(
        student=", ".join(shown) or "student",
        names=names,
        submitted_at=None if submitted is None else submitted.isoformat(),
        due=_own_due_date(tree, users),
        problems=(problem,) if submitted is None else (),
    )


def _own_due_date(tree: Mapping[str, Any], users: Iterable[Mapping[str, Any]]) -> datetime | None:
    """The latest due date of these users, if it is later than the assignment's."""
    general = moment_with_offset(_mapping(tree.get("assignment")).get("due_date"))
    own = [moment_with_offset(_mapping(user.get("assignment")).get("due_date")) for user in users]
    latest = max((date for date in own if date is not None), default=None)
    return latest if latest is not None and general is not None and latest > general else None


def _with_extension(course: Course, session: Session, metadata: Metadata, student: str) -> Course:
    """The course, where an extension under any of the student's names is that of `student`."""
    names = (*metadata.names, *(name.partition("@")[0] for name in metadata.names))
    known = {*map(same_student_key, names)} - {""}
    granted = (each for each in course.extensions if each.session == session.id)
    own = [each for each in granted if same_student_key(each.student) in known]
    if not own:
        return course
    latest = max(own, key=lambda extension: extension.due)
    return course.model_copy(
        update={"extensions": (latest.model_copy(update={"student": student}),)}
    )


def _with_own_due_date(session: Session, metadata: Metadata) -> Session:
    dates = [date for date in (session.due, metadata.due) if date is not None]
    if session.due is None or not dates:
        return session
    return session.model_copy(update={"due": max(dates)})


def _listed(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def summary(report: Report) -> str:
    """One line for the staff's log."""
    name = clean_line(report.student, 60)
    return f"{name}: {report.points:g} of {report.maximum:g} points"
