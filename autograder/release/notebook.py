"""Lab sheets: Python text in jupytext's percent format becomes the students' notebook."""

from __future__ import annotations

import hashlib
import importlib
import itertools
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from autograder.release.regions import Marker, Region, compiled, pair, replace_regions
from autograder.release.text import Comment, comments, normalize, notice, parse, refuse

LAB_SOURCE, LAB = "lab.py", "lab.ipynb"

_CODE_STUB = ("# YOUR CODE HERE", "raise NotImplementedError()")
_TEXT_STUB = ("YOUR ANSWER HERE",)  # both as nbgrader writes them
_LAB_KIND = "SOLUTION|HIDDEN TESTS|MARK SCHEME"
_LAB_MARKER = re.compile(rf"(# )?### (BEGIN|END) ({_LAB_KIND})")
_LAB_RESEMBLES = re.compile(
    rf"(?<![a-z])(begin|end)[\s_:-]*({_LAB_KIND.replace(' ', '[ _-]*')})", re.IGNORECASE
)
_CELL_METADATA = ("nbgrader", "slideshow", "tags")
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}


@dataclass(frozen=True)
class _SheetCell:
    """The cell that a line of a sheet belongs to."""

    index: int
    is_code: bool
    is_solution: bool


def lab_notebook(text: str, where: str = LAB_SOURCE) -> bytes:
    """Turn a lab sheet (Python text, jupytext percent format) into the students' notebook.

    Solution regions become nbgrader's stubs, and so does the whole of an nbgrader solution cell
    without one; hidden tests and mark schemes go. The bytes depend on the text alone: cell ids
    come from `grade_id` or from the content. Raises `ReleaseError` for faulty markers, for cell
    metadata that nbgrader would refuse, and where jupytext or nbgrader is not installed.
    """
    text = normalize(text)
    parse(text, where)
    lines = text.split("\n")
    _check_cells(lines, where)
    marks = _lab_marks(lines, comments(text, where), where)
    cells = {line: _cell_at(lines, line, where) for line in marks}
    markers = [_lab_marker(line, comment, cells[line], where) for line, comment in marks.items()]
    stubs = {region: _lab_stub(region, lines, cells, where) for region in pair(markers, where)}
    stripped = compiled(replace_regions(lines, stubs), where)
    return _write_notebook(_read_notebook(stripped.split("\n"), where), where)


def teachers_notebook(text: str, where: str = LAB_SOURCE) -> bytes:
    """The notebook of a lab sheet with its answers, as nbgrader's `source/` holds it.

    Raises `ReleaseError` for what `lab_notebook` refuses.
    """
    lab_notebook(text, where)
    return _write_notebook(_read_notebook(normalize(text).split("\n"), where), where, blank=False)


def _lab_marks(lines: list[str], tokens: list[Comment], where: str) -> dict[int, Comment]:
    """Return the comments that are markers, by line.

    nbgrader matches substrings, so in a sheet not even a string may resemble a marker.
    """
    alone = {comment.line: comment for comment in tokens if comment.alone}
    marks = {}
    for number, line in enumerate(lines, start=1):
        if _LAB_RESEMBLES.search(line):
            if number not in alone:
                raise refuse(where, number, "marker text that is not a comment of its own")
            marks[number] = alone[number]
    return marks


def _cell_at(lines: list[str], number: int, where: str) -> _SheetCell:
    """Say which cell holds a line: the last one of the sheet up to there."""
    cells = _read_notebook(lines[:number], where).cells
    return _SheetCell(len(cells) - 1, cells[-1].cell_type == "code", _is_solution(cells[-1]))


def _lab_marker(line: int, comment: Comment, cell: _SheetCell, where: str) -> Marker:
    marker = _LAB_MARKER.fullmatch(comment.text)
    if not marker or cell.is_code == bool(marker[1]):
        expected = "### BEGIN SOLUTION" if cell.is_code else "# ### BEGIN SOLUTION"
        raise refuse(where, line, f"write '{expected}' or its END, not {comment.text!r}")
    if marker[3] == "SOLUTION" and not cell.is_solution:
        message = 'a solution region needs a cell with nbgrader metadata "solution": true'
        raise refuse(where, line, message)
    return Marker(marker[2] == "BEGIN", marker[3], marker[3], line, comment.indent)


