"""What grading produces: frozen records from one test up to the report of a submission.

The written form is JSON, see `autograder.records.codec`; `SCHEMA_VERSION` changes with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from autograder.records.measurement import Score

SCHEMA_VERSION = 6

KNOWN_MISTAKE = "A known mistake: "
"""Begins the message of a test whose mistake was recognized; what follows says what was done."""


class Outcome(StrEnum):
    """How one test, or one exercise, ended. Only PASSED and PARTIAL earn points."""

    PASSED = "passed"
    PARTIAL = "partial"
    FAILED = "failed"
    BLANK = "blank"
    CRASHED = "crashed"
    TIMED_OUT = "timed out"
    OUT_OF_MEMORY = "out of memory"
    REFUSED = "refused"  # touched what it may not touch
    BLOCKED = "blocked"  # called another exercise that is still blank
    MISSING = "missing"  # the file that holds it is absent, empty or unreadable
    NOT_MARKED = "not marked"  # graded by hand, and nobody has yet
    TOOL_ERROR = "tool error"  # ours; it is graded again


class Visibility(StrEnum):
    """When a student sees a test; the names are Gradescope's."""

    VISIBLE = "visible"
    HIDDEN = "hidden"
    AFTER_DUE_DATE = "after_due_date"
    AFTER_PUBLISHED = "after_published"


class FeedbackLevel(StrEnum):
    """How much of a report its student reads, from least to most; see reports.disclosure."""

    NOTHING = "nothing"
    POINTS = "points"
    PUBLIC = "public checks"
    VERDICTS = "hidden verdicts"

    def covers(self, other: FeedbackLevel) -> bool:
        """Whether this level shows at least what `other` shows."""
        levels = list(FeedbackLevel)
        return levels.index(self) >= levels.index(other)


@dataclass(frozen=True)
class TestResult:
    """One hidden or public test.

    `credit` is a share in 0..1 of the test's weight. `guard` marks a check that a degenerate
    answer also passes; it counts only if an ordinary test of the exercise earned credit.
    `essential` marks what an exercise is about: without it, at most half of the points are earned.
    `message` is for the student and never holds a hidden input or an expected value; `output` is
    what the code printed during a test that did not pass; `detail` (a traceback) is for the
    teaching assistant.
    """

    __test__ = False  # not a test class for pytest

    name: str
    title: str
    outcome: Outcome
    credit: float = 0.0
    weight: float = 1.0
    guard: bool = False
    essential: bool = False
    visibility: Visibility = Visibility.VISIBLE
    message: str = ""
    output: str = ""
    detail: str = ""
    seconds: float = 0.0
    student_seconds: float = 0.0


@dataclass(frozen=True)
class Mark:
    """Points that a person gave for one exercise: `by` whom, with a comment for the student."""

    points: float
    comment: str = ""
    by: str = ""


@dataclass(frozen=True)
class ExerciseResult:
    """One exercise: automatic `points` of `maximum`, and a `mark` that replaces them.

    `by_hand` says that no grader gives points for it. `fingerprint` identifies
    everything that the automatic points depend on; empty if they depend on nothing. `calls` are the
    ids of other exercises whose functions this one calls, if it lost points.
    """

    id: str
    title: str
    module: str
    outcome: Outcome
    points: float
    maximum: float
    extra_credit: bool = False
    by_hand: bool = False
    mark: Mark | None = None
    fingerprint: str = ""
    calls: tuple[str, ...] = ()
    tests: tuple[TestResult, ...] = ()

    @property
    def earned(self) -> float:
        """The points that count: of the mark if there is one."""
        return self.points if self.mark is None else self.mark.points


@dataclass(frozen=True)
class Isolation:
    """What confined the worker that ran the student's code.

    `level` is "strict" (everything the design asks for), "partial", "process" (a separate
    process with resource limits only) or "none" (no code ran). `mechanisms` were in force,
    `missing` were not, each with its reason.
    """

    level: Literal["none", "process", "partial", "strict"] = "none"
    mechanisms: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()


@dataclass(frozen=True)
class Usage:
    """What one submission cost: seconds by the clock, the largest resident memory of a worker."""

    seconds: float = 0.0
    student_seconds: float = 0.0
    peak_memory_bytes: int = 0
    workers: int = 0


@dataclass(frozen=True)
class Lateness:
    """When the submission came in against the due date; `penalty` is a share in 0..1 of the points.

    `policy` is the kind of late policy. Without `submitted_at` no time is known, and the policy was
    not applied. `due` is the date that counts for this student: the session's, or a later one that
    was granted.
    """

    submitted_at: str | None = None
    due: str | None = None
    days_late: float = 0.0
    penalty: float = 0.0
    policy: str = "none"

    @property
    def unknown(self) -> bool:
        """Whether a penalty could be due, but no time of submission is known."""
        return self.policy != "none" and self.due is not None and self.submitted_at is None


@dataclass(frozen=True)
class Identity:
    """Who submitted, beside the name that a report goes by, and what the download calls it.

    `layout` names the form of the download (moodle, canvas, …), `platform_id` is the student's id
    there, `attempt` counts from 1 where the platform counts. `download` is what the names of the
    student's files begin with in the download: `Ada Lovelace_12_assignsubmission_file_/`. `email`,
    `section` and `group` come from the platform or the roster.
    """

    name: str = ""
    email: str = ""
    section: str = ""
    group: str = ""
    layout: str = ""
    platform_id: str = ""
    attempt: int | None = None
    download: str = ""


@dataclass(frozen=True)
class Report:
    """Everything known about one graded submission.

    `problems` are one-line facts about the submission as a whole (a missing module, a file that
    is not UTF-8, two submissions of one student); `incidents` name attempts to touch what is
    not the student's, and `notes` words in the source that honest work rarely needs, both for the
    teaching assistant. `sources` are the submitted modules by file name, as text, and `versions`
    those of Python and torch that ran them. `score` is the measurement of a final project.
    `failed_runs` counts the runs in a row in which we failed to grade something of it.
    """

    course: str
    session: str
    student: str
    slug: str
    submission_sha256: str
    exercises: tuple[ExerciseResult, ...] = ()
    problems: tuple[str, ...] = ()
    incidents: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    identity: Identity = Identity()
    isolation: Isolation = Isolation()
    usage: Usage = Usage()
    lateness: Lateness = Lateness()
    score: Score | None = None
    failed_runs: int = 0
    sources: Mapping[str, str] = field(default_factory=dict)
    graded_at: str = ""
    kit_version: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    schema_version: int = SCHEMA_VERSION

    @property
    def raw_points(self) -> float:
        """Points before the late penalty, marks by hand included, rounded to cents."""
        return round(sum(exercise.earned for exercise in self.exercises), 2)

    @property
    def points(self) -> float:
        """Points after the late penalty, rounded to cents."""
        return round(self.raw_points * (1.0 - self.lateness.penalty), 2)

    @property
    def maximum(self) -> float:
        """Points that can be earned without extra credit."""
        return round(sum(e.maximum for e in self.exercises if not e.extra_credit), 2)

    @property
    def automatic_points(self) -> float:
        """Points of the graders alone, before the late penalty, rounded to cents."""
        return round(sum(exercise.points for exercise in self.exercises), 2)

    @property
    def unmarked(self) -> int:
        """Exercises that wait for somebody to mark them."""
        return sum(exercise.outcome is Outcome.NOT_MARKED for exercise in self.exercises)

    @property
    def has_tool_error(self) -> bool:
        """Whether anything must be graded again because of a fault of ours."""
        return any(exercise.outcome is Outcome.TOOL_ERROR for exercise in self.exercises)
