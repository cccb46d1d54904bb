"""From solutions/ to assignments/: nothing leaks, nothing else changes, faults have a line."""

from __future__ import annotations

import ast
import json
import re
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autograder import release
from autograder.course import Course, parse_course
from autograder.errors import ReleaseError
from autograder.release import (
    MANIFEST,
    build_release,
    check_release,
    exercise_ids_in,
    find_regions,
    lab_notebook,
    strip_source,
    write_release,
)

MODULE = '''\
"""Docstring of the module: # BEGIN SOLUTION s1.text is text here."""

import math  # stays, students need it

TEXT = """
# BEGIN SOLUTION s1.text
# END SOLUTION
"""


def area(radius: float) -> float:
    """Return the area of a disc."""
    if radius < 0:
        raise ValueError(f"radius must not be negative, got {radius}")
    # BEGIN SOLUTION s1.area
    squared = radius * radius
    return math.pi * squared
    # END SOLUTION


class Disc:
    """A disc."""

    def grow(self, by: float) -> float:
        """Grow it."""
        if by:
            # BEGIN SOLUTION s1.grow

            # a remark on the solution
            self.radius = by  # BEGINNING of the end
            self.note = "# END SOLUTION"

            # END SOLUTION
        return self.radius
'''

BLANK = '''\
"""Docstring of the module: # BEGIN SOLUTION s1.text is text here."""

import math  # stays, students need it

TEXT = """
# BEGIN SOLUTION s1.text
# END SOLUTION
"""


def area(radius: float) -> float:
    """Return the area of a disc."""
    if radius < 0:
        raise ValueError(f"radius must not be negative, got {radius}")
    # TODO(s1.area): your code; the docstring says what it must do
    raise NotImplementedError("s1.area")


class Disc:
    """A disc."""

    def grow(self, by: float) -> float:
        """Grow it."""
        if by:
            # TODO(s1.grow): your code; the docstring says what it must do
            raise NotImplementedError("s1.grow")
        return self.radius
'''


# ---- the stripper --------------------------------------------------------------------------------


def test_regions_become_blanks_and_the_rest_stays() -> None:
    assert strip_source(MODULE) == BLANK


def test_stripping_again_changes_nothing() -> None:
    assert strip_source(BLANK) == BLANK


def test_regions_know_their_lines() -> None:
    lines = MODULE.split("\n")
    for region in find_regions(MODULE):
        assert lines[region.begin - 1].strip() == f"# BEGIN SOLUTION {region.id}"
        assert lines[region.end - 1].strip() == "# END SOLUTION"
    assert [region.id for region in find_regions(MODULE)] == ["s1.area", "s1.grow"]