def _lab_stub(
    region: Region, lines: list[str], cells: Mapping[int, _SheetCell], where: str
) -> list[str]:
    if cells[region.begin] != cells[region.end]:
        raise refuse(where, region.begin, f"the {region.id} region runs into another cell")
    if not any(line.strip("# \t") for line in lines[region.begin : region.end - 1]):
        raise refuse(where, region.begin, f"the {region.id} region is empty")
    if region.id != "SOLUTION":
        return []
    if cells[region.begin].is_code:
        return [region.indent + line for line in _CODE_STUB]
    return [f"{region.indent}# {line}" for line in _TEXT_STUB]


def _tool(name: str, where: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError:
        message = f"a lab sheet needs {name}: pip install 'compression-course[dev]'"
        raise refuse(where, 1, message) from None


def _read_notebook(lines: list[str], where: str) -> Any:
    jupytext, nbformat = _tool("jupytext", where), _tool("nbformat", where)
    try:
        return jupytext.reads("\n".join(lines), fmt="py:percent")
    except nbformat.ValidationError as error:
        raise refuse(where, 1, f"not a notebook: {error.message}") from None


def _is_solution(cell: Any) -> bool:
    return bool(cell.metadata.get("nbgrader", {}).get("solution"))


def _check_cells(lines: list[str], where: str) -> None:
    """Refuse cell metadata that is not JSON, or that nbgrader would refuse."""
    cells = _read_notebook(lines, where).cells
    if not _metadata_problem(cells, where):
        return
    # Neither nbgrader nor jupytext keeps positions: the first cell that is one too many, and the
    # first line up to which there are that many cells.
    count = next(n for n in range(1, len(cells) + 1) if _metadata_problem(cells[:n], where))
    ends = range(1, len(lines) + 1)
    line = next(n for n in ends if len(_read_notebook(lines[:n], where).cells) >= count)
    raise refuse(where, line, f"lab cell: {_metadata_problem(cells[:count], where)}")


def _metadata_problem(cells: Sequence[Any], where: str) -> str:
    """The first fault in the cells' metadata, as nbgrader tells it; empty if there is none."""
    if any("incorrectly_encoded_metadata" in cell.metadata for cell in cells):
        return "the cell's metadata is not JSON"
    ours = [cell.metadata["nbgrader"] for cell in cells if "nbgrader" in cell.metadata]
    if not ours:
        return ""
    # nbgrader's validator takes these two for granted.
    if not all(isinstance(m, dict) and isinstance(m.get("schema_version"), int) for m in ours):
        return "nbgrader needs a mapping with a schema_version"
    schema, nbformat = _tool("nbgrader.nbgraderformat", where), _tool("nbformat", where)
    try:
        schema.MetadataValidator().validate_nb(nbformat.from_dict({"cells": cells}))
    except schema.ValidationError as error:
        message = error.message.split("\n")[0].rstrip(": ")  # some quote the cell behind a colon
        return ": ".join([*map(str, error.absolute_path), message])
    except (schema.SchemaTooOldError, schema.SchemaTooNewError) as error:
        return str(error)
    return ""


def _write_notebook(notebook: Any, where: str, blank: bool = True) -> bytes:
    nbformat = _tool("nbformat", where)
    notebook.metadata = {"kernelspec": KERNEL, "generated": notice(where)}
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    used: set[str] = set()
    for cell in notebook.cells:
        stub = "\n".join(_CODE_STUB if cell.cell_type == "code" else _TEXT_STUB)
        has_stub = any(line.strip() == stub.split("\n")[0] for line in cell.source.split("\n"))
        if blank and _is_solution(cell) and not has_stub:
            cell.source = stub
        cell.metadata = {k: v for k, v in cell.metadata.items() if k in _CELL_METADATA}
        cell.id = _cell_id(cell, used)
        used.add(cell.id)
    written: str = nbformat.writes(nbformat.from_dict(notebook))
    return (written.rstrip("\n") + "\n").encode()


def _cell_id(cell: Any, used: Collection[str]) -> str:
    content = f"{cell.cell_type}\n{cell.source}".encode()
    name = cell.metadata.get("nbgrader", {}).get("grade_id") or ""
    name = name[:50] or hashlib.sha256(content).hexdigest()[:12]
    candidates = (name if n == 1 else f"{name}-{n}" for n in itertools.count(1))
    return next(candidate for candidate in candidates if candidate not in used)
