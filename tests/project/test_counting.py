"""The table "What is counted", row by row, against ONNX's reference evaluator and by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from onnx import NodeProto, TensorProto, helper
from onnx.reference import ReferenceEvaluator

from autograder.project import constants as decoding
from autograder.project import counting, graph
from autograder.project.graph import Array, Refusal
from autograder.records.measurement import MeasuredLayer
from tests.project import build
from tests.project.build import Constant, floats, ints, node, packed, scalar

Parts = list[tuple[int, int, int]]


def measured(
    nodes: Sequence[NodeProto], constants: Mapping[str, Constant], kind: str, opset: int = 21
) -> MeasuredLayer:
    return build.layer(build.count(build.between(nodes, constants, opset=opset)), kind)


def parts(layer: MeasuredLayer) -> Parts:
    """(elements, nonzeros, bits), sorted."""
    return sorted((s.elements, s.nonzeros, s.bits) for s in layer.stored)


def widths(layer: MeasuredLayer) -> list[tuple[int, int]]:
    return [(p.weight_bits, p.activation_bits) for p in layer.products]


# ---- decoding ------------------------------------------------------------------------------------

CODES = np.array([0, 1, -1, 2, 3, 0, -2, 1, 0, 5, 0, 3], np.int8).reshape(3, 4)
DECODERS: dict[str, tuple[list[NodeProto], dict[str, Constant]]] = {
    "stored": ([node("Identity", ["w"], ["d"])], {"w": CODES.astype(np.float32)}),
    "cast": ([node("Cast", ["w"], ["d"], to=TensorProto.FLOAT)], {"w": CODES}),
    "scale": ([node("DequantizeLinear", ["w", "s"], ["d"])], {"w": CODES, "s": scalar(0.3)}),
    "zero point": (
        [node("DequantizeLinear", ["w", "s", "z"], ["d"])],
        {"w": CODES, "s": scalar(0.3), "z": np.int8(1)},
    ),
    "per row": (
        [node("DequantizeLinear", ["w", "s", "z"], ["d"], axis=0)],
        {"w": np.tile(CODES, 4), "s": floats(3), "z": np.array([0, 1, 3], np.int8)},
    ),
    "per column": (
        [node("DequantizeLinear", ["w", "s"], ["d"])],
        {"w": np.tile(CODES, (4, 1)), "s": np.array([0, 1, 2, 0], np.float32)},
    ),
    "blocks": (
        [node("DequantizeLinear", ["w", "s", "z"], ["d"], axis=1, block_size=6)],
        {
            "w": np.tile(CODES, 3),
            "s": floats(3, 2),
            "z": np.array([[0, 1], [2, 3], [3, 0]], np.int8),
        },
    ),
    "half": (
        [node("Cast", ["w"], ["h"], to=TensorProto.FLOAT16), node("Cast", ["h"], ["d"], to=1)],
        {"w": np.float32([[0.5, 2.0, 1.0, -0.0]])},
    ),
    "codebook": (
        [node("Cast", ["w"], ["i"], to=TensorProto.INT32), node("Gather", ["b", "i"], ["d"])],
        {"w": np.tile(np.abs(CODES), 9).astype(np.uint8), "b": np.float32([0, 1, 2, 0, 4, 5])},
    ),
    "quantised codebook": (
        [
            node("DequantizeLinear", ["b", "s"], ["e"]),
            node("Gather", ["e", "w"], ["d"]),
        ],
        {
            "w": np.tile(np.abs(CODES), 9).astype(np.int64),
            "b": np.arange(6).astype(np.int8),
            "s": scalar(2),
        },
    ),
    "reshaped": (
        [
            node("Reshape", ["w", "to"], ["r"]),
            node("Transpose", ["r"], ["t"], perm=[1, 0]),
            node("Mul", ["t", "s"], ["d"]),
        ],
        {
            "w": np.tile(CODES, 4).astype(np.float32),
            "to": ints(6, 8),
            "s": np.float32([[1, 0, 1, 0, 1, 1]]),
        },
    ),
}


@pytest.mark.parametrize("name", DECODERS)
def test_zeros_are_those_of_the_reference_evaluator(name: str) -> None:
    """What reaches the operator, computed by ONNX's own evaluator, has as many nonzeros."""
    nodes, constants = DECODERS[name]
    expected = evaluate(nodes, constants, "d")
    network = read(using(nodes), {**constants, **USE})
    decoded = decoding.decoder(network)("d")
    assert decoded.values is not None
    np.testing.assert_array_equal(decoded.values, expected)
    stored = {s.name: s for layer in counting.count(network) for s in layer.stored}
    assert stored["w"].nonzeros == np.count_nonzero(expected)