@pytest.mark.parametrize("ending", ["\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_line_ends_and_byte_order_mark_do_not_matter(ending: str, mark: str) -> None:
    assert strip_source(mark + MODULE.replace("\n", ending)) == BLANK


def test_tabs_and_a_missing_last_line_end_are_kept_in_order() -> None:
    text = "def f():\n\t# BEGIN SOLUTION s1.f\n\treturn 1\n\t# END SOLUTION"
    assert strip_source(text).split("\n")[2] == '\traise NotImplementedError("s1.f")'


def test_async_functions_decorators_and_nested_blocks_are_supported() -> None:
    text = (
        "async def f(xs):\n"
        "    async for x in xs:\n"
        "        # BEGIN SOLUTION s1.f\n"
        "        @staticmethod\n"
        "        def g():\n"
        "            return [\n"
        "                x]\n"
        "        try:\n"
        "            yield g\n"
        "        except ValueError:\n"
        "            pass\n"
        "        else:\n"
        "            pass\n"
        "        # END SOLUTION\n"
    )
    assert strip_source(text).splitlines()[2:] == [
        "        # TODO(s1.f): your code; the docstring says what it must do",
        '        raise NotImplementedError("s1.f")',
    ]


def body(*lines: str) -> str:
    return "def f(x):\n" + "".join(f"    {line}\n" for line in lines)


BEGIN, END = "# BEGIN SOLUTION s1.f", "# END SOLUTION"

REFUSED = {
    "begin without end": (body(BEGIN, "return 1"), 2, "without its END"),
    "stray end": (body("return 1", END), 3, "END SOLUTION without its BEGIN"),
    "second end": (body(BEGIN, "return 1", END, END), 5, "without its BEGIN"),
    "nested": (body(BEGIN, BEGIN, "return 1", END, END), 3, "inside the region of line 2"),
    "empty": (body("pass", BEGIN, END), 3, "is empty"),
    "blank lines only": (body("pass", BEGIN, "", "# think", END), 3, "is empty"),
    "module level": (f"{BEGIN}\nx = 1\n{END}\n", 1, "not inside a function body"),
    "class body": (f"class A:\n    {BEGIN}\n    x = 1\n    {END}\n", 2, "not inside a function"),
    "whole function": (f"{BEGIN}\ndef f():\n    pass\n{END}\n", 1, "not inside a function body"),
    "class in a function": (
        f"def f():\n    class A:\n        {BEGIN}\n        x = 1\n        {END}\n",
        3,
        "not inside a function body",
    ),
    "end deeper": (body("if x:", f"    {BEGIN}", "    x = 1", END), 5, "not indented as its BEGIN"),
    "marker not as its code": (body("if x:", BEGIN, "    x = 1", END), 3, "indented as its first"),
    "docstring inside": (body(BEGIN, '"""Doc."""', "return 1", END), 2, "holds the docstring"),
    "two branches": (
        body("if x:", f"    {BEGIN}", "    x = 1", "else:", "    x = 2", f"    {END}"),
        3,
        "whole statements of one block",
    ),
    "the else line": (
        body("if x:", "    x = 1", f"    {BEGIN}", "else:", "    x = 2", f"    {END}"),
        4,
        "whole statements of one block",
    ),
    "the finally line": (
        body("try:", f"    {BEGIN}", "    x = 1", "finally:", f"    {END}", "    x = 2"),
        3,
        "whole statements of one block",
    ),
    "end of an outer block": (
        body("if x:", "    x = 1", f"    {BEGIN}", "    x = 2", "x = 3", f"    {END}"),
        4,
        "whole statements of one block",
    ),
    "half a statement": (
        body(BEGIN, "if x:", "    x = 1", END, "    x = 2"),
        2,
        "whole statements of one block",
    ),
    "decorator outside": (
        body("@x", BEGIN, "def g():", "    return 1", END, "return g"),
        3,
        "whole statements of one block",
    ),
    "in brackets": (body("return (", BEGIN, "x", END, ")"), 3, "inside an open bracket"),
    "after code": (body(f"x = 1  {BEGIN}", "return x", END), 2, "must stand alone"),
    "end after code": (body(BEGIN, f"return x  {END}"), 3, "must stand alone"),
    "not python": ("def f(:\n", 1, "not Python"),
    "null byte": ("x = 1\0\n", 1, "not Python"),
    "binding of nonlocal goes": (
        body(BEGIN, "y = 1", END, "def g():", "    nonlocal y", "    y = x", "return g"),
        6,
        "does not compile once stripped",
    ),
}


@pytest.mark.parametrize(("text", "line", "words"), REFUSED.values(), ids=REFUSED.keys())
def test_a_faulty_region_is_refused_with_its_line(text: str, line: int, words: str) -> None:
    with pytest.raises(ReleaseError) as caught:
        strip_source(text, "solutions/s1_x/m.py")
    assert str(caught.value).startswith(f"solutions/s1_x/m.py:{line}: ")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "comment",
    [
        "#begin solution",
        "#BEGIN SOLUTION s1.f",
        "# Begin Solution s1.f",
        "# BEGIN  SOLUTION s1.f",
        "# BEGIN SOLUTION",
        "# BEGIN SOLUTION s1.f extra",
        "# BEGIN_SOLUTION s1.f",
        "# BEGIN SOLUTION: s1.f",
        "### BEGIN SOLUTION s1.f",
        "# END SOLUTION s1.f",
        "#END SOLUTION",
        "# end solution",
        "# ENDSOLUTION",
        "# SOLUTION BEGIN s1.f",
        "# solution end",
    ],
)
@pytest.mark.parametrize("alone", [True, False])
def test_an_unusual_spelling_is_refused(comment: str, alone: bool) -> None:
    text = body("x = 1", comment) if alone else body("", f"x = 1  {comment}")
    with pytest.raises(ReleaseError, match=r"^m\.py:3: write '# BEGIN SOLUTION"):
        strip_source(text, "m.py")


@pytest.mark.parametrize(
    "line",
    [
        's = "# BEGIN SOLUTION s1.f"',
        "s = '''# begin solution'''",
        "begin_solution = 1",
        "x = 1  # append solutions, the weekend solution",
        "x = 1  # the solution ends here",
    ],
)
def test_what_is_no_marker_is_left_alone(line: str) -> None:
    assert strip_source(body(line)) == body(line)


def test_trailing_blanks_after_a_marker_do_no_harm() -> None:
    assert "return 1" not in strip_source(body(f"{BEGIN} \t", "return 1", f"{END}  "))


NAMES = st.sampled_from(["alpha", "beta", "gamma", "delta"])
SIMPLE = st.one_of(
    st.builds("{} = {}".format, NAMES, st.integers(0, 99)),
    st.builds("{} = '# END SOLUTION {}'".format, NAMES, st.integers(0, 99)),
    st.builds("{} = [\n    {},\n]".format, NAMES, st.integers(0, 99)),
    st.just("# a comment"),
    st.just(""),
    st.just('text = """\n# BEGIN SOLUTION s1.no\n  odd\n"""'),
)


def indented(text: str, by: str) -> str:
    return "\n".join(by + line if line else line for line in text.split("\n"))


@st.composite
def modules(draw: st.DrawFn) -> tuple[str, list[str]]:
    """Draw a module with regions at several depths, and the secret names used inside them."""
    parts, secrets = ["import os"], []
    for number in range(draw(st.integers(1, 4))):
        secret = f"secret_{number}"
        depth = draw(st.integers(1, 3))
        pad = draw(st.sampled_from(["    ", "  ", "\t"]))
        lines = [f"def f{number}(x):"]
        lines += [pad * level + "while x:" for level in range(1, depth)]
        inner = pad * depth
        before = draw(st.lists(SIMPLE, max_size=2))
        inside = [f"{secret} = x", *draw(st.lists(SIMPLE, max_size=3)), f"del {secret}"]
        after = draw(st.lists(SIMPLE, max_size=2))
        lines += [indented(text, inner) for text in before]
        if draw(st.booleans()):
            secrets.append(secret)
            lines += [f"{inner}# BEGIN SOLUTION s1.f{number}"]
            lines += [indented(text, inner) for text in inside]
            lines += [f"{inner}# END SOLUTION"]
        else:
            lines += [f"{inner}pass"]
        lines += [indented(text, inner) for text in after]
        parts.append("\n".join(lines))
    return "\n\n\n".join(parts) + "\n", secrets


@given(modules())
def test_stripping_any_module_compiles_leaks_nothing_and_is_idempotent(
    drawn: tuple[str, list[str]],
) -> None:
    text, secrets = drawn
    stripped = strip_source(text)
    ast.parse(stripped)
    assert strip_source(stripped) == stripped
    assert not [secret for secret in secrets if secret in stripped]
    assert stripped.count("raise NotImplementedError(") == len(secrets)


@given(modules())
def test_lines_outside_the_regions_are_kept_as_they_are(drawn: tuple[str, list[str]]) -> None:
    text, _ = drawn
    lines = text.split("\n")
    for region in reversed(find_regions(text)):
        del lines[region.begin - 1 : region.end]
    stub = re.compile(r"\s*(# TODO\(s1|raise NotImplementedError)")
    assert [line for line in strip_source(text).split("\n") if not stub.match(line)] == lines


@given(st.text(alphabet="# BEGINSOLUTION\n s1.f:\"'()x=1\t", max_size=60))
def test_arbitrary_text_is_stripped_or_refused(text: str) -> None:
    try:
        stripped, told = strip_source(text), "<source>:1: "
        assert strip_source(stripped) == stripped
    except ReleaseError as error:
        told = str(error)
    assert re.match(r"<source>:\d+: ", told)


def test_ids_are_listed_in_order_from_regions_and_from_blanks(tmp_path: Path) -> None:
    source, blank = tmp_path / "source.py", tmp_path / "blank.py"
    source.write_text(MODULE)
    blank.write_text(BLANK)
    assert exercise_ids_in(source) == exercise_ids_in(blank) == ["s1.area", "s1.grow"]


def test_ids_of_an_unreadable_file_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match="No such file"):
        exercise_ids_in(tmp_path / "absent.py")
    broken = tmp_path / "broken.py"
    broken.write_text("x = (\n")
    with pytest.raises(ReleaseError, match=r"broken\.py:\d+: not Python"):
        exercise_ids_in(broken)


