"""Imports the student's modules from source text, inside the worker.

Only the listed files exist, as text that the judge sent: no folder of the student's is on the
import path, so a `torch.py` or `sitecustomize.py` beside them is never found. Our finder stands
last, behind the standard library and the installed packages.
"""

from __future__ import annotations

import ast
import contextlib
import importlib.abc
import importlib.machinery
import importlib.util
import linecache
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import CodeType, ModuleType

from autograder import OWN


class SourceLoader(importlib.abc.InspectLoader):
    """Executes one module from its text."""

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self.text = text

    def get_source(self, fullname: str) -> str:  # noqa: ARG002 - the interface's
        """Return the text, for tracebacks and `inspect`."""
        return self.text

    def source_to_code(self, data: object, path: object = "") -> CodeType:  # type: ignore[override]
        """Compile without inheriting this file's future statements."""
        return compile(data, str(path), "exec", dont_inherit=True)  # type: ignore[call-overload,no-any-return]

    def get_code(self, fullname: str) -> CodeType:  # noqa: ARG002
        """Return the code of the module."""
        return self.source_to_code(self.text, f"{self.name}.py")

    def exec_module(self, module: ModuleType) -> None:
        """Run the module's code in its namespace; `__file__` lies in the scratch folder."""
        module.__file__ = str(Path.cwd() / f"{self.name}.py")
        exec(self.get_code(self.name), module.__dict__)


class StudentFinder(importlib.abc.MetaPathFinder):
    """Finds the student's listed modules, and nothing else."""

    def __init__(self, sources: dict[str, str]) -> None:
        self.sources = sources

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Return a spec for a listed module."""
        del target
        if path is not None or fullname not in self.sources:
            return None
        loader = SourceLoader(fullname, self.sources[fullname])
        return importlib.util.spec_from_loader(fullname, loader, origin=f"{fullname}.py")


class Withheld(importlib.abc.MetaPathFinder):
    """Refuses modules that hold the answers: the grader's own and withheld ones of `shared`."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = frozenset(names)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> None:
        """Raise ImportError for a withheld module."""
        del path, target
        if fullname in self.names or fullname.split(".")[0] in OWN:
            raise ImportError(f"{fullname} is not available while this session is graded")


def import_libraries(sources: dict[str, str]) -> None:
    """Import what the modules import, at any depth, but themselves, before any of their code runs.

    What cannot be parsed or imported is passed over: it fails, or not, when the modules run.
    """
    for name, parts in dict.fromkeys(_imported(sources.values())):
        if name.partition(".")[0] not in (*OWN, "shared", *sources):
            with contextlib.suppress(Exception, SystemExit):
                __import__(name, fromlist=parts)


def _imported(texts: Iterable[str]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Modules, each with the names that are taken from it: some may be modules as well."""
    for text in texts:
        tree = ast.Module([], [])
        with contextlib.suppress(SyntaxError, ValueError, RecursionError):
            tree = ast.parse(text)
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                yield from ((alias.name, ()) for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                yield node.module, tuple(alias.name for alias in node.names)


def install(sources: dict[str, str], withheld: Sequence[str]) -> None:
    """Make the student's modules importable and the withheld ones not.

    Modules that were installed before are forgotten.
    """
    before = [each for each in sys.meta_path if isinstance(each, StudentFinder)]
    theirs = {name for finder in before for name in finder.sources}
    for name in theirs.union(withheld):  # a walk through all modules would touch a page for each
        sys.modules.pop(name, None)
    sys.meta_path[:] = [e for e in sys.meta_path if not isinstance(e, StudentFinder | Withheld)]
    sys.meta_path.insert(0, Withheld(withheld))
    sys.meta_path.append(StudentFinder(sources))
    for name, text in sources.items():
        lines = text.splitlines(keepends=True)
        linecache.cache[f"{name}.py"] = (len(text), None, lines, f"{name}.py")