@pytest.mark.parametrize(
    ("nodes", "constants"),
    [
        (
            [node("Mul", ["w", "s"], ["d"])],
            {"w": np.float32([[1e-30, 1.0, 0.0, 1e30]]), "s": np.float32(1e-30)},
        ),
        (
            [node("Cast", ["w"], ["h"], to=TensorProto.FLOAT16), node("Cast", ["h"], ["d"], to=1)],
            {"w": np.float32([[1e-12, 1e-7, 1.0, -0.0]])},
        ),
    ],
)
def test_what_only_rounding_makes_zero_is_counted(
    nodes: list[NodeProto], constants: dict[str, Constant]
) -> None:
    """The evaluator rounds to zero, and the runtime need not."""
    assert np.count_nonzero(evaluate(nodes, constants, "d")) == 2
    network = read(using(nodes), {**constants, **USE})
    stored = {s.name: s for layer in counting.count(network) for s in layer.stored}
    assert stored["w"].nonzeros == 3


USE: dict[str, Constant] = {"all": ints(1, 2, 3), "flat": ints(-1, 1, 1)}


def using(nodes: Sequence[NodeProto]) -> list[NodeProto]:
    """Multiply the constant d with one number of each image."""
    return [
        *nodes,
        node("ReduceMean", ["x", "all"], ["m"]),
        node("Reshape", ["m", "flat"], ["g"]),
        node("Mul", ["g", "d"], ["y"]),
    ]


def read(nodes: Sequence[NodeProto], constants: Mapping[str, Constant]) -> graph.Network:
    model = build.between(nodes, constants)
    return graph.read(model.SerializeToString(), build.SHAPE, build.CLASSES)


def evaluate(nodes: Sequence[NodeProto], constants: Mapping[str, Constant], name: str) -> Array:
    """A constant as ONNX's reference evaluator computes it."""
    tensors = [build.tensor(name, value) for name, value in constants.items()]
    result = helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
    alone = helper.make_graph(nodes, "constants", [], [result], tensors)
    model = helper.make_model(alone, opset_imports=[helper.make_opsetid("", 21)])
    with np.errstate(all="ignore"):
        return np.asarray(ReferenceEvaluator(model).run(None, {})[0])


@pytest.mark.parametrize(
    ("kind", "values", "nonzeros"),
    [
        (np.float32, [0.0, -0.0, 1e-12, 1e-45, np.nan, 1.0], 4),
        (np.float16, [0.0, -0.0, 6e-8, 1.0], 2),
        (np.float64, [0.0, -0.0, 5e-324], 1),
    ],
)
def test_zero_is_a_bit_pattern(kind: type, values: list[float], nonzeros: int) -> None:
    nodes = [node("Cast", ["w"], ["c"], to=TensorProto.FLOAT), node("Add", ["x", "c"], ["y"])]
    if kind is np.float32:
        nodes = [node("Add", ["x", "w"], ["y"])]
    if kind is np.float64:
        nodes = [
            node("Cast", ["x"], ["x64"], to=TensorProto.DOUBLE),
            node("Add", ["x64", "w"], ["y"]),
        ]
    weight = np.array(values, kind).reshape(-1, 1, 1)
    (stored,) = measured(nodes, {"w": weight}, "Add").stored
    assert (stored.elements, stored.nonzeros) == (len(values), nonzeros)


def test_low_bit_floats_have_a_zero_with_a_sign() -> None:
    weight = packed(TensorProto.FLOAT8E4M3FN, np.array([[[[0.0, -0.0, 1.0]]]]))
    nodes = [node("DequantizeLinear", ["w", "s"], ["d"]), node("Conv", ["x", "d"], ["y"])]
    assert parts(measured(nodes, {"w": weight, "s": scalar(1)}, "Conv"))[1] == (3, 1, 8)


def test_other_arithmetic_on_constants_counts_its_result() -> None:
    """An outer product stores 11 numbers and is counted as 24; a sum stores 24 and counts 3."""
    outer = [node("Mul", ["a", "b"], ["d"]), node("Add", ["x", "d"], ["y"])]
    layer = measured(outer, {"a": floats(3, 1, 1), "b": floats(1, 8, 1)}, "Add")
    assert parts(layer) == [(24, 24, 32)]
    summed = [node("ReduceSum", ["w", "ax"], ["d"]), node("Add", ["x", "d"], ["y"])]
    layer = measured(summed, {"w": floats(3, 8, 1), "ax": ints(1)}, "Add")
    assert parts(layer) == [(3, 3, 32)]


