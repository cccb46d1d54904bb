"""What a student may do: unusual, but right; it keeps every point and raises no incident."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from autograder.records import Report
from tests.hostile import support

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="the bank is about the Linux sandbox"),
]

SOURCES = support.legitimate()
OPEN: dict[str, str] = {}


@pytest.fixture(scope="module")
def reports() -> Iterator[dict[str, Report]]:
    """The bank, graded once with ordinary limits."""
    with support.stage() as stage:
        for name, source in SOURCES.items():
            stage.submit_source(name, source)
        yield stage.grade(test_seconds=10, exercise_seconds=60, submission_seconds=240)


def test_the_bank_has_ten_entries() -> None:
    assert len(SOURCES) >= 10


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(
            name,
            marks=pytest.mark.xfail(strict=True, raises=AssertionError, reason=OPEN[name])
            if name in OPEN
            else (),
        )
        for name in SOURCES
    ],
)
def test_it_keeps_every_point(reports: dict[str, Report], name: str) -> None:
    report = reports[name]
    lost = [(t.name, t.message) for e in report.exercises for t in e.tests if t.credit < 1]
    assert lost == []
    assert report.points == 100
    assert (report.incidents, report.problems) == ((), ())
