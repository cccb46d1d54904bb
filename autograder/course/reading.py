"""From the text of course.yaml to a `Course`, or to one line about its first mistake."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from autograder.course.consistency import Inconsistency, Location, did_you_mean, inconsistencies
from autograder.course.resolution import unresolved
from autograder.course.schema import LATE_POLICIES, Course
from autograder.errors import CourseError

COURSE_FILE = "course.yaml"


@dataclass(frozen=True)
class _Problem:
    line: int
    key: str
    expected: str
    got: str


def course_above(folder: Path) -> Path | None:
    """The nearest course.yaml in a folder or above it."""
    candidates = (place / COURSE_FILE for place in (folder, *folder.parents))
    return next((path for path in candidates if path.is_file()), None)


def load_course(path: Path) -> Course:
    """Read and check course.yaml, and that what it names is there (see `resolve`).

    Raises `CourseError` with one line for the first mistake by line, and the number of others.
    """
    text = _read_text(path)
    course = parse_course(text, path.name)
    _resolve(course, path.parent, text, path.name)
    return course


def resolve(course: Course, root: Path) -> None:
    """Check that what a course names is there; `root` is the folder of its course.yaml.

    Modules of shared/, folders and files of solutions/, thresholds that graders read, data sets.
    Raises `CourseError` in the form of `load_course`, which calls this.
    """
    _resolve(course, root, _read_text(root / COURSE_FILE), COURSE_FILE)


def _read_text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        problem = _Problem(1, "file", "a course description", f"nothing at {path}")
    except OSError as error:
        reason = error.strerror or type(error).__name__
        problem = _Problem(1, "file", "a readable file", reason)
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        problem = _Problem(line, "file", "UTF-8", "other bytes")
    raise _error(path.name, [problem])


def _resolve(course: Course, root: Path, text: str, name: str) -> None:
    missing = list(unresolved(course, root))
    if missing:
        raise _error(name, _located(_read_yaml(text, name)[0], missing))


def parse_course(text: str, name: str = COURSE_FILE) -> Course:
    """Check the text of a course.yaml; `name` stands in the messages. See `load_course`."""
    root, data = _read_yaml(text, name)
    if not isinstance(data, dict):
        got = "nothing" if data is None else _show(data)
        raise _error(name, [_Problem(1, "document", "a mapping", got)])
    problems = list(_duplicate_keys(root))
    try:
        course = Course.model_validate(data)
    except ValidationError as error:
        problems += [_translate(root, details) for details in error.errors(include_url=False)]
        raise _error(name, problems) from None
    problems += _located(root, inconsistencies(course))
    if problems:
        raise _error(name, problems)
    return course


# ---- YAML ------------------------------------------------------------------------------------


class _CourseLoader(yaml.SafeLoader):
    """Leaves dates as text, so that an impossible one is an error with a line."""


def _as_text(loader: _CourseLoader, node: yaml.ScalarNode) -> str:
    return str(loader.construct_scalar(node))


_CourseLoader.add_constructor("tag:yaml.org,2002:timestamp", _as_text)


def _read_yaml(text: str, name: str) -> tuple[yaml.Node, Any]:
    try:
        loader = _CourseLoader(text)
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
    except (ValueError, LookupError, AttributeError, RecursionError) as error:
        # Of an explicit tag, such as !!bool, PyYAML's constructors raise anything.
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
            items = [(key, value) for key, value in node.value if key.value == str(part)]
            if not items:
                break
            line, node = items[-1][0].start_mark.line, items[-1][1]
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


def _located(root: yaml.Node, problems: Iterable[Inconsistency]) -> list[_Problem]:
    return [
        _Problem(_line(root, location), _dotted(location), expected, got)
        for location, expected, got in problems
    ]


def _error(name: str, problems: list[_Problem]) -> CourseError:
    first = min(problems, key=lambda problem: problem.line)
    others = len(problems) - 1
    more = f" (and {others} more error{'s' * (others > 1)})" if others else ""
    text = f"{name}:{first.line}: {first.key}: expected {first.expected}, got {first.got}{more}"
    return CourseError(" ".join(text.split()))


# By pydantic's name of the error; its own sentence stands for what is not listed.
_EXPECTED = {
    "missing": "a value",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "dict_type": "a mapping",
    "tuple_type": "a list",
    "too_long": "a list of {max_length}",
    "string_type": "text",
    "bool_type": "true or false",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "recursion_loop": "a value that does not hold itself",
    "greater_than": "a number above {gt:g}",
    "less_than_equal": "a number up to {le:g}",
    "unknown_key": "one of the keys {names}",
    "union_tag_not_found": "one of {names}",
    "union_tag_invalid": "one of {names}",
}


def _translate(root: yaml.Node, details: ErrorDetails) -> _Problem:
    """Turn one of pydantic's errors into words about the file."""
    kind, value, context = details["type"], details["input"], details.get("ctx", {})
    path = _without_tag(details["loc"])
    known: list[str] = context.get("known") or re.findall("'([^']*)'", context.get("expected", ""))
    if kind == "unknown_key":
        value = context["key"]
        path = (*path, str(value))
    elif kind == "missing":
        value = None
    elif kind.startswith("union_tag"):
        known, value = list(LATE_POLICIES), context.get("tag")
        path = (*path, "kind")
    expected = details["msg"].removeprefix("Input should be ")
    if kind in _EXPECTED:
        expected = _EXPECTED[kind].format(**{**context, "names": ", ".join(known)})
    if kind == "string_type" and isinstance(value, int | float):  # a student's number, say
        expected += " in quotes"
    got = f"one of {context['actual_length']}" if kind == "too_long" else _show(value)
    if known and isinstance(value, str):
        got += did_you_mean(value, known)
    return _Problem(_line(root, path), _dotted(path), expected, got)


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
