"""Figures for lab sheets and reports.

Each function returns a matplotlib Figure that belongs to no window: it is shown by a notebook
whose cell ends with it, or written with `figure.savefig(path)`. Nothing is shown or kept open, so
no display is needed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from shared.evaluation import pareto_front
from shared.records import History, LayerCost

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe & Ito: told apart with every kind of colour vision.
BLUE, ORANGE, GRAY = "#0072B2", "#D55E00", "#8C8C8C"
COLORS = (BLUE, ORANGE, "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = "os^Dv*X"


def plot_pareto(
    points: Mapping[str, tuple[float, float]],
    cost_label: str = "cost",
    log_cost: bool = False,
) -> Figure:
    """Accuracy against cost, with the Pareto front as a staircase.

    Args:
        points: name to (cost, accuracy in 0..1); names are written next to the front's points.
        cost_label: what cost is, with its unit.
        log_cost: logarithmic cost axis.

    Raises:
        ValueError: there are no points.
    """
    if not points:
        raise ValueError("points: expected at least one, got none")
    figure, axes = _figure()
    names, values = list(points), list(points.values())
    front = sorted(pareto_front(values), key=lambda i: values[i])
    costs, shares = zip(*(values[i] for i in front))
    percent = [100 * share for share in shares]
    others = [values[i] for i in range(len(values)) if i not in set(front)]
    axes.scatter(
        [cost for cost, _ in others],
        [100 * share for _, share in others],
        color=GRAY,
        label="dominated",
    )
    axes.step(costs, percent, where="post", color=BLUE, alpha=0.6)
    axes.scatter(costs, percent, color=BLUE, zorder=3, label="Pareto front")
    for i in front:
        where = (values[i][0], 100 * values[i][1])
        axes.annotate(names[i], where, (3, 4), textcoords="offset points", fontsize=9)
    if log_cost:
        _log_costs(axes)
    axes.margins(x=0.12, y=0.12)
    axes.set_xlabel(cost_label)
    axes.set_ylabel("accuracy (%)")
    if others:
        axes.legend(loc="lower right")
    return figure


def plot_ablation(
    steps: Mapping[str, tuple[float, float]], gate: float, cost_label: str = "cost"
) -> Figure:
    """Accuracy against cost (logarithmic), one step of compression after the other, and the gate.

    Args:
        steps: name to (cost, accuracy in 0..1), in the order in which they were made; they are
            numbered, and the last one stands out.
        gate: the accuracy that is required, 0..1.
        cost_label: what cost is, with its unit.

    Raises:
        ValueError: there are no steps.
    """
    if not steps:
        raise ValueError("steps: expected at least one, got none")
    figure, axes = _figure(height=3.5 + 0.2 * len(steps))
    costs, shares = zip(*steps.values())
    percent = [100 * share for share in shares]
    axes.axhline(100 * gate, color=GRAY, linewidth=1, linestyle="--")
    axes.annotate("gate", (costs[0], 100 * gate), (0, -11), textcoords="offset points", fontsize=9)
    axes.plot(costs, percent, color=BLUE, alpha=0.4)
    for number, (name, *at) in enumerate(zip(steps, costs, percent), start=1):
        color = ORANGE if number == len(steps) else BLUE
        axes.plot(*at, "o", color=color, markersize=13, label=f"{number}  {name}")
        axes.annotate(f"{number}", at, color="white", ha="center", va="center", fontsize=9)
    _log_costs(axes)
    axes.margins(x=0.12, y=0.12)
    axes.set_xlabel(cost_label)
    axes.set_ylabel("accuracy (%)")
    figure.legend(loc="outside lower center", fontsize=9, markerscale=0.5)  # hides no step
    return figure


def plot_history(history: History) -> Figure:
    """Loss and, where it was measured, validation accuracy against the epoch."""
    figure, (left, right) = _figure(columns=2)
    for values, label, color in (
        (history.train_loss, "training", BLUE),
        (history.val_loss, "validation", ORANGE),
    ):
        if values:
            left.plot(range(1, len(values) + 1), values, ".-", color=color, label=label)
    left.set_ylabel("loss")
    left.set_ylim(bottom=0)
    if history.val_accuracy:
        percent = [100 * share for share in history.val_accuracy]
        right.plot(range(1, len(percent) + 1), percent, ".-", color=ORANGE, label="validation")
    right.set_ylabel("accuracy (%)")
    for axes in (left, right):
        axes.set_xlabel("epoch")
        axes.xaxis.get_major_locator().set_params(integer=True)
        if axes.has_data():
            axes.legend()
    return figure


def plot_weights(weights: Mapping[str, Tensor], bins: int = 51) -> Figure:
    """Histogram of the nonzero values of each tensor; exact zeros are a share in the title.

    The axis is symmetric, so that an odd number of bins has one around 0.

    Raises ValueError if there are no tensors.
    """
    if not weights:
        raise ValueError("weights: expected at least one tensor, got none")
    columns = len(weights) if len(weights) < 4 else 2 if len(weights) == 4 else 3
    rows = -(-len(weights) // columns)
    figure, grid = _figure(rows, columns)
    flat = np.atleast_1d(grid).ravel()
    for axes, (name, tensor) in zip(flat, weights.items()):
        values = tensor.detach().cpu().float().flatten().numpy()
        kept = values[values != 0]
        limit = float(np.abs(kept).max()) if kept.size else 1.0
        axes.hist(kept, bins=bins, range=(-limit, limit), color=BLUE)
        zeros = 1 - kept.size / values.size if values.size else 0.0
        axes.set_title(f"{name}\n{values.size:,} values, {zeros:.1%} zeros", fontsize=10)
        axes.locator_params(axis="x", nbins=5)
        axes.set_xlabel("weight")
        axes.set_ylabel("count")
    for axes in flat[len(weights) :]:
        axes.set_visible(False)
    return figure


def plot_sensitivity(
    curves: Mapping[str, Sequence[float]], grid: Sequence[float], baseline: float | None = None
) -> Figure:
    """Accuracy against the sparsity of one layer at a time.

    Args:
        curves: name of each weight to its accuracies in 0..1, one for each entry of `grid`.
        grid: sparsities in 0..1, in any order.
        baseline: accuracy of the network without zeros, drawn as a dotted line.

    Raises:
        ValueError: there are no curves, or one has another length than `grid`.
    """
    if not curves:
        raise ValueError("curves: expected at least one, got none")
    figure, axes = _figure()
    order = sorted(range(len(grid)), key=lambda i: grid[i])
    for index, (name, values) in enumerate(curves.items()):
        if len(values) != len(grid):
            raise ValueError(f"curves[{name!r}]: expected {len(grid)} values, got {len(values)}")
        shares = [100 * grid[i] for i in order]
        axes.plot(shares, [100 * values[i] for i in order], label=name, **_style(index))
    if baseline is not None:
        axes.axhline(100 * baseline, color=GRAY, linestyle=":", label="unpruned")
    axes.set_xlabel("sparsity of this layer (%)")
    axes.set_ylabel("accuracy (%)")
    axes.legend(fontsize=8)
    return figure


def plot_accuracy_against_bytes(
    curves: Mapping[str, Sequence[tuple[float, float]]], baseline: tuple[float, float] | None = None
) -> Figure:
    """Accuracy against size for several methods, bytes on a logarithmic axis.

    Args:
        curves: name of a method to its points (bytes, accuracy in 0..1), joined in order of size.
        baseline: the point of the network that was compressed, marked with dotted lines.

    Raises:
        ValueError: there are no curves, or a size is not above 0.
    """
    from matplotlib.ticker import LogLocator, NullLocator

    if not curves:
        raise ValueError("curves: expected at least one, got none")
    points = [*([] if baseline is None else [baseline]), *(p for c in curves.values() for p in c)]
    if any(size <= 0 for size, _ in points):
        raise ValueError(f"curves: expected sizes above 0, got {min(points)[0]}")
    figure, axes = _figure()
    for index, (name, curve) in enumerate(curves.items()):
        ordered = sorted(curve)
        sizes = [size for size, _ in ordered]
        axes.plot(sizes, [100 * share for _, share in ordered], label=name, **_style(index))
    if baseline is not None:
        axes.axvline(baseline[0], color=GRAY, linestyle=":")
        axes.axhline(100 * baseline[1], color=GRAY, linestyle=":", label="baseline")
    narrow = max(points)[0] < 20 * min(points)[0]
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 1.5, 2, 3, 5, 7) if narrow else (1, 2, 5)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(lambda value, _: _short(value))
    axes.set_xlabel("bytes")
    axes.set_ylabel("accuracy (%)")
    axes.legend(loc="lower right", fontsize=8)
    return figure


def plot_layer_costs(layers: Sequence[LayerCost]) -> Figure:
    """Bars of parameters and MACs for each row of a profile that has any, in call order.

    Raises ValueError if no row has parameters or MACs.
    """
    shown = [layer for layer in layers if layer.params or layer.macs]
    if not shown:
        raise ValueError("layers: expected a row with parameters or MACs, got none")
    figure, (left, right) = _figure(columns=2, height=max(2.4, 0.26 * len(shown) + 1.0))
    labels = [f"{layer.name or layer.kind} ({layer.kind})" for layer in shown]
    positions = range(len(shown))
    for axes, values, title in (
        (left, [layer.params for layer in shown], "parameters"),
        (right, [layer.macs for layer in shown], "MACs for one sample"),
    ):
        bars = axes.barh(positions, values, color=BLUE)
        axes.bar_label(bars, [_short(value) for value in values], padding=3, fontsize=8)
        axes.set_title(f"{title}: {_short(sum(values))}", fontsize=10)
        axes.set_yticks(positions, labels if axes is left else [""] * len(shown), fontsize=8)
        axes.margins(x=0.16, y=0.01)
        axes.xaxis.set_major_formatter(lambda value, _: _short(value))
        axes.grid(visible=False, axis="y")
    left.invert_yaxis()
    right.invert_yaxis()
    return figure


def _style(index: int) -> dict[str, Any]:
    """How curve number `index` is drawn; markers tell curves apart where colours do not."""
    marker = MARKERS[index % len(MARKERS)]
    return {"color": COLORS[index % len(COLORS)], "marker": marker, "markersize": 5}


def _log_costs(axes: Any) -> None:
    """A logarithmic cost axis with plain numbers at 1, 2, 5, 10..."""
    from matplotlib.ticker import LogLocator, NullLocator

    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")


def _short(value: float) -> str:
    """1234567 as 1.23M."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"


def _figure(rows: int = 1, columns: int = 1, height: float | None = None) -> tuple[Figure, Any]:
    """A figure and its axes: one, or an array as in pyplot.subplots."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    size = (6.0 if columns == 1 else 4.2 * columns, height or 3.6 * rows)
    figure = Figure(figsize=size, layout=ConstrainedLayoutEngine(w_pad=0.08), dpi=110)
    FigureCanvasAgg(figure)
    grid = figure.subplots(rows, columns)
    for axes in np.atleast_1d(grid).ravel():
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(visible=True, alpha=0.3)
        axes.set_axisbelow(True)
    return figure, grid
