"""Solution regions of a module, and the blanks that replace them."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from autograder.release.text import Comment, comments, decode, normalize, parse, read, refuse


@dataclass(frozen=True)
class Region:
    """The lines from `begin` to `end` (both markers included, first line is 1)."""

    id: str
    begin: int
    end: int
    indent: str


@dataclass(frozen=True)
class Marker:
    """`label` is the same for a BEGIN and the END that belongs to it."""

    opens: bool
    id: str
    label: str
    line: int
    indent: str


_BEGIN = re.compile(r"# BEGIN SOLUTION (\S+)")
_END = "# END SOLUTION"
_RESEMBLES = re.compile(
    r"(?<![a-z])(begin|end)[\s_:-]*solution|solution[\s_:-]*(begin|end)\b", re.IGNORECASE
)


def find_regions(text: str, where: str = "<source>") -> tuple[Region, ...]:
    """Return the solution regions of a module, in order.

    Raises `ReleaseError` for markers that are unbalanced, nested, misspelt, not alone on their
    lines or differently indented, and for regions that are empty, outside a function body, hold
    the docstring, or are not whole statements of one block.
    """
    text = normalize(text)
    tree = parse(text, where)
    regions = tuple(pair(_module_markers(comments(text, where), where), where))
    blocks = list(_blocks(tree, None))
    for region in regions:
        if problem := _region_problem(region, blocks, text.split("\n")):
            raise refuse(where, region.begin, f"the region of {region.id} {problem}")
    return regions


def _module_markers(tokens: Iterable[Comment], where: str) -> Iterator[Marker]:
    for comment in tokens:
        begin = _BEGIN.fullmatch(comment.text)
        if begin or comment.text == _END:
            if not comment.alone:
                raise refuse(where, comment.line, "a marker must stand alone on its line")
            if comment.bracketed:
                raise refuse(where, comment.line, "a marker inside an open bracket")
            name = begin[1] if begin else ""
            yield Marker(begin is not None, name, "SOLUTION", comment.line, comment.indent)
        elif _RESEMBLES.search(comment.text):
            expected = f"'# BEGIN SOLUTION <exercise id>' or '{_END}'"
            raise refuse(where, comment.line, f"write {expected}, not {comment.text!r}")


def pair(markers: Iterable[Marker], where: str) -> Iterator[Region]:
    """The regions between markers; ReleaseError if they are unbalanced, nested or askew."""
    start: Marker | None = None
    for marker in markers:
        if marker.opens:
            if start:
                message = f"BEGIN {marker.label} inside the region of line {start.line}"
                raise refuse(where, marker.line, message)
            start = marker
            continue
        if start is None or start.label != marker.label:
            raise refuse(where, marker.line, f"END {marker.label} without its BEGIN")
        if start.indent != marker.indent:
            message = f"END {marker.label} is not indented as its BEGIN in line {start.line}"
            raise refuse(where, marker.line, message)
        yield Region(start.id, start.line, marker.line, start.indent)
        start = None
    if start:
        raise refuse(where, start.line, f"BEGIN {start.label} without its END")


_Scope = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
_Block = tuple[_Scope | None, list[ast.stmt]]


def _blocks(node: ast.AST, scope: _Scope | None) -> Iterator[_Block]:
    """Yield every list of statements with the function or class around it, outermost first."""
    inner = node if isinstance(node, _Scope) else scope
    for _, value in ast.iter_fields(node):
        if isinstance(value, list) and value and isinstance(value[0], ast.stmt):
            yield inner, value
    for child in ast.iter_child_nodes(node):
        yield from _blocks(child, inner)


def _first_line(statement: ast.stmt) -> int:
    decorators: list[ast.expr] = getattr(statement, "decorator_list", [])
    return min([statement.lineno, *(decorator.lineno for decorator in decorators)])


def _region_problem(region: Region, blocks: list[_Block], lines: list[str]) -> str | None:
    def within(statement: ast.stmt) -> bool:
        return region.begin < _first_line(statement) < region.end

    touched = [(scope, block) for scope, block in blocks if any(map(within, block))]
    if not touched:
        return "is empty: it holds no statement"
    scope, block = touched[0]
    body = [statement for statement in block if within(statement)]
    first, last = _first_line(body[0]), body[-1].end_lineno or 0
    nested = {id(node) for statement in body for node in ast.walk(statement)}
    one_block = all(id(s) in nested for _, block in touched for s in block if within(s))
    around = lines[region.begin : first - 1] + lines[last : region.end - 1]
    if not isinstance(scope, ast.FunctionDef | ast.AsyncFunctionDef):
        return "is not inside a function body"
    if body[0] is scope.body[0] and ast.get_docstring(scope) is not None:
        return "holds the docstring, which students need"
    if last >= region.end or not one_block or any(re.match(r"\s*[^\s#]", line) for line in around):
        return "does not hold whole statements of one block"
    if body[0].col_offset != len(region.indent):
        return "is not indented as its first statement"
    return None


def strip_source(text: str, where: str = "<source>") -> str:
    """Replace every solution region of a module by a blank; see `find_regions` for refusals.

    Signatures, docstrings, imports and lines outside the regions stay as they are; line ends
    become LF and a byte-order mark goes. The result compiles and has no region left, so
    stripping it again changes nothing.
    """
    regions = find_regions(text, where)
    lines = normalize(text).split("\n")
    numbered = replace_regions(lines, {region: _stub(region) for region in regions})
    return compiled(numbered, where)


def _stub(region: Region) -> list[str]:
    return [
        f"{region.indent}# TODO({region.id}): your code; the docstring says what it must do",
        f'{region.indent}raise NotImplementedError("{region.id}")',
    ]


def compiled(numbered: list[tuple[int, str]], where: str) -> str:
    """Join stripped lines, of which each knows its line in the source, and try to compile them."""
    text = "\n".join(line for _, line in numbered)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compile(text, where, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, True)
    except SyntaxError as error:
        line = numbered[(error.lineno or 1) - 1][0]
        raise refuse(where, line, f"does not compile once stripped: {error.msg}") from None
    return text


def replace_regions(lines: list[str], stubs: Mapping[Region, list[str]]) -> list[tuple[int, str]]:
    """Return the lines with each region replaced by its stub, and the source line of each."""
    by_line = {region.begin: region for region in stubs}
    kept: list[tuple[int, str]] = []
    skipped_to = 0
    for number, line in enumerate(lines, start=1):
        if region := by_line.get(number):
            kept += [(number, stub) for stub in stubs[region]]
            skipped_to = region.end
        elif number > skipped_to:
            kept.append((number, line))
    return kept


_ID_MARK = re.compile(r"# BEGIN SOLUTION (\S+)|# TODO\((\S+)\): .+")


def exercise_ids_in(path: Path) -> list[str]:
    """Return the ids of a module's regions or blanks, in order."""
    where = path.as_posix()
    return exercise_ids(decode(read(path, where), where), where)


def exercise_ids(text: str, where: str = "<source>") -> list[str]:
    """The same of its text."""
    tokens = comments(text, where)
    marks = [_ID_MARK.fullmatch(comment.text) for comment in tokens if comment.alone]
    return [mark[1] or mark[2] for mark in marks if mark]
