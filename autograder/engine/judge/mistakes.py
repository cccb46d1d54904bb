"""Known mistakes: `mistakes/` beside a session's graders, one file each.

`mistakes/conv2d_macs__flops.py` holds a version of `conv2d_macs` that makes one mistake. The first
paragraph of its docstring is the sentence that a student reads who made it: what was done, and what
is right, without an input or an expected value. The file is also a test of the graders: put into
the model solution it has to lose points, in its exercise and nowhere else. Which checks it fails is
stated in `expected.yaml` beside it, so that it is tried on no others.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import yaml

FOLDER = "mistakes"
STATED = "expected.yaml"


@dataclass(frozen=True)
class Mistake:
    """One known mistake: the sentence for the student, and definitions that make it.

    `fails` are the names of the checks that it is stated to fail; None: not stated.
    """

    name: str
    sentence: str
    source: str
    fails: frozenset[str] | None = None

    def module(self, solution: str) -> str:
        """The solution's module with the mistake: of two definitions the last one wins."""
        return f"{solution}\n\n{self.source}"

    def may_fail(self, check: str) -> bool:
        """Whether it is stated, or not known, that it fails a check."""
        return self.fails is None or check in self.fails


def function_of(path: Path) -> str:
    """`conv2d_macs` of `mistakes/conv2d_macs__flops.py`."""
    return path.stem.partition("__")[0]


def known_mistakes(tests: Sequence[str], function: str, solution: str) -> tuple[Mistake, ...]:
    """The known mistakes in `function`, by name; none without a `solution` to put them in.

    ValueError, with file and line, for one that is no Python, has no sentence, defines nothing, or
    is the solution itself, and for statements that cannot be read.
    """
    if not solution:
        return ()
    right = {ast.dump(_without_docstring(one)) for one in _definitions(ast.parse(solution))}
    folders = [Path(test) / FOLDER for test in tests]
    return tuple(
        _read(path, right, stated.get(path.stem))
        for folder in folders
        for stated in (_stated(folder / STATED),)
        for path in sorted(folder.glob(f"{function}__*.py"))
    )


def _stated(path: Path) -> Mapping[str, frozenset[str]]:
    """Name of a mistake -> the checks that it fails, for those of which that is stated."""
    if not path.is_file():
        return {}
    try:
        return _fails(path.read_text("utf-8"))
    except (yaml.YAMLError, AttributeError, TypeError) as error:
        text = " ".join(str(error).split())
        raise ValueError(f"{path}: expected the checks that each mistake fails: {text}") from None


@lru_cache(maxsize=8)  # asked for each exercise of a session
def _fails(text: str) -> Mapping[str, frozenset[str]]:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    stated = (yaml.load(text, Loader=loader) or {}).items()
    return {name: frozenset(entry["fails"]) for name, entry in stated if "fails" in entry}


def _read(path: Path, right: set[str], fails: frozenset[str] | None) -> Mistake:
    source = path.read_text("utf-8")
    try:
        tree = ast.parse(source)
    except SyntaxError as error:
        raise ValueError(f"{path}:{error.lineno}: no Python: {error.msg}") from None
    sentence = " ".join((ast.get_docstring(tree) or "").partition("\n\n")[0].split())
    if not sentence:
        raise ValueError(f"{path}:1: expected a docstring with the sentence for the student")
    definitions = _definitions(tree)
    if not definitions:
        raise ValueError(f"{path}:1: expected a definition of {function_of(path)}")
    if all(ast.dump(_without_docstring(one)) in right for one in definitions):
        raise ValueError(f"{path}:{definitions[0].lineno}: the mistake is the solution itself")
    return Mistake(path.stem, sentence, source, fails)


Definition = ast.FunctionDef | ast.ClassDef


def _definitions(tree: ast.Module) -> list[Definition]:
    return [node for node in tree.body if isinstance(node, Definition)]


def _without_docstring(node: Definition) -> Definition:
    if ast.get_docstring(node) is not None:
        node.body = node.body[1:]
    return node
