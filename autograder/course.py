"""course.yaml: the one place where sessions, points, dates, limits and project rules are stated.

`load_course` reads and checks it. Every mistake is a `CourseError` of the form

    course.yaml:LINE: KEY: expected X, got Y

whose line comes from the marks of the YAML nodes.
"""

from __future__ import annotations

import difflib
import itertools
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationError,
)
from pydantic_core import ErrorDetails, PydanticCustomError

from autograder.errors import CourseError
from autograder.records import Visibility

POINTS_PER_SESSION = 100

T = TypeVar("T")
Location = tuple[int | str, ...]


# ---- values --------------------------------------------------------------------------------


def _matching(pattern: str, what: str) -> AfterValidator:
    compiled = re.compile(pattern, re.ASCII)

    def check(value: str) -> str:
        if not compiled.fullmatch(value):
            raise PydanticCustomError("expected", "{what}", {"what": what})
        return value

    return AfterValidator(check)


_A_DATE = "a date and time with its UTC offset, such as 2027-01-25T23:59:00+01:00"


def _parse_date(value: object) -> object:
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            raise PydanticCustomError("expected", "{what}", {"what": _A_DATE}) from None
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise PydanticCustomError("expected", "{what}", {"what": _A_DATE})
    return value


Text = Annotated[str, _matching(r"\S(.*\S)?", "text on one line")]
Slug = Annotated[str, _matching(r"[a-z0-9][a-z0-9_-]*", "lower-case letters, digits, - and _")]
SessionId = Annotated[str, _matching(r"s[1-9][0-9]*", "a session id such as s1")]
Folder = Annotated[str, _matching(r"[a-z][a-z0-9_]*", "a folder name such as s1_intro")]
FileName = Annotated[str, _matching(r"[a-z_][a-z0-9_]*\.py", "a module such as metrics.py")]
SharedModule = Annotated[str, _matching(r"[a-z_][a-z0-9_]*", "a module name of shared/")]
DottedName = Annotated[
    str, _matching(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", "a module name such as torch.utils.data")
]
ExerciseId = Annotated[
    str,
    _matching(r"s[1-9][0-9]*(\.[A-Za-z_][A-Za-z0-9_]*){1,2}", "an exercise id such as s1.sparsity"),
]
Threshold = Annotated[str, _matching(r"[a-z][a-z0-9_]*", "a name such as full_ratio")]
Date = Annotated[datetime, BeforeValidator(_parse_date)]
Items = Annotated[tuple[T, ...], Field(strict=False)]  # YAML has lists only
PositiveInt = Annotated[int, Field(gt=0)]
PositiveFloat = Annotated[float, Field(gt=0)]
Percent = Annotated[float, Field(gt=0, le=100)]
CostName = Literal["imt-2025", "micronet-2019"]
DatasetName = Literal["cifar10", "digits"]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


# ---- sessions --------------------------------------------------------------------------------


class Exercise(_Model):
    """One blank: its `points` count towards the session's 100 unless it is `extra_credit`.

    `thresholds` are numbers by name that its graders measure against.
    """

    id: ExerciseId
    title: Text
    points: PositiveFloat
    thresholds: dict[Threshold, float] = {}
    visibility: Annotated[Visibility, Field(strict=False)] = Visibility.VISIBLE
    extra_credit: bool = False
    _file: str = PrivateAttr(default="")

    @property
    def file(self) -> str:
        """The file that holds the exercise, such as `metrics.py`."""
        return self._file

    @property
    def module(self) -> str:
        """The name under which the file is imported, such as `metrics`."""
        return self._file.removesuffix(".py")

    @property
    def name(self) -> str:
        """The id without its session, such as `sparsity`."""
        return self.id.partition(".")[2]


class Module(_Model):
    """One file that students fill in."""

    file: FileName
    exercises: Items[Exercise] = ()

    def model_post_init(self, _context: Any, /) -> None:
        """Tell the exercises where they live."""
        for exercise in self.exercises:
            exercise._file = self.file


class Session(_Model):
    """One part of the course.

    `withhold` names the modules of `shared` that solve graded exercises; student code must not
    be able to import them. `preload` names modules that most work of the session imports sooner
    or later: the grader imports them once, before any student code runs.
    """

    id: SessionId
    folder: Folder
    title: Text
    opens: Date | None = None
    due: Date | None = None
    modules: Items[Module] = ()
    withhold: Items[SharedModule] = ()
    preload: Items[DottedName] = ()

    @property
    def exercises(self) -> tuple[Exercise, ...]:
        """All exercises, in the order of course.yaml."""
        return tuple(exercise for module in self.modules for exercise in module.exercises)

    @property
    def required_files(self) -> tuple[str, ...]:
        """Files that a submission must hold."""
        return tuple(module.file for module in self.modules)

    def exercise(self, exercise_id: str) -> Exercise:
        """Return one exercise; an unknown id raises `CourseError`."""
        known = {exercise.id: exercise for exercise in self.exercises}
        if exercise_id not in known:
            names = ", ".join(known) or "none"
            raise CourseError(f"unknown exercise {exercise_id!r} in session {self.id}: use {names}")
        return known[exercise_id]


# ---- lateness --------------------------------------------------------------------------------


class NoPenalty(_Model):
    """Late work counts in full."""

    kind: Literal["none"] = "none"


class GracePeriod(_Model):
    """Work up to `hours` late counts in full, later work not at all."""

    kind: Literal["grace"] = "grace"
    hours: PositiveFloat


class PercentPerDay(_Model):
    """Every started day costs `percent` of the points; after `cut_off_days` nothing counts."""

    kind: Literal["percent_per_day"] = "percent_per_day"
    percent: Percent
    cut_off_days: PositiveFloat | None = None


class CutOff(_Model):
    """Late work does not count."""

    kind: Literal["cut_off"] = "cut_off"


LatePolicy = Annotated[
    NoPenalty | GracePeriod | PercentPerDay | CutOff, Field(discriminator="kind")
]


class Extension(_Model):
    """A later due date for one student in one session."""

    student: Text
    session: SessionId
    due: Date


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


class Dataset(_Model):
    """One data set of the final project.

    `input_shape` is (channels, height, width) of a uint8 image with values 0..`pixel_max`. A
    model passes the gate with at least `gate_correct` of `test_images` right answers. `network`
    is the network that entries are compared with, and `perturbation_drop` the share of right
    answers that it loses on perturbed test images.
    """

    input_shape: Annotated[tuple[PositiveInt, PositiveInt, PositiveInt], Field(strict=False)]
    pixel_max: Annotated[int, Field(gt=0, le=255)] = 255
    classes: PositiveInt
    test_images: PositiveInt
    gate_correct: PositiveInt
    network: Reference
    perturbation_drop: Annotated[float, Field(ge=0, le=1)]
    references: dict[CostName, Reference]


class FinalProject(_Model):
    """Rules of the final project; the first of `costs` ranks the leaderboard.

    Only `teams` may enter; none named: anybody.
    """

    max_bytes: PositiveInt
    costs: Items[CostName]
    teams: Items[Slug] = ()
    datasets: dict[DatasetName, Dataset]

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

    def extension(self, student: str, session_id: str) -> datetime | None:
        """Return the due date that a student was granted in a session, if any."""
        for extension in self.extensions:
            if (extension.student, extension.session) == (student, session_id):
                return extension.due
        return None


def load_course(path: Path) -> Course:
    """Read and check course.yaml.

    Raises `CourseError` with one line for the first mistake by line, and the number of others.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        problem = _Problem(1, "file", "a course description", f"nothing at {path}")
    except OSError as error:
        reason = error.strerror or type(error).__name__
        problem = _Problem(1, "file", "a readable file", reason)
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        problem = _Problem(line, "file", "UTF-8", "other bytes")
    else:
        return parse_course(text, path.name)
    raise _error(path.name, [problem])


def parse_course(text: str, name: str = "course.yaml") -> Course:
    """Check the text of a course.yaml; `name` stands in the messages. See `load_course`."""
    root, data = _read_yaml(text, name)
    if not isinstance(data, dict):
        got = "nothing" if data is None else _show(data)
        raise _error(name, [_Problem(1, "document", "a mapping", got)])
    problems = list(_duplicate_keys(root))
    try:
        course = Course.model_validate(data)
    except ValidationError as error:
        errors = _without_echoes(error.errors(include_url=False))
        problems += [_translate(root, details) for details in errors]
        raise _error(name, problems) from None
    problems += [
        _Problem(_line(root, location), _dotted(location), expected, got)
        for location, expected, got in _inconsistencies(course)
    ]
    if problems:
        raise _error(name, problems)
    return course


# ---- YAML ------------------------------------------------------------------------------------


class _Loader(yaml.SafeLoader):
    """Leaves dates as text, so that an impossible one is an error with a line."""


def _as_text(loader: _Loader, node: yaml.ScalarNode) -> str:
    return str(loader.construct_scalar(node))


_Loader.add_constructor("tag:yaml.org,2002:timestamp", _as_text)


def _read_yaml(text: str, name: str) -> tuple[yaml.Node, Any]:
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is not None:
            return node, loader.construct_document(node)
        problem = _Problem(1, "document", "a mapping", "nothing")
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        got = f"an error: {error.problem or error.context}"
        problem = _Problem(mark.line + 1 if mark else 1, "document", "YAML", got)
    except yaml.reader.ReaderError as error:
        line = text[: error.position].count("\n") + 1
        problem = _Problem(line, "document", "YAML", "a control character")
    except (ValueError, RecursionError) as error:
        problem = _Problem(1, "document", "YAML", f"an error: {error}")
    raise _error(name, [problem])


def _duplicate_keys(root: yaml.Node) -> Iterator[_Problem]:
    """Yield repeated keys; YAML would silently keep the last one."""
    seen: set[int] = set()  # aliases may form a graph
    pending: list[tuple[yaml.Node, Location]] = [(root, ())]
    while pending:
        node, location = pending.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            pending += [(child, (*location, i)) for i, child in enumerate(node.value)]
        elif isinstance(node, yaml.MappingNode):
            first: dict[str, int] = {}
            for key, value in node.value:
                here = (*location, str(key.value))
                line = key.start_mark.line + 1
                if isinstance(key, yaml.ScalarNode) and key.value in first:
                    got = f"a second one (the first is in line {first[key.value]})"
                    yield _Problem(line, _dotted(here), "one such key", got)
                else:
                    first[str(key.value)] = line
                pending.append((value, here))


def _line(root: yaml.Node, location: Location) -> int:
    """Return the line of a key, or of a list's item; of the closest parent where it is absent."""
    node, line = root, root.start_mark.line
    for part in location:
        if isinstance(node, yaml.MappingNode):
            found = [(k, v) for k, v in node.value if k.value == str(part)]
            if not found:
                break
            line, node = found[-1][0].start_mark.line, found[-1][1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int):
            if part >= len(node.value):
                break
            node = node.value[part]
            line = node.start_mark.line
    return int(line) + 1


def _dotted(location: Location) -> str:
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return path.removeprefix(".") or "document"


# ---- messages --------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Problem:
    line: int
    key: str
    expected: str
    got: str


def _error(name: str, problems: list[_Problem]) -> CourseError:
    first = min(problems, key=lambda problem: problem.line)
    others = len(problems) - 1
    more = f" (and {others} more error{'s' * (others > 1)})" if others else ""
    text = f"{name}:{first.line}: {first.key}: expected {first.expected}, got {first.got}{more}"
    return CourseError(" ".join(text.split()))


_EXPECTED = {
    "missing": "a value",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "dict_type": "a mapping",
    "tuple_type": "a list",
    "string_type": "text",
    "bool_type": "true or false",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "recursion_loop": "a value that does not hold itself",
    "greater_than": "a number above {gt:g}",
    "less_than_equal": "a number up to {le:g}",
}


def _translate(root: yaml.Node, details: ErrorDetails) -> _Problem:
    """Turn one of pydantic's errors into words about the file."""
    kind, location = details["type"], details["loc"]
    context = details.get("ctx", {})
    path = _without_tag(location)
    expected, got = _EXPECTED.get(kind, "").format(**context), _show(details["input"])
    if kind == "extra_forbidden":
        known = _keys_at(location)
        expected = "one of the keys " + ", ".join(known)
        got = repr(location[-1]) + _did_you_mean(str(location[-1]), known)
    elif kind == "missing":
        got = "nothing"
    elif kind == "union_tag_not_found":
        path, expected, got = (*path, "kind"), f"one of {', '.join(_tags())}", "nothing"
    elif kind == "union_tag_invalid":
        path, expected = (*path, "kind"), f"one of {', '.join(_tags())}"
        got = repr(context["tag"]) + _did_you_mean(str(context["tag"]), _tags())
    elif kind in ("literal_error", "enum"):
        expected = str(context["expected"])
        got += _did_you_mean(str(details["input"]), re.findall(r"'([^']*)'", expected))
    elif kind == "too_long":
        expected = f"a list of {context['max_length']}"
        got = f"one of {context['actual_length']}"
    elif not expected:
        expected = details["msg"].removeprefix("Input should be ")
    return _Problem(_line(root, path), _dotted(path), expected, got)


def _without_echoes(errors: list[ErrorDetails]) -> list[ErrorDetails]:
    """Drop a missing key that is there, but misspelt: one mistake, one message."""
    meant = {
        (*details["loc"][:-1], _closest(str(details["loc"][-1]), _keys_at(details["loc"])))
        for details in errors
        if details["type"] == "extra_forbidden"
    }
    return [d for d in errors if not (d["type"] == "missing" and d["loc"] in meant)]


def _closest(word: str, known: Iterable[str]) -> str:
    return next(iter(difflib.get_close_matches(word, list(known), n=1)), "")


def _did_you_mean(word: str, known: Iterable[str]) -> str:
    closest = _closest(word, known)
    return f"; did you mean {closest!r}?" if closest else ""


def _show(value: object) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _without_tag(location: Location) -> Location:
    """Drop what is pydantic's, not the file's: the tag of a union and the mark of a bad key."""
    kept = tuple(part for part in location if part != "[key]")
    return kept[:1] + kept[2:] if kept[:1] == ("late_policy",) else kept


def _keys_at(location: Location) -> list[str]:
    """Return the keys that the model at `location[:-1]` knows."""
    models: list[type[BaseModel]] = [Course]
    for part in location[:-1]:
        inner = [m for model in models for m in _models_in(_annotation(model, part))]
        tagged = [model for model in models if part in get_args(_annotation(model, "kind"))]
        models = inner or tagged or models
    return list(dict.fromkeys(key for model in models for key in model.model_fields))


def _annotation(model: type[BaseModel], field: int | str) -> Any:
    return model.model_fields[field].annotation if field in model.model_fields else None


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for argument in get_args(annotation) for model in _models_in(argument)]


