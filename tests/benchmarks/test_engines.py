"""The hand-out's table of formats that become an engine is what the benchmark finds."""

from __future__ import annotations

import importlib.util

import pytest

from benchmarks import engines
from tests.support import ROOT

TEXT = (ROOT / "solutions" / "s6_export" / "README.md").read_text("utf-8")
HEADING = "## Which compressed formats become an engine"


def stated() -> list[list[str]]:
    """Cells of the table in the hand-out."""
    lines = TEXT.split(HEADING)[1].split("\n## ")[0].splitlines()
    rows = [line.strip("| ").split(" | ") for line in lines if line.startswith("|")]
    return rows[2:]


def number(cell: str) -> int:
    return int(cell.replace(",", ""))


@pytest.mark.slow
@pytest.mark.skipif(
    importlib.util.find_spec("tensorrt_rtx") is None, reason="tensorrt_rtx is not installed"
)
def test_the_table_is_what_the_builder_says() -> None:
    found = list(engines.rows([]))
    table = stated()
    assert [cells[0] for cells in table] == [row.name for row in found]
    for (name, size, runs, engine), row in zip(table, found, strict=True):
        assert number(size) == pytest.approx(row.file_bytes, rel=0.02), name
        # whether ONNX Runtime's optimisations change outputs depends on the processor
        assert row.runs.removesuffix(", unoptimised") == runs.removesuffix(", unoptimised"), name
        assert engine.startswith("refused") == bool(row.refusal), (name, row.refusal)
        if not row.refusal:
            assert number(engine) == pytest.approx(row.engine_bytes, rel=0.1), name
