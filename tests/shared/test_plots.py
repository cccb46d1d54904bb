import io

import pytest
import torch
from matplotlib.image import imread

from shared.models import LeNet5, ResNet20
from shared.plots import (
    plot_ablation,
    plot_accuracy_against_bytes,
    plot_history,
    plot_layer_costs,
    plot_pareto,
    plot_sensitivity,
    plot_weights,
)
from shared.profiling import profile_layers
from shared.records import History, LayerCost

POINTS = {"a": (1.0, 0.5), "b": (2.0, 0.4), "c": (3.0, 0.8), "d": (4.0, 0.7), "e": (0.5, 0.1)}


def pixels(figure):
    """The figure as an array, drawn without a display."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    buffer.seek(0)
    return imread(buffer)


def texts(axes):
    return {text.get_text() for text in axes.texts}


@pytest.mark.parametrize("log_cost", [False, True])
def test_pareto_names_the_front_and_draws_every_point(log_cost):
    figure = plot_pareto(POINTS, "MACs", log_cost)
    (axes,) = figure.axes
    assert texts(axes) == {"a", "c", "e"}
    dominated, front = (scatter.get_offsets().tolist() for scatter in axes.collections)
    assert sorted(dominated) == [[2.0, 40.0], [4.0, 70.0]]
    assert front == [[0.5, 10.0], [1.0, 50.0], [3.0, 80.0]]
    assert axes.get_xlabel() == "MACs"
    assert pixels(figure).std() > 0


def test_pareto_of_one_point_has_no_legend():
    (axes,) = plot_pareto({"only": (1.0, 0.9)}).axes
    assert axes.get_legend() is None


def test_an_ablation_numbers_its_steps_in_order():
    figure = plot_ablation(
        {"float": (2.0, 0.9), "8 bits": (0.5, 0.89), "4 bits": (0.25, 0.6)}, 0.85
    )
    (axes,) = figure.axes
    gate, path, *steps = axes.lines
    assert list(gate.get_ydata()) == [85, 85]
    assert list(path.get_xdata()) == [2, 0.5, 0.25]
    assert list(path.get_ydata()) == [90, 89, 60]
    (legend,) = figure.legends
    assert [each.get_text() for each in legend.get_texts()] == [
        "1  float",
        "2  8 bits",
        "3  4 bits",
    ]
    figure.draw_without_rendering()
    assert not legend.get_window_extent().overlaps(axes.get_window_extent())
    assert {"gate", "1", "2", "3"} == texts(axes)
    assert [p.get_color() for p in steps].count(steps[-1].get_color()) == 1
    assert pixels(figure).std() > 0


def test_an_ablation_has_steps():
    with pytest.raises(ValueError, match="steps: expected at least one"):
        plot_ablation({}, 0.9)


def test_history_shows_what_was_measured():
    figure = plot_history(History([2.0, 1.0], [1.5, 1.2], [0.4, 0.6]))
    left, right = figure.axes
    assert [list(line.get_ydata()) for line in left.lines] == [[2.0, 1.0], [1.5, 1.2]]
    assert [list(line.get_ydata()) for line in right.lines] == [[40.0, 60.0]]
    assert [list(line.get_xdata()) for line in right.lines] == [[1, 2]]
    assert pixels(figure).std() > 0


def test_history_without_validation():
    left, right = plot_history(History([2.0, 1.0])).axes
    assert len(left.lines) == 1
    assert not right.has_data()


@pytest.mark.parametrize("count", [1, 2, 4, 5])
def test_weights_get_one_histogram_each_without_zeros(count):
    tensors = {f"w{i}": torch.tensor([0.0, 0.0, -1.0, 0.5, 0.25]) for i in range(count)}
    figure = plot_weights(tensors, bins=4)
    shown = [axes for axes in figure.axes if axes.get_visible()]
    assert len(shown) == count
    for axes in shown:
        assert [bar.get_height() for bar in axes.patches] == [1, 0, 1, 1]
        assert "40.0% zeros" in axes.get_title()
    assert pixels(figure).std() > 0


def test_weights_may_be_all_zero_or_empty():
    figure = plot_weights({"zero": torch.zeros(3), "empty": torch.zeros(0)})
    assert "100.0% zeros" in figure.axes[0].get_title()
    pixels(figure)


def labels(axes):
    return [text.get_text() for text in axes.get_legend().get_texts()]


def test_sensitivity_has_a_curve_a_layer_in_order_of_sparsity():
    figure = plot_sensitivity({"a": [0.9, 0.5, 0.7], "b": [0.9, 0.8, 0.9]}, [0, 0.9, 0.5], 0.9)
    (axes,) = figure.axes
    first, second, unpruned = axes.lines
    assert list(first.get_xdata()) == [0, 50, 90]
    assert list(first.get_ydata()) == [90, 70, 50]
    assert list(second.get_ydata()) == [90, 90, 80]
    assert list(unpruned.get_ydata()) == [90, 90]
    assert first.get_color() != second.get_color()
    assert labels(axes) == ["a", "b", "unpruned"]
    assert pixels(figure).std() > 0


def test_sensitivity_has_more_layers_than_colors():
    (axes,) = plot_sensitivity({str(i): [0.5] for i in range(9)}, [0.5]).axes
    assert len(axes.lines) == 9


def test_sensitivity_wants_a_value_for_each_sparsity():
    with pytest.raises(ValueError, match=r"curves\['a'\]: expected 2 values, got 1"):
        plot_sensitivity({"a": [0.5]}, [0.1, 0.2])


def test_accuracy_against_bytes_joins_points_by_size():
    curves = {"rounded": [(100, 0.6), (50, 0.2), (200, 0.7)], "trained": [(50, 0.5)]}
    figure = plot_accuracy_against_bytes(curves, baseline=(400, 0.9))
    (axes,) = figure.axes
    rounded, trained, *dotted = axes.lines
    assert list(rounded.get_xdata()) == [50, 100, 200]
    assert list(rounded.get_ydata()) == [20, 60, 70]
    assert list(trained.get_ydata()) == [50]
    assert len(dotted) == 2
    assert labels(axes) == ["rounded", "trained", "baseline"]
    assert axes.get_xscale() == "log"
    assert pixels(figure).std() > 0


def test_accuracy_against_bytes_without_baseline():
    (axes,) = plot_accuracy_against_bytes({"only": [(1, 0.5), (10, 0.6)]}).axes
    assert labels(axes) == ["only"]


@pytest.mark.parametrize("baseline", [None, (0, 0.9)])
def test_accuracy_against_bytes_refuses_sizes_of_zero(baseline):
    curves = {"a": [(0 if baseline is None else 1, 0.5)]}
    with pytest.raises(ValueError, match="expected sizes above 0, got 0"):
        plot_accuracy_against_bytes(curves, baseline)


def test_layer_costs_have_a_bar_a_row():
    layers = profile_layers(LeNet5(), (1, 1, 28, 28))
    figure = plot_layer_costs(layers)
    params, macs = figure.axes
    assert [bar.get_width() for bar in params.patches] == [layer.params for layer in layers]
    assert [bar.get_width() for bar in macs.patches] == [layer.macs for layer in layers]
    assert params.get_title() == "parameters: 431k"
    assert macs.get_title() == "MACs for one sample: 2.29M"
    pixels(figure)


def test_layer_costs_leave_free_rows_out():
    layers = profile_layers(ResNet20(), (1, 3, 32, 32))
    params, _ = plot_layer_costs(layers).axes
    assert len(params.patches) == sum(layer.params > 0 for layer in layers) < len(layers)


@pytest.mark.parametrize(
    ("plot", "argument"),
    [
        (plot_pareto, {}),
        (plot_weights, {}),
        (plot_accuracy_against_bytes, {}),
        (plot_layer_costs, []),
        (plot_layer_costs, [LayerCost("relu", "ReLU", 0, 0, (1,))]),
    ],
)
def test_nothing_to_plot_is_refused(plot, argument):
    with pytest.raises(ValueError, match="expected"):
        plot(argument)


def test_no_curve_of_sensitivity_is_refused():
    with pytest.raises(ValueError, match="expected"):
        plot_sensitivity({}, [0.5])
