"""docs/exporting.md: the code runs as printed, and the table of refusals is that of the scorer."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.project import build
from tests.support import ROOT

TEXT = (ROOT / "docs" / "exporting.md").read_text("utf-8")
NETWORK = """
from torch import nn
network = nn.Sequential(
    nn.Conv2d(3, 4, 3, 2), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
    nn.Linear(4, 10),
)
"""


def blocks(text: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", text, re.DOTALL)


@pytest.mark.slow
def test_the_documented_export_is_accepted_as_it_is(tmp_path: Path) -> None:
    """In a new interpreter, with nothing around it."""
    (code,) = blocks(TEXT)
    done = subprocess.run(
        [sys.executable, "-c", NETWORK + code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["exported.onnx"]
    measured = build.count((tmp_path / "exported.onnx").read_bytes(), (3, 32, 32))
    assert measured.macs == 4 * 27 * 15 * 15 + 40


def options(code: str) -> dict[str, str]:
    """Keyword arguments of the one call of torch.onnx.export in some code."""
    (call,) = [
        node
        for node in ast.walk(ast.parse(code))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.onnx.export"
    ]
    return {keyword.arg or "": ast.unparse(keyword.value) for keyword in call.keywords}


def test_starter_hand_out_and_documents_make_the_same_call() -> None:
    folder = ROOT / "solutions" / "s7_final_project"
    printed = blocks((folder / "README.md").read_text("utf-8"))
    (hand_out,) = (code for code in printed if "torch.onnx.export" in code)
    (shown,) = blocks(TEXT)
    starter = (folder / "export.py").read_text("utf-8")
    assert options(shown) == options(hand_out) == options(starter)


# ---- the table of refusals -----------------------------------------------------------------------

HOLE = "…"
FILES = sorted((ROOT / "autograder" / "project").glob("*.py"))
RAISED = ("Refusal", "EntryRefused")


def template(node: ast.expr) -> str:
    """A message with a hole for everything that is not text."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(map(template, node.values))
    return HOLE


def messages() -> Iterator[tuple[str, str]]:
    """(file and line, message) of everything that a file may be refused for."""
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not (isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call)):
                continue
            if ast.unparse(node.exc.func) in RAISED:
                made = template(node.exc.args[0])
                if made.replace(HOLE, "").strip():
                    yield f"{path.name}:{node.lineno}", made


ROWS = [
    line.split("|")[1].strip().strip("`")
    for line in TEXT.split("## My export was refused")[1].splitlines()
    if line.startswith("| `")
]
ELSEWHERE = {"has the shape", "it loses … points"}  # told by functions, not raised where they arise


def pattern(row: str) -> str:
    return ".*".join(map(re.escape, row.split(HOLE)))


def test_rows_are_found() -> None:
    assert len(ROWS) > 40
    assert len(ROWS) == len(set(ROWS))


@pytest.mark.parametrize(("where", "message"), list(messages()), ids=[w for w, _ in messages()])
def test_every_refusal_has_a_row_and_a_remedy(where: str, message: str) -> None:
    assert [row for row in ROWS if re.search(pattern(row), message)], (where, message)


@pytest.mark.slow
@pytest.mark.parametrize("row", ROWS)
def test_every_row_is_a_message(row: str) -> None:
    if row in ELSEWHERE:
        sources = "".join(path.read_text("utf-8") for path in FILES)
        assert all(part.strip() in sources for part in row.split(HOLE))
        return
    assert [message for _, message in messages() if re.search(pattern(row), message)]
