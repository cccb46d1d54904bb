"""Degenerate answers: one submission a kind of stub, which answers every exercise with it."""

from __future__ import annotations

import ast
import textwrap
from collections.abc import Mapping
from pathlib import Path

from autograder.course import Session
from autograder.submissions import Submission
from tests import bank
from tests.support import submission

ANSWERS = {
    "none": "return None",
    "zero": "return 0",
    "one": "return 1",
    "one_float": "return 1.0",
    "infinity": "return float('inf')",
    "true": "return True",
    "empty_text": "return ''",
    "empty_list": "return []",
    "empty_dict": "return {}",
    "arguments": "return arguments",
    "first_argument": "return arguments[0]",
    "last_argument": "return arguments[-1]",
    "copy": "return copy.deepcopy(arguments[0])",
    "everything_and_nothing": "return list(range(_count(arguments))), []",
    "zeros": "return _filled(result, arguments, 0)",
    "ones": "return _filled(result, arguments, 1)",
    "zeros_of_the_right_shape": "return _emptied(right, result, arguments, 0)",
    "ones_of_the_right_shape": "return _emptied(right, result, arguments, 1)",
    "all_true": "return _like(arguments, 1).bool()",
    "value_error": "raise ValueError('no')",
    "type_error": "raise TypeError('no')",
}
"""What the body of a stub does, by name.

`arguments` is the tuple of the call's arguments, `result` the annotation of what is returned,
`right` the solution's function, of which some stubs take shapes and checks of arguments.
"""

LARGEST = {
    "text": "return 'x' * 4_000_000",
    "integers": "return list(range(300_000))",
    "texts": "return [str(number) for number in range(300_000)]",
    "mapping": "return {number: number for number in range(150_000)}",
    "nested": "return _nested(50, 5_000)",
    "code": "return {key: format(n, 'b').zfill(_share(arguments)) "
    "for n, key in enumerate(arguments[0])}",
    "tensor": "return torch.zeros(15_000_000)",
    "expanded": "return torch.zeros(1).expand(10**9)",
    "tensors": "return [torch.zeros(1) for _ in range(15_000)]",
    "model": "return torch.nn.Sequential(*(torch.nn.Linear(1, 1) for _ in range(4_000)))",
    "number": "return 2**1000 - 1",
}
"""About the largest values of each form that can cross to the judge, see engine.channel."""

HELPERS = "\n\n" + (Path(__file__).parent / "stub_answers.py").read_text(encoding="utf-8")


def stubs(session: Session, answers: Mapping[str, str] = ANSWERS) -> list[Submission]:
    """One submission a kind, which answers every exercise of the session with it."""
    files = bank.solution(session)
    named = {name: bank.pieces(text, name) for name, text in files.items()}
    for name, exercises in named.items():  # the right functions go on calling right ones
        files = bank.set_aside(files, name, {each for one in exercises.values() for each in one})
    entries = []
    for kind, body in answers.items():
        changed = {
            name: files[name]
            + HELPERS
            + "".join(
                stub(node, body)
                for definitions in exercises.values()
                for node in definitions.values()
                if not node.name.startswith("_")
            )
            for name, exercises in named.items()
        }
        entries.append(submission(kind, changed))
    return entries


def stub(node: bank.Definition, body: str) -> str:
    """The source of a function, or of a class whose public methods are such, that does `body`."""
    right = bank.private(node.name)
    if isinstance(node, ast.FunctionDef):
        return "\n\n" + function(node, right, body)
    methods = [each for each in node.body if isinstance(each, ast.FunctionDef)]
    constructor = f"def __init__(self, *args):\n    self._right = {right}(*args)\n"
    public = [function(each, "", body) for each in methods if not each.name.startswith("_")]
    return f"\n\nclass {node.name}:\n" + textwrap.indent(constructor + "".join(public), "    ")


def function(node: ast.FunctionDef, right: str, body: str) -> str:
    """The source of a function with the signature of `node`; no `right`: of a method."""
    given = node.args
    names = [each.arg for each in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
    if not right:
        names.remove("self")
        right = f"self._right.{node.name}"
    lines = [
        f"def {node.name}({ast.unparse(given)}):",
        f"    arguments = ({''.join(f'{each}, ' for each in names)})",
        f"    result = _annotated(lambda: {ast.unparse(node.returns) if node.returns else None})",
        f"    right = {right}",
        f"    {body}",
    ]
    return "\n".join(lines) + "\n"
