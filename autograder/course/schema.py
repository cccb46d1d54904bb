"""What course.yaml may say: one frozen model for each part of it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    model_validator,
)
from pydantic_core import PydanticCustomError

from autograder.course.names import COSTS, EXERCISE_ID
from autograder.errors import CourseError
from autograder.moments import moment_with_offset
from autograder.records import FeedbackLevel, Visibility
from shared.datasets import DATASETS

POINTS_PER_SESSION = 100
PROJECT_FILES = ("model.onnx", "card.yaml")

T = TypeVar("T")


# ---- values --------------------------------------------------------------------------------


def _matching(pattern: str, what: str) -> AfterValidator:
    compiled = re.compile(pattern, re.ASCII)

    def check(value: str) -> str:
        if not compiled.fullmatch(value):
            raise PydanticCustomError("expected", "{what}", {"what": what})
        return value

    return AfterValidator(check)


def _one_of(names: Iterable[str]) -> AfterValidator:
    known = list(names)
    expected = " or ".join(map(repr, known))

    def check(value: str) -> str:
        if value not in known:
            context = {"expected": expected, "known": known}
            raise PydanticCustomError("unknown_name", "Input should be {expected}", context)
        return value

    return AfterValidator(check)


_A_DATE = "a date and time with its UTC offset, such as 2027-01-25T23:59:00+01:00"


def _parse_date(value: object) -> object:
    moment = moment_with_offset(value)
    if moment is None:
        raise PydanticCustomError("expected", "{what}", {"what": _A_DATE})
    return moment


Text = Annotated[str, _matching(r"\S(.*\S)?", "text on one line")]
Slug = Annotated[str, _matching(r"[a-z0-9][a-z0-9_-]*", "lower-case letters, digits, - and _")]
SessionId = Annotated[str, _matching(r"s[1-9][0-9]*", "a session id such as s1")]
Folder = Annotated[str, _matching(r"[a-z][a-z0-9_]*", "a folder name such as s1_intro")]
FileName = Annotated[str, _matching(r"[a-z_][a-z0-9_]*\.py", "a module such as metrics.py")]
SharedModule = Annotated[str, _matching(r"[a-z_][a-z0-9_]*", "a module name of shared/")]
ExerciseId = Annotated[
    str,
    _matching(EXERCISE_ID.pattern, "an exercise id such as s1.sparsity"),
]
Threshold = Annotated[str, _matching(r"[a-z][a-z0-9_]*", "a name such as full_ratio")]
Date = Annotated[datetime, BeforeValidator(_parse_date)]
Items = Annotated[tuple[T, ...], Field(strict=False)]  # YAML has lists only
PositiveInt = Annotated[int, Field(gt=0)]
PositiveFloat = Annotated[float, Field(gt=0)]
Percent = Annotated[float, Field(gt=0, le=100)]
CostName = Annotated[str, _one_of(COSTS)]
DatasetName = Annotated[str, _one_of(DATASETS)]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _refuse_unknown_keys(cls, data: Any) -> Any:
        """Report a misspelt key with those that exist, and not as a missing one as well."""
        known = [field.alias or name for name, field in cls.model_fields.items()]
        for key in data if isinstance(data, dict) else ():
            if key not in known:
                context = {"key": key, "known": known}
                raise PydanticCustomError("unknown_key", "unknown key {key}", context)
        return data


# ---- sessions --------------------------------------------------------------------------------


class CourseExercise(_Model):
    """What earns `points`, which count towards the session's 100 unless it is `extra_credit`.

    `graded` says whether a program or a person gives the points; `thresholds` are numbers by name
    that its graders measure against.
    """

    id: ExerciseId
    title: Text
    points: PositiveFloat
    graded: Literal["automatically", "by hand"] = "automatically"
    thresholds: dict[Threshold, float] = {}
    visibility: Annotated[Visibility, Field(strict=False)] = Visibility.VISIBLE
    extra_credit: bool = False
    _file: str = PrivateAttr(default="")

    @property
    def file(self) -> str:
        """The file that holds the exercise, such as `metrics.py`; "" outside a module."""
        return self._file

    @property
    def module(self) -> str:
        """The name under which the file is imported, such as `metrics`; "" outside a module."""
        return self._file.removesuffix(".py")

    @property
    def name(self) -> str:
        """The id without its session, such as `sparsity`."""
        return self.id.partition(".")[2]


class Module(_Model):
    """One file that students fill in."""

    file: FileName
    exercises: Items[CourseExercise] = ()

    def model_post_init(self, _context: Any, /) -> None:
        """Tell the exercises where they live."""
        for exercise in self.exercises:
            exercise._file = self.file


class Session(_Model):
    """One part of the course.

    A session of kind `functions` is graded by calling what students wrote into its modules, a
    `project` by measuring the network that they submit. `own_exercises` (in course.yaml:
    `exercises`) belong to no module. `withhold` names the modules of `shared` that solve graded
    exercises; student code must not be able to import them.
    """

    id: SessionId
    folder: Folder
    title: Text
    kind: Literal["functions", "project"] = "functions"
    opens: Date | None = None
    due: Date | None = None
    modules: Items[Module] = ()
    own_exercises: Items[CourseExercise] = Field(default=(), alias="exercises")
    withhold: Items[SharedModule] = ()

    @property
    def exercises(self) -> tuple[CourseExercise, ...]:
        """All exercises in the order of course.yaml, those of modules first."""
        in_modules = (exercise for module in self.modules for exercise in module.exercises)
        return (*in_modules, *self.own_exercises)

    @property
    def required_files(self) -> tuple[str, ...]:
        """Files that a submission must hold."""
        if self.kind == "project":
            return PROJECT_FILES
        return tuple(module.file for module in self.modules)

    def exercise(self, exercise_id: str) -> CourseExercise:
        """Return one exercise; an unknown id raises `CourseError`."""
        known = {exercise.id: exercise for exercise in self.exercises}
        if exercise_id not in known:
            names = ", ".join(known) or "none"
            raise CourseError(f"unknown exercise {exercise_id!r} in session {self.id}: use {names}")
        return known[exercise_id]


# ---- lateness --------------------------------------------------------------------------------


class NoPenalty(_Model):
    """Late submissions count in full."""

    kind: Literal["none"] = "none"


class GracePeriod(_Model):
    """Submissions up to `hours` late count in full, later ones not at all."""

    kind: Literal["grace"] = "grace"
    hours: PositiveFloat


class PercentPerDay(_Model):
    """Every started day costs `percent` of the points; after `cut_off_days` nothing counts."""

    kind: Literal["percent_per_day"] = "percent_per_day"
    percent: Percent
    cut_off_days: PositiveFloat | None = None


class CutOff(_Model):
    """Late submissions do not count."""

    kind: Literal["cut_off"] = "cut_off"


LATE_POLICIES = ("none", "grace", "percent_per_day", "cut_off")
LatePolicy = Annotated[
    NoPenalty | GracePeriod | PercentPerDay | CutOff, Field(discriminator="kind")
]


class Extension(_Model):
    """A later due date for one student in one session."""

    student: Text
    session: SessionId
    due: Date


# ---- feedback --------------------------------------------------------------------------------


class FeedbackPolicy(_Model):
    """What a student sees of the graded work before and after the student's own due date."""

    before_due: Annotated[FeedbackLevel, Field(strict=False)] = FeedbackLevel.VERDICTS
    after_due: Annotated[FeedbackLevel, Field(strict=False)] = FeedbackLevel.VERDICTS


