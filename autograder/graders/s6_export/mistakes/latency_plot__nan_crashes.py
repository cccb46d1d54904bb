"""A row of NaN ends the drawing: its bar has no length.

Source: own.
"""

def latency_plot(rows: Sequence[Row]) -> Figure:
    if not rows:
        raise ValueError("rows: expected at least one, got none")
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.0, 1.2 + 0.4 * len(rows)), layout="constrained")
    axes = figure.subplots()
    places = range(len(rows))
    medians = [1000 * row.median for row in rows]
    axes.set_xlim(0, np.array([round(1000 * row.p90) for row in rows]).max() + 1)
    axes.barh(places, medians, color="#0072B2")
    spans = [(1000 * row.p10, 1000 * row.p90) for row in rows]
    for place, (low, high) in enumerate(spans):
        axes.plot([low, high], [place, place], color="black")
    axes.set_yticks(places, [row.name for row in rows])
    axes.invert_yaxis()
    axes.set_xlabel("latency of a batch (ms): median, 10th to 90th percentile")
    return figure