def test_a_product_with_more_than_one_number_per_channel_is_no_scale() -> None:
    """One kernel of 3x3 times a pattern is stored whole: the pattern could hold the weights."""
    nodes = [node("Mul", ["w", "p"], ["d"]), node("Conv", ["x", "d"], ["y"])]
    weight = np.ones((64, 1, 3, 3), np.float32)
    pattern = np.zeros((1, 1, 3, 3), np.float32)
    pattern[..., 1, 1] = 1
    layer = measured(nodes, {"w": weight, "p": pattern}, "Conv")
    assert parts(layer) == [(576, 576, 32)]
    assert [p.nonzero_macs for p in layer.products] == [layer.macs]
    per_channel = np.zeros((64, 1, 1, 1), np.float32)
    per_channel[0] = 1
    layer = measured(nodes, {"w": weight, "p": per_channel}, "Conv")
    assert parts(layer) == [(64, 1, 32), (576, 9, 32)]


def test_zeros_of_a_constant_image_under_a_computed_kernel_are_computed() -> None:
    """Each of them meets every weight of the kernel, at other positions."""
    nodes = [
        node("Slice", ["x", "from", "to", "axes"], ["k"]),
        node("Conv", ["c", "k"], ["o"]),
        node("Transpose", ["o"], ["y"], perm=[1, 0, 2, 3]),
    ]
    image = np.zeros((1, 1, 8, 8), np.float32)
    image[..., 4, 4] = 1
    constants = {"c": image, "from": ints(0, 0), "to": ints(3, 3), "axes": ints(2, 3)}
    (products,) = measured(nodes, constants, "Conv").products
    assert (products.nonzero_macs, products.empty_outputs) == (36 * 9, 0)


def test_quantizing_a_constant_in_the_file_saves_nothing() -> None:
    nodes = [
        node("QuantizeLinear", ["w", "s", "z"], ["q"]),
        node("DequantizeLinear", ["q", "s", "z"], ["d"]),
        node("Conv", ["x", "d"], ["y"]),
    ]
    layer = measured(nodes, {"w": floats(4, 1, 3, 3), "s": scalar(0.1), "z": np.int8(0)}, "Conv")
    assert parts(layer) == [(36, 36, 32)]
    assert widths(layer) == [(32, 32)]


def test_a_cast_to_integers_has_to_keep_every_value() -> None:
    nodes = [
        node("Cast", ["w"], ["i"], to=TensorProto.INT8),
        node("Cast", ["i"], ["d"], to=TensorProto.FLOAT),
        node("Conv", ["x", "d"], ["y"]),
    ]
    whole = measured(nodes, {"w": np.float32([[[[3, 0, -2]]]])}, "Conv")
    assert parts(whole) == [(3, 2, 32)]
    for odd in (256.0, 0.5, np.nan):
        with pytest.raises(Refusal, match="may not change a constant's values"):
            measured(nodes, {"w": np.float32([[[[3, 0, odd]]]])}, "Conv")


# ---- params --------------------------------------------------------------------------------------


def test_equal_copies_are_two_and_a_shared_tensor_is_one() -> None:
    twice = [node("Conv", ["x", "w"], ["a"]), node("Conv", ["x", "v"], ["b"])]
    twice += [node("Add", ["a", "b"], ["y"])]
    weight = floats(2, 1, 3, 3)
    copies = build.count(build.between(twice, {"w": weight, "v": weight.copy()}))
    shared = [node("Conv", ["x", "w"], ["a"]), node("Conv", ["x", "w"], ["b"]), twice[2]]
    one = build.count(build.between(shared, {"w": weight}))
    assert (copies.params, one.params) == (36, 18)
    assert copies.macs == one.macs == 2 * 2 * 36 * 9


def test_constant_nodes_are_stored_too() -> None:
    value = build.tensor("", floats(1, 1, 3, 3))
    nodes = [node("Constant", [], ["w"], value=value), node("Conv", ["x", "w"], ["y"])]
    assert parts(measured(nodes, {}, "Conv")) == [(9, 9, 32)]
    nodes = [node("Constant", [], ["w"], value_floats=[1.0, 0.0]), node("Add", ["x", "v"], ["y"])]
    nodes.insert(1, node("Reshape", ["w", "to"], ["v"]))
    assert parts(measured(nodes, {"to": ints(2, 1, 1)}, "Add")) == [(2, 1, 32)]


