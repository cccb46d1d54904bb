"""Public checks as Classroom 50's result.json and release-body.md.

Schema: classroom50/result/v1,
https://github.com/foundation50/classroom50/blob/main/schemas/result-v1.schema.json

Scores there are whole numbers: an exercise's maximum is rounded up, what was earned is rounded
down, and only all of the points give the maximum. Extra credit has no place in the format.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from autograder.course import Session
from autograder.errors import AutograderError
from autograder.integrations.github.checks import summary
from autograder.records import ExerciseResult, FeedbackLevel, Outcome, Report
from autograder.reports.disclosure import disclosed
from autograder.text_safety import clean_line

SCHEMA = "classroom50/result/v1"
RESULT, BODY = "result.json", "release-body.md"
MAX_NAME = 200
ROUNDING = (
    "Scores are whole numbers: points are rounded down, an exercise's maximum up. "
    "Extra credit is not counted."
)
RECEIVED = "Your submission came in. The course shows no points of it here yet."


@dataclass(frozen=True)
class Submitted:
    """What the runner says of a submission, by the names of the format."""

    classroom: str
    assignment: str
    assignment_type: str
    owner: str
    submission: str
    commit: str
    release: str
    review: str


def submitted(environment: Mapping[str, str]) -> Submitted:
    """Read the runner's variables; AutograderError names those that are missing."""

    def first(*names: str) -> str:
        return next((environment[name] for name in names if environment.get(name)), "")

    names = {
        "classroom": ("CLASSROOM",),
        "assignment": ("ASSIGNMENT",),
        "owner": ("OWNER", "USERNAME"),
        "submission": ("SUBMISSION_TAG",),
        "commit": ("COMMIT_URL",),
        "release": ("RELEASE_URL",),
        "review": ("REVIEW_URL", "COMMIT_URL"),
    }
    values = {field: first(*variables) for field, variables in names.items()}
    if missing := [names[field][0] for field, value in values.items() if not value]:
        raise AutograderError(
            f"{', '.join(missing)} not set; this command is for Classroom 50's runner"
        )
    return Submitted(assignment_type=first("ASSIGNMENT_TYPE") or "individual", **values)


def whole(points: float, maximum: float) -> tuple[int, int]:
    """(score, max-score) as whole numbers, 0 <= score <= max-score, equal only for all points."""
    most = math.ceil(maximum)
    return (most if points >= maximum else max(math.floor(points), 0)), most


def as_shown(report: Report, level: FeedbackLevel) -> Report:
    """A report of public checks as the feedback policy lets it out."""
    public = level.covers(FeedbackLevel.PUBLIC)
    return disclosed(report, FeedbackLevel.VERDICTS if public else level)


def result_json(report: Report, about: Submitted, now: datetime) -> str:
    """The text of result.json, one test for each exercise; the runner puts its own time in."""
    counted = [result for result in report.exercises if not result.extra_credit]
    scores = [whole(result.points, result.maximum) for result in counted]
    tree = {
        "schema": SCHEMA,
        **vars(about),
        "datetime": f"{now.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "score": sum(score for score, _ in scores),
        "max-score": sum(most for _, most in scores),
        "tests": [_test(result, *score) for result, score in zip(counted, scores)],
    }
    return json.dumps(tree, indent=1, ensure_ascii=False) + "\n"


def _test(result: ExerciseResult, score: int, most: int) -> dict[str, object]:
    name = clean_line(f"{result.id}: {result.title}", MAX_NAME)
    passed = result.outcome is Outcome.PASSED
    return {"test-name": name, "passed": passed, "score": score, "max-score": most}


def release_body(report: Report, session: Session) -> str:
    """The text of release-body.md."""
    if not report.exercises:
        return f"{RECEIVED}\n"
    return f"{summary(report, session)}\n{ROUNDING}\n"
