"""Banks of submissions: how an entry of `tests/submissions/` becomes a submission."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path

from autograder.course import Course, Session, load_course
from autograder.engine.judge.mistakes import FOLDER, function_of
from autograder.grading.kinds import graders_of
from autograder.release import find_regions, strip_source
from autograder.submissions import Submission
from tests.support import ROOT, submission

BANKS = ROOT / "tests" / "submissions"

Definition = ast.FunctionDef | ast.ClassDef

DEFINED_BY = {"s3.stage_report": "s3.compress"}
"""Exercises whose right answer is what the submission's own function of another one gives."""


@dataclass(frozen=True)
class Wrong:
    """One known mistake: replaces `exercise` in the `solution`. Nothing is read before it is used.

    What is drawn for its submission depends on its name alone: the solution may be rewritten, and
    the mistake fails the same checks as before.
    """

    path: Path
    exercise: str
    file: str
    solution: Mapping[str, str]

    @property
    def name(self) -> str:
        """Of its file."""
        return self.path.stem

    @cached_property
    def text(self) -> str:
        """The mistaken definitions."""
        return self.path.read_text(encoding="utf-8")

    @cached_property
    def reason(self) -> str:
        """What is wrong."""
        return (ast.get_docstring(ast.parse(self.text)) or "").strip()

    @cached_property
    def defines(self) -> frozenset[str]:
        """Its functions and classes."""
        body = ast.parse(self.text).body
        return frozenset(node.name for node in body if isinstance(node, Definition))

    @cached_property
    def submission(self) -> Submission:
        """The solution with the mistake."""
        changed = inject(self.solution, self.file, self.exercise, self.text)
        drawn_by = hashlib.sha256(self.name.encode()).hexdigest()
        return replace(submission(self.name, changed), sha256=drawn_by)


@cache
def course() -> Course:
    """The real course."""
    return load_course(ROOT / "course.yaml")


def solution(session: Session) -> dict[str, str]:
    """The solution's modules."""
    folder = ROOT / "solutions" / session.folder
    return {name: (folder / name).read_text(encoding="utf-8") for name in session.required_files}


def blank(session: Session) -> dict[str, str]:
    """What a student gets."""
    return {name: strip_source(text, name) for name, text in solution(session).items()}


def right(session: Session) -> dict[str, dict[str, str]]:
    """Differently written right submissions, by name."""
    folder = BANKS / session.folder / "right"
    return {
        each.name: {name: (each / name).read_text("utf-8") for name in session.required_files}
        for each in sorted(folder.iterdir())
        if each.is_dir()
    }


@cache
def pieces(text: str, where: str) -> dict[str, dict[str, Definition]]:
    """Exercise id -> the top-level functions and classes that hold its regions, by name."""
    found: dict[str, dict[str, Definition]] = {}
    definitions = [node for node in ast.parse(text).body if isinstance(node, Definition)]
    for region in find_regions(text, where):
        for node in definitions:
            if node.lineno < region.begin <= (node.end_lineno or 0):
                found.setdefault(region.id, {})[node.name] = node
    return found


def wrong(session: Session) -> list[Wrong]:
    """Every known mistake, to be put into the solution where the judge looks."""
    files = solution(session)
    entries = []
    for path in sorted((graders_of(session) / FOLDER).glob("*.py")):
        exercise = session.exercise(f"{session.id}.{function_of(path)}")
        entries.append(Wrong(path, exercise.id, exercise.file, files))
    return entries


def several(session: Session, entries: Iterable[Wrong]) -> Submission:
    """One submission with these mistakes, see `inject_all`."""
    files = solution(session)
    by_file: dict[str, dict[str, str]] = {}
    for entry in entries:
        texts = by_file.setdefault(session.exercise(entry.exercise).file, {})
        texts[entry.exercise] = entry.text
    for file, texts in by_file.items():
        files = inject_all(files, file, texts)
    return submission("several", files)


