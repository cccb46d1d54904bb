"""What the tests of each session's solution share: its modules, its examples, its lab sheet."""

from __future__ import annotations

import doctest
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import jupytext
import pytest

ROOT = Path(__file__).parents[2]


def load(folder: Path, name: str) -> ModuleType:
    """A module of a solution, loaded once, under a name that no other session's module has."""
    unique = f"solution_{folder.name}_{name}"
    if unique in sys.modules:
        return sys.modules[unique]
    spec = importlib.util.spec_from_file_location(unique, folder / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@contextmanager
def importable(modules: Mapping[str, ModuleType]) -> Iterator[None]:
    """The modules under their own names, as they import each other."""
    with pytest.MonkeyPatch.context() as patch:
        for name, module in modules.items():
            patch.setitem(sys.modules, name, module)
        yield


def expect_true_examples(module: ModuleType) -> int:
    """Run the examples in a module's docstrings; returns their number."""
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    for test in doctest.DocTestFinder().find(module):
        runner.run(test)
    assert runner.failures == 0
    return runner.tries


def expect_model_answers(folder: Path, questions: int) -> None:
    """Check that a lab sheet has so many questions, worth 20 points, each with a model answer."""
    sheet = jupytext.read(folder / "lab.py", fmt="py:percent")
    graded = [cell for cell in sheet.cells if "nbgrader" in cell.metadata]
    session = folder.name.partition("_")[0]
    total = 0
    for number, cell in enumerate(graded, start=1):
        metadata = cell.metadata["nbgrader"]
        assert metadata["grade_id"] == f"{session}-q{number}"
        assert metadata["grade"] is metadata["solution"] is True
        assert metadata["locked"] is False
        assert metadata["schema_version"] == 3
        assert "### BEGIN SOLUTION\n" in cell.source
        assert "### END SOLUTION" in cell.source
        total += metadata["points"]
        question = f"**Question {number} ({metadata['points']} points).**"
        assert any(question in other.source for other in sheet.cells)
    assert (len(graded), total) == (questions, 20)


def lab_output(folder: Path, scratch: Path, smaller: Mapping[str, str] | None = None) -> str:
    """What a lab sheet prints, run from top to bottom beside the solution's modules.

    `smaller` replaces its settings by quicker ones: a test is about the code.
    """
    for path in folder.glob("*.py"):
        shutil.copy(path, scratch)
    text = (folder / "lab.py").read_text(encoding="utf-8")
    for setting, quicker in (smaller or {}).items():
        assert text.count(setting) == 1, setting
        text = text.replace(setting, quicker)
    (scratch / "lab.py").write_text(text, encoding="utf-8")
    run = subprocess.run(
        [sys.executable, "lab.py"],
        cwd=scratch,
        env={**os.environ, "MPLBACKEND": "agg", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return run.stdout