def test_shapes_are_free_per_edge_but_not_what_is_added() -> None:
    """The same tensor as a shape and as a summand: the second edge counts."""
    nodes = [
        node("Reshape", ["x", "n"], ["r"]),
        node("Cast", ["n"], ["f"], to=TensorProto.FLOAT),
        node("Add", ["r", "f"], ["y"]),
    ]
    layer = measured(nodes, {"n": ints(-1, 2, 8, 4)}, "Add")
    assert parts(layer) == [(4, 4, 64)]


def test_batch_norm_is_a_scale_and_a_shift_for_each_channel() -> None:
    nodes = [
        node("SpaceToDepth", ["x"], ["d"], blocksize=2),
        node("BatchNormalization", ["d", "g", "b", "m", "v"], ["y"]),
    ]
    gamma, beta, mean = np.float32([1, 0, 2, 0]), np.float32([0, 0, 3, 1]), np.zeros(4, np.float32)
    constants = {"g": gamma, "b": beta, "m": mean, "v": np.ones(4, np.float32)}
    assert parts(measured(nodes, constants, "BatchNormalization")) == [(8, 4, 32)]


def test_batch_norm_takes_no_statistics_of_the_image() -> None:
    nodes = [
        node("SpaceToDepth", ["x"], ["d"], blocksize=8),
        node("Flatten", ["d"], ["f"]),
        node("Transpose", ["f"], ["t"]),
        node("ReduceMean", ["t", "zero"], ["m"], keepdims=0),
        node("BatchNormalization", ["t", "m", "m", "m", "m"], ["u"]),
        node("Transpose", ["u"], ["y"]),
    ]
    with pytest.raises(Refusal, match="have to be constants"):
        measured(nodes, {"zero": ints(0)}, "BatchNormalization")


def test_zero_points_count_if_they_are_not_zero() -> None:
    nodes = [node("DequantizeLinear", ["w", "s", "z"], ["d"]), node("Conv", ["x", "d"], ["y"])]
    weight = np.full((1, 1, 3, 3), 7, np.uint8)
    weight[0, 0, 0] = 5
    constants = {"w": weight, "s": scalar(0.1)}
    assert parts(measured(nodes, {**constants, "z": np.uint8(0)}, "Conv")) == [
        (1, 1, 32),
        (9, 9, 8),
    ]
    with_offset = parts(measured(nodes, {**constants, "z": np.uint8(5)}, "Conv"))
    assert with_offset == [(1, 1, 8), (1, 1, 32), (9, 6, 8)]


@pytest.mark.parametrize("kind", ["QLinearConv", "ConvInteger", "QLinearMatMul", "MatMulInteger"])
def test_integer_operators_subtract_the_zero_point_before_zeros_are_counted(kind: str) -> None:
    """Codes 0 and 5 with zero point 5: it is the fives that are zero."""
    shape = (1, 1, 2, 2) if "Conv" in kind else (8, 2)
    weight = np.zeros(shape, np.uint8)
    weight.reshape(-1)[0] = 5
    constants: dict[str, Constant] = {"w": weight, "zero": np.uint8(0), "five": np.uint8(5)}
    if kind.startswith("QLinear"):
        rest = ["s", "five", "s", "zero"]
        nodes = [
            node("QuantizeLinear", ["x", "s", "zero"], ["q"]),
            node(kind, ["q", "s", "zero", "w", *rest], ["y"]),
        ]
        constants["s"] = scalar(1)
    else:
        nodes = [node(kind, ["image", "w", "zero", "five"], ["y"])]
    layer = measured(nodes, constants, kind)
    elements = weight.size
    assert (elements, elements - 1, 8) in parts(layer)
    assert (1, 1, 8) in parts(layer)  # the zero point; the other one is zero and no parameter
    sums = 49 if "Conv" in kind else 16
    nonzero = 3 * 49 if "Conv" in kind else 15 * 8
    assert [(p.outputs, p.nonzero_macs) for p in layer.products] == [(sums, nonzero)]