def _tags() -> list[str]:
    policies = _models_in(Course.model_fields["late_policy"].annotation)
    return [get_args(_annotation(policy, "kind"))[0] for policy in policies]


# ---- consistency -----------------------------------------------------------------------------

Inconsistency = tuple[Location, str, str]


def _inconsistencies(course: Course) -> Iterator[Inconsistency]:
    """Yield (location, expected, got) for what no single value shows."""
    if not course.sessions:
        yield ("sessions",), "at least one session", "an empty list"
    yield from _repeated(("sessions",), "id", [session.id for session in course.sessions])
    yield from _repeated(("sessions",), "folder", [session.folder for session in course.sessions])
    for index, session in enumerate(course.sessions):
        yield from _check_session(("sessions", index), session)
    yield from _check_exercise_ids(course)
    yield from _check_extensions(course)
    yield from _check_limits(course.limits)
    if course.final_project:
        yield from _check_project(course.final_project)


def _repeated(location: Location, key: str, values: Iterable[str]) -> Iterator[Inconsistency]:
    seen: set[str] = set()
    for index, value in enumerate(values):
        if value in seen:
            yield (*location, index, key), "a name used once", f"{value!r} again"
        seen.add(value)


def _check_session(here: Location, session: Session) -> Iterator[Inconsistency]:
    if not session.folder.startswith(f"{session.id}_"):
        yield (*here, "folder"), f"a name that starts with {session.id}_", repr(session.folder)
    if session.opens and session.due and session.opens >= session.due:
        yield (*here, "due"), "a date after `opens`", session.due.isoformat()
    yield from _repeated((*here, "modules"), "file", session.required_files)
    total = round(sum(e.points for e in session.exercises if not e.extra_credit), 6)
    if session.exercises and total != POINTS_PER_SESSION:
        expected = f"points that add to {POINTS_PER_SESSION} (extra credit apart)"
        yield (*here, "modules"), expected, f"{total:g}"


