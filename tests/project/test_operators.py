"""Every operator of the graph language: what it stores and computes, by hand; that it runs."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnxruntime
import pytest
from onnx import NodeProto, TensorProto

from autograder.project import inference, rules
from tests.project import build
from tests.project.build import Constant, floats, ints, node, packed, scalar


@dataclass(frozen=True)
class Case:
    """An operator on x (N, 1, 8, 8), and what it should cost for one image.

    `stored` are (elements, nonzeros, bits) of its constants in any order.
    """

    nodes: Sequence[NodeProto]
    constants: Mapping[str, Constant] = field(default_factory=dict)
    macs: int = 0
    ops: int = 0
    stored: Sequence[tuple[int, int, int]] = ()
    shape: Sequence[int] = (1, 8, 8)
    opset: int = 21


def simple(kind: str, ops: int = 64, **attributes: Any) -> Case:
    """One operator of one input without constants."""
    return Case([node(kind, ["x"], ["y"], **attributes)], ops=ops)


def binary(kind: str, ops: int = 64) -> Case:
    """One operator of the image and one number."""
    return Case([node(kind, ["x", "c"], ["y"])], {"c": scalar(2)}, ops=ops, stored=[(1, 1, 32)])


def reduction(kind: str) -> Case:
    nodes = [node(kind, ["x", "axes"], ["y"], keepdims=0)]
    return Case(nodes, {"axes": ints(2, 3)}, ops=64)


ROWS = [node("Reshape", ["x", "rows"], ["r"])]
"""x as r (N, 8, 8)."""

CASES: dict[str, Case] = {
    # products: outputs x products in each, padding counted
    "Conv": Case(
        [node("Conv", ["x", "w", "b"], ["y"], kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)],
        {"w": floats(4, 1, 3, 3), "b": floats(4)},
        macs=4 * 4 * 4 * 9,
        ops=4 * 4 * 4,
        stored=[(36, 36, 32), (4, 4, 32)],
    ),
    "ConvTranspose": Case(
        [node("ConvTranspose", ["x", "w"], ["y"], strides=[2, 2])],
        {"w": floats(1, 5, 2, 2)},
        macs=64 * 5 * 4,
        stored=[(20, 20, 32)],
    ),
    "Gemm": Case(
        [node("Flatten", ["x"], ["f"]), node("Gemm", ["f", "w", "b"], ["y"], transB=1)],
        {"w": floats(7, 64), "b": floats(7)},
        macs=7 * 64,
        ops=7,
        stored=[(448, 448, 32), (7, 7, 32)],
    ),
    "MatMul": Case(
        [node("MatMul", ["x", "w"], ["y"])],
        {"w": floats(8, 3)},
        macs=8 * 8 * 3,
        stored=[(24, 24, 32)],
    ),
    "Einsum": Case(
        [node("Einsum", ["x", "w"], ["y"], equation="nchw,hk->nck")],
        {"w": floats(8, 3)},
        macs=3 * 8 * 8,
        stored=[(24, 24, 32)],
    ),
    "QLinearConv": Case(
        [
            node("QuantizeLinear", ["x", "s", "z"], ["q"]),
            node("QLinearConv", ["q", "s", "z", "w", "s", "wz", "s", "z"], ["y"]),
        ],
        {
            "s": scalar(0.1),
            "z": np.uint8(3),
            "w": np.full((2, 1, 3, 3), 2, np.int8),
            "wz": np.int8(0),
        },
        macs=2 * 36 * 9,
        ops=2 * 36,
        stored=[(18, 18, 8)],
    ),
    "ConvInteger": Case(
        [node("ConvInteger", ["image", "w"], ["y"])],
        {"w": np.full((2, 1, 3, 3), 2, np.uint8)},
        macs=2 * 36 * 9,
        stored=[(18, 18, 8)],
    ),
    "QLinearMatMul": Case(
        [
            node("QuantizeLinear", ["x", "s", "z"], ["q"]),
            node("QLinearMatMul", ["q", "s", "z", "w", "s", "z", "s", "z"], ["y"]),
        ],
        {"s": scalar(0.1), "z": np.uint8(0), "w": np.full((8, 2), 2, np.uint8)},
        macs=8 * 2 * 8,
        ops=16,
        stored=[(16, 16, 8)],
    ),
    "MatMulInteger": Case(
        [node("MatMulInteger", ["image", "w"], ["y"])],
        {"w": np.full((8, 2), 2, np.uint8)},
        macs=8 * 2 * 8,
        stored=[(16, 16, 8)],
    ),
    "Attention": Case(
        [*ROWS, node("Attention", ["r"] * 3, ["y"], q_num_heads=2, kv_num_heads=2)],
        {"rows": ints(0, 8, 8)},
        macs=2 * (2 * 8 * 8 * 4),
        ops=8 * (2 * 8 * 8),
        opset=23,
    ),
    # data that only moves
    "Reshape": Case([node("Reshape", ["x", "to"], ["y"])], {"to": ints(0, -1)}),
    "Flatten": simple("Flatten", 0),
    "Transpose": simple("Transpose", 0, perm=[0, 2, 3, 1]),
    "Squeeze": Case([node("Squeeze", ["x", "axes"], ["y"])], {"axes": ints(1)}),
    "Unsqueeze": Case([node("Unsqueeze", ["x", "axes"], ["y"])], {"axes": ints(1)}),
    "Concat": Case([node("Concat", ["x", "x"], ["y"], axis=1)]),
    "Split": Case(
        [node("Split", ["x", "parts"], ["a", "b"], axis=2), node("Add", ["a", "b"], ["y"])],
        {"parts": ints(4, 4)},
    ),
    "Slice": Case(
        [node("Slice", ["x", "from", "to", "axes"], ["y"])],
        {"from": ints(1), "to": ints(7), "axes": ints(2)},
    ),
    "Pad": Case([node("Pad", ["x", "pads"], ["y"])], {"pads": ints(0, 0, 1, 1, 0, 0, 1, 1)}),
    "Identity": simple("Identity", 0),
    "Cast": simple("Cast", 0, to=TensorProto.FLOAT16),
    "Expand": Case([node("Expand", ["x", "to"], ["y"])], {"to": ints(1, 3, 1, 1)}),
    "DepthToSpace": Case(
        [
            node("SpaceToDepth", ["x"], ["d"], blocksize=2),
            node("DepthToSpace", ["d"], ["y"], blocksize=2),
        ]
    ),
    "SpaceToDepth": simple("SpaceToDepth", 0, blocksize=2),
    # one operation per output
    **{kind: binary(kind) for kind in ("Add", "Sub", "Mul", "Div", "Min", "Max")},
    **{
        kind: binary(kind) for kind in ("Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual")
    },
    **{
        kind: simple(kind)
        for kind in (
            "Neg",
            "Abs",
            "Relu",
            "LeakyRelu",
            "Sqrt",
            "Reciprocal",
            "Floor",
            "Ceil",
            "Round",
            "Sign",
            "HardSigmoid",
        )
    },
    "PRelu": Case(
        [node("PRelu", ["x", "c"], ["y"])], {"c": floats(1)}, ops=64, stored=[(1, 1, 32)]
    ),
    "Clip": Case(
        [node("Clip", ["x", "low", "high"], ["y"])],
        {"low": scalar(0), "high": scalar(6)},
        ops=64,
        stored=[(1, 0, 32), (1, 1, 32)],
    ),
    "QuantizeLinear": Case(
        [node("QuantizeLinear", ["x", "s", "z"], ["y"])],
        {"s": scalar(0.5), "z": np.uint8(3)},
        ops=64,
        stored=[(1, 1, 32), (1, 1, 8)],
    ),
    "DequantizeLinear": Case(
        [node("DequantizeLinear", ["image", "s", "z"], ["y"])],
        {"s": scalar(0.5), "z": np.uint8(0)},
        ops=64,
        stored=[(1, 1, 32)],
    ),
    "Gather": Case(
        [node("Cast", ["image"], ["i"], to=TensorProto.INT32), node("Gather", ["t", "i"], ["y"])],
        {"t": floats(256)},
        ops=64,
        stored=[(256, 256, 32)],
    ),
    # more than one
    "HardSwish": simple("HardSwish", 2 * 64),
    "BatchNormalization": Case(
        [node("BatchNormalization", ["x", "g", "b", "m", "v"], ["y"])],
        {name: floats(1, seed=i) for i, name in enumerate("gbmv")},
        ops=2 * 64,
        stored=[(2, 2, 32)],
    ),
    **{
        kind: simple(kind, 4 * 64)
        for kind in ("Exp", "Log", "Tanh", "Erf", "Sigmoid", "Elu", "Softplus")
    },
    "Gelu": simple("Gelu", 4 * 64),
    "Mish": simple("Mish", 9 * 64),
    "Pow": binary("Pow", 4 * 64),
    "Softmax": simple("Softmax", 5 * 64, axis=3),
    "LogSoftmax": simple("LogSoftmax", 5 * 64, axis=3),
    "LayerNormalization": Case(
        [node("LayerNormalization", ["x", "g", "b"], ["y"], axis=3)],
        {"g": floats(8), "b": floats(8)},
        ops=5 * 64,
        stored=[(8, 8, 32), (8, 8, 32)],
    ),
    # windows and reductions
    "MaxPool": simple("MaxPool", 9 * 16, kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4),
    "AveragePool": simple("AveragePool", 9 * 36, kernel_shape=[3, 3]),
    "GlobalAveragePool": simple("GlobalAveragePool"),
    "GlobalMaxPool": simple("GlobalMaxPool"),
    **{kind: reduction(kind) for kind in ("ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin")},
}


def build_case(case: Case) -> Any:
    return build.between(case.nodes, case.constants, shape=case.shape, opset=case.opset)


def test_every_operator_has_a_case() -> None:
    assert set(CASES) == rules.ALLOWED - {"Constant"}


@pytest.mark.parametrize("kind", CASES)
def test_cost_of_an_operator(kind: str) -> None:
    case = CASES[kind]
    actual = build.layer(build.count(build_case(case), case.shape), kind)
    assert (actual.macs, actual.ops) == (case.macs, case.ops)
    parts = sorted((s.elements, s.nonzeros, s.bits) for s in actual.stored)
    assert parts == sorted(case.stored)


@pytest.mark.parametrize("kind", CASES)
def test_every_operator_runs_for_any_batch(kind: str) -> None:
    case = CASES[kind]
    session = inference.session(build_case(case).SerializeToString())
    images = np.random.default_rng(1).integers(1, 17, (5, *case.shape), np.uint8)
    together = inference.logits(session, images, 5)
    assert together.shape == (5, 10)
    assert together.dtype == np.float32
    np.testing.assert_allclose(inference.logits(session, images, 1), together, rtol=1e-5, atol=1e-5)


def test_the_runtime_is_not_allowed_to_optimize() -> None:
    options = inference.session(build_case(CASES["Relu"]).SerializeToString()).get_session_options()
    assert options.graph_optimization_level == onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (1, 1)


# ---- products against loops ----------------------------------------------------------------------


def loops(
    size: int,
    inputs: int,
    outputs: int,
    kernel: int,
    stride: int,
    pad: int,
    dilation: int,
    groups: int,
) -> int:
    """MACs of a square convolution: every product of every position, one by one."""
    macs = 0
    reach = dilation * (kernel - 1)
    for _channel in range(outputs):
        for _top, _left in itertools.product(range(-pad, size + pad - reach, stride), repeat=2):
            macs += sum(1 for _ in range(inputs // groups * kernel * kernel))
    return macs


@pytest.mark.parametrize(
    ("kernel", "stride", "pad", "dilation", "groups"),
    [
        (1, 1, 0, 1, 1),
        (3, 1, 1, 1, 1),
        (3, 2, 1, 1, 2),
        (5, 3, 2, 1, 4),
        (3, 1, 2, 2, 4),
        (2, 2, 0, 1, 1),
    ],
)
def test_macs_of_convolutions_are_those_of_loops(
    kernel: int, stride: int, pad: int, dilation: int, groups: int
) -> None:
    nodes = [
        node("SpaceToDepth", ["x"], ["d"], blocksize=2),  # 4 channels of 4x4
        node(
            "Conv",
            ["d", "w"],
            ["y"],
            strides=[stride] * 2,
            pads=[pad] * 4,
            dilations=[dilation] * 2,
            group=groups,
        ),
    ]
    model = build.between(nodes, {"w": floats(8, 4 // groups, kernel, kernel)})
    actual = build.layer(build.count(model), "Conv")
    assert actual.macs == loops(4, 4, 8, kernel, stride, pad, dilation, groups)


@pytest.mark.parametrize(
    ("equation", "weight", "macs"),
    [
        ("nchw,kc->nkhw", (5, 1), 5 * 64),
        ("nchw,hk->nk", (8, 3), 3 * 64),
        ("nchw,nchw->nchw", None, 64),
        ("nchw,nchk->nchwk", None, 512),
        ("nchw, hw -> n", (8, 8), 64),
        ("nchw,kw->nchk", (3, 1), 3 * 64),  # an extent of 1 is repeated
    ],
)
def test_macs_of_einsum(equation: str, weight: tuple[int, ...] | None, macs: int) -> None:
    constants = {} if weight is None else {"w": floats(*weight)}
    nodes = [node("Einsum", ["x", "x" if weight is None else "w"], ["y"], equation=equation)]
    if equation.endswith("n"):
        nodes += [node("Unsqueeze", ["y", "last"], ["z"])]
    model = build.between(nodes, constants, result=nodes[-1].output[0])
    assert build.layer(build.count(model), "Einsum").macs == macs


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("kind", ["MatMul", "Gemm", "GemmT"])
def test_products_with_zeros_are_left_out_on_either_side(kind: str, side: str) -> None:
    """Against a loop over all products of a matrix and an 8x8 image."""
    weight = floats(8, 3) if side == "right" else floats(3, 8)
    weight[np.random.default_rng(3).random(weight.shape) < 0.5] = 0
    weight[:, 0] = 0
    weight[1] = 0
    rows = weight.T if side == "right" else weight  # one row a sum
    products = sum(int(w != 0) for row in rows for w in row) * 8
    empty = sum(not row.any() for row in rows) * 8
    if kind == "MatMul":
        nodes = [node("MatMul", ["x", "w"] if side == "right" else ["w", "x"], ["y"])]
        model = build.between(nodes, {"w": weight})
        actual = build.layer(build.count(model), "MatMul").products
        assert [(p.nonzero_macs, p.empty_outputs, p.macs) for p in actual] == [
            (products, empty, 8 * 8 * 3)
        ]
        return
    if side == "left":
        pytest.skip("a left factor of Gemm has no batch axis to grow with")
    flat = [node("Reshape", ["x", "rows"], ["r"])]
    transposed = int(kind == "GemmT")
    nodes = [*flat, node("Gemm", ["r", "w"], ["g"], transB=transposed)]
    nodes += [node("Reshape", ["g", "back"], ["y"])]
    model = build.between(
        nodes,
        {
            "w": weight.T.copy() if transposed else weight,
            "rows": ints(-1, 8),
            "back": ints(-1, 8, 3),
        },
    )
    actual = build.layer(build.count(model), "Gemm").products
    assert [(p.nonzero_macs, p.empty_outputs) for p in actual] == [(products, empty)]


def test_grouped_attention_counts_its_own_heads() -> None:
    nodes = [
        *ROWS,
        node("MatMul", ["r", "w"], ["kv"]),
        node("Attention", ["r", "kv", "kv"], ["y"], q_num_heads=4, kv_num_heads=2),
    ]
    model = build.between(nodes, {"rows": ints(0, 8, 8), "w": floats(8, 4)}, opset=23)
    actual = build.layer(build.count(model), "Attention")
    assert [p.macs for p in actual.products] == [4 * 8 * 8 * 2, 4 * 8 * 8 * 2]


# ---- low-bit types -------------------------------------------------------------------------------

TYPES = {
    "INT2": (2, 25),
    "UINT2": (2, 25),
    "INT4": (4, 21),
    "UINT4": (4, 21),
    "INT8": (8, 21),
    "UINT8": (8, 21),
    "FLOAT8E4M3FN": (8, 21),
    "FLOAT8E5M2": (8, 21),
    "INT16": (16, 21),
    "UINT16": (16, 21),
    "INT32": (32, 21),
}


@pytest.mark.parametrize("name", TYPES)
def test_weights_behind_dequantize_linear_have_their_stored_type(name: str) -> None:
    bits, opset = TYPES[name]
    values = np.ones((4, 1, 3, 3))
    values[0, 0, 0] = 0
    nodes = [
        node("DequantizeLinear", ["w", "s"], ["d"]),
        node("Conv", ["x", "d"], ["y"]),
    ]
    weight = packed(getattr(TensorProto, name), values)
    model = build.between(nodes, {"w": weight, "s": scalar(0.1)}, opset=opset)
    actual = build.layer(build.count(model), "Conv")
    assert [(s.elements, s.nonzeros, s.bits) for s in actual.stored] == [(36, 33, bits), (1, 1, 32)]
    assert [(p.weight_bits, p.activation_bits) for p in actual.products] == [(bits, 32)]
    inference.session(model.SerializeToString())


@pytest.mark.parametrize(
    ("kind", "bits"),
    [
        (np.float32, 32),
        (np.float16, 16),
        (np.float64, 64),
        (np.int64, 64),
        (np.int32, 32),
        (np.bool_, 1),
    ],
)
def test_weights_that_are_cast_have_their_stored_type(kind: Any, bits: int) -> None:
    nodes = [
        node("Cast", ["w"], ["d"], to=TensorProto.FLOAT),
        node("Conv", ["x", "d"], ["y"]),
    ]
    weight = np.ones((4, 1, 3, 3), kind)
    weight[0, 0, 0] = 0
    model = build.between(nodes, {"w": weight})
    (stored,) = build.layer(build.count(model), "Conv").stored
    nonzeros = 36 if bits == 1 else 33  # a one-bit tensor has no zero to leave out
    assert (stored.elements, stored.nonzeros, stored.bits) == (36, nonzeros, bits)
    assert stored.maskable == (bits != 1)