def test_a_tensor_that_is_decoded_in_two_ways_keeps_what_either_needs() -> None:
    """Left half for one convolution, right half for the other: nothing may be left out."""
    nodes = [
        node("Mul", ["w", "left"], ["a"]),
        node("Mul", ["w", "right"], ["b"]),
        node("Conv", ["x", "a"], ["p"]),
        node("Conv", ["x", "b"], ["q"]),
        node("Add", ["p", "q"], ["y"]),
    ]
    left = np.float32([1] * 8 + [0] * 8).reshape(16, 1, 1, 1)
    constants = {"w": floats(16, 1, 3, 3), "left": left, "right": left[::-1].copy()}
    actual = build.count(build.between(nodes, constants))
    weight = next(s for s in actual.layers[1].stored if s.elements == 144)
    assert weight.nonzeros == 144
    same = [node("Mul", ["w", "left"], ["b"]) if n.output[0] == "b" else n for n in nodes]
    actual = build.count(build.between(same, {k: constants[k] for k in ("w", "left")}))
    assert next(s for s in actual.layers[1].stored if s.elements == 144).nonzeros == 72


# ---- bits ----------------------------------------------------------------------------------------


def codebook(entries: int, weights: int, kind: type = np.uint8) -> MeasuredLayer:
    index = (np.arange(weights) % entries).astype(kind).reshape(-1, 1, 1, 1)
    nodes = [
        node("Cast", ["i"], ["c"], to=TensorProto.INT32),
        node("Gather", ["b", "c"], ["w"]),
        node("Conv", ["x", "w"], ["y"]),
    ]
    return measured(nodes, {"i": index, "b": floats(entries)}, "Conv")


def test_codebook() -> None:
    assert parts(codebook(4, 16)) == [(4, 4, 32), (16, 16, 8)]
    assert widths(codebook(4, 16)) == [(8, 32)]
    assert parts(codebook(5, 16)) == [(5, 5, 32), (16, 16, 32)]  # more than a quarter
    assert widths(codebook(5, 16)) == [(32, 32)]
    assert widths(codebook(2, 16, np.bool_)) == [(1, 32)]


def test_an_index_that_stands_for_several_weights_is_not_their_width() -> None:
    """One bit chooses one of two rows of 72 numbers: 144 values take 8 bits to tell apart."""
    nodes = [
        node("Cast", ["i"], ["c"], to=TensorProto.INT32),
        node("Gather", ["b", "c"], ["rows"]),
        node("Reshape", ["rows", "to"], ["w"]),
        node("Conv", ["x", "w"], ["y"]),
    ]
    constants = {
        "i": np.array([0, 1, 1, 0, 1, 0, 1, 0], bool),
        "b": floats(2, 72),
        "to": ints(64, 1, 3, 3),
    }
    layer = measured(nodes, constants, "Conv")
    assert parts(layer) == [(8, 8, 1), (144, 144, 32)]
    assert widths(layer) == [(8, 32)]


