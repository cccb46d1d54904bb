"""What is installed for everybody is what the product imports."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from autograder import doctor
from tests.support import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
IMPORTED_AS = {"gradescope-utils": "gradescope_utils", "pyyaml": "yaml", "scikit-learn": "sklearn"}
USED_BY_OTHERS = {"onnxscript"}  # torch.onnx exports with it


def names(requirements: list[str]) -> set[str]:
    """Distribution names of requirement lines, lower case."""
    return {re.split(r"[^A-Za-z0-9_.-]", line, maxsplit=1)[0].lower() for line in requirements}


def imported(path: Path) -> Iterator[str]:
    """Top-level names of all imports of a module, also those inside functions."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


def test_every_dependency_is_imported() -> None:
    product = [path for part in ("autograder", "shared") for path in (ROOT / part).rglob("*.py")]
    used = {name for path in product for name in imported(path)}
    dependencies = names(PROJECT["dependencies"]) - USED_BY_OTHERS
    assert {name for name in dependencies if IMPORTED_AS.get(name, name) not in used} == set()


def test_every_dependency_is_pinned_once_for_all() -> None:
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    pinned = {line.partition("==")[0].lower() for line in lines if "==" in line}
    extras = PROJECT["optional-dependencies"].values()
    expected = names([line for part in (PROJECT["dependencies"], *extras) for line in part])
    assert expected - pinned == set()


def test_what_is_optional_is_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> str:
        raise doctor.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(doctor.metadata, "version", absent)
    facts = {fact.name: fact for fact in doctor.examine().software}
    assert (facts["torchvision"].good, facts["torchvision"].meaning) == (True, "optional")
    assert (facts["torch"].good, facts["torch"].meaning) == (False, "needed")
