"""Whether what course.yaml names is there: modules, folders, files, thresholds, data sets.

Only the file system is looked at, and the source of graders; nothing is imported that a submission
or a grader could have written.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import shared
from autograder.course.consistency import (
    Inconsistency,
    Location,
    did_you_mean,
    located_exercises,
)
from autograder.course.graders import GRADERS, by_exercise
from autograder.course.schema import Course, Session
from shared.datasets import DATASETS

SHARED = Path(shared.__file__).parent
THRESHOLDS = "reads_thresholds"
"""The decorator of the toolkit by which a grader states what it reads."""

_DECLARATION = re.compile(r"([a-z][a-z0-9_]*)(?: < ([a-z][a-z0-9_]*))?")


def unresolved(course: Course, root: Path) -> Iterator[Inconsistency]:
    """Yield (location, expected, got) for every name that does not exist.

    `root` is the folder of course.yaml. Folders and files are looked for in its solutions/; a
    student's copy has none, and there a missing file is the student's, not the course's.
    Thresholds are compared with what the graders of this installation state that they read; a
    session without graders is skipped.
    """
    for index, session in enumerate(course.sessions):
        here: Location = ("sessions", index)
        yield from _check_withheld(here, session)
        if (root / "solutions").is_dir():
            yield from _check_files(here, session, root / "solutions")
        if (GRADERS / session.folder).is_dir():
            yield from _check_thresholds(here, session, GRADERS / session.folder)
    yield from _check_datasets(course)


def _check_withheld(here: Location, session: Session) -> Iterator[Inconsistency]:
    known = sorted(path.stem for path in SHARED.glob("*.py") if path.stem != "__init__")
    for index, name in enumerate(session.withhold):
        if name not in known:
            got = repr(name) + did_you_mean(name, known)
            yield (*here, "withhold", index), f"a module of shared/ ({', '.join(known)})", got


def _check_files(here: Location, session: Session, base: Path) -> Iterator[Inconsistency]:
    folder = base / session.folder
    if not folder.is_dir():
        got = repr(session.folder) + did_you_mean(session.folder, _names(base))
        yield (*here, "folder"), f"a folder of {base.name}/", got
        return
    for index, module in enumerate(session.modules):
        if not (folder / module.file).is_file():
            got = repr(module.file) + did_you_mean(module.file, _names(folder))
            expected = f"a file of {base.name}/{session.folder}/"
            yield (*here, "modules", index, "file"), expected, got


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# ---- thresholds ----------------------------------------------------------------------------------


def _check_thresholds(here: Location, session: Session, graders: Path) -> Iterator[Inconsistency]:
    stated = stated_thresholds(graders)
    for location, exercise in located_exercises(session):
        path = (*here, *location, "thresholds")
        yield from _compare(path, exercise.thresholds, stated.get(exercise.id, ()))


def stated_thresholds(graders: Path) -> dict[str, tuple[str, ...]]:
    """Exercise id -> what its graders below a folder state: "name" or "lower < higher"."""
    stated: dict[str, tuple[str, ...]] = {}
    for path in sorted(graders.rglob("*.py")):
        source = path.read_text(encoding="utf-8", errors="replace")
        if THRESHOLDS not in source:  # most graders read none: they need not be parsed
            continue
        try:
            statements = ast.parse(source).body
        except SyntaxError:  # reported when the graders are collected
            continue
        for exercise_id, statement in by_exercise(statements):
            if exercise_id and isinstance(statement, ast.FunctionDef):
                own = _decorated(statement, THRESHOLDS)
                stated[exercise_id] = (*stated.get(exercise_id, ()), *own)
    return stated


def _decorated(function: ast.FunctionDef, name: str) -> list[str]:
    """The texts that a decorator of this name is called with."""
    return [
        argument.value
        for call in function.decorator_list
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == name
        for argument in call.args
        if isinstance(argument, ast.Constant) and isinstance(argument.value, str)
    ]


def _compare(
    here: Location, given: Mapping[str, float], stated: Iterable[str]
) -> Iterator[Inconsistency]:
    pairs = [match.groups() for text in stated if (match := _DECLARATION.fullmatch(text))]
    known = list(dict.fromkeys(name for pair in pairs for name in pair if name))
    unknown = [name for name in given if name not in known]
    for name in unknown:
        expected = f"one of {', '.join(known)}" if known else "no threshold: no grader reads one"
        yield (*here, name), expected, repr(name) + did_you_mean(name, known)
    for name in known if not unknown else ():  # else it may be there, but misspelt
        if name not in given:
            yield (*here, name), "a number", "nothing"
    for lower, higher in pairs:
        if higher and lower in given and higher in given and given[lower] >= given[higher]:
            yield (*here, higher), f"more than {lower} ({given[lower]:g})", f"{given[higher]:g}"


# ---- data sets -----------------------------------------------------------------------------------


def _check_datasets(course: Course) -> Iterator[Inconsistency]:
    datasets = course.final_project.datasets if course.final_project else {}
    for name, dataset in datasets.items():
        info = DATASETS[name]
        for key, expected, got in (
            ("input_shape", list(info.input_shape), list(dataset.input_shape)),
            ("pixel_max", info.max_value, dataset.pixel_max),
            ("classes", info.classes, dataset.classes),
            ("test_images", info.test_images, dataset.test_images),
        ):
            if got != expected:
                where = ("final_project", "datasets", name, key)
                yield where, f"{expected}, as {name} has", str(got)
