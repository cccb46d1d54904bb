"""Lab sheets become notebooks that nbgrader takes, without a word of the solution."""

from __future__ import annotations

import json
import sys

import pytest

from autograder.errors import ReleaseError
from autograder.release import lab_notebook
from tests.release.samples import LAB, TASK, meta


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
    "same grade_id": (f"{CODE}x = 1\n\n# %% {meta('a')}\ny = 1\n", 4, "Duplicate grade id: a"),
    "metadata not json": ("# %%\n1\n# %% nbgrader={a\n2\n", 3, "not JSON"),
    "metadata not a mapping": ("# %% nbgrader=3\n2\n", 1, "nbgrader needs a mapping"),
    "no schema": (
        '# %% nbgrader={"grade": true}\n2\n',
        1,
        "nbgrader needs a mapping with a schema_version",
    ),
    "missing key": (CODE.replace('"locked": false, ', ""), 1, "'locked' is a required property"),
    "second of two": (f"{CODE}x = 1\n\n# %% {meta('b c')}\ny = 1\n", 4, "'b c' does not match"),
    "unknown key": (CODE.replace('"locked"', '"x": 1, "locked"'), 1, "('x' was unexpected)"),
    "old schema": (CODE.replace("3", "2"), 1, "Outdated schema version: 2 (expected 3)"),
    "flag": (CODE.replace("false", "0", 1), 1, "grade: 0 is not of type 'boolean'"),
    "grade_id": (CODE.replace('"a"', '"a b"'), 1, "grade_id: 'a b' does not match"),
    "no points": (f"# %% {meta('a', grade=True)}\n", 1, "'a' does not have points"),
    "odd points": (
        f"# %% {meta('a', grade=True, points='-1')}\n",
        1,
        "points: -1 is less than the minimum of 0",
    ),
    "markdown solution": (
        f"# %% [markdown] {meta('a')}\n",
        1,
        "Markdown solution cell is not marked as a grade cell",
    ),
    "code task": (
        CODE.replace('"locked"', '"task": true, "locked"').replace("true", "false", 1),
        1,
        "Task cells have to be markdown",
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


@pytest.mark.parametrize("module", ["jupytext", "nbformat", "nbgrader.nbgraderformat"])
def test_a_missing_tool_is_named(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ReleaseError, match=rf"needs {module}: pip install 'compression-course\["):
        lab_notebook(LAB)
