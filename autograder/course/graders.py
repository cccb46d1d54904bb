"""Where the graders are, and which exercise the statements of one belong to, by the source."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import autograder

GRADERS = Path(autograder.__file__).parent / "graders"
"""Of every session, by the name of its folder; where students check, only the toolkit."""


def by_exercise(statements: Sequence[ast.stmt]) -> Iterator[tuple[str, ast.stmt]]:
    """The id of the exercise of each module-level statement ("" for shared ones), in order.

    To an exercise belong its declaration `name = Exercise("s1.sparsity", …)`, a function or class
    below `@name.check(…)` or `@exercise("s1.sparsity")`, and what `name.refuses(…)` is assigned to.
    """
    declared = dict(filter(None, map(_declaration, statements)))
    for statement in statements:
        yield _exercise_of(statement, declared), statement


def _declaration(statement: ast.stmt) -> tuple[str, str] | None:
    """The name and the id in `name = Exercise("s1.sparsity", …)`."""
    match statement:
        case ast.Assign(
            targets=[ast.Name(id=name)],
            value=ast.Call(
                func=ast.Name(id="Exercise"), args=[ast.Constant(value=str(exercise)), *_]
            ),
        ):
            return name, exercise
    return None


def _exercise_of(statement: ast.stmt, declared: Mapping[str, str]) -> str:
    if own := _declaration(statement):
        return own[1]
    calls: list[ast.expr] = []
    if isinstance(statement, ast.FunctionDef | ast.ClassDef):
        calls = statement.decorator_list
    elif isinstance(statement, ast.Assign):
        calls = [statement.value]
    for call in calls:
        match call:
            case ast.Call(func=ast.Name(id="exercise"), args=[ast.Constant(value=str(exercise))]):
                return exercise
            case ast.Call(func=ast.Attribute(value=ast.Name(id=name))) if name in declared:
                return declared[name]
    return ""