# ---- limits ----------------------------------------------------------------------------------


class ArchiveLimits(_Model):
    """Caps on a submitted archive; `max_ratio` is unpacked over packed size."""

    max_files: PositiveInt = 200
    max_bytes: PositiveInt = 20_000_000
    max_ratio: PositiveFloat = 100


class Limits(_Model):
    """What one submission may use: wall-clock seconds, and sizes in the unit of the name."""

    test_seconds: PositiveFloat = 10
    exercise_seconds: PositiveFloat = 60
    submission_seconds: PositiveFloat = 480
    memory_mb: PositiveInt = 1024
    output_kb: PositiveInt = 64
    reply_mb: PositiveInt = 64
    archive: ArchiveLimits = ArchiveLimits()


# ---- final project ---------------------------------------------------------------------------


class Reference(_Model):
    """What a cost is relative to: parameters and operations of the reference network."""

    params: PositiveInt
    ops: PositiveInt


class Credit(_Model):
    """Costs between which credit rises from none to all, on a logarithmic scale."""

    full_cost: PositiveFloat
    zero_cost: PositiveFloat


class DatasetRules(_Model):
    """The rules of the final project on one data set.

    `input_shape` is (channels, height, width) of a uint8 image with values 0..`pixel_max`. A
    model passes the gate with at least `gate_correct` of `test_images` right answers. `network`
    is the network that entries are compared with, and `perturbation_drop` the share of right
    answers that it loses on perturbed test images. `credit` says what a cost is worth.
    """

    input_shape: Annotated[tuple[PositiveInt, PositiveInt, PositiveInt], Field(strict=False)]
    pixel_max: Annotated[int, Field(gt=0, le=255)] = 255
    classes: PositiveInt
    test_images: PositiveInt
    gate_correct: PositiveInt
    network: Reference
    perturbation_drop: Annotated[float, Field(ge=0, le=1)]
    references: dict[CostName, Reference]
    credit: Credit | None = None


class FinalProject(_Model):
    """Rules of the final project; the first of `costs` ranks the leaderboard.

    Only `teams` may enter; none named: anybody. Entries for the data sets in `graded` earn points;
    none named: those for any data set.
    """

    max_bytes: PositiveInt
    costs: Items[CostName]
    teams: Items[Slug] = ()
    datasets: dict[DatasetName, DatasetRules]
    graded: Items[DatasetName] = ()

    def admits(self, team: str) -> bool:
        """Whether a team may enter."""
        return not self.teams or team in self.teams


# ---- the course ------------------------------------------------------------------------------


class Course(_Model):
    """Everything that course.yaml says."""

    kit_version: Literal[1]
    id: Slug
    title: Text
    term: Text
    sessions: Items[Session]
    late_policy: LatePolicy = NoPenalty()
    feedback: FeedbackPolicy = FeedbackPolicy()
    extensions: Items[Extension] = ()
    limits: Limits = Limits()
    final_project: FinalProject | None = None

    def session(self, name: str) -> Session:
        """Return a session by id (`s1`) or folder (`s1_intro`); `CourseError` if there is none."""
        for session in self.sessions:
            if name in (session.id, session.folder):
                return session
        known = ", ".join(f"{session.id} ({session.folder})" for session in self.sessions)
        raise CourseError(f"unknown session {name!r}: use {known}")