# ---- lab sheets ----------------------------------------------------------------------------------


def meta(name: str, *, grade: bool = False, points: str = "", solution: bool = True) -> str:
    flags = f'"grade": {str(grade).lower()}, "solution": {str(solution).lower()}, "locked": false'
    points = f', "points": {points}' if points else ""
    return f'nbgrader={{"schema_version": 3, {flags}, "grade_id": "{name}"{points}}}'


LAB = f"""\
# ---
# jupyter:
#   kernelspec:
#     display_name: My own kernel
#     language: python
#     name: mine
# ---

# %% [markdown]
# # A lab sheet

# %%
# %matplotlib inline
import math

# %% {meta("plot")}
values = [1, 2]
### BEGIN SOLUTION
plotted = math.fsum(values)
### END SOLUTION

# %% {meta("whole")}
unmarked_answer = 42

# %% [markdown] {meta("why", grade=True, points="5")}
# Why does it sink?
#
# ### BEGIN SOLUTION
# Because of the secret reason.
# ### END SOLUTION

# %% [markdown] {meta("essay", grade=True, points="3")}
# The full essay of the lecturer.

# %% {meta("tests", grade=True, points="2", solution=False)} tags=["x"]
assert values
### BEGIN HIDDEN TESTS
assert hidden_check
### END HIDDEN TESTS

# %%
1
# %%
1
"""

