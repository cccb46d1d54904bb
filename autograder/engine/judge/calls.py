"""Which exercises a submission's functions call, from its source, which is only parsed.

An exercise's function may call another exercise's, directly or through functions that are nobody's
exercise. Names are followed within the submission's modules; what cannot be parsed calls nothing.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

MAX_SOURCE_BYTES = 100_000
"""Of one module; a tree takes several hundred times the memory of its text."""

QualifiedName = tuple[str, str]
"""Module and name of a function or class."""
Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


class NamedExercise(Protocol):
    """What has to be known of an exercise; course.yaml's exercises have it."""

    @property
    def id(self) -> str:
        """Such as `s1.sparsity`: what follows the first point is the function's name."""

    @property
    def module(self) -> str:
        """The module that it lies in, such as `metrics`."""


@dataclass
class _Module:
    definitions: dict[str, Definition] = field(default_factory=dict)
    # by local name: where it comes from, or which module it is
    imported: dict[str, QualifiedName] = field(default_factory=dict)
    modules: dict[str, str] = field(default_factory=dict)


def exercise_calls(
    sources: Mapping[str, bytes], exercises: Iterable[NamedExercise]
) -> dict[str, tuple[str, ...]]:
    """Exercise id -> the ids of the other exercises that it calls, in the order of `exercises`.

    Args:
        sources: text by module name; never run.
        exercises: all exercises of the session.
    """
    modules = {name: _parsed(text) for name, text in sources.items()}
    by_name = {(each.module, each.id.partition(".")[2]): each.id for each in exercises}
    known: dict[QualifiedName, frozenset[QualifiedName]] = {}
    found = {}
    for qualified, exercise_id in by_name.items():
        called = {by_name[each] for each in _reached(qualified, by_name, modules, known)}
        found[exercise_id] = tuple(each for each in by_name.values() if each in called)
    return found


def _parsed(text: bytes) -> _Module:
    module = _Module()
    if len(text) > MAX_SOURCE_BYTES:
        return module
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text.decode("utf-8"))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return module
    module.definitions = {node.name: node for node in tree.body if isinstance(node, Definition)}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                module.imported[alias.asname or alias.name] = (node.module, alias.name)
        elif isinstance(node, ast.Import):
            module.modules |= {alias.asname or alias.name: alias.name for alias in node.names}
    return module


def _reached(
    start: QualifiedName,
    exercises: Mapping[QualifiedName, str],
    modules: Mapping[str, _Module],
    known: dict[QualifiedName, frozenset[QualifiedName]],
) -> set[QualifiedName]:
    """The other exercises' functions that are met first on all ways from `start`."""
    met, seen, waiting = set(), {start}, [start]
    while waiting:
        here = waiting.pop()
        if here not in known:
            known[here] = frozenset(_called(here, modules))
        for qualified in known[here] - seen:
            seen.add(qualified)
            if qualified in exercises:
                met.add(qualified)
            else:
                waiting.append(qualified)
    return met


def _called(qualified: QualifiedName, modules: Mapping[str, _Module]) -> Iterator[QualifiedName]:
    """What the function or class at `qualified` calls, as far as the submission defines it."""
    name, module = qualified[0], modules.get(qualified[0])
    definition = module.definitions.get(qualified[1]) if module else None
    if module is None or definition is None:
        return
    local = _local_names(definition)
    for node in ast.walk(definition):
        if not isinstance(node, ast.Call):
            continue
        target: QualifiedName | None = None
        function = node.func
        if isinstance(function, ast.Name) and function.id not in local:
            defined_here = function.id in module.definitions
            target = (name, function.id) if defined_here else module.imported.get(function.id)
        elif isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name):
            owner = module.modules.get(function.value.id)
            target = (owner, function.attr) if owner and function.value.id not in local else None
        if target and target[0] in modules and target[1] in modules[target[0]].definitions:
            yield target


def _local_names(definition: Definition) -> set[str]:
    """Parameters, variables and inner functions, at any depth: they hide what is outside."""
    names: set[str] = set()
    for node in ast.walk(definition):
        if isinstance(node, ast.arg):
            names.add(node.arg)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, Definition) and node is not definition:
            names.add(node.name)
    return names