@pytest.mark.parametrize(("block", "bits"), [(9, 8), (4, 8), (3, 32), (1, 32)])
def test_scales_that_could_hold_the_values_are_the_width(block: int, bits: int) -> None:
    """Scales for at most a quarter of the elements are scales, more are the weights."""
    size = 36
    nodes = [
        node("DequantizeLinear", ["w", "s"], ["d"], axis=1, block_size=block),
        node("Reshape", ["d", "to"], ["k"]),
        node("Conv", ["x", "k"], ["y"]),
    ]
    constants = {
        "w": np.ones((1, size), np.int8),
        "s": floats(1, size // block),
        "to": ints(4, 1, 3, 3),
    }
    layer = measured(nodes, constants, "Conv")
    assert widths(layer) == [(bits, 32)]
    assert parts(layer) == sorted([(size, size, bits), (size // block, size // block, 32)])


INT4, UINT4 = TensorProto.INT4, TensorProto.UINT4
ROWS = (np.arange(16 * 32) % 15 - 7).reshape(16, 32)
FEW_BITS: dict[str, tuple[list[NodeProto], dict[str, Constant]]] = {
    "per tensor": (
        [node("DequantizeLinear", ["w", "s", "z"], ["d"])],
        {"w": packed(UINT4, ROWS + 7), "s": scalar(0.1), "z": packed(UINT4, 8)},
    ),
    "per channel": (
        [node("DequantizeLinear", ["w", "s", "z"], ["d"], axis=0)],
        {"w": packed(INT4, ROWS), "s": floats(16), "z": packed(INT4, [1] * 16)},
    ),
    "a quarter": (  # four weights for each channel
        [node("DequantizeLinear", ["w", "s"], ["d"], axis=0)],
        {"w": packed(INT4, ROWS.reshape(128, 4)), "s": floats(128)},
    ),
    "per channel, by a product": (
        [node("Cast", ["w"], ["c"], to=TensorProto.FLOAT), node("Mul", ["c", "s"], ["d"])],
        {"w": packed(INT4, ROWS), "s": floats(16, 1)},
    ),
    "blocks": (
        [node("DequantizeLinear", ["w", "s", "z"], ["d"], axis=1, block_size=8)],
        {"w": packed(INT4, ROWS), "s": floats(16, 4), "z": packed(INT4, np.ones((16, 4)))},
    ),
    "quantised scales": (
        [
            node("DequantizeLinear", ["codes", "s"], ["scales"]),
            node("DequantizeLinear", ["w", "scales", "z"], ["d"], axis=1, block_size=8),
        ],
        {
            "w": packed(INT4, ROWS),
            "codes": np.ones((16, 4), np.int8),
            "s": scalar(0.1),
            "z": packed(INT4, np.ones((16, 4))),
        },
    ),
    "codebook": (
        [node("Cast", ["w"], ["c"], to=TensorProto.INT32), node("Gather", ["b", "c"], ["d"])],
        {"w": packed(UINT4, ROWS + 7), "b": floats(15)},
    ),
    "a large codebook of few bits": (  # more than a quarter: as wide as the widest of both
        [
            node("DequantizeLinear", ["b", "s"], ["book"]),
            node("Cast", ["w"], ["c"], to=TensorProto.INT32),
            node("Gather", ["book", "c"], ["e"]),
            node("Mul", ["e", "s"], ["d"]),
        ],
        {
            "w": packed(UINT4, np.arange(64) % 15),
            "b": packed(INT4, np.arange(17) % 15 - 7),
            "s": scalar(0.1),
        },
    ),
}


@pytest.mark.parametrize("name", FEW_BITS)
def test_weights_of_few_bits_are_as_wide_as_their_codes(name: str) -> None:
    nodes, constants = FEW_BITS[name]
    last = [node("Flatten", ["x"], ["f"]), *nodes, node("Reshape", ["d", "rows"], ["m"])]
    last += [node("MatMul", ["f", "m"], ["y"])]
    layer = measured(last, {**constants, "rows": ints(64, -1)}, "MatMul")
    assert widths(layer) == [(4, 32)]
    assert next(stored.bits for stored in layer.stored if stored.name == "w") == 4


def activation(
    nodes: Sequence[NodeProto], constants: Mapping[str, Constant], opset: int = 25
) -> int:
    """Width at the input of a convolution behind `nodes`, which make `a`."""
    last = [*nodes, node("Conv", ["a", "w"], ["y"])]
    ((_, bits),) = widths(measured(last, {"w": floats(1, 1, 1, 1), **constants}, "Conv", opset))
    return bits


PAIR = [
    node("QuantizeLinear", ["x", "s", "z"], ["q"]),
    node("DequantizeLinear", ["q", "s", "z"], ["p"]),
]
FOUR = {"s": scalar(0.5), "z": packed(TensorProto.UINT4, 0)}
TWO = {"s": scalar(0.5), "z": packed(TensorProto.UINT2, 0)}
CARRIED: dict[str, tuple[list[NodeProto], dict[str, Constant]]] = {
    "Reshape": ([node("Reshape", ["p", "to"], ["a"])], {"to": ints(0, 1, 4, 16)}),
    "Transpose": ([node("Transpose", ["p"], ["a"], perm=[0, 1, 3, 2])], {}),
    "Squeeze": (
        [
            node("Squeeze", ["p", "one"], ["b"]),
            node("Unsqueeze", ["b", "one"], ["a"]),
        ],
        {"one": ints(1)},
    ),
    "Flatten": (
        [node("Flatten", ["p"], ["b"]), node("Reshape", ["b", "to"], ["a"])],
        {"to": ints(0, 1, 4, 16)},
    ),
    "Slice": (
        [node("Slice", ["p", "from", "to", "ax"], ["a"])],
        {"from": ints(1), "to": ints(7), "ax": ints(2)},
    ),
    "MaxPool": ([node("MaxPool", ["p"], ["a"], kernel_shape=[2, 2])], {}),
    "Concat": ([node("Concat", ["p", "p"], ["a"], axis=2)], {}),
}


@pytest.mark.parametrize("name", CARRIED)
def test_bits_of_a_pair_are_carried(name: str) -> None:
    nodes, constants = CARRIED[name]
    assert activation([*PAIR, *nodes], {**FOUR, **constants}) == 4
    assert activation([*PAIR, *nodes], {**TWO, **constants}) == 2


WIDE: dict[str, tuple[list[NodeProto], dict[str, Constant]]] = {
    "sum": ([*PAIR, node("Add", ["p", "p"], ["a"])], FOUR),
    "activation": ([*PAIR, node("Relu", ["p"], ["a"])], FOUR),
    "average": ([*PAIR, node("AveragePool", ["p"], ["a"], kernel_shape=[2, 2])], FOUR),
    "concatenation with a float": ([*PAIR, node("Concat", ["p", "x"], ["a"], axis=2)], FOUR),
    "several scales": (
        [
            node("QuantizeLinear", ["x", "s", "z"], ["q"], axis=2),
            node("DequantizeLinear", ["q", "s", "z"], ["a"], axis=2),
        ],
        {"s": floats(8), "z": packed(TensorProto.UINT4, [0] * 8)},
    ),
    "a scale of the image": (
        [
            node("QuantizeLinear", ["x", "s", "z"], ["q"]),
            node("Transpose", ["q"], ["t"], perm=[1, 0, 2, 3]),
            node("ReduceMax", ["x", "all"], ["m"], keepdims=0),
            node("DequantizeLinear", ["t", "m"], ["d"], axis=1),
            node("Transpose", ["d"], ["a"], perm=[1, 0, 2, 3]),
        ],
        {**FOUR, "all": ints(1, 2, 3)},
    ),
}


@pytest.mark.parametrize("name", WIDE)
def test_other_tensors_have_their_own_type(name: str) -> None:
    nodes, constants = WIDE[name]
    assert activation(nodes, constants) == 32


def test_the_image_itself_has_eight_bits() -> None:
    nodes = [node("DequantizeLinear", ["image", "s"], ["a"])]
    assert activation(nodes, {"s": scalar(1)}) == 8
    assert activation([node("Identity", ["x"], ["a"])], {}) == 32


# ---- operations ----------------------------------------------------------------------------------

TABLES: dict[str, tuple[list[NodeProto], dict[str, Constant], int, int]] = {
    "per channel": ([node("Mul", ["d", "c"], ["y"])], {"c": floats(4, 1, 1)}, 0, 64),
    "a column": ([node("Mul", ["d", "c"], ["y"])], {"c": floats(4)}, 0, 64),
    "full size": ([node("Mul", ["d", "c"], ["y"])], {"c": floats(4, 4, 4)}, 64, 0),
    "a map": ([node("Div", ["d", "c"], ["y"])], {"c": floats(4, 4)}, 64, 0),
    "flattened": (
        [node("Flatten", ["d"], ["f"]), node("Mul", ["c", "f"], ["y"])],
        {"c": floats(64)},
        64,
        0,
    ),
    "slopes": ([node("PRelu", ["d", "c"], ["y"])], {"c": floats(4, 4, 4)}, 64, 0),
    "powers": ([node("Pow", ["d", "c"], ["y"])], {"c": floats(4, 4, 4)}, 64, 3 * 64),
    "layer norm": (
        [node("LayerNormalization", ["d", "c"], ["y"], axis=1)],
        {"c": floats(4, 4, 4)},
        64,
        4 * 64,
    ),
    "scales over the batch": (
        [
            node("QuantizeLinear", ["d", "one", "zero"], ["q"]),
            node("DequantizeLinear", ["q", "c"], ["y"], axis=0, block_size=1000),
        ],
        {"c": floats(1, 4, 4, 4), "one": scalar(1), "zero": np.int8(0)},
        64,
        0,
    ),
    "batch norm": (
        [node("BatchNormalization", ["d", "c", "c", "c", "c"], ["y"])],
        {"c": floats(4)},
        0,
        2 * 64,
    ),
    "batch norm of features": (
        [
            node("Flatten", ["d"], ["f"]),
            node("BatchNormalization", ["f", "c", "c", "c", "c"], ["y"]),
        ],
        {"c": floats(64)},
        0,
        2 * 64,
    ),
    "padded": (
        [node("Pad", ["d", "pads"], ["p"]), node("Mul", ["p", "c"], ["y"])],
        {"c": floats(4, 1, 1), "pads": ints(0, 0, 0, 0, 0, 0, 1, 1)},
        0,
        100,
    ),
    "beside something else": (
        [
            node("Neg", ["d"], ["n"]),
            node("Concat", ["d", "n"], ["b"], axis=1),
            node("Mul", ["b", "c"], ["y"]),
        ],
        {"c": floats(8, 1, 1)},
        0,
        128,
    ),
    "one number": (
        [node("Concat", ["d"] * 4, ["b"], axis=1), node("Mul", ["b", "c"], ["y"])],
        {"c": floats(1)},
        0,
        256,
    ),
    "an outer product": (
        [node("Reshape", ["d", "row"], ["r"]), node("Mul", ["r", "c"], ["y"])],
        {"row": ints(-1, 1, 64), "c": floats(10, 1)},
        640,
        0,
    ),
    "added": ([node("Add", ["d", "c"], ["y"])], {"c": floats(4, 4, 4)}, 0, 64),
}


@pytest.mark.parametrize("name", TABLES)
def test_products_with_a_table_are_multiply_accumulates(name: str) -> None:
    nodes, constants, macs, ops = TABLES[name]
    before = [node("SpaceToDepth", ["x"], ["d"], blocksize=2)]
    layer = measured([*before, *nodes], constants, nodes[-1].op_type)
    assert (layer.macs, layer.ops) == (macs, ops)


def test_other_operations_beyond_a_quarter_are_charged() -> None:
    plain = build.count(build.between([node("Relu", ["x"], ["y"])]))
    assert plain.macs == 0
    assert plain.ops == 64 + 64  # and the tail's mean
    assert plain.excess_macs == plain.ops
    nodes = [node("Conv", ["x", "w"], ["c"], pads=[1] * 4), node("Relu", ["c"], ["y"])]
    conv = build.count(build.between(nodes, {"w": floats(1, 1, 3, 3)}))
    assert (conv.macs, conv.ops, conv.excess_macs) == (576, 128, 0)
    nodes += [node("Exp", ["y"], ["z"])]
    more = build.count(build.between(nodes, {"w": floats(1, 1, 3, 3)}, result="z"))
    assert (more.ops, more.excess_macs) == (128 + 256, 384 - 576 // 4)


@pytest.mark.parametrize("opset", range(18, 26))
def test_every_opset_reads_alike(opset: int) -> None:
    nodes = [node("Conv", ["x", "w"], ["c"]), node("Relu", ["c"], ["y"])]
    assert build.count(build.between(nodes, {"w": floats(2, 1, 3, 3)}, opset=opset)).macs == 648


@pytest.mark.parametrize("opset", range(13, 18))
def test_older_opsets_have_axes_as_attributes(opset: int) -> None:
    nodes = [
        *build.front(),
        node("ReduceMean", ["x"], ["m"], axes=[1, 2, 3], keepdims=0),
        node("Reshape", ["m", "to"], ["r"]),
        node("Concat", ["r"] * 10, ["logits"], axis=1),
    ]
    model = build.assemble(nodes, {"to": ints(-1, 1)}, opset=opset)
    assert build.count(model).ops == 64


def test_the_cap_on_other_operations_is_named() -> None:
    """Work that takes minutes for an image, with few products or none."""
    nodes = [
        node("GlobalAveragePool", ["x"], ["g"]),
        node("Expand", ["g", "to"], ["e0"]),
        *(node("Exp", [f"e{i}"], [f"e{i + 1}"]) for i in range(2)),
    ]
    words = "603,979,840 other operations are more than 500,000,000 for one image.* node 3 'e1'"
    with pytest.raises(Refusal, match=words):
        build.count(build.between(nodes, {"to": ints(1, 1, 1 << 13, 1 << 13)}, result="e2"))


def test_the_cap_on_multiply_accumulates_is_named() -> None:
    nodes = [
        node("Expand", ["x", "to"], ["e"]),
        node("Conv", ["e", "w"], ["y"], pads=[3] * 4),
    ]
    constants = {"to": ints(1, 64, 256, 256), "w": floats(10, 64, 7, 7)}
    model = build.between(
        [node("Slice", ["x", "a", "b", "ax"], ["s"]), node("Expand", ["s", "to"], ["e"]), nodes[1]],
        {**constants, "a": ints(0, 0), "b": ints(1, 1), "ax": ints(2, 3)},
    )
    expected = f"{10 * 64 * 49 * 256 * 256:,} multiply-accumulates are more than 2,000,000,000"
    with pytest.raises(Refusal, match=expected):
        build.count(model)
