"""Mutants of a module: where operators apply, what changes, and the text of each."""

from __future__ import annotations

import ast
import hashlib
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from benchmarks.mutation.operators import OPERATORS, Place

WIDTH = 88  # columns of what a report shows of a line
ENOUGH = 20  # to be recognized without what is around it
AROUND = 30  # and around a change in one that is longer
Function = ast.FunctionDef | ast.AsyncFunctionDef
# Types in the place of values, words for people, and what has no effect on a result.
_FORMS = {"Callable", "Literal", "Annotated", "TypeVar"}
_PASSED_OVER = {"annotation", "returns", "decorator_list", "type_comment", "cause", "msg"}


@dataclass(frozen=True)
class Key:
    """What names a mutant in files, however its lines move.

    `where` is an exercise's id or the path of a module; `before` and `after` are the line, or so
    much of it as fits; the first of equal changes has `occurrence` 1.
    """

    where: str
    before: str
    after: str
    occurrence: int = 1


@dataclass(frozen=True)
class _Change:
    """Put `new` at `parent.field`, or at `parent.field[index]`."""

    tree: ast.Module
    parent: ast.AST
    field: str
    index: int | None
    new: ast.AST

    def swap(self, node: ast.AST) -> ast.AST:
        """Put a node there and return what was there."""
        value: Any = getattr(self.parent, self.field)
        if self.index is None:
            setattr(self.parent, self.field, node)
            return value  # type: ignore[no-any-return]
        was: ast.AST = value[self.index]
        value[self.index] = node
        return was


@dataclass(frozen=True)
class Mutant:
    """One change of one line: `line` is that of the module's text, `operator` its name."""

    key: Key
    line: int
    operator: str
    _change: _Change = field(repr=False, compare=False)

    def source(self) -> str:
        """The text of the changed module; comments and layout are not kept."""
        was = self._change.swap(self._change.new)
        try:
            return ast.unparse(ast.fix_missing_locations(self._change.tree)) + "\n"
        finally:
            self._change.swap(was)


def normalized(text: str) -> str:
    """A module as its mutants are written, without any change."""
    return ast.unparse(ast.parse(text)) + "\n"


def mutants(text: str, where: str, lines: Collection[int] | None = None) -> list[Mutant]:
    """Every mutant of a module whose change lies on one of `lines` (None: anywhere), in order."""
    tree = ast.parse(text)
    seen: Counter[tuple[str, str]] = Counter()
    found = []
    for site in _sites(tree):
        line: int = getattr(site.place.node, "lineno", site.line)
        if lines is not None and line not in lines:
            continue
        for name, new in _replacements(site.place):
            change = _Change(tree, site.place.parent, site.place.field, site.index, new)
            before, after = _shown(site, change)
            seen[before, after] += 1
            key = Key(where, before, after, seen[before, after])
            found.append(Mutant(key, line, name, change))
    return found


def sample(every: Iterable[Mutant], count: int | None, seed: int) -> list[Mutant]:
    """`count` of the mutants (None: all) in their order: the same ones however lines move."""

    def rank(mutant: Mutant) -> bytes:
        return hashlib.sha256(f"{seed}\0{mutant.key}".encode()).digest()

    listed = list(every)
    kept = set(sorted(map(rank, listed))[:count])
    return [mutant for mutant in listed if rank(mutant) in kept]


def _replacements(place: Place) -> Iterator[tuple[str, ast.AST]]:
    seen = {ast.dump(place.node)}
    for name, operator in OPERATORS.items():
        for new in operator(place):
            if (dump := ast.dump(new)) not in seen:
                seen.add(dump)
                yield name, new


# ---- where ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Site:
    """A node that operators may see; `around` are the nodes from its statement to its parent."""

    place: Place
    index: int | None
    line: int
    around: tuple[ast.AST, ...]


@dataclass(frozen=True)
class _Scope:
    """The names of the innermost function."""

    names: tuple[str, ...] = ()
    bound: frozenset[str] = frozenset()


