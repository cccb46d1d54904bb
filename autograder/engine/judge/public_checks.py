"""What a failed public check compared: its inputs are no secret, and neither is what it expects.

The failed call of `check` is found by its position in the public test, and its condition taken
apart: `a == b` and `close(a, b)` have an actual and an expected side. The sides are evaluated once
more in the frame of the test, but never anything that would ask the student's code again.
"""

from __future__ import annotations

import ast
import linecache
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any

from autograder.graders.toolkit.expectations import rendered

_WORDS: dict[type[ast.cmpop], str] = {
    ast.Eq: "",
    ast.LtE: "at most ",
    ast.GtE: "at least ",
    ast.Lt: "less than ",
    ast.Gt: "more than ",
    ast.In: "one of ",
}
_AGREE = frozenset({"close", "allclose", "equal"})  # called with what is, and with what should be
_ONCE = frozenset({"student", "next"})  # names in what must not be evaluated twice


def comparison(error: BaseException, tests: Sequence[str]) -> tuple[str, str] | None:
    """What was (expected, actual) where `check` failed in a file of `tests`; None if not known."""
    frame = _last_frame(error.__traceback__, [Path(path).resolve() for path in tests])
    call = _statement(frame) if frame is not None else None
    match call:
        case ast.Call(func=ast.Name(id="check"), args=[condition, *_]) if frame is not None:
            names = {**frame.tb_frame.f_globals, **frame.tb_frame.f_locals}
            return _sides(condition, names)
    return None


def _last_frame(trace: TracebackType | None, roots: Sequence[Path]) -> TracebackType | None:
    last = None
    while trace is not None:
        path = Path(trace.tb_frame.f_code.co_filename)
        if any(path.is_relative_to(root) for root in roots):
            last = trace
        trace = trace.tb_next
    return last


def _statement(frame: TracebackType) -> ast.expr | None:
    """The expression that ran when the frame was left."""
    code = frame.tb_frame.f_code
    position = next(islice(code.co_positions(), frame.tb_lasti // 2, None), (None,) * 4)
    first, last, left, right = position
    if first is None or last is None or left is None or right is None:
        return None
    lines = [linecache.getline(code.co_filename, n).encode() for n in range(first, last + 1)]
    if not lines:
        return None
    lines[-1] = lines[-1][:right]
    lines[0] = lines[0][left:]
    try:
        return ast.parse(b"".join(lines).decode(), mode="eval").body
    except (SyntaxError, ValueError):
        return None


def _sides(condition: ast.expr, names: Mapping[str, Any]) -> tuple[str, str] | None:
    match condition:
        case ast.Call(func=ast.Name(id="bool"), args=[inner]):
            return _sides(inner, names)
        case ast.BoolOp(op=ast.And(), values=parts):
            wrong = (part for part in parts if _value(part, names) == (False,))
            part = next(wrong, None)
            return _sides(part, names) if part is not None else None
        case ast.Compare(left=left, ops=[operator], comparators=[right]) if (
            type(operator) in _WORDS
        ):
            return _texts(left, _WORDS[type(operator)], right, names)
        case ast.Call(func=function, args=[left, right, *_]) if _name(function) in _AGREE:
            return _texts(left, "", right, names)
    return None


def _name(function: ast.expr) -> str:
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def _texts(
    left: ast.expr, word: str, right: ast.expr, names: Mapping[str, Any]
) -> tuple[str, str] | None:
    actual, expected = _value(left, names), _value(right, names)
    if actual and expected:
        return word + rendered(expected[0]), rendered(actual[0])
    return None


def _value(node: ast.expr, names: Mapping[str, Any]) -> tuple[Any, ...]:
    """The value of an expression in a tuple of one; empty if it cannot be known."""
    used = {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}
    if used & _ONCE or any(isinstance(each, ast.NamedExpr) for each in ast.walk(node)):
        return ()
    try:
        code = compile(ast.fix_missing_locations(ast.Expression(node)), "<check>", "eval")
        value = eval(code, dict(names))
    except Exception:  # whatever the condition does on a wrong answer
        return ()
    return (bool(value) if value is True or value is False else value,)
