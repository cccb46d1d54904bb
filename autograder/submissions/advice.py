"""What a student should know of modules before submitting them; they are parsed, never run."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import metadata

from autograder import KIT, OWN
from autograder.course import Session
from autograder.course.names import EXERCISE_ID

_REQUIREMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def advice(session: Session, trees: Mapping[str, ast.Module]) -> tuple[str, ...]:
    """One line for each thing that will, or may, cost points where the modules are graded."""
    return (
        *_blank(session, trees),
        *_left_behind(session, trees),
        *_imports(session, trees),
        *other_python(sys.version_info[:2]),
    )


def _blank(session: Session, trees: Mapping[str, ast.Module]) -> Iterator[str]:
    """Exercises whose stub still raises `NotImplementedError("<id>")`."""
    raised = {text: name for name, tree in trees.items() for _, text in _not_implemented(tree)}
    for exercise in session.exercises:
        if exercise.id in raised:
            yield f"{exercise.id} in {raised[exercise.id]} is still blank"


def _left_behind(session: Session, trees: Mapping[str, ast.Module]) -> Iterator[str]:
    """Other places that raise it without words of their own: the rest of a stub."""
    stubs = {exercise.id for exercise in session.exercises}
    for name, tree in trees.items():
        for line, text in _not_implemented(tree):
            if text not in stubs and (not text or EXERCISE_ID.fullmatch(text)):
                yield f"{name}, line {line}: `raise NotImplementedError` is left behind"


def _not_implemented(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Line and text ("" without one) of every `raise NotImplementedError`."""
    for node in ast.walk(tree):
        match node:
            case ast.Raise(exc=ast.Name(id="NotImplementedError")):
                yield node.lineno, ""
            case ast.Raise(exc=ast.Call(func=ast.Name(id="NotImplementedError"), args=args)):
                text = args[0].value if args and isinstance(args[0], ast.Constant) else ""
                yield node.lineno, text if isinstance(text, str) else ""


# ---- imports -------------------------------------------------------------------------------------


def _imports(session: Session, trees: Mapping[str, ast.Module]) -> Iterator[str]:
    withheld = {f"shared.{name}" for name in session.withhold}
    own = {name.removesuffix(".py") for name in session.required_files}
    there = available()
    for name, tree in trees.items():
        seen: set[str] = set()
        for line, module in _imported(tree):
            root = module.partition(".")[0]
            where = f"{name}, line {line}: "
            if module in seen:
                continue
            if module in withheld:
                yield f"{where}`{module}` solves exercises of this session; it is not there then"
            elif root in OWN:
                yield f"{where}`{root}` is not there where this is graded"
            elif there and root not in there | own | {"shared"} | sys.stdlib_module_names:
                yield f"{where}`{root}` is not installed where this is graded"
            else:
                continue
            seen.add(module)


def _imported(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Line and full name of every imported module; of `from shared import x` also `shared.x`.

    Not of those that the code does without: imports in a `try` that catches ImportError.
    """
    optional = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.Try) and _catches_import_error(node)
        for outer in node.body
        for inner in ast.walk(outer)
    }
    for node in ast.walk(tree):
        if id(node) in optional:
            continue
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.lineno, node.module
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def _catches_import_error(node: ast.Try) -> bool:
    caught = (each for handler in node.handlers if handler.type for each in ast.walk(handler.type))
    names = {each.id for each in caught if isinstance(each, ast.Name)}
    return bool(names & {"ImportError", "ModuleNotFoundError"})


@cache
def available() -> frozenset[str]:
    """Import names of the packages that the kit brings, where it is graded as well.

    Other packages may be installed here, but not there. Empty if the kit is not installed.
    """
    wanted, waiting = set(), [KIT]
    while waiting:
        name = _normal(waiting.pop())
        if name in wanted:
            continue
        try:
            requirements = metadata.requires(name) or ()
        except metadata.PackageNotFoundError:  # for another system, or not needed here
            continue
        wanted.add(name)
        plain = (text for text in requirements if "extra ==" not in text.replace("'", '"'))
        waiting += [found[0] for text in plain if (found := _REQUIREMENT.match(text))]
    providers = metadata.packages_distributions()
    return frozenset(
        module for module, names in providers.items() if wanted & {_normal(n) for n in names}
    )


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


# ---- Python --------------------------------------------------------------------------------------


def other_python(version: tuple[int, ...]) -> Iterator[str]:
    """That another Python runs here than where this is graded: the oldest that the kit allows."""
    try:
        allowed = str(metadata.metadata(KIT)["Requires-Python"])
    except metadata.PackageNotFoundError:
        return
    oldest = re.search(r">=\s*([0-9]+)\.([0-9]+)", allowed)
    if oldest and tuple(map(int, oldest.groups())) != tuple(version[:2]):
        here = ".".join(map(str, version[:2]))
        there = ".".join(oldest.groups())
        yield f"you use Python {here}, and this is graded with Python {there}: use what both have"