def _check_exercise_ids(course: Course) -> Iterator[Inconsistency]:
    seen: Counter[str] = Counter()
    for i, session in enumerate(course.sessions):
        for j, module in enumerate(session.modules):
            for k, exercise in enumerate(module.exercises):
                here = ("sessions", i, "modules", j, "exercises", k, "id")
                seen[exercise.id] += 1
                if not exercise.id.startswith(f"{session.id}."):
                    yield here, f"an id that starts with {session.id}.", repr(exercise.id)
                elif seen[exercise.id] > 1:
                    yield here, "an id used once", f"{exercise.id!r} again"


def _check_extensions(course: Course) -> Iterator[Inconsistency]:
    sessions = {session.id: session for session in course.sessions}
    seen: set[tuple[str, str]] = set()
    for index, extension in enumerate(course.extensions):
        here: Location = ("extensions", index)
        session = sessions.get(extension.session)
        if session is None:
            yield (*here, "session"), f"one of {', '.join(sessions)}", repr(extension.session)
        elif session.due is None:
            yield (*here, "session"), "a session with a due date", repr(extension.session)
        elif extension.due <= session.due:
            expected = f"a date after {session.due.isoformat()}, when {session.id} is due"
            yield (*here, "due"), expected, extension.due.isoformat()
        if (extension.student, extension.session) in seen:
            yield here, "one extension a student and session", f"{extension.student!r} again"
        seen.add((extension.student, extension.session))


def _check_limits(limits: Limits) -> Iterator[Inconsistency]:
    names = ("test_seconds", "exercise_seconds", "submission_seconds")
    for shorter, longer in itertools.pairwise(names):
        if getattr(limits, shorter) > getattr(limits, longer):
            expected = f"at least {shorter} ({getattr(limits, shorter):g})"
            yield ("limits", longer), expected, f"{getattr(limits, longer):g}"


def _check_project(project: FinalProject) -> Iterator[Inconsistency]:
    if not project.costs:
        yield ("final_project", "costs"), "at least one cost", "an empty list"
    for name, dataset in project.datasets.items():
        here: Location = ("final_project", "datasets", name)
        if dataset.gate_correct > dataset.test_images:
            expected = f"at most test_images ({dataset.test_images})"
            yield (*here, "gate_correct"), expected, str(dataset.gate_correct)
        for cost in project.costs:
            if cost not in dataset.references:
                yield (*here, "references", cost), "a reference for each of `costs`", "nothing"