def inject(files: Mapping[str, str], file: str, exercise: str, text: str) -> dict[str, str]:
    """The modules `files` with `text`, a mistaken version of `exercise` in `file`.

    Solutions compose, and a mistake must not spread. So the right definitions get private names,
    by which everything else goes on calling them. Behind them stand the exercise's own
    definitions once more under their public names, and then `text`: the last definition wins.
    """
    return inject_all(files, file, {exercise: text})


def inject_all(files: Mapping[str, str], file: str, texts: Mapping[str, str]) -> dict[str, str]:
    """As `inject`, with several exercises of one module: none calls another, or shares a class."""
    source = files[file]
    parts = pieces(source, file)
    public = {node.name for node in _parsed(source).body if isinstance(node, Definition)}
    names: set[str] = set()
    pasted = []
    for exercise, text in texts.items():
        following = (other for other, by in DEFINED_BY.items() if by == exercise)
        own = {name: node for each in (exercise, *following) for name, node in parts[each].items()}
        mistaken = {node.name for node in ast.parse(text).body if isinstance(node, Definition)}
        names |= {*own, *(mistaken & public)}
        pasted += [*(_lines_of(source, node) for node in own.values()), text]
    changed = set_aside(files, file, names)
    changed[file] += "\n\n" + "\n\n\n".join(pasted)
    return changed


def set_aside(files: Mapping[str, str], file: str, names: Collection[str]) -> dict[str, str]:
    """The modules with the definitions `names` of `file` under private names, for all who call."""
    return dict(_set_aside(tuple(files.items()), file, frozenset(names)))


@cache
def _set_aside(
    files: tuple[tuple[str, str], ...], file: str, names: frozenset[str]
) -> dict[str, str]:
    module = file.removesuffix(".py")
    return {
        name: _renamed(
            text,
            _uses(_parsed(text), names) if name == file else _imports(_parsed(text), module, names),
        )
        for name, text in files
    }


_parsed = cache(ast.parse)


def private(name: str) -> str:
    """What a right definition is called beside a mistaken one."""
    return f"_right_{name}"


Edit = tuple[int, int, str, str]
"""Line, column in bytes of its UTF-8, what stands there, what takes its place."""


def _lines_of(source: str, node: Definition) -> str:
    first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
    return "\n".join(source.split("\n")[first - 1 : node.end_lineno])


def _imports(tree: ast.Module, module: str, names: Collection[str]) -> Iterator[Edit]:
    """Where `names` are imported from `module`, at any depth."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == module:
            for alias in node.names:
                if alias.name in names:
                    local = "" if alias.asname else f" as {alias.name}"
                    yield alias.lineno, alias.col_offset, alias.name, private(alias.name) + local


def _uses(tree: ast.Module, names: Set[str]) -> Iterator[Edit]:
    """Where the top-level `names` are defined and used; not where a local name hides them."""
    for node in tree.body:
        if isinstance(node, Definition) and node.name in names:
            start = len("class " if isinstance(node, ast.ClassDef) else "def ")
            yield node.lineno, node.col_offset + start, node.name, private(node.name)
    for used in _global_names(tree, names):
        yield used.lineno, used.col_offset, used.id, private(used.id)


def _global_names(node: ast.AST, names: Set[str]) -> Iterator[ast.Name]:
    for child in ast.iter_child_nodes(node):
        seen = names
        if isinstance(child, ast.FunctionDef | ast.Lambda):
            seen = names - {
                inner.arg if isinstance(inner, ast.arg) else inner.id
                for inner in ast.walk(child)
                if isinstance(inner, ast.arg)
                or (isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store))
            }
        if isinstance(child, ast.Name) and child.id in names:
            yield child
        yield from _global_names(child, seen)


def _renamed(source: str, edits: Iterable[Edit]) -> str:
    lines = [line.encode() for line in source.split("\n")]
    for line, column, old, new in sorted(edits, reverse=True):
        text = lines[line - 1]
        assert text[column:].startswith(old.encode()), (line, column, old)
        lines[line - 1] = text[:column] + new.encode() + text[column + len(old.encode()) :]
    return b"\n".join(lines).decode()