TASK = """\
# %% [markdown] nbgrader={"schema_version": 3, "grade": false, "solution": false, \
"locked": true, "task": true, "grade_id": "task", "points": 4}
# Do it.
# ### BEGIN MARK SCHEME
# Half the points for a try.
# ### END MARK SCHEME
"""


def sources(data: bytes) -> list[str]:
    return ["".join(cell["source"]) for cell in json.loads(data)["cells"]]


def test_a_lab_sheet_becomes_a_notebook_without_solutions() -> None:
    assert sources(lab_notebook(LAB)) == [
        "# A lab sheet",
        "%matplotlib inline\nimport math",
        "values = [1, 2]\n# YOUR CODE HERE\nraise NotImplementedError()",
        "# YOUR CODE HERE\nraise NotImplementedError()",
        "Why does it sink?\n\nYOUR ANSWER HERE",
        "YOUR ANSWER HERE",
        "assert values",
        "1",
        "1",
    ]
    assert sources(lab_notebook(TASK)) == ["Do it."]


def test_a_notebook_has_the_same_bytes_every_time() -> None:
    first = lab_notebook(LAB)
    assert lab_notebook("\ufeff" + LAB.replace("\n", "\r\n")) == first
    ids = [cell["id"] for cell in json.loads(first)["cells"]]
    assert len(set(ids)) == len(ids)
    assert ids[2] == "plot"
    assert b"mine" not in first


def test_cell_ids_of_other_cells_survive_an_insertion() -> None:
    before = [c["id"] for c in json.loads(lab_notebook(LAB))["cells"]]
    longer = LAB.replace("# %%\n# %matplotlib", "# %%\n2\n\n# %%\n# %matplotlib")
    after = [c["id"] for c in json.loads(lab_notebook(longer))["cells"]]
    assert [name for name in after if name in before] == before


@pytest.mark.parametrize("text", [LAB, TASK, ""])
def test_a_notebook_is_valid_for_nbformat_and_nbgrader(text: str) -> None:
    nbformat = pytest.importorskip("nbformat")
    data = lab_notebook(text).decode()
    nbformat.validate(json.loads(data))
    graders = pytest.importorskip("nbgrader.nbgraderformat")
    graders.reads(data, as_version=4)


def test_nbgrader_finds_nothing_more_to_clear() -> None:
    clear = pytest.importorskip("nbgrader.preprocessors").ClearSolutions()
    nbformat = pytest.importorskip("nbformat")
    notebook = nbformat.reads(lab_notebook(LAB).decode(), as_version=4)
    cleared, _ = clear.preprocess(notebook, {})
    answers = [cell for cell in cleared.cells if cell.metadata.get("nbgrader", {}).get("solution")]
    assert len(answers) == 4
    assert all("YOUR" in cell.source for cell in answers)


CODE, WORDS = f"# %% {meta('a')}\n", f"# %% [markdown] {meta('a', grade=True, points='1')}\n"

REFUSED_LABS = {
    "begin alone": (f"{CODE}### BEGIN SOLUTION\nx = 1\n", 2, "without its END"),
    "end alone": (f"{CODE}x = 1\n### END SOLUTION\n", 3, "without its BEGIN"),
    "nested": (
        f"{CODE}### BEGIN SOLUTION\n### BEGIN SOLUTION\nx = 1\n### END SOLUTION\n",
        3,
        "inside the region of line 2",
    ),
    "other end": (
        f"{CODE}### BEGIN SOLUTION\nx = 1\n### END HIDDEN TESTS\n",
        4,
        "END HIDDEN TESTS without its BEGIN",
    ),
    "empty": (f"{CODE}### BEGIN SOLUTION\n\n### END SOLUTION\n", 2, "is empty"),
    "empty text": (f"{WORDS}# ### BEGIN SOLUTION\n#\n# ### END SOLUTION\n", 2, "is empty"),
    "two cells": (
        f"{CODE}### BEGIN SOLUTION\nx = 1\n# %% {meta('b')}\ny = 1\n### END SOLUTION\n",
        2,
        "runs into another cell",
    ),
    "spelling": (f"{CODE}x = 1\n# BEGIN SOLUTION\nx = 2\n", 3, "write '### BEGIN SOLUTION'"),
    "lower case": (f"{CODE}### begin solution\nx = 2\n", 2, "write '### BEGIN SOLUTION'"),
    "text marker in code": (f"{CODE}# ### BEGIN SOLUTION\n", 2, "write '### BEGIN SOLUTION'"),
    "code marker in text": (f"{WORDS}### BEGIN SOLUTION\n", 2, "write '# ### BEGIN SOLUTION'"),
    "in a string": (f"{CODE}x = '''\n### BEGIN SOLUTION\n'''\n", 3, "not a comment of its own"),
    "after code": (f"{CODE}x = 1  ### BEGIN SOLUTION\n", 2, "not a comment of its own"),
    "plain cell": (
        "# %%\nx = 1\n\n# %%\n### BEGIN SOLUTION\nx = 1\n### END SOLUTION\n",
        5,
        '"solution": true',
    ),
    "not python": ("# %%\nx = (\n", 2, "not Python"),
    "does not parse once stripped": (
        f"{CODE}x = (\n### BEGIN SOLUTION\n1\n### END SOLUTION\n)\n",
        3,
        "does not compile once stripped",
    ),
    "same grade_id": (f"{CODE}x = 1\n\n# %% {meta('a')}\ny = 1\n", 4, "'a' is used twice"),
    "metadata not json": ("# %%\n1\n# %% nbgrader={a\n2\n", 3, "not JSON"),
    "metadata not a mapping": ("# %% nbgrader=3\n2\n", 1, "nbgrader needs a mapping"),
    "missing key": ('# %% nbgrader={"grade": true}\n2\n', 1, "locked is missing"),
    "unknown key": (CODE.replace('"locked"', '"x": 1, "locked"'), 1, "x is unknown"),
    "old schema": (CODE.replace("3", "2"), 1, "schema_version must be 3"),
    "flag": (CODE.replace("false", "0", 1), 1, "grade must be true or false"),
    "grade_id": (CODE.replace('"a"', '"a b"'), 1, "grade_id must be letters"),
    "no points": (f"# %% {meta('a', grade=True)}\n", 1, "points are missing"),
    "odd points": (f"# %% {meta('a', grade=True, points='-1')}\n", 1, "a number from 0"),
    "markdown solution": (f"# %% [markdown] {meta('a')}\n", 1, "both grade and solution"),
    "code task": (
        CODE.replace('"locked"', '"task": true, "locked"').replace("true", "false", 1),
        1,
        "a task must be a Markdown cell",
    ),
    "kernel": ("# ---\n# jupyter:\n#   kernelspec: {}\n# ---\n# %%\n1\n", 1, "not a notebook"),
}


