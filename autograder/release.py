"""`solutions/` -> `assignments/`: strip the solution regions, copy the rest, keep both in sync.

In a module, comments alone on their lines mark a region inside a function body:

    # BEGIN SOLUTION s1.sparsity
    ...
    # END SOLUTION

It becomes one TODO and one `NotImplementedError`, both with the exercise id. Markers are whole
comment tokens: text in strings never counts, and a comment that only resembles a marker is
refused. A lab sheet `lab.py` (jupytext, percent format) becomes `lab.ipynb`; its regions are
nbgrader's `### BEGIN SOLUTION`, with `# ` before them in Markdown cells.

Every refusal is a `ReleaseError` that starts with file and line.
"""

from __future__ import annotations

import ast
import difflib
import hashlib
import importlib
import io
import itertools
import re
import shutil
import tempfile
import tokenize
import warnings
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from types import ModuleType
from typing import Any

from autograder.course import Course
from autograder.errors import ReleaseError

MANIFEST = "GENERATED.txt"

_COMMAND = "autograder release"
_LAB_SOURCE, _LAB = "lab.py", "lab.ipynb"
_STAGING = ".release-"
_COMMENT_FORM = {
    ".py": "# {}",
    ".toml": "# {}",
    ".yaml": "# {}",
    ".yml": "# {}",
    ".md": "<!-- {} -->",
}

Files = Mapping[str, bytes]


def _refuse(where: str, line: int, message: str) -> ReleaseError:
    return ReleaseError(f"{where}:{line}: {message}")


# ---- reading source text ---------------------------------------------------------------------


def _decode(data: bytes, where: str) -> str:
    try:
        return _normalise(data.decode("utf-8"))
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise _refuse(where, line, "not UTF-8") from None


def _normalise(text: str) -> str:
    """Drop a byte-order mark and make every line, the last one too, end with LF."""
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    return text if text.endswith("\n") or not text else text + "\n"


def _parse(text: str, where: str) -> ast.Module:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an invalid escape is not the stripper's business
            tree = compile(
                text, where, "exec", ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, True
            )
    except SyntaxError as error:
        raise _refuse(where, error.lineno or 1, f"not Python: {error.msg}") from None
    except ValueError as error:
        raise _refuse(where, 1, f"not Python: {error}") from None
    assert isinstance(tree, ast.Module)
    return tree


@dataclass(frozen=True)
class _Comment:
    """A comment token; `alone` on its line behind `indent`, or inside an open bracket."""

    line: int
    text: str
    indent: str
    alone: bool
    bracketed: bool


def _comments(text: str, where: str) -> list[_Comment]:
    lines = text.split("\n")
    found, depth = [], 0
    try:
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type == tokenize.OP:
                depth += (token.string in "([{") - (token.string in ")]}")
            elif token.type == tokenize.COMMENT:
                row, column = token.start
                before = lines[row - 1][:column]
                comment = token.string.rstrip()
                found.append(_Comment(row, comment, before, not before.strip(), depth > 0))
    except (tokenize.TokenError, SyntaxError) as error:
        line = error.args[1][0] if isinstance(error, tokenize.TokenError) else error.lineno
        raise _refuse(where, line or 1, f"not Python: {error.args[0]}") from None
    return found


# ---- solution regions ------------------------------------------------------------------------


@dataclass(frozen=True)
class Region:
    """The lines from `begin` to `end` (both markers included, first line is 1)."""

    id: str
    begin: int
    end: int
    indent: str


@dataclass(frozen=True)
class _Marker:
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
    text = _normalise(text)
    tree = _parse(text, where)
    regions = tuple(_pair(_module_markers(_comments(text, where), where), where))
    blocks = list(_blocks(tree, None))
    for region in regions:
        if problem := _region_problem(region, blocks, text.split("\n")):
            raise _refuse(where, region.begin, f"the region of {region.id} {problem}")
    return regions


def _module_markers(comments: Iterable[_Comment], where: str) -> Iterator[_Marker]:
    for comment in comments:
        begin = _BEGIN.fullmatch(comment.text)
        if begin or comment.text == _END:
            if not comment.alone:
                raise _refuse(where, comment.line, "a marker must stand alone on its line")
            if comment.bracketed:
                raise _refuse(where, comment.line, "a marker inside an open bracket")
            name = begin[1] if begin else ""
            yield _Marker(begin is not None, name, "SOLUTION", comment.line, comment.indent)
        elif _RESEMBLES.search(comment.text):
            wanted = f"'# BEGIN SOLUTION <exercise id>' or '{_END}'"
            raise _refuse(where, comment.line, f"write {wanted}, not {comment.text!r}")


