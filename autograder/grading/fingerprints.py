"""What the points of an exercise depend on, as one hash: tells `--resume` what to grade again.

The fingerprint of an exercise covers its graders with their data and known mistakes and what they
share, points, thresholds and limits, the engine, the scorer (graders read returned networks with
it) and the library; the fingerprint of a result covers the submission as well.
"""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import autograder
from autograder.course import Course, Session
from autograder.course.graders import by_exercise
from autograder.engine.judge.mistakes import FOLDER as MISTAKES
from autograder.engine.judge.mistakes import function_of
from autograder.release.build import walk

_KIT = Path(autograder.__file__).parent
_LIBRARY = _KIT.parent / "shared"


def of_functions(course: Course, session: Session, graders: Path) -> dict[str, str]:
    """Exercise id -> fingerprint, for a session that is graded by running functions."""
    common = [
        *_code(),
        _tree(_KIT / "graders" / "toolkit"),
        [_file(path) for path in sorted((_KIT / "graders").glob("*.py"))],
        course.limits.model_dump(mode="json"),
        session.withhold,
    ]
    parts = grader_parts(graders)
    return {
        exercise.id: _digest(
            *common,
            exercise.model_dump(mode="json", exclude={"title"}),
            parts.get("", ""),
            parts.get(exercise.id, ""),
        )
        for exercise in session.exercises
    }


def of_project(
    course: Course, session: Session, secret: bytes, dataset: str | None
) -> dict[str, str]:
    """Exercise id -> fingerprint, for the final project; draws depend on the `secret`."""
    project = course.final_project
    rules = project.model_dump(mode="json") if project is not None else None
    common = [
        *_code(),
        rules,
        dataset,
        hashlib.sha256(b"fingerprint\0" + secret).hexdigest(),
    ]
    return {
        exercise.id: _digest(*common, exercise.model_dump(mode="json", exclude={"title"}))
        for exercise in session.exercises
    }


def of_result(exercise_fingerprint: str, submission_sha256: str) -> str:
    """The fingerprint of one result: the exercise's, and the submission that was graded."""
    return _digest(exercise_fingerprint, submission_sha256)


def _code() -> list[str]:
    """Of the kit's code that measures and decides, whatever is graded."""
    folders = (_KIT / "engine", _KIT / "project", _LIBRARY)
    files = (_KIT / "records" / "points.py", _KIT / "records" / "measurement.py")
    return [*map(_tree, folders), *map(_file, files)]


# ---- graders -------------------------------------------------------------------------------------


def grader_parts(folder: Path) -> dict[str, str]:
    """Exercise id -> hash of its own graders; "" -> hash of everything that they may share.

    A module-level declaration `name = Exercise("s1.sparsity", …)` belongs to its exercise, and so
    does a function or class below `@name.check(…)`, or what `name.refuses(…)` is assigned to, and a
    known mistake in `mistakes/` that is named after the exercise. Everything else in the folder
    (helpers, references, imports, data, what is stated of mistakes) belongs to all.
    """
    own: dict[str, list[str]] = {}
    shared: list[str] = []
    for path in sorted(folder.glob("*.py")):
        text = path.read_text("utf-8")
        try:
            statements = ast.parse(text).body
        except SyntaxError:  # the judge will say so
            shared.append(text)
            continue
        for exercise, statement in by_exercise(statements):
            part = f"{path.name}\0{ast.unparse(statement)}"
            if exercise:
                own.setdefault(exercise, []).append(part)
            else:
                shared.append(part)
    data = (path for path in walk(folder) if path.suffix != ".py")
    shared += [f"{path.relative_to(folder).as_posix()}\0{_file(path)}" for path in data]
    for path in sorted(folder.glob(f"{MISTAKES}/*.py")):
        part = f"{path.name}\0{path.read_text('utf-8')}"
        for exercise in own:
            if exercise.partition(".")[2] == function_of(path):
                own[exercise].append(part)
    return {"": _digest(*shared), **{exercise: _digest(*part) for exercise, part in own.items()}}


# ---- hashes --------------------------------------------------------------------------------------


@cache
def _tree(folder: Path) -> str:
    """Of the Python files below a folder of the kit, by name; they do not change while it runs."""
    paths = sorted(folder.rglob("*.py"))
    return _digest(*(f"{path.relative_to(folder)}\0{_file(path)}" for path in paths))


def _file(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _digest(*parts: Any) -> str:
    text = json.dumps(parts, sort_keys=True, default=_plain)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Iterable):
        return list(value)
    raise TypeError(f"a {type(value).__name__} has no hash")
