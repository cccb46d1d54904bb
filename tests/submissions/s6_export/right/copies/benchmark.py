"""A queue of turns; torch's quantiles; bars on a figure of pyplot that is closed."""

import math

import torch

from shared.records import Row


def benchmark(runners, inputs, warmup, repeats, clock):
    if not runners or warmup < 0 or repeats < 1:
        raise ValueError("runners, warmup or repeats")
    taken = {name: [] for name in runners}
    turns = [(False, n) for _ in range(warmup) for n in runners]
    turns += [(True, n) for _ in range(repeats) for n in runners]
    failed = set()
    for counts, name in turns:
        before = clock() if counts else 0.0
        try:
            runners[name](inputs)
        except Exception:
            failed.add(name)
        if counts:
            taken[name].append(clock() - before)
    rows = []
    for name, times in taken.items():
        values = torch.tensor(times, dtype=torch.float64)
        if name in failed:
            values = values * math.nan
        marks = torch.quantile(values, torch.tensor([0.5, 0.1, 0.9], dtype=torch.float64))
        rows.append((name, *marks.tolist()))
    return rows


def latency_plot(rows):
    import matplotlib.pyplot as plt

    if not rows:
        raise ValueError("no rows")
    figure, axes = plt.subplots()
    plt.close(figure)
    for place, row in enumerate(rows):
        axes.bar(place, row.median, width=0.6)
        axes.text(place, 0, row.name, rotation=90)
    axes.set_xlabel("runner")
    axes.set_ylabel("seconds")
    return figure
