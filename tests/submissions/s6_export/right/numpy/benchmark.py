"""An array of readings, one row a runner; points with error bars."""

import numpy as np

from shared.records import Row


def benchmark(runners, inputs, warmup, repeats, clock):
    if len(runners) == 0 or warmup < 0 or repeats < 1:
        raise ValueError(f"runners: {len(runners)}, warmup: {warmup}, repeats: {repeats}")
    readings = np.zeros((len(runners), repeats))
    broken = np.zeros(len(runners), dtype=bool)
    for turn in range(-warmup, repeats):
        for place, run in enumerate(runners.values()):
            if turn >= 0:
                readings[place, turn] = -clock()
            try:
                run(inputs)
            except Exception:
                broken[place] = True
            if turn >= 0:
                readings[place, turn] += clock()
    readings[broken] = np.nan
    marks = np.percentile(readings, [50, 10, 90], axis=1).T
    return [Row(name, *map(float, mark)) for name, mark in zip(runners, marks)]


def latency_plot(rows):
    from matplotlib.figure import Figure

    if not rows:
        raise ValueError("rows: expected at least one")
    figure = Figure()
    axes = figure.add_subplot()
    good = [(place, row) for place, row in enumerate(rows) if row.median == row.median]
    if good:
        places, medians = [place for place, _ in good], [row.median for _, row in good]
        spread = [[r.median - r.p10 for _, r in good], [r.p90 - r.median for _, r in good]]
        axes.errorbar(medians, places, xerr=np.maximum(spread, 0), fmt="o")
    axes.set_yticks(range(len(rows)), [row.name for row in rows])
    axes.set_xlabel("latency in seconds")
    return figure