@pytest.mark.parametrize(("text", "line", "words"), REFUSED_LABS.values(), ids=REFUSED_LABS.keys())
def test_a_faulty_lab_sheet_is_refused_with_its_line(text: str, line: int, words: str) -> None:
    with pytest.raises(ReleaseError) as caught:
        lab_notebook(text, "solutions/s1_x/lab.py")
    assert words in str(caught.value)
    assert str(caught.value).startswith(f"solutions/s1_x/lab.py:{line}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("module", ["jupytext", "nbformat"])
def test_a_missing_tool_is_named(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ReleaseError, match=rf"needs {module}: pip install 'compression-course\["):
        lab_notebook(LAB)


# ---- building ------------------------------------------------------------------------------------

COURSE = """\
kit_version: 1
id: demo
title: Demo
term: spring
sessions:
  - id: s1
    folder: s1_intro
    title: First
    modules:
      - file: shapes.py
        exercises:
          - {id: s1.area, title: Area, points: 60}
          - {id: s1.grow, title: Grow, points: 40}
"""


@pytest.fixture
def course() -> Course:
    return parse_course(COURSE)


@pytest.fixture
def solutions(tmp_path: Path) -> Path:
    session = tmp_path / "solutions" / "s1_intro"
    (session / "tests").mkdir(parents=True)
    (session / "shapes.py").write_text(MODULE)
    (session / "README.md").write_text("# Shapes\r\n\r\n# BEGIN SOLUTION stays text\r\n")
    (session / "lab.py").write_text(LAB)
    (session / "tests" / "test_public.py").write_text("def test_it():\n    assert True\n")
    (session / "picture.png").write_bytes(b"\x89PNG\r\n\x00\xff")
    (session / "__pycache__").mkdir()
    (session / "__pycache__" / "shapes.cpython-311.pyc").write_bytes(b"x")
    (session / ".hidden").write_text("x")
    (tmp_path / "solutions" / "README.md").write_text("All sessions\n")
    return tmp_path / "solutions"


@pytest.fixture
def files(course: Course, solutions: Path) -> dict[str, bytes]:
    return build_release(course, solutions)


def test_a_build_holds_what_students_get(files: dict[str, bytes]) -> None:
    assert list(files) == [
        "README.md",
        "s1_intro/README.md",
        "s1_intro/lab.ipynb",
        "s1_intro/picture.png",
        "s1_intro/shapes.py",
        "s1_intro/tests/test_public.py",
    ]
    assert files["s1_intro/picture.png"] == b"\x89PNG\r\n\x00\xff"


def test_generated_files_say_so_in_their_first_line(files: dict[str, bytes]) -> None:
    told = "Generated from solutions/s1_intro/{} by `autograder release`: change it there."
    first = {
        name: data.split(b"\n")[0].decode(errors="replace")
        for name, data in files.items()
        if b"\n" in data
    }
    assert first["s1_intro/shapes.py"] == "# " + told.format("shapes.py")
    assert first["s1_intro/tests/test_public.py"] == "# " + told.format("tests/test_public.py")
    assert first["s1_intro/README.md"] == "<!-- " + told.format("README.md") + " -->"
    notebook = json.loads(files["s1_intro/lab.ipynb"])
    assert notebook["metadata"]["generated"] == told.format("lab.py")


def test_stripped_modules_and_texts_follow_their_first_line(files: dict[str, bytes]) -> None:
    assert files["s1_intro/shapes.py"].decode().partition("\n")[2] == BLANK
    text = files["s1_intro/README.md"].decode().partition("\n")[2]
    assert text == "# Shapes\n\n# BEGIN SOLUTION stays text\n"


def test_a_build_depends_on_the_sources_alone(
    course: Course, solutions: Path, files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = sorted(solutions.rglob("*"))
    moved = solutions.rename(solutions.with_name("elsewhere"))
    monkeypatch.chdir(moved)
    assert build_release(course, Path()) == files
    assert [path.relative_to(moved) for path in sorted(moved.rglob("*"))] == [
        path.relative_to(solutions) for path in before
    ]


def test_no_line_of_a_region_appears_unless_it_stands_outside_too(
    solutions: Path, files: dict[str, bytes]
) -> None:
    text = (solutions / "s1_intro" / "shapes.py").read_text()
    assert_nothing_leaks(text, files["s1_intro/shapes.py"].decode())


def assert_nothing_leaks(source: str, stripped: str) -> None:
    lines = source.split("\n")
    inside: set[str] = set()
    outside = list(lines)
    for region in reversed(find_regions(source)):
        inside |= {line.strip() for line in lines[region.begin : region.end - 1]}
        del outside[region.begin - 1 : region.end]
    solution = {line for line in inside if len(line) > 3} - {line.strip() for line in outside}
    assert solution
    assert not solution & {line.strip() for line in stripped.split("\n")}


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def assert_refused(course: Course, solutions: Path, words: str) -> None:
    with pytest.raises(ReleaseError) as caught:
        build_release(course, solutions)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unknown_id_is_refused(course: Course, solutions: Path) -> None:
    edit(solutions / "s1_intro/shapes.py", "SOLUTION s1.area", "SOLUTION s1.aera")
    words = "shapes.py:15: unknown exercise id 's1.aera'; did you mean 's1.area'?"
    assert_refused(course, solutions, f"solutions/s1_intro/{words}")


def test_an_id_that_took_the_place_of_another_is_refused(course: Course, solutions: Path) -> None:
    edit(solutions / "s1_intro/shapes.py", "SOLUTION s1.grow", "SOLUTION s1.area")
    assert_refused(course, solutions, "shapes.py:1: no region for s1.grow")


def test_a_reference_folder_is_kept_back(course: Course, solutions: Path) -> None:
    (solutions / "s1_intro" / "reference").mkdir()
    (solutions / "s1_intro" / "reference" / "model.onnx").write_bytes(b"secret")
    assert not any("reference" in name for name in build_release(course, solutions))


def test_an_exercise_may_have_several_regions(course: Course, solutions: Path) -> None:
    extra = body("# BEGIN SOLUTION s1.area", "return 'the second half'", END)
    path = solutions / "s1_intro/shapes.py"
    path.write_text(f"{path.read_text()}\n\n{extra}")
    built = build_release(course, solutions)["s1_intro/shapes.py"].decode()
    assert "the second half" not in built
    assert built.count('NotImplementedError("s1.area")') == 2


def test_an_id_without_a_region_is_refused(course: Course, solutions: Path) -> None:
    edit(solutions / "s1_intro/shapes.py", "            # BEGIN SOLUTION s1.grow\n", "")
    edit(solutions / "s1_intro/shapes.py", "            # END SOLUTION\n", "")
    assert_refused(course, solutions, "shapes.py:1: no region for s1.grow")


@pytest.mark.parametrize("name", ["s1_intro/a_helper.py", "s1_intro/tests/test_a.py", "a.py"])
def test_a_region_outside_its_module_is_refused(course: Course, solutions: Path, name: str) -> None:
    (solutions / name).write_text(body("# BEGIN SOLUTION s1.area", "return 1", END))
    assert_refused(course, solutions, "course.yaml lists s1.area in s1_intro/shapes.py, not here")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"x = 1\ny = '\xe9'\n", "shapes.py:2: not UTF-8"),
        (b"# -*- coding: latin-1 -*-\nx = 1\n", "shapes.py:1: declares iso-8859-1"),
        (b"# coding: klingon\n", "shapes.py:1: not Python: unknown encoding"),
        (b"x = = 1\n", "shapes.py:1: not Python: invalid syntax"),
    ],
)
def test_a_file_in_another_encoding_or_language_is_refused(
    course: Course, solutions: Path, data: bytes, words: str
) -> None:
    (solutions / "s1_intro" / "shapes.py").write_bytes(data)
    assert_refused(course, solutions, words)