def _pair(markers: Iterable[_Marker], where: str) -> Iterator[Region]:
    start: _Marker | None = None
    for marker in markers:
        if marker.opens:
            if start:
                message = f"BEGIN {marker.label} inside the region of line {start.line}"
                raise _refuse(where, marker.line, message)
            start = marker
            continue
        if start is None or start.label != marker.label:
            raise _refuse(where, marker.line, f"END {marker.label} without its BEGIN")
        if start.indent != marker.indent:
            message = f"END {marker.label} is not indented as its BEGIN in line {start.line}"
            raise _refuse(where, marker.line, message)
        yield Region(start.id, start.line, marker.line, start.indent)
        start = None
    if start:
        raise _refuse(where, start.line, f"BEGIN {start.label} without its END")


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
    inside = {id(node) for statement in body for node in ast.walk(statement)}
    one_block = all(id(s) in inside for _, block in touched for s in block if within(s))
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
    lines = _normalise(text).split("\n")
    numbered = _replace(lines, {region: _stub(region) for region in regions})
    return _joined(numbered, where)


def _joined(numbered: list[tuple[int, str]], where: str) -> str:
    """Join stripped lines, of which each knows its line in the source, and try to compile them."""
    text = "\n".join(line for _, line in numbered)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compile(text, where, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, True)
    except SyntaxError as error:
        line = numbered[(error.lineno or 1) - 1][0]
        raise _refuse(where, line, f"does not compile once stripped: {error.msg}") from None
    return text


def _stub(region: Region) -> list[str]:
    return [
        f"{region.indent}# TODO({region.id}): your code; the docstring says what it must do",
        f'{region.indent}raise NotImplementedError("{region.id}")',
    ]


def _replace(lines: list[str], stubs: Mapping[Region, list[str]]) -> list[tuple[int, str]]:
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
    comments = _comments(_decode(_read(path, where), where), where)
    marks = [_ID_MARK.fullmatch(comment.text) for comment in comments if comment.alone]
    return [mark[1] or mark[2] for mark in marks if mark]


# ---- lab sheets ------------------------------------------------------------------------------

_CODE_STUB = ("# YOUR CODE HERE", "raise NotImplementedError()")
_TEXT_STUB = ("YOUR ANSWER HERE",)  # both as nbgrader writes them
_LAB_KIND = "SOLUTION|HIDDEN TESTS|MARK SCHEME"
_LAB_MARKER = re.compile(rf"(# )?### (BEGIN|END) ({_LAB_KIND})")
_LAB_RESEMBLES = re.compile(
    rf"(?<![a-z])(begin|end)[\s_:-]*({_LAB_KIND.replace(' ', '[ _-]*')})", re.IGNORECASE
)
_CELL_METADATA = ("nbgrader", "slideshow", "tags")
_GRADE_ID = re.compile(r"[A-Za-z0-9_-]+")
_NBGRADER_REQUIRED = {"schema_version", "grade", "solution", "locked"}
_NBGRADER_KEYS = _NBGRADER_REQUIRED | {"grade_id", "points", "task"}
_KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}


@dataclass(frozen=True)
class _Place:
    """The cell that a line of a sheet belongs to."""

    cell: int
    is_code: bool
    is_solution: bool


def lab_notebook(text: str, where: str = _LAB_SOURCE) -> bytes:
    """Turn a lab sheet (Python text, jupytext percent format) into the students' notebook.

    Solution regions become nbgrader's stubs, and so does the whole of an nbgrader solution cell
    without one; hidden tests and mark schemes go. The bytes depend on the text alone: cell ids
    come from `grade_id` or from the content. Raises `ReleaseError` for faulty markers, for cell
    metadata that nbgrader would refuse, and where jupytext is not installed.
    """
    text = _normalise(text)
    _parse(text, where)
    lines = text.split("\n")
    _check_cells(lines, where)
    marks = _lab_marks(lines, _comments(text, where), where)
    places = {line: _place(lines, line, where) for line in marks}
    markers = [_lab_marker(line, comment, places[line], where) for line, comment in marks.items()]
    stubs = {region: _lab_stub(region, lines, places, where) for region in _pair(markers, where)}
    stripped = _joined(_replace(lines, stubs), where)
    return _write_notebook(_read_notebook(stripped.split("\n"), where), where)


