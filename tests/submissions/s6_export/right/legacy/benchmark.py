"""Timings in a matrix; percentiles by the statistics of sorted rows; points with error bars."""

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from shared.records import Row


def benchmark(runners, inputs, warmup, repeats, clock):
    if warmup < 0 or repeats < 1 or len(runners) == 0:
        raise ValueError(f"warmup {warmup}, repeats {repeats}, {len(runners)} runners")
    names = list(runners)
    table = np.full((repeats, len(names)), np.nan)
    broken = set()
    for number in range(-warmup, repeats):
        for column, name in enumerate(names):
            if name in broken:
                continue
            try:
                if number < 0:
                    runners[name](inputs)
                else:
                    begin = clock()
                    runners[name](inputs)
                    table[number, column] = clock() - begin
            except Exception:
                broken.add(name)
    rows = []
    for column, name in enumerate(names):
        ordered = np.sort(table[:, column])
        marks = []
        for share in (0.5, 0.1, 0.9):
            place = share * (repeats - 1)
            low = int(place)
            high = min(low + 1, repeats - 1)
            marks.append(float(ordered[low] + (place - low) * (ordered[high] - ordered[low])))
        rows.append(Row(name, *([float("nan")] * 3 if name in broken else marks)))
    return rows


def latency_plot(rows):
    if len(rows) == 0:
        raise ValueError("rows: none")
    figure = Figure()
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    medians = np.array([row.median for row in rows]) * 1e6
    below = medians - np.array([row.p10 for row in rows]) * 1e6
    above = np.array([row.p90 for row in rows]) * 1e6 - medians
    x = np.arange(len(rows))
    axes.errorbar(x, medians, yerr=[below, above], fmt="o")
    axes.set_xticks(x)
    axes.set_xticklabels([row.name for row in rows], rotation=45)
    axes.set_ylabel("latency [µs]")
    return figure
