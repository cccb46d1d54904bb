"""Figures differ more than functions do: ways to draw that the text of `latency_plot` allows."""

from __future__ import annotations

import textwrap

import pytest

from autograder.grading.kinds import graders_of
from autograder.records import Report
from tests import bank
from tests.support import grade, submission
from tests.test_banks import SESSIONS, with_session

pytestmark = pytest.mark.slow

PLOT = "s6.latency_plot"
BEGIN = """
def latency_plot(rows):
    if not rows:
        raise ValueError("rows: none")
    from matplotlib.figure import Figure
    from matplotlib.ticker import EngFormatter, FuncFormatter

    figure = Figure()
    axes = figure.subplots()
    names = [row.name for row in rows]
    medians = [row.median for row in rows]
    thousands = [1000 * median for median in medians]
"""
END = "    return figure\n"

RIGHT = {
    "legend of the figure": """
        for place, row in enumerate(rows):
            axes.bar(place, 1000 * row.median, label=row.name)
        axes.set_ylabel("latency (ms)")
        figure.legend()
    """,
    "legend of the axes": """
        for place, row in enumerate(rows):
            axes.plot([place], [1000 * row.median], "o", label=row.name)
        axes.set_ylabel("latency (ms)")
        axes.legend()
    """,
    "label of the whole figure": """
        axes.barh(names, thousands)
        figure.supxlabel("latency in ms")
    """,
    "unit at the ticks": """
        axes.barh(names, medians)
        axes.xaxis.set_major_formatter(EngFormatter(unit="s"))
    """,
    "unit at ticks of one's own": """
        axes.barh(names, medians)
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{1000 * x:g}ms"))
    """,
    "note at the end of the axis": """
        axes.barh(names, thousands)
        axes.annotate("ms", xy=(1, 0), xycoords="axes fraction")
    """,
    "second axis": """
        axes.barh(names, medians)
        second = axes.secondary_xaxis("top", functions=(lambda x: 1000 * x, lambda x: x / 1000))
        second.set_xlabel("ms")
    """,
    "sec": 'axes.barh(names, medians); axes.set_xlabel("median latency [sec]")',
    "msec": 'axes.barh(names, thousands); axes.set_xlabel("msec")',
    "per batch": 'axes.barh(names, thousands); axes.set_xlabel("time of a batch, ms/batch")',
    "quotient": 'axes.barh(names, thousands); axes.set_xlabel("latency/ms")',
    "formula": r"""
        axes.barh(names, [1e6 * median for median in medians])
        axes.set_xlabel(r"$t\ /\ \mu s$")
    """,
    "nanoseconds": 'axes.barh(names, [1e9 * m for m in medians]); axes.set_xlabel("latency (ns)")',
}
"""How it is drawn -> the lines that draw it."""

UNIT, NAMES = {"test_unit_is_written"}, {"test_names_are_written", "test_rows_without_timings"}
WRONG = {
    "no unit": ('axes.barh(names, thousands); axes.set_xlabel("the runner\'s latency")', UNIT),
    "unit in a title": ('axes.barh(names, thousands); axes.set_title("latency (ms)")', UNIT),
    "unit in the title above": ('axes.barh(names, thousands); figure.suptitle("in ms")', UNIT),
    "unit at bars": ('axes.bar_label(axes.barh(names, thousands), fmt="%.1f ms")', UNIT),
    "unit in the name of the bars": ('axes.barh(names, thousands, label="ms")', UNIT),
    "no legend": (
        """
        for place, row in enumerate(rows):
            axes.bar(place, 1000 * row.median, label=row.name)
        axes.set_ylabel("latency (ms)")
        """,
        NAMES,
    ),
    "names that are hidden": (
        """
        axes.barh(names, thousands)
        axes.set_xlabel("ms")
        axes.tick_params(labelleft=False)
        """,
        NAMES,
    ),
}
"""How it is drawn -> the lines that draw it, and the checks that fail."""


def drawn_by(lines: str) -> str:
    """A version of `latency_plot`."""
    return BEGIN + textwrap.indent(textwrap.dedent(lines).strip("\n"), "    ") + "\n" + END


@pytest.fixture(scope="module")
def graded() -> dict[str, Report]:
    """The reports on all ways to draw."""
    session = SESSIONS["s6"]
    file = session.exercise(PLOT).file
    ways = {**RIGHT, **{way: lines for way, (lines, _) in WRONG.items()}}
    given = [
        submission(way, bank.inject(bank.solution(session), file, PLOT, drawn_by(lines)))
        for way, lines in ways.items()
    ]
    only = {one.slug: (PLOT,) for one in given}
    return grade(with_session(session), given, graders_of(session), only_for=only)


def failed(report: Report) -> set[str]:
    (exercise,) = report.exercises
    return {test.name for test in exercise.tests if test.credit < 1}


@pytest.mark.parametrize("way", RIGHT)
def test_a_right_figure_keeps_every_point(graded: dict[str, Report], way: str) -> None:
    assert failed(graded[way]) == set()


@pytest.mark.parametrize("way", WRONG)
def test_a_wrong_figure_fails_what_it_lacks(graded: dict[str, Report], way: str) -> None:
    assert failed(graded[way]) == WRONG[way][1]