def _lab_marks(lines: list[str], comments: list[_Comment], where: str) -> dict[int, _Comment]:
    """Return the comments that are markers, by line.

    nbgrader matches substrings, so in a sheet not even a string may resemble a marker.
    """
    alone = {comment.line: comment for comment in comments if comment.alone}
    marks = {}
    for number, line in enumerate(lines, start=1):
        if _LAB_RESEMBLES.search(line):
            if number not in alone:
                raise _refuse(where, number, "marker text that is not a comment of its own")
            marks[number] = alone[number]
    return marks


def _place(lines: list[str], number: int, where: str) -> _Place:
    """Say which cell holds a line: the last one of the sheet up to there."""
    cells = _read_notebook(lines[:number], where).cells
    return _Place(len(cells) - 1, cells[-1].cell_type == "code", _is_solution(cells[-1]))


def _lab_marker(line: int, comment: _Comment, place: _Place, where: str) -> _Marker:
    marker = _LAB_MARKER.fullmatch(comment.text)
    if not marker or place.is_code == bool(marker[1]):
        wanted = "### BEGIN SOLUTION" if place.is_code else "# ### BEGIN SOLUTION"
        raise _refuse(where, line, f"write '{wanted}' or its END, not {comment.text!r}")
    if marker[3] == "SOLUTION" and not place.is_solution:
        message = 'a solution region needs a cell with nbgrader metadata "solution": true'
        raise _refuse(where, line, message)
    return _Marker(marker[2] == "BEGIN", marker[3], marker[3], line, comment.indent)


def _lab_stub(
    region: Region, lines: list[str], places: Mapping[int, _Place], where: str
) -> list[str]:
    if places[region.begin] != places[region.end]:
        raise _refuse(where, region.begin, f"the {region.id} region runs into another cell")
    if not any(line.strip("# \t") for line in lines[region.begin : region.end - 1]):
        raise _refuse(where, region.begin, f"the {region.id} region is empty")
    if region.id != "SOLUTION":
        return []
    if places[region.begin].is_code:
        return [region.indent + line for line in _CODE_STUB]
    return [f"{region.indent}# {line}" for line in _TEXT_STUB]


