"""What the tests of each session's solution share: its modules, its examples, its lab sheet."""

from __future__ import annotations

import ast
import doctest
import importlib.util
import os
import random
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import jupytext
import numpy as np
import pytest
import torch
import yaml

from tests.support import ROOT


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


def importable(modules: Mapping[str, ModuleType]) -> Callable[[], Iterator[None]]:
    """A fixture of a file of tests: modules under their own names, as they import each other."""

    @pytest.fixture(scope="module", autouse=True)
    def under_their_names() -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            for name, module in modules.items():
                patch.setitem(sys.modules, name, module)
            yield

    return under_their_names


def generator_states() -> tuple[str, str, str]:
    """Of torch, NumPy and Python: what a call that draws nothing from them leaves as it is."""
    return (
        str(torch.get_rng_state().tolist()),
        str(np.random.get_state()),
        str(random.getstate()),
    )


def imported(path: Path) -> set[str]:
    """What a module imports, anywhere in it."""
    return {
        str(node.module if isinstance(node, ast.ImportFrom) else alias.name)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }


def imported_first(path: Path) -> set[str]:
    """What a module imports from when it is imported itself."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {str(node.module) for node in tree.body if isinstance(node, ast.ImportFrom)}


def outside(modules: set[str], *known: str) -> set[str]:
    """Those of them that are neither Python's own nor of a package among `known`."""
    usual = sys.stdlib_module_names | {*known}
    return {module for module in modules if module.partition(".")[0] not in usual}


def exercises(folder: Path) -> dict[str, dict[str, Any]]:
    """What course.yaml says of each exercise in a session's modules, by name."""
    course = yaml.safe_load((ROOT / "course.yaml").read_text(encoding="utf-8"))
    modules = next(s for s in course["sessions"] if s["folder"] == folder.name)["modules"]
    found = [exercise for module in modules for exercise in module["exercises"]]
    return {exercise["id"].partition(".")[2]: exercise for exercise in found}


def expect_points_of_the_course(folder: Path, in_the_text: Mapping[str, str] | None = None) -> None:
    """Check that the hand-out's tables list every exercise with the points of course.yaml.

    Extra credit may have a plus before it. `in_the_text` is what the hand-out says instead of
    exercises of extra credit that are in no table.
    """
    stated = exercises(folder)
    text = (folder / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"`(\w+)`\s*\|\s*(\+?)(\d+)\s*\|", text)
    elsewhere = {name for name in in_the_text or {} if stated[name].get("extra_credit")}
    points = {name: each["points"] for name, each in stated.items()}
    assert {name: int(number) for name, _, number in rows} == {
        name: number for name, number in points.items() if name not in elsewhere
    }
    assert all(stated[name].get("extra_credit") for name, plus, _ in rows if plus)
    for name in elsewhere:
        assert in_the_text is not None
        assert in_the_text[name].format(points[name]) in text
    assert sum(points[name] for name in stated if not stated[name].get("extra_credit")) == 100


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
