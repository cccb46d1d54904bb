"""Whole layers as they are recorded: each field of shape and products, by hand."""

from __future__ import annotations

import numpy as np

from autograder.records.measurement import MeasuredLayer, Products
from tests.project import build
from tests.project.build import floats, node, scalar


def last(kind: str, nodes: list[object], constants: dict[str, object]) -> MeasuredLayer:
    return build.layer(build.count(build.between(nodes, constants)), kind)  # type: ignore[arg-type]


def test_a_shape_is_that_of_one_image() -> None:
    made = last("Conv", [node("Conv", ["x", "w"], ["y"])], {"w": floats(3, 1, 3, 2)})
    assert made.shape == (3, 6, 7)
    assert made.products == (Products(3 * 42, 6, 3 * 42 * 6, 0, 32, 32),)


def test_of_two_activations_no_zero_is_known() -> None:
    made = last("MatMul", [node("MatMul", ["x", "x"], ["y"])], {})
    assert made.products == (Products(64, 8, 512, 0, 32, 32),)


def test_zeros_are_those_of_the_side_where_the_weight_stands() -> None:
    weight = floats(8, 8)
    weight[0, :] = 0
    left = last("MatMul", [node("MatMul", ["w", "x"], ["y"])], {"w": weight})
    assert left.products == (Products(64, 8, 7 * 8 * 8, 8, 32, 32),)
    right = last("MatMul", [node("MatMul", ["x", "w"], ["y"])], {"w": weight})
    assert right.products == (Products(64, 8, 7 * 8 * 8, 0, 32, 32),)


def test_a_table_is_one_product_for_each_element() -> None:
    made = last("Mul", [node("Mul", ["x", "t"], ["y"])], {"t": floats(1, 8, 8)})
    assert made.products == (Products(64, 1, 64, 0, 32, 32),)
    assert made.ops == 0


def test_minimum_and_maximum_take_one_less_than_their_inputs() -> None:
    for kind in ("Min", "Max"):
        made = last(kind, [node(kind, ["x", "c", "d"], ["y"])], {"c": scalar(2), "d": scalar(3)})
        assert made.ops == 2 * 64


def test_a_bias_of_a_quantised_convolution_is_an_addition() -> None:
    names = ["q", "s", "z", "w", "s", "wz", "s", "z"]
    constants = {
        "s": scalar(0.1),
        "z": np.uint8(3),
        "w": np.full((2, 1, 3, 3), 2, np.int8),
        "wz": np.int8(0),
        "b": np.full(2, 5, np.int32),
    }
    for inputs, steps in ((names, 1), ([*names, "b"], 2)):
        nodes = [node("QuantizeLinear", ["x", "s", "z"], ["q"]), node("QLinearConv", inputs, ["y"])]
        used = {name: value for name, value in constants.items() if name != "b" or "b" in inputs}
        assert last("QLinearConv", nodes, used).ops == steps * 2 * 36  # type: ignore[arg-type]