def _tool(name: str, where: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError:
        message = f"a lab sheet needs {name}: pip install 'compression-course[lab]'"
        raise _refuse(where, 1, message) from None


def _read_notebook(lines: list[str], where: str) -> Any:
    jupytext, nbformat = _tool("jupytext", where), _tool("nbformat", where)
    try:
        return jupytext.reads("\n".join(lines), fmt="py:percent")
    except nbformat.ValidationError as error:
        raise _refuse(where, 1, f"not a notebook: {error.message}") from None


def _is_solution(cell: Any) -> bool:
    return bool(cell.metadata.get("nbgrader", {}).get("solution"))


def _check_cells(lines: list[str], where: str) -> None:
    seen: set[str] = set()
    for index, cell in enumerate(_read_notebook(lines, where).cells):
        metadata = cell.metadata.get("nbgrader", {})
        problem = None
        if "incorrectly_encoded_metadata" in cell.metadata:
            problem = "the cell's metadata is not JSON"
        elif "nbgrader" in cell.metadata:
            problem = _nbgrader_problem(metadata, cell.cell_type)
        name = "" if problem else metadata.get("grade_id", "")
        if name and name in seen:
            problem = f"grade_id {name!r} is used twice"
        if problem:
            # Jupytext keeps no positions: the first line up to which there are that many cells.
            ends = range(1, len(lines) + 1)
            line = next(n for n in ends if len(_read_notebook(lines[:n], where).cells) > index)
            raise _refuse(where, line, f"lab cell: {problem}")
        seen.add(name)


def _nbgrader_problem(metadata: Any, cell_type: str) -> str | None:
    """Say what nbgrader's schema 3 would refuse, if anything."""
    if not isinstance(metadata, dict):
        return "nbgrader needs a mapping"
    missing, unknown = _NBGRADER_REQUIRED - set(metadata), set(metadata) - _NBGRADER_KEYS
    if missing or unknown:
        verb = "is missing" if missing else "is unknown"
        return f"{min(missing or unknown)} {verb}"
    flags = {key: metadata.get(key, False) for key in ("grade", "solution", "locked", "task")}
    not_bool = [key for key, value in flags.items() if not isinstance(value, bool)]
    points = metadata.get("points", 0)
    if metadata["schema_version"] != 3:
        return "schema_version must be 3"
    if not_bool:
        return f"{not_bool[0]} must be true or false"
    if any(flags.values()) and not _GRADE_ID.fullmatch(str(metadata.get("grade_id", ""))):
        return "grade_id must be letters, digits, - and _"
    if flags["grade"] and "points" not in metadata:
        return "points are missing"
    if isinstance(points, bool) or not isinstance(points, int | float) or not points >= 0:
        return "points must be a number from 0"
    if flags["task"] and cell_type != "markdown":
        return "a task must be a Markdown cell"
    if not flags["task"] and cell_type == "markdown" and flags["grade"] != flags["solution"]:
        return "a Markdown answer needs both grade and solution"
    return None


def _write_notebook(notebook: Any, where: str) -> bytes:
    nbformat = _tool("nbformat", where)
    notebook.metadata = {"kernelspec": _KERNEL, "generated": _notice(where)}
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    used: set[str] = set()
    for cell in notebook.cells:
        stub = "\n".join(_CODE_STUB if cell.cell_type == "code" else _TEXT_STUB)
        has_stub = any(line.strip() == stub.split("\n")[0] for line in cell.source.split("\n"))
        if _is_solution(cell) and not has_stub:
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


# ---- build -----------------------------------------------------------------------------------


def build_release(course: Course, solutions_dir: Path) -> dict[str, bytes]:
    """Return what assignments/ must hold: relative POSIX path -> bytes, in order of the paths.

    Reads `solutions_dir` and nothing else. Raises `ReleaseError` for what `find_regions` and
    `lab_notebook` refuse, for ids that course.yaml does not know, that are
    missing from the file of their module or stand in another, for folders that are no session,
    links, and files that are not UTF-8.
    """
    sources = _sources(solutions_dir)
    root = solutions_dir.resolve().name
    _check_folders(course, sources, root)
    built: dict[str, bytes] = {}
    for name, path in sources.items():
        target, data = _convert(name, _read(path, f"{root}/{name}"), f"{root}/{name}")
        if target in built or (target != name and target in sources):
            raise _refuse(f"{root}/{name}", 1, f"{target} would be written twice")
        built[target] = data
    _check_ids(course, sources, root)
    return dict(sorted(built.items()))


def _read(path: Path, where: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise _refuse(where, 1, error.strerror or type(error).__name__) from None


_KEPT_BACK = "reference"
"""A folder of this name is the lecturer's: a finished project, say. It is never released."""


def _is_ours(name: str) -> bool:
    skipped = ("__pycache__", _KEPT_BACK)
    return not name.startswith(".") and name not in skipped and not name.endswith(".pyc")


def _walk(folder: Path) -> Iterator[Path]:
    """Yield files and links below a folder in a fixed order, without hidden files and caches."""
    for entry in sorted(folder.iterdir()):
        if not _is_ours(entry.name):
            continue
        if entry.is_dir() and not entry.is_symlink():
            yield from _walk(entry)
        else:
            yield entry


def _sources(solutions_dir: Path) -> dict[str, Path]:
    if not solutions_dir.is_dir():
        raise ReleaseError(f"{solutions_dir}: no such folder; expected the course's solutions/")
    sources = {}
    for path in _walk(solutions_dir):
        name = path.relative_to(solutions_dir).as_posix()
        if path.is_symlink() or not path.is_file():
            raise _refuse(f"{solutions_dir.name}/{name}", 1, "not a plain file")
        sources[name] = path
    return sources


def _check_folders(course: Course, sources: Mapping[str, Path], root: str) -> None:
    present = {PurePosixPath(name).parts[0] for name in sources if "/" in name}
    expected = {session.folder for session in course.sessions}
    for folder in sorted(present - expected):
        raise ReleaseError(f"{root}/{folder}: no session of course.yaml has this folder")
    for session in course.sessions:
        if session.folder not in present:
            raise ReleaseError(f"{root}/{session.folder}: missing or empty; course.yaml lists it")
        for module in session.modules:
            if f"{session.folder}/{module.file}" not in sources:
                message = f"missing; course.yaml lists it in {session.id}"
                raise ReleaseError(f"{root}/{session.folder}/{module.file}: {message}")


def _notice(where: str) -> str:
    parts = PurePosixPath(where).parts
    source = "/".join(("solutions", *(parts[1:] or parts)))
    return f"Generated from {source} by `{_COMMAND}`: change it there."


def _convert(name: str, data: bytes, where: str) -> tuple[str, bytes]:
    """Return the path and the bytes that students get for one file of solutions/."""
    path = PurePosixPath(name)
    if path.name == _LAB_SOURCE:
        return path.with_name(_LAB).as_posix(), lab_notebook(_decode(data, where), where)
    form = _COMMENT_FORM.get(path.suffix)
    if form is None:
        return name, data
    text = _decode(data, where)
    if path.suffix == ".py":
        _check_encoding(data, where)
        text = strip_source(text, where)
    return name, f"{form.format(_notice(where))}\n{text}".encode()


def _check_encoding(data: bytes, where: str) -> None:
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
    except SyntaxError as error:
        raise _refuse(where, 1, f"not Python: {error.msg}") from None
    if encoding not in ("utf-8", "utf-8-sig"):
        raise _refuse(where, 1, f"declares {encoding}; expected UTF-8")


def _check_ids(course: Course, sources: Mapping[str, Path], root: str) -> None:
    home = {
        exercise.id: f"{session.folder}/{module.file}"
        for session in course.sessions
        for module in session.modules
        for exercise in module.exercises
    }
    seen: set[str] = set()
    for name, path in sources.items():
        if not name.endswith(".py") or PurePosixPath(name).name == _LAB_SOURCE:
            continue
        where = f"{root}/{name}"
        for region in find_regions(_decode(_read(path, where), where), where):
            message = None
            if region.id not in home:
                close = difflib.get_close_matches(region.id, home, n=1)
                hint = f"; did you mean {close[0]!r}?" if close else ""
                message = f"unknown exercise id {region.id!r}{hint}"
            elif home[region.id] != name:
                message = f"course.yaml lists {region.id} in {home[region.id]}, not here"
            if message:
                raise _refuse(where, region.begin, message)
            seen.add(region.id)
    for exercise_id, name in home.items():
        if exercise_id not in seen:
            raise _refuse(f"{root}/{name}", 1, f"no region for {exercise_id}")


# ---- write and compare -----------------------------------------------------------------------


def write_release(files: Files, assignments_dir: Path) -> None:
    """Make `assignments_dir` hold exactly the generated `files`, and remove stale generated ones.

    `GENERATED.txt` in the folder lists what is generated; anything else is left alone. All
    files are written aside first and then moved into place, so a full disk changes nothing and
    an interrupted run can be repeated. Raises `ReleaseError` for a folder with content but
    without that list, for a file in the way that was not generated, and for links, which could
    lead outside.
    """
    wanted = _with_manifest(files)
    try:
        known = _generated_files(assignments_dir)
        _check_target(wanted, known, assignments_dir)
        assignments_dir.mkdir(parents=True, exist_ok=True)
        with _staging(assignments_dir) as staging:
            for name, data in wanted.items():
                _write(staging / "new" / name, data)
            _write(staging / MANIFEST, _manifest(known | set(files)))
            (staging / MANIFEST).replace(assignments_dir / MANIFEST)
            for name in sorted(known - set(files)):
                _remove(assignments_dir, name)
            for name in wanted:
                (assignments_dir / name).parent.mkdir(parents=True, exist_ok=True)
                if name != MANIFEST:
                    (staging / "new" / name).replace(assignments_dir / name)
            (staging / "new" / MANIFEST).replace(assignments_dir / MANIFEST)
    except OSError as error:
        path = error.filename or assignments_dir
        raise ReleaseError(f"{path}: {error.strerror or type(error).__name__}") from None


def check_release(files: Files, assignments_dir: Path) -> list[str]:
    """Return unified diff lines from `assignments_dir` to `files`; empty means in sync.

    Missing and stale files are diffs against /dev/null; a file that nobody generated is one
    line. Raises `ReleaseError` where the folder's list of generated files is unusable.
    """
    wanted = _with_manifest(files)
    try:
        present = {}
        if assignments_dir.is_dir():
            paths = [path for path in _walk(assignments_dir) if path.is_file()]
            present = {path.relative_to(assignments_dir).as_posix(): path for path in paths}
        known = _generated_files(assignments_dir) if MANIFEST in present else set()
        lines: list[str] = []
        for name in sorted(wanted.keys() | present.keys()):
            label = (assignments_dir / name).as_posix()
            if name not in wanted and name not in known:
                lines.append(f"{label}: not generated; move it to solutions/ or delete it")
                continue
            old = present[name].read_bytes() if name in present else None
            lines += _diff(label, old, wanted.get(name))
    except OSError as error:
        path = error.filename or assignments_dir
        raise ReleaseError(f"{path}: {error.strerror or type(error).__name__}") from None
    return lines


def _diff(name: str, old: bytes | None, new: bytes | None) -> list[str]:
    if old == new:
        return []
    try:
        before = old.decode().split("\n") if old is not None else []
        after = new.decode().split("\n") if new is not None else []
    except UnicodeDecodeError:
        return [f"Binary files {name} differ"]
    labels = ("/dev/null" if old is None else name, "/dev/null" if new is None else name)
    return list(difflib.unified_diff(before, after, *labels, lineterm=""))


def _manifest(names: Iterable[str]) -> bytes:
    head = f"Generated from solutions/ by `{_COMMAND}`: change it there. What is generated:"
    return "\n".join([head, "", *sorted(names), ""]).encode()


def _with_manifest(files: Files) -> dict[str, bytes]:
    for name in files:
        if not _is_inside(name) or name == MANIFEST:
            raise ReleaseError(f"{name!r} is no path inside the target folder")
    return {**files, MANIFEST: _manifest(files)}


def _is_inside(name: str) -> bool:
    path = PurePosixPath(name)
    parts = path.parts
    return bool(parts) and not path.is_absolute() and ".." not in parts and "\\" not in name


def _generated_files(target: Path) -> set[str]:
    """Return what the folder's list names; the empty set for a folder that is new or empty."""
    if not target.exists():
        return set()
    if not target.is_dir():
        raise ReleaseError(f"{target}: not a folder")
    manifest = target / MANIFEST
    if not manifest.is_file():
        if any(not entry.name.startswith(_STAGING) for entry in target.iterdir()):
            message = f"holds files but no {MANIFEST}; choose a new folder or one of a release"
            raise ReleaseError(f"{target}: {message}")
        return set()
    names = _decode(manifest.read_bytes(), str(manifest)).split("\n")[2:]
    for line, name in enumerate(names, start=3):
        if name and not _is_inside(name):
            raise _refuse(str(manifest), line, f"{name!r} is no path inside the folder")
    return {name for name in names if name}


def _check_target(wanted: Files, known: Collection[str], target: Path) -> None:
    for name in sorted({*wanted, *known}):
        parents = [
            target.joinpath(*PurePosixPath(name).parts[: n + 1]) for n in range(name.count("/"))
        ]
        for path in (*parents, target / name):
            if path.is_symlink():
                raise ReleaseError(f"{path}: a link, which a release does not follow")
    for name in sorted(wanted.keys() - {MANIFEST} - set(known)):
        path = target / name
        if path.is_file() and path.read_bytes() != wanted[name]:
            raise ReleaseError(f"{path}: in the way, and not generated; move it elsewhere")


@contextmanager
def _staging(target: Path) -> Iterator[Path]:
    for leftover in target.glob(f"{_STAGING}*"):
        shutil.rmtree(leftover)
    staging = Path(tempfile.mkdtemp(prefix=_STAGING, dir=target))
    try:
        yield staging
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def _remove(target: Path, name: str) -> None:
    """Remove a generated file, and the folders that it leaves empty."""
    path = target / name
    path.unlink(missing_ok=True)
    for folder in itertools.takewhile(lambda parent: parent != target, path.parents):
        if not folder.is_dir() or any(folder.iterdir()):
            break
        folder.rmdir()
