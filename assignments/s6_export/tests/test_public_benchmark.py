# Generated from solutions/s6_export/tests/test_public_benchmark.py by `autograder release`: change it there.
"""Public tests of benchmark.py; see test_public_onnx_export.py."""

from __future__ import annotations

import itertools
import math
from typing import Any

from autograder.graders.toolkit import (
    Exercise,
    Handle,
    check,
    close,
    expect_list,
    expect_record,
    expect_value_error,
)
from shared.records import Row

benchmark = Exercise("s6.benchmark")


@benchmark.check(visibility="visible")
def test_two_runners(student: Any) -> None:
    """The clock's readings are 0, 1, 3, 6, 10, ...: timings 1, 5, 9 and 3, 7, 11."""
    readings = itertools.accumulate(itertools.count())
    log: list[str] = []
    runners = {"a": lambda _: log.append("a"), "b": lambda _: log.append("b")}
    rows = expect_list(student.benchmark(runners, None, 1, 3, lambda: next(readings)), "rows", 2)
    check(log == ["a", "b"] * 4, "a warm-up round and three more, taking turns")
    name, median, low, high = expect_record(rows[0], Row, "each row")
    check(name == "a" and close(median, 5.0), "the median of 1, 5, 9")
    check(close(low, 1.8) and close(high, 8.2), "percentiles, interpolated linearly")
    expect_value_error(student.benchmark, {}, None, 1, 3, lambda: 0.0)


latency_plot = Exercise("s6.latency_plot")


@latency_plot.check(visibility="visible")
def test_a_figure(student: Any) -> None:
    """A matplotlib Figure, also with a row of NaN; no rows raise ValueError."""
    rows = [Row("eager", 0.002, 0.001, 0.004), Row("broken", math.nan, math.nan, math.nan)]
    figure = student.latency_plot(rows)
    is_figure = isinstance(figure, Handle) and figure.type_name.endswith("Figure")
    check(is_figure, "a matplotlib.figure.Figure")
    check(len(student.get(figure, "axes")) > 0, "with axes")
    expect_value_error(student.latency_plot, [])
