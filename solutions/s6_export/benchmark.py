"""Session 6, benchmarks: a fair comparison of the same network in several runtimes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from shared.checks import check_int
from shared.records import Row

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def benchmark(
    runners: Mapping[str, Callable[[Any], Any]],
    inputs: Any,
    warmup: int,
    repeats: int,
    clock: Callable[[], float],
) -> list[Row]:
    """Return the median, the 10th and the 90th percentile of each runner's timings.

    First `warmup` rounds without reading the clock, then `repeats` rounds. In each round every
    runner is called once, `run(inputs)`, in the order of `runners`: what disturbs the machine for
    a while then disturbs all of them. A timing is the difference of two readings of the clock
    around a call. Percentiles are interpolated linearly.

    A runner that raises gets NaN in all three places, and the others go on.

    Args:
        runners: name to function; each is called with the very object `inputs`.
        inputs: what they get.
        warmup: rounds that do not count, 0 or more.
        repeats: rounds that count, 1 or more.
        clock: returns the time, e.g. time.perf_counter.

    Returns:
        One row for each runner, in the order of `runners`.

    Raises:
        ValueError: `warmup` or `repeats` is anything else, or there are no runners.
    """
    check_int("warmup", warmup, 0)
    check_int("repeats", repeats, 1)
    if not runners:
        raise ValueError("runners: expected at least one, got none")
    # BEGIN SOLUTION s6.benchmark
    timings: dict[str, list[float]] = {name: [] for name in runners}
    working = dict(runners)
    for number in range(warmup + repeats):
        for name, run in list(working.items()):
            try:
                if number < warmup:
                    run(inputs)
                    continue
                start = clock()
                run(inputs)
                timings[name].append(clock() - start)
            except Exception:
                del working[name]  # its row says so, and the others are not held up
    rows = []
    for name, values in timings.items():
        timed = values if name in working else [math.nan]
        rows.append(Row(name, *np.percentile(timed, [50, 10, 90]).tolist()))
    return rows
    # END SOLUTION


def latency_plot(rows: Sequence[Row]) -> Figure:
    """Return a figure that compares medians, with a line from the 10th to the 90th percentile.

    Every name can be read, a median is the length of its bar, and an axis names the unit. Timings
    are in seconds. A row of NaN keeps its name and has no bar. The figure belongs to no window:
    pyplot does not know it.

    Raises:
        ValueError: there are no rows.
    """
    if not rows:
        raise ValueError("rows: expected at least one, got none")
    # BEGIN SOLUTION s6.latency_plot
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.0, 1.2 + 0.4 * len(rows)), layout="constrained")
    axes = figure.subplots()
    places = range(len(rows))
    medians = [1000 * row.median for row in rows]
    axes.barh(places, medians, color="#0072B2")
    spans = [(1000 * row.p10, 1000 * row.p90) for row in rows]
    for place, (low, high) in enumerate(spans):
        axes.plot([low, high], [place, place], color="black")
    axes.set_yticks(places, [row.name for row in rows])
    axes.invert_yaxis()
    axes.set_xlabel("latency of a batch (ms): median, 10th to 90th percentile")
    return figure
    # END SOLUTION