def test_folders_and_files_must_agree_with_the_course(course: Course, solutions: Path) -> None:
    (solutions / "s9_extra").mkdir()
    (solutions / "s9_extra" / "a.txt").write_text("x")
    assert_refused(course, solutions, "solutions/s9_extra: no session of course.yaml")
    (solutions / "s9_extra" / "a.txt").unlink()
    (solutions / "s1_intro" / "shapes.py").unlink()
    assert_refused(course, solutions, "shapes.py: missing; course.yaml lists it in s1")
    (solutions / "s1_intro").rename(solutions.with_name("aside"))
    assert_refused(course, solutions, "solutions/s1_intro: missing or empty")
    assert_refused(course, solutions / "absent", "no such folder")


def test_links_are_refused(course: Course, solutions: Path, tmp_path: Path) -> None:
    (tmp_path / "outside.md").write_text("x")
    (solutions / "s1_intro" / "more.md").symlink_to(tmp_path / "outside.md")
    assert_refused(course, solutions, "solutions/s1_intro/more.md:1: not a plain file")


def test_a_notebook_beside_its_source_is_refused(course: Course, solutions: Path) -> None:
    (solutions / "s1_intro" / "lab.ipynb").write_text("{}")
    assert_refused(course, solutions, "s1_intro/lab.ipynb would be written twice")


