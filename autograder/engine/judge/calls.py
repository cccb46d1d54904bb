"""Which exercises a submission's functions call, from its source, which is only parsed.

An exercise's function may call another exercise's, directly or through functions that are nobody's
exercise. Names are followed within the submission's modules; what cannot be parsed calls nothing.
"""

from __future__ import annotations

import ast
import contextlib
import gc
import warnings
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

MAX_PARSED_BYTES = 100_000
"""Of one module; a tree takes several hundred times the memory of its text."""

QualifiedName = tuple[str, str]
"""Module and name of a function or class."""
Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


class NamedExercise(Protocol):
    """What has to be known of an exercise; course.yaml's exercises have it."""

    @property
    def id(self) -> str:
        """Such as `s1.sparsity`."""

    @property
    def name(self) -> str:
        """The function's name, such as `sparsity`."""

    @property
    def module(self) -> str:
        """The module that it lies in, such as `metrics`."""


@dataclass(frozen=True)
class _Module:
    """What a module defines and imports."""

    definitions: Mapping[str, Definition] = field(default_factory=dict)
    """By name: what it defines at the top level."""
    imported: Mapping[str, QualifiedName] = field(default_factory=dict)
    """By local name: where it comes from."""
    modules: Mapping[str, str] = field(default_factory=dict)
    """By local name: which module it is."""


_NOTHING = _Module()
_BLOCKS = ("body", "orelse", "finalbody", "handlers", "cases")  # of statements, in a statement


def exercise_calls(
    sources: Mapping[str, bytes],
    exercises: Iterable[NamedExercise],
    callers: Container[str] | None = None,
) -> dict[str, tuple[str, ...]]:
    """Exercise id -> the ids of the other exercises that it calls, in the order of `exercises`.

    Args:
        sources: text by module name; never run.
        exercises: all exercises of the session.
        callers: the ids of those that are asked about; all of them by default.
    """
    by_name = {(each.module, each.name): each.id for each in exercises}
    with _no_collection():
        graph = _Graph(sources)
        found = {}
        for qualified, exercise_id in by_name.items():
            if callers is None or exercise_id in callers:
                called = {by_name[each] for each in _reached(qualified, by_name, graph)}
                found[exercise_id] = tuple(each for each in by_name.values() if each in called)
    return found


@contextlib.contextmanager
def _no_collection() -> Iterator[None]:
    """Trees have no cycles, and so many nodes that looking for some takes longer than parsing."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


class _Graph:
    """What calls what, in the modules and functions that are asked about."""

    def __init__(self, sources: Mapping[str, bytes]) -> None:
        self._sources = sources
        self._modules: dict[str, _Module] = {}
        self._called: dict[QualifiedName, frozenset[QualifiedName]] = {}

    def module(self, name: str) -> _Module:
        """One module; an empty one if the submission has none of this name."""
        if name not in self._modules:
            text = self._sources.get(name)
            self._modules[name] = _NOTHING if text is None else _parsed(text)
        return self._modules[name]

    def called(self, qualified: QualifiedName) -> frozenset[QualifiedName]:
        """What a function or class calls, as far as the submission defines it."""
        if qualified not in self._called:
            self._called[qualified] = frozenset(self._targets(qualified))
        return self._called[qualified]

    def _targets(self, qualified: QualifiedName) -> Iterator[QualifiedName]:
        here = self.module(qualified[0])
        definition = here.definitions.get(qualified[1])
        for owner, name in () if definition is None else _names_called(definition):
            target: QualifiedName | None
            if owner:
                target = (here.modules[owner], name) if owner in here.modules else None
            elif name in here.definitions:
                target = (qualified[0], name)
            else:
                target = here.imported.get(name)
            if target and target[1] in self.module(target[0]).definitions:
                yield target


def _parsed(text: bytes) -> _Module:
    if len(text) > MAX_PARSED_BYTES:
        return _NOTHING
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text.decode("utf-8"))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return _NOTHING
    imported: dict[str, QualifiedName] = {}
    modules: dict[str, str] = {}
    for node in _statements(tree.body):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                imported[alias.asname or alias.name] = (node.module, alias.name)
        elif isinstance(node, ast.Import):
            modules |= {alias.asname or alias.name: alias.name for alias in node.names}
    definitions = {node.name: node for node in tree.body if isinstance(node, Definition)}
    return _Module(definitions, imported, modules)


def _statements(body: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    """All of them, at any depth, without a look into expressions."""
    waiting: list[ast.AST] = list(body)
    while waiting:
        node = waiting.pop(0)
        if isinstance(node, ast.stmt):
            yield node
        for part in _BLOCKS:
            waiting += getattr(node, part, ())


def _names_called(definition: Definition) -> frozenset[tuple[str, str]]:
    """(owner, name) of every call in it, but for those that a local name hides."""
    local: set[str] = set()  # parameters, variables and inner functions, at any depth
    called: set[tuple[str, str]] = set()
    for node in ast.walk(definition):
        if isinstance(node, ast.Call):
            function = node.func
            if isinstance(function, ast.Name):
                called.add(("", function.id))
            elif isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name):
                called.add((function.value.id, function.attr))
        elif isinstance(node, ast.arg):
            local.add(node.arg)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            local.add(node.id)
        elif isinstance(node, Definition) and node is not definition:
            local.add(node.name)
    return frozenset((owner, name) for owner, name in called if (owner or name) not in local)


def _reached(
    start: QualifiedName, exercises: Mapping[QualifiedName, str], graph: _Graph
) -> set[QualifiedName]:
    """The other exercises' functions that are met first on all ways from `start`."""
    met, seen, waiting = set(), {start}, [start]
    while waiting:
        for qualified in graph.called(waiting.pop()) - seen:
            seen.add(qualified)
            if qualified in exercises:
                met.add(qualified)
            else:
                waiting.append(qualified)
    return met
