"""One score on a terminal of 80 columns: every number whole, and what costs most is named."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console

from autograder.project.network import in_our_words
from autograder.records.measurement import MeasuredLayer, Measurement, Products, Stored
from autograder.reports.score import costly_operations, markdown, terminal
from tests.project.reports import report_of
from tests.records.test_measurement import SCORE


def measured(*layers: MeasuredLayer) -> Measurement:
    return Measurement(SCORE.file_bytes, SCORE.sha256, 21, layers)


LARGE = MeasuredLayer(
    19_999,
    "GlobalAveragePool",
    (1024, 1024, 64),
    (Stored("w", 12_345_678, 11_111_111, 32),),
    (Products(1_987_654_321, 1, 1_987_654_321, 0, 32, 32),),
    499_999_999,
)


@pytest.mark.parametrize("team", ["a", "a-team-with-a-name-of-forty-letters-no40"])
def test_every_number_is_whole_in_80_columns(team: str) -> None:
    score = replace(
        SCORE,
        team=team,
        base_revision="0123456789abcdef" * 3,
        measurement=measured(LARGE),
        costs={"imt-2025": 12345.67891, "micronet-2019": 0.00001},
    )
    console = Console(width=80, file=io.StringIO(), record=True)
    console.print(terminal(score))
    text = console.export_text()
    assert max(map(len, text.splitlines())) <= 80
    words = text.split()
    for number in ("19999", "12,345,678", "11,111,111", "1,987,654,321", "499,999,999"):
        assert number in words
    assert {"12345.67891", "0.00001"} <= set(words)


def test_the_costliest_operators_are_named_with_their_share() -> None:
    layers = [MeasuredLayer(i, kind, (1,), ops=ops) for i, (kind, ops) in enumerate(OPERATIONS)]
    rows = costly_operations(measured(*layers))
    assert rows[0] == ("Exp", "2", "700", "70.0 %", "3")
    assert [row[0] for row in rows] == ["Exp", "Add", "Relu"]
    score = replace(SCORE, measurement=measured(*layers))
    assert "| Exp | 2 | 700 | 70.0 % | 3 |" in markdown(report_of(score))


OPERATIONS = (("Add", 200), ("Exp", 100), ("Relu", 100), ("Exp", 600), ("Reshape", 0))


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("Type 'tensor(float)' of input", "Type 'float32' of input"),
        ("tensor(bfloat16), tensor(int64)", "bfloat16, int64"),
        ("expected DOUBLE but got FLOAT16", "expected float64 but got float16"),
        ("Inferred elem type differs from existing elem type: (1) vs (10)", ""),
        ("Float values in float_data", "Float values in float_data"),
    ],
)
def test_types_are_named_as_numpy_names_them(theirs: str, ours: str) -> None:
    shown = in_our_words(theirs)
    assert shown == ours if ours else "float32 vs float16" in shown