# ---- writing and comparing -----------------------------------------------------------------------


def snapshot(folder: Path) -> dict[str, bytes]:
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def test_what_is_written_is_in_sync(files: dict[str, bytes], tmp_path: Path) -> None:
    target = tmp_path / "deep" / "assignments"
    write_release(files, target)
    written = snapshot(target)
    listed = written.pop(MANIFEST).decode().split("\n")
    assert written == files
    assert set(files) < set(listed)
    assert check_release(files, target) == []


def test_writing_twice_changes_nothing(files: dict[str, bytes], tmp_path: Path) -> None:
    write_release(files, tmp_path / "a")
    before = snapshot(tmp_path / "a")
    write_release(files, tmp_path / "a")
    assert snapshot(tmp_path / "a") == before


def test_an_empty_folder_is_a_target(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    write_release({"x.py": b"x = 1\n"}, tmp_path / "a")
    assert check_release({"x.py": b"x = 1\n"}, tmp_path / "a") == []


def test_stale_generated_files_go_and_other_files_stay(tmp_path: Path) -> None:
    target = tmp_path / "a"
    write_release({"s1/tests/old.py": b"old\n", "s1/kept.py": b"1\n"}, target)
    (target / "s1" / "notes.txt").write_text("mine")
    (tmp_path / "beside.txt").write_text("mine too")
    write_release({"s1/kept.py": b"2\n", "s1/new.py": b"new\n"}, target)
    assert set(snapshot(target)) == {"s1/kept.py", "s1/new.py", "s1/notes.txt", MANIFEST}
    assert not (target / "s1" / "tests").exists()
    assert (tmp_path / "beside.txt").read_text() == "mine too"


def test_a_file_may_become_a_folder_and_back(tmp_path: Path) -> None:
    target = tmp_path / "a"
    for files in ({"x": b"1"}, {"x/y": b"2"}, {"x": b"3"}):
        write_release(files, target)
        assert check_release(files, target) == []


def test_a_folder_that_was_not_generated_is_refused(tmp_path: Path) -> None:
    target = tmp_path / "work"
    target.mkdir()
    (target / "thesis.tex").write_text("years")
    with pytest.raises(ReleaseError, match=rf"holds files but no {MANIFEST}"):
        write_release({"x.py": b""}, target)
    with pytest.raises(ReleaseError, match="not a folder"):
        write_release({"x.py": b""}, target / "thesis.tex")
    assert snapshot(target) == {"thesis.tex": b"years"}


def test_a_hand_written_file_in_the_way_is_refused(tmp_path: Path) -> None:
    target = tmp_path / "a"
    write_release({"x.py": b"x\n"}, target)
    (target / "y.py").write_text("mine")
    before = snapshot(target)
    with pytest.raises(ReleaseError, match=r"y\.py: in the way, and not generated"):
        write_release({"x.py": b"new\n", "y.py": b"y\n"}, target)
    assert snapshot(target) == before


@pytest.mark.parametrize(
    "name", ["../x.py", "/tmp/x.py", "s1/../../x.py", "", MANIFEST, "a\\..\\b"]
)
def test_no_path_leads_outside(name: str, tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match="is no path inside"):
        write_release({name: b""}, tmp_path / "a")
    assert not list(tmp_path.iterdir())


def test_a_tampered_list_removes_nothing_outside(tmp_path: Path) -> None:
    target = tmp_path / "a"
    write_release({"x.py": b"x\n"}, target)
    (tmp_path / "precious.txt").write_text("x")
    (target / MANIFEST).write_text("Generated\n\n../precious.txt\n")
    with pytest.raises(ReleaseError, match=rf"{MANIFEST}:3: '\.\./precious\.txt' is no path"):
        write_release({"x.py": b"x\n"}, target)
    assert (tmp_path / "precious.txt").exists()


@pytest.mark.parametrize("stale", [True, False])
def test_links_are_not_followed(stale: bool, tmp_path: Path) -> None:
    target, outside = tmp_path / "a", tmp_path / "outside"
    write_release({"s1/x.py": b"x\n"}, target)
    (target / "s1").rename(outside)
    (target / "s1").symlink_to(outside, target_is_directory=True)
    with pytest.raises(ReleaseError, match="s1: a link"):
        write_release({"y.py": b"y\n"} if stale else {"s1/x.py": b"new\n"}, target)
    assert snapshot(outside) == {"x.py": b"x\n"}


def test_a_failing_write_leaves_the_folder_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "a"
    write_release({"x.py": b"old\n", "z.py": b"old\n"}, target)
    before = snapshot(target)
    whole = Path.write_bytes

    def full_disk(path: Path, data: bytes) -> int:
        if path.name == "y.py":
            raise OSError(28, "No space left on device", str(path))
        return whole(path, data)

    monkeypatch.setattr(Path, "write_bytes", full_disk)
    with pytest.raises(ReleaseError, match=r"y\.py: No space left on device"):
        write_release({"x.py": b"new\n", "y.py": b"new\n"}, target)
    assert snapshot(target) == before


def test_an_interrupted_run_can_be_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "a"
    write_release({"old.py": b"old\n"}, target)
    new = {"x.py": b"x\n", "y.py": b"y\n"}
    move = Path.replace

    def killed(path: Path, to: Path) -> Path:
        if to.name == "y.py":
            raise KeyboardInterrupt
        return move(path, to)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            write_release(new, target)
    assert check_release(new, target) != []
    (target / ".release-left").mkdir()  # as after a kill that nothing can catch
    write_release(new, target)
    assert check_release(new, target) == []
    assert set(snapshot(target)) == {*new, MANIFEST}
    assert not list(target.glob(".release-*"))


def test_differences_are_unified_diffs(tmp_path: Path) -> None:
    target = tmp_path / "a"
    write_release({"s1/x.py": b"one\ntwo\n", "stale.py": b"old\n"}, target)
    diff = check_release({"s1/x.py": b"one\n2\n", "new.py": b"n\n"}, target)
    text = "\n".join(diff)
    name = target.as_posix()
    assert f"--- {name}/s1/x.py\n+++ {name}/s1/x.py\n@@ -1,3 +1,3 @@\n one\n-two\n+2\n" in text
    assert f"--- /dev/null\n+++ {name}/new.py\n" in text
    assert f"--- {name}/stale.py\n+++ /dev/null\n" in text
    assert "+new.py" in text


@pytest.mark.parametrize("other", [b"x = 1\r\n", b"x = 1", b"\xef\xbb\xbfx = 1\n", b"\xff\n", b""])
def test_every_difference_in_bytes_shows(other: bytes, tmp_path: Path) -> None:
    target = tmp_path / "a"
    write_release({"x.py": other}, target)
    assert check_release({"x.py": b"x = 1\n"}, target) != []


def test_an_absent_folder_misses_every_file(files: dict[str, bytes], tmp_path: Path) -> None:
    diff = check_release(files, tmp_path / "absent")
    assert {line for line in diff if line.startswith("+++ ")} >= {
        f"+++ {tmp_path.as_posix()}/absent/{name}" for name in files if not name.endswith(".png")
    }
    assert any("picture.png differ" in line for line in diff)
    assert not (tmp_path / "absent").exists()


def test_a_file_that_nobody_generated_is_told(tmp_path: Path) -> None:
    target = tmp_path / "a"
    write_release({"x.py": b"x\n"}, target)
    (target / "mine.py").write_text("x")
    (target / "__pycache__").mkdir()
    (target / "__pycache__" / "x.pyc").write_text("x")
    assert check_release({"x.py": b"x\n"}, target) == [
        f"{target.as_posix()}/mine.py: not generated; move it to solutions/ or delete it"
    ]


# ---- the real sources ----------------------------------------------------------------------------

ROOT = Path(release.__file__).parents[1]
REAL = sorted(
    path
    for path in (ROOT / "solutions").glob("*/*.py")
    if path.name != "lab.py" and "# BEGIN SOLUTION" in path.read_text()
)


@pytest.mark.parametrize("path", REAL, ids=[f"{path.parent.name}-{path.stem}" for path in REAL])
def test_the_real_modules_leak_nothing(path: Path) -> None:
    source = path.read_text()
    stripped = strip_source(source, str(path))
    assert_nothing_leaks(source, stripped)
    assert strip_source(stripped) == stripped