def _scope(function: Function) -> _Scope:
    given = function.args
    names = [arg.arg for arg in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
    stored = [
        (node.lineno, node.col_offset, node.id)
        for node in ast.walk(function)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    ]
    names += [name for _, _, name in sorted(stored)]
    times = Counter(names)
    return _Scope(tuple(dict.fromkeys(names)), frozenset(n for n in times if times[n] > 1))


def _sites(tree: ast.Module) -> Iterator[_Site]:
    yield from _below(tree, (), 1, _Scope())


def _below(node: ast.AST, around: tuple[ast.AST, ...], line: int, scope: _Scope) -> Iterator[_Site]:
    """The sites below a node, in the order of the text."""
    if isinstance(node, Function):
        scope = _scope(node)
    for name, value in ast.iter_fields(node):
        if name in _PASSED_OVER:
            continue
        listed = value if isinstance(value, list) else [value]
        for index, child in enumerate(listed):
            if not isinstance(child, ast.AST) or _is_passed_over(child, node):
                continue
            outer = () if isinstance(child, ast.stmt | ast.match_case) else around
            place = Place(child, node, name, scope.names, scope.bound)
            at = index if isinstance(value, list) else None
            yield _Site(place, at, line, outer)
            if isinstance(child, ast.Raise):  # what it says is for people
                continue
            below = getattr(child, "lineno", line)
            yield from _below(child, (*outer, child), below, scope)


def _is_passed_over(node: ast.AST, parent: ast.AST) -> bool:
    match node:
        case ast.Expr(value=ast.Constant()) | ast.Import() | ast.ImportFrom() | ast.Assert():
            return True
        case ast.JoinedStr() | ast.Global() | ast.Nonlocal():
            return True
        case ast.Subscript(value=ast.Name(id=name)) | ast.Call(func=ast.Name(id=name)):
            return name in _FORMS
        case ast.Assign(targets=[ast.Name(id="__all__")]):
            return True
        case ast.If(test=ast.Name(id="TYPE_CHECKING")):
            return True
    return isinstance(parent, ast.Expr) and isinstance(node, ast.Constant)


# ---- what is shown -------------------------------------------------------------------------------


def _shown(site: _Site, change: _Change) -> tuple[str, str]:
    """The change in the widest piece of its statement that fits on a line, or a part of one."""
    wider: ast.AST | None = None
    for piece in (*site.around, site.place.node):
        before = _line(piece)
        is_itself = piece is site.place.node
        if len(before) <= WIDTH and (wider is None or len(before) >= ENOUGH):
            after = _line(change.new) if is_itself else _changed(piece, change)
            if before != after:
                return _window(before, after)
        elif not is_itself:
            wider = piece
    if wider is None:
        return _window(_line(site.place.node), _line(change.new))
    return _window(_line(wider), _changed(wider, change))


def _changed(piece: ast.AST, change: _Change) -> str:
    was = change.swap(change.new)
    try:
        return _line(piece)
    finally:
        change.swap(was)


def _window(before: str, after: str) -> tuple[str, str]:
    """What differs of two lines, and a little around it, if they are too long to be shown."""
    if max(len(before), len(after)) <= WIDTH:
        return before, after
    start = _common(before, after)
    end = _common(before[start:][::-1], after[start:][::-1])

    def cut(text: str) -> str:
        first, last = max(0, start - AROUND), min(len(text), len(text) - end + AROUND)
        return f"{'… ' * (first > 0)}{text[first:last]}{' …' * (last < len(text))}"

    return cut(before), cut(after)


def _common(one: str, other: str) -> int:
    """Length of the common beginning."""
    pairs = zip(one, other, strict=False)
    return next((at for at, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))


def _line(node: ast.AST) -> str:
    """The code of an expression or a simple statement; of others the first line."""
    text = ast.unparse(ast.fix_missing_locations(node)).strip()
    head, *more = text.split("\n")
    return f"{head} ..." if more and not isinstance(node, ast.expr) else head
