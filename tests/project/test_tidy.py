"""Tidying: what exporters leave in a file is written in the graph language, with equal outputs."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import ModelProto, NodeProto, TensorProto, helper
from torch import Tensor, nn

from autograder.cli.app import app
from autograder.project import rules
from autograder.project.graph import Refusal
from autograder.project.network import in_our_words
from autograder.project.tidy import CannotTidy, external_files, tidy
from tests.project import build, cheats
from tests.project.build import Constant, between, floats, ints, node, scalar


def outputs(content: bytes, images: np.ndarray) -> np.ndarray:
    """Logits by a session that is none of the product's."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return np.asarray(session.run(None, {name: images})[0])


def images(count: int, shape: Sequence[int] = build.SHAPE) -> np.ndarray:
    return np.random.default_rng(7).integers(0, 256, (count, *shape)).astype(np.uint8)


def tidied(
    model: ModelProto | bytes, refused: str | None, shape: Sequence[int] = build.SHAPE
) -> onnx.ModelProto:
    """Tidy a file that is refused with these words (None: accepted), and is accepted then.

    Outputs have to agree on batches that tidying itself does not try.
    """
    content = model if isinstance(model, bytes) else model.SerializeToString()
    if refused is not None:
        with pytest.raises(Refusal, match=refused):
            build.count(content, shape)
    made = tidy(content).content
    build.count(made, shape)
    for batch in (1, 4):
        before, after = (outputs(each, images(batch, shape)) for each in (content, made))
        np.testing.assert_allclose(after, before, rtol=2e-4, atol=2e-4 * np.abs(before).max())
    return onnx.load_model_from_string(made)


def kinds(model: ModelProto) -> list[str]:
    return [each.op_type for each in model.graph.node]


# ---- computed shapes -----------------------------------------------------------------------------

SIZE_OF_X = [node("Shape", ["x"], ["all"]), node("Gather", ["all", "zero"], ["n"])]
ZERO: Mapping[str, Constant] = {"zero": ints(0), "many": ints(-1), "two": ints(2)}


def test_a_reshape_to_the_batch_and_the_rest() -> None:
    nodes = [
        *SIZE_OF_X,
        node("Concat", ["n", "many"], ["to"], axis=0),
        node("Reshape", ["x", "to"], ["y"]),
    ]
    made = tidied(between(nodes, ZERO), "Shape")
    assert "Shape" not in kinds(made)


def test_a_batch_that_is_joined_with_another_axis() -> None:
    """Heads of attention: (N, 8, 8) as (2 N, 4, 8) and back."""
    nodes = [
        *SIZE_OF_X,
        node("Mul", ["n", "two"], ["heads"]),
        node("Concat", ["heads", "four", "eight"], ["to"], axis=0),
        node("Reshape", ["x", "to"], ["h"]),
        node("Softmax", ["h"], ["s"], axis=1),
        node("Concat", ["n", "sixty"], ["back"], axis=0),
        node("Reshape", ["s", "back"], ["y"]),
    ]
    more = {"four": ints(4), "eight": ints(8), "sixty": ints(64)}
    tidied(between(nodes, {**ZERO, **more}), "Shape")


def test_an_expand_to_the_batch_keeps_it() -> None:
    nodes = [
        node("ReduceMean", ["x", "last"], ["m"], keepdims=1),
        node("Shape", ["x"], ["all"]),
        node("Expand", ["m", "all"], ["e"]),
        node("Sub", ["x", "e"], ["y"]),
    ]
    tidied(between(nodes), "Shape")


def test_a_slice_up_to_the_batch_takes_all_of_it() -> None:
    nodes = [*SIZE_OF_X, node("Slice", ["x", "zero", "n", "zero"], ["y"])]
    tidied(between(nodes, ZERO), "Shape")


def test_numbers_that_follow_from_sizes_become_constants() -> None:
    """The square root of a size, by which attention divides."""
    nodes = [
        node("Shape", ["x"], ["all"], start=3),
        node("Cast", ["all"], ["f"], to=TensorProto.FLOAT),
        node("Sqrt", ["f"], ["root"]),
        node("Div", ["x", "root"], ["y"]),
    ]
    assert kinds(tidied(between(nodes), "Shape")).count("Sqrt") == 0


@pytest.mark.parametrize("repeat", ["Expand", "Tile"])
@pytest.mark.parametrize("is_first", [True, False])
def test_a_constant_that_is_joined_to_every_image(repeat: str, is_first: bool) -> None:
    """A class token is padding and a sum; with the positions that follow it is one constant."""
    parts = ["tokens", "r"] if is_first else ["r", "tokens"]
    target = ["n", "one", "eight"] if repeat == "Expand" else ["n", "one", "one"]
    nodes = [
        node("Reshape", ["x", "rows"], ["r"]),
        *SIZE_OF_X,
        node("Concat", target, ["to"], axis=0),
        node(repeat, ["token", "to"], ["tokens"]),
        node("Concat", parts, ["joined"], axis=1),
        node("Add", ["joined", "positions"], ["y"]),
    ]
    constants = {
        **ZERO,
        "one": ints(1),
        "eight": ints(8),
        "rows": ints(0, 8, 8),
        "token": floats(1, 1, 8),
        "positions": floats(1, 9, 8, seed=1),
    }
    made = tidied(between(nodes, constants), "Shape")
    assert build.count(made).params == 9 * 8
    assert kinds(made).count("Add") == 1


def test_an_if_on_sizes_becomes_its_branch() -> None:
    def branch(kind: str) -> onnx.GraphProto:
        out = [helper.make_tensor_value_info(kind, TensorProto.FLOAT, None)]
        return helper.make_graph([node(kind, ["x"], [kind])], kind, [], out)

    nodes = [
        node("Shape", ["x"], ["all"], start=2, end=3),
        node("Equal", ["all", "eight"], ["is"]),
        node("Squeeze", ["is"], ["flag"]),
        node("If", ["flag"], ["y"], then_branch=branch("Relu"), else_branch=branch("Neg")),
    ]
    made = kinds(tidied(between(nodes, {"eight": ints(8)}), "Shape|If"))
    assert "Relu" in made
    assert "If" not in made


# ---- constants -----------------------------------------------------------------------------------


def test_weights_that_are_stored_in_few_bits_stay_so() -> None:
    """Folding a DequantizeLinear would store float32 instead."""
    nodes = [
        node("DequantizeLinear", ["w", "s"], ["d"], axis=0),
        node("Conv", ["x", "d"], ["y"]),
    ]
    codes = build.packed(TensorProto.INT4, np.arange(-4, 5).reshape(1, 1, 3, 3))
    model = between(nodes, {"w": codes, "s": floats(1)})
    made = tidied(model, None)
    assert build.count(made).stored_bits == build.count(model).stored_bits


def test_a_stored_float_that_is_quantised_when_it_runs_is_stored_quantised() -> None:
    nodes = [
        node("QuantizeLinear", ["w", "s", "z"], ["q"]),
        node("DequantizeLinear", ["q", "s", "z"], ["d"]),
        node("Conv", ["x", "d"], ["y"]),
    ]
    constants = {"w": floats(2, 1, 3, 3), "s": scalar(0.1), "z": np.int8(0)}
    model = between(nodes, constants)
    assert build.layer(build.count(model), "Conv").stored_bits == 32 * 18
    made = tidied(model, None)
    assert "QuantizeLinear" not in kinds(made)
    assert build.layer(build.count(made), "Conv").stored_bits == 8 * 18 + 32


QUANTIZED = (
    *("INT2", "UINT2", "INT4", "UINT4", "INT8", "UINT8", "INT16", "UINT16"),
    *("FLOAT8E4M3FN", "FLOAT8E4M3FNUZ", "FLOAT8E5M2", "FLOAT8E5M2FNUZ"),
)


@pytest.mark.parametrize("name", QUANTIZED)
@pytest.mark.parametrize("channels", [None, 4])
def test_weights_are_stored_in_the_type_to_which_they_are_quantised(
    name: str, channels: int | None
) -> None:
    """As `AddQDQPairToWeight` of ONNX Runtime's quantiser leaves them, in types NumPy lacks too."""
    kind = TensorProto.DataType.Value(name)
    axis = {} if channels is None else {"axis": 0}
    nodes = [
        node("QuantizeLinear", ["w", "s", "z"], ["q"], **axis),
        node("DequantizeLinear", ["q", "s", "z"], ["d"], **axis),
        node("Conv", ["x", "d"], ["y"]),
    ]
    sizes = () if channels is None else (channels,)
    constants = {
        "w": floats(4, 1, 3, 3) - np.float32(1),
        "s": floats(*sizes) * np.float32(0.3),
        "z": build.packed(kind, np.zeros(sizes)),
    }
    made = tidied(between(nodes, constants, opset=25), None)
    assert "QuantizeLinear" not in kinds(made)
    (products,) = build.layer(build.count(made), "Conv").products
    assert products.weight_bits == rules.BITS[kind]


@pytest.mark.parametrize("kind", rules.BITS, ids=TensorProto.DataType.Name)
def test_a_constant_that_is_cast_to_any_type_keeps_its_values(kind: int) -> None:
    """It is stored in that type where that takes fewer bits."""
    nodes = [
        node("Cast", ["w"], ["q"], to=kind),
        node("Cast", ["q"], ["d"], to=TensorProto.FLOAT),
        node("Conv", ["x", "d"], ["y"]),
    ]
    weights = np.random.default_rng(0).integers(0, 2, (5, 1, 3, 3)).astype(np.float32)
    model = between(nodes, {"w": weights}, opset=25)
    if kind == TensorProto.FLOAT4E2M1:
        with pytest.raises(CannotTidy, match="cannot run the file"):
            tidy(model.SerializeToString())
        return
    (stored,) = build.layer(build.count(tidied(model, None)), "Conv").stored
    assert (stored.elements, stored.bits) == (45, min(32, rules.BITS[kind]))


def test_arithmetic_on_constants_is_folded_and_a_tied_weight_is_not_doubled() -> None:
    nodes = [
        node("Transpose", ["w"], ["t"], perm=[1, 0]),
        node("MatMul", ["x", "w"], ["a"]),
        node("MatMul", ["a", "t"], ["b"]),
        node("Exp", ["c"], ["e"]),
        node("Mul", ["b", "e"], ["y"]),
    ]
    made = tidied(between(nodes, {"w": floats(8, 8), "c": scalar(2)}), None)
    assert "Exp" not in kinds(made)
    assert build.count(made).params == 64 + 1


def test_copies_of_a_constant_are_one() -> None:
    """A weight that layers share; what is equal in another type or shape is not the same."""
    nodes = [
        node("Conv", ["x", "a"], ["p"], pads=[1] * 4),
        node("Conv", ["p", "b"], ["q"], pads=[1] * 4),
        node("MatMul", ["q", "c"], ["r"]),
        node("MatMul", ["r", "d"], ["y"]),
    ]
    shared, square = floats(1, 1, 3, 3), np.eye(8, dtype=np.float32)
    constants = {"a": shared, "b": shared.copy(), "c": square, "d": square[None]}
    model = between(nodes, constants)
    assert build.count(model).params == 2 * 9 + 2 * 64
    made = tidy(model.SerializeToString())
    assert build.count(made.content).params == 9 + 2 * 64
    assert made.changes["equal constants joined"] == 1
    assert "constants without use removed" not in made.changes


def test_copies_that_are_decoded_differently_cost_no_more_together() -> None:
    nodes = [
        node("DequantizeLinear", ["a", "s"], ["k"]),
        node("DequantizeLinear", ["b", "t"], ["m"]),
        node("Conv", ["x", "k"], ["p"], pads=[1] * 4),
        node("Conv", ["p", "m"], ["y"], pads=[1] * 4),
    ]
    codes = np.arange(-4, 5, dtype=np.int8).reshape(1, 1, 3, 3)
    model = between(nodes, {"a": codes, "b": codes.copy(), "s": scalar(0.5), "t": scalar(0.25)})
    made = tidied(model, None)
    assert build.count(model).stored_bits == 2 * 8 * 8 + 2 * 32  # one code is zero
    assert build.count(made).stored_bits == 9 * 8 + 2 * 32


# ---- operators that are written in others --------------------------------------------------------


@pytest.mark.parametrize(
    ("nodes", "constants"),
    [
        ([node("ReduceL2", ["x", "last"], ["y"], keepdims=1)], {}),
        ([node("Sum", ["x", "c", "x"], ["y"])], {"c": floats(8)}),
        ([node("Selu", ["x"], ["y"])], {}),
        ([node("Celu", ["x"], ["y"], alpha=1.0)], {}),
        ([node("Softsign", ["x"], ["y"])], {}),
        (
            [node("InstanceNormalization", ["x", "g", "b"], ["y"], epsilon=0.1)],
            {"g": floats(1), "b": floats(1, seed=3)},
        ),
        ([node("Tile", ["x", "twice"], ["y"])], {"twice": ints(1, 1, 2, 1)}),
        (
            [node("GatherND", ["f", "grid"], ["y"])],
            {"grid": np.array([[[0, 0], [0, 2]], [[3, 0], [3, 2]]], np.int64)},
        ),
        (
            [node("GatherND", ["f", "grid"], ["y"])],
            {"grid": np.zeros((7, 1, 3, 1, 2), np.int64)},  # one pixel, again and again
        ),
        (
            [node("Where", ["mask", "x", "low"], ["w"]), node("Softmax", ["w"], ["y"])],
            {"mask": np.tri(8, dtype=bool), "low": scalar(-np.inf)},
        ),
        (
            [node("Greater", ["x", "c"], ["is"]), node("Where", ["is", "x", "c"], ["y"])],
            {"c": scalar(100)},
        ),
    ],
    ids=lambda case: "+".join(each.op_type for each in case) if isinstance(case, list) else "",
)
def test_operators_outside_the_language(
    nodes: list[NodeProto], constants: Mapping[str, Constant]
) -> None:
    if nodes[0].op_type == "GatherND":  # rows and columns first, as adaptive pooling has it
        turn = [node("Transpose", ["x"], ["f"], perm=[2, 3, 0, 1])]
        rank = constants["grid"].ndim - 1  # type: ignore[union-attr]
        order = [rank, rank + 1, *range(rank)]
        back = [node("Transpose", ["y"], ["z"], perm=order)]
        tidied(between([*turn, *nodes, *back], constants, result="z"), "GatherND")
        return
    tidied(between(nodes, constants), "not allowed")


@dataclass(frozen=True)
class Case:
    """An operator that `tidy` promises to write in others, for an opset, with attributes."""

    nodes: Callable[..., list[NodeProto]]
    given: Sequence[Mapping[str, Any]] = ({},)
    opsets: Sequence[int] = rules.OPSETS


def reduction(kind: str, source: str = "v") -> Case:
    """Over the last axis, which older opsets have as an attribute."""

    def nodes(opset: int, **attributes: Any) -> list[NodeProto]:
        if opset < 18:
            return [node(kind, [source], ["y"], axes=[3], **attributes)]
        return [node(kind, [source, "three"], ["y"], **attributes)]

    return Case(nodes, ({}, {"keepdims": 0}))


def single(kind: str, *inputs: str, given: Sequence[Mapping[str, Any]] = ({},)) -> Case:
    """One operator on v and constants."""
    return Case(lambda _, **more: [node(kind, ["v", *inputs], ["y"], **more)], given)


def on_a_grid(_: int, **attributes: Any) -> list[NodeProto]:
    return [
        node("Transpose", ["v"], ["t"], perm=[2, 3, 0, 1]),
        node("GatherND", ["t", "grid"], ["g"], **attributes),
        node("Transpose", ["g"], ["y"], perm=[2, 3, 0, 1]),
    ]


COMPOSED = {
    "CastLike": replace(single("CastLike", "halves"), opsets=range(15, 26)),
    "Celu": single("Celu", given=({}, {"alpha": 1.0}, {"alpha": 0.5})),
    "GatherND": Case(on_a_grid, ({}, {"batch_dims": 0})),
    "GroupNormalization": Case(
        single("GroupNormalization", "ones", "bias").nodes,
        ({"num_groups": 1}, {"num_groups": 1, "epsilon": 0.5}),
        range(18, 26),
    ),
    "InstanceNormalization": single(
        "InstanceNormalization", "ones", "bias", given=({}, {"epsilon": 0.5})
    ),
    "RMSNormalization": Case(
        single("RMSNormalization", "ones").nodes, ({}, {"epsilon": 0.5}), range(23, 26)
    ),
    "ReduceL1": reduction("ReduceL1"),
    "ReduceL2": reduction("ReduceL2"),
    "ReduceLogSum": reduction("ReduceLogSum", "x"),
    "ReduceLogSumExp": reduction("ReduceLogSumExp"),
    "ReduceSumSquare": reduction("ReduceSumSquare"),
    "Selu": single("Selu", given=({}, {"alpha": 1.5, "gamma": 0.5})),
    "Shrink": single("Shrink", given=({}, {"lambd": 0.75}, {"bias": 0.25, "lambd": 0.75})),
    "Softsign": single("Softsign"),
    "Sum": single("Sum", "v", "bias"),
    # ONNX Runtime does not run it at opset 25.
    "Swish": replace(single("Swish", given=({}, {"alpha": 0.5})), opsets=[24]),
    "ThresholdedRelu": single("ThresholdedRelu", given=({}, {"alpha": 0.5})),
    "Tile": single("Tile", "twice"),
    "Where": Case(lambda _: [node("Where", ["mask", "v", "bias"], ["y"])]),
}
PROMISED = [name for name, text in rules.REMEDIES.items() if "writes it in other" in text]


@pytest.mark.parametrize(
    ("name", "opset"), [(name, opset) for name in PROMISED for opset in COMPOSED[name].opsets]
)
def test_what_a_refusal_promises_is_written_in_other_operators(name: str, opset: int) -> None:
    case = COMPOSED[name]
    for attributes in case.given:
        model = around(case.nodes(opset, **attributes), opset)
        made = tidied(model, "writes it in other operators")
        assert name not in kinds(made)
        assert np.isfinite(outputs(made.SerializeToString(), images(4))).all()


def around(nodes: Sequence[NodeProto], opset: int) -> ModelProto:
    """A model of operators on v, numbers around zero, that make y."""
    mean = (
        node("ReduceMean", ["flat"], ["mean"], axes=[1])
        if opset < 18
        else node("ReduceMean", ["flat", "one"], ["mean"])
    )
    every = [
        *build.front(),
        node("Sub", ["x", "middle"], ["centred"]),
        node("Mul", ["centred", "factor"], ["v"]),
        *nodes,
        node("Cast", ["y"], ["float"], to=TensorProto.FLOAT),
        node("Flatten", ["float"], ["flat"]),
        mean,
        node("Concat", ["mean"] * 10, ["logits"], axis=1),
    ]
    constants: dict[str, Constant] = {
        "middle": scalar(100),
        "factor": scalar(0.02),
        "one": ints(1),
        "three": ints(3),
        "twice": ints(1, 1, 2, 1),
        "halves": np.float16([0.5]),
        "ones": floats(1),
        "bias": floats(1, seed=1),
        "mask": np.tri(8, dtype=bool),
        "grid": np.array([[[0, 0], [0, 2]], [[3, 0], [3, 2]]], np.int64),
    }
    used = {name for each in every for name in each.input}
    return build.assemble(every, {k: v for k, v in constants.items() if k in used}, opset=opset)


def test_an_operator_in_a_branch_of_an_old_file_is_written_in_others() -> None:
    """The branches of an If are not converted to another opset; the one that is taken is."""

    def branch(kind: str) -> onnx.GraphProto:
        out = [helper.make_tensor_value_info(kind, TensorProto.FLOAT, None)]
        return helper.make_graph([node(kind, ["v"], [kind], axes=[3])], kind, [], out)

    branches = {"then_branch": branch("ReduceL2"), "else_branch": branch("ReduceMean")}
    nodes = [
        node("Shape", ["v"], ["all"]),
        node("ReduceMax", ["all"], ["most"], keepdims=0),
        node("Greater", ["most", "three"], ["flag"]),
        node("Squeeze", ["flag"], ["is"]),
        node("If", ["is"], ["y"], **branches),
    ]
    made = kinds(tidied(around(nodes, 13), "not allowed"))
    assert "Sqrt" in made
    assert "ReduceL2" not in made


def test_an_old_file_keeps_what_is_quantised() -> None:
    """The rest of a file is the same in the opset to which one operator raises it."""
    nodes = [
        node("QuantizeLinear", ["v", "factor", "z"], ["q"]),
        node("DequantizeLinear", ["q", "factor", "z"], ["p"]),
        node("DequantizeLinear", ["w", "s", "zs"], ["d"], axis=0),
        node("Conv", ["p", "d", "b"], ["c"]),
        node("BatchNormalization", ["c", "b", "b", "b", "b"], ["n"]),
        node("Split", ["n"], ["left", "right"], axis=1),
        node("Pad", ["left", "pads"], ["padded"]),
        node("ReduceMean", ["padded"], ["m"], axes=[2, 3]),
        node("ReduceL2", ["right"], ["l"], axes=[2, 3]),
        node("Concat", ["m", "l"], ["y"], axis=1),
    ]
    model = around(nodes, 13)
    stored: dict[str, Constant] = {
        "z": np.uint8(128),
        "w": np.arange(36, dtype=np.int8).reshape(4, 1, 3, 3),
        "s": floats(4),
        "zs": np.zeros(4, np.int8),
        "b": floats(4, seed=1),
        "pads": ints(0, 0, 1, 1, 0, 0, 1, 1),
    }
    model.graph.initializer.extend(build.tensor(name, value) for name, value in stored.items())
    made = tidied(model, "ReduceL2")
    (products,) = build.layer(build.count(made), "Conv").products
    assert (products.weight_bits, products.activation_bits) == (8, 8)


def test_a_message_of_onnx_runtime_says_nothing_of_its_source() -> None:
    nodes = [node("Flatten", ["x"], ["f"]), node("Reshape", ["f", "to"], ["y"])]
    with pytest.raises(CannotTidy, match="cannot be reshaped to the requested shape") as error:
        tidy(between(nodes, {"to": ints(-1, 7)}).SerializeToString())
    assert not re.search(r"/|\.h\b|::", str(error.value))
    message = "FAIL : /home/b/c/concat.cc:133 f Non concat axes (of 3) must match: 3 and 2"
    assert in_our_words(message) == "FAIL : Non concat axes (of 3) must match: 3 and 2"


def test_onnx_runtime_s_own_names_of_standard_operators() -> None:
    model = between(
        [
            node("QuantizeLinear", ["x", "s", "z"], ["q"], domain="com.microsoft"),
            node("DequantizeLinear", ["q", "s", "z"], ["y"], domain="com.microsoft"),
        ],
        {"s": scalar(0.5), "z": np.int16(0)},
        opset=18,
    )
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    made = tidied(model, "com.microsoft")
    assert [each.domain for each in made.opset_import] == [""]


# ---- around the graph ----------------------------------------------------------------------------


def test_leftovers_of_every_kind_are_taken_out() -> None:
    model = cheats.honest()
    graph = model.graph
    model.opset_import.append(helper.make_opsetid("ai.onnx.ml", 3))
    model.doc_string = "notes"
    graph.input.append(helper.make_tensor_value_info(graph.initializer[0].name, 1, None))
    graph.initializer.append(build.tensor("unused", floats(3)))
    graph.node.append(node("Neg", [graph.node[0].output[0]], ["dead"]))
    nodes = list(graph.node)
    del graph.node[:]
    graph.node.extend(reversed(nodes))
    with pytest.raises(Refusal):
        build.count(model)
    made = onnx.load_model_from_string(tidy(model.SerializeToString()).content)
    assert build.count(made).params == build.count(cheats.honest()).params
    assert not made.doc_string


def test_functions_are_inlined_but_not_a_bomb() -> None:
    opset = [helper.make_opsetid("", 21)]
    body = [node("Relu", ["a"], ["b"])]
    model = between([node("Twice", ["x"], ["y"], domain="own")])
    model.opset_import.append(helper.make_opsetid("own", 1))
    model.functions.append(helper.make_function("own", "Twice", ["a"], ["b"], body, opset))
    assert "Relu" in kinds(tidied(model, "local functions"))
    with pytest.raises(CannotTidy, match="too often"):
        tidy(cheats.CHEATS["inlining_bomb"].content())


def test_half_precision_logits_are_cast() -> None:
    nodes = [node("Cast", ["logits32"], ["logits"], to=TensorProto.FLOAT16)]
    model = cheats.honest()
    model.graph.node[-1].output[0] = "logits32"
    model.graph.node.extend(nodes)
    model.graph.output[0].type.tensor_type.elem_type = TensorProto.FLOAT16
    tidied(model, "the output must be float32")


def test_an_old_opset_is_converted() -> None:
    model = build.assemble(
        [
            *build.front(),
            node("Flatten", ["x"], ["f"], axis=1),
            node("Unsqueeze", ["f"], ["u"], axes=[1]),
            node("Squeeze", ["u"], ["s"], axes=[1]),
            node("Gemm", ["s", "w", "b"], ["logits"]),
        ],
        {"w": floats(64, 10), "b": floats(10)},
        opset=11,
    )
    tidied(model, "opset 11 is not allowed")


def test_external_data_is_taken_in() -> None:
    model = cheats.honest()
    plain = model.SerializeToString()
    data = b"".join(tensor.raw_data for tensor in model.graph.initializer)
    start = 0
    for tensor in model.graph.initializer:
        size = len(tensor.raw_data)
        onnx.external_data_helper.set_external_data(tensor, "w.bin", start, size)
        tensor.ClearField("raw_data")
        start += size
    content = model.SerializeToString()
    assert external_files(content) == ["w.bin"]
    made = tidy(content, {"w.bin": data}).content
    np.testing.assert_array_equal(outputs(made, images(3)), outputs(plain, images(3)))
    with pytest.raises(CannotTidy, match=r"lies in 'w\.bin', which is not beside the model"):
        tidy(content)


# ---- what cannot be tidied -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("truncated", "not an ONNX file"),
        ("two_inputs", "one input, the image"),
        ("two_outputs", "one output, the logits"),
        ("free_size", "more free sizes than the batch"),
        ("unknown_operator", "cannot run the file, export it again"),
    ],
)
def test_one_sentence_for_what_cannot_be_tidied(name: str, words: str) -> None:
    with pytest.raises(CannotTidy, match=words) as error:
        tidy(cheats.CHEATS[name].content())
    assert "\n" not in str(error.value)


def test_what_stays_is_said_and_written_all_the_same() -> None:
    nodes = [node("TopK", ["x", "k"], ["y", "i"])]
    made = tidy(between(nodes, {"k": ints(8)}).SerializeToString())
    with pytest.raises(Refusal, match="TopK"):
        build.count(made.content)


# ---- torch's exporters ---------------------------------------------------------------------------


class Tokens(nn.Module):
    """Patches, a class token, attention, normalised features."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(1, 8, 4, 4)
        self.token = nn.Parameter(torch.randn(1, 1, 8))
        self.positions = nn.Parameter(torch.randn(1, 5, 8))
        self.layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.head = nn.Linear(8, 10)

    def forward(self, image: Tensor) -> Tensor:
        x = self.patches(image.float() / 16).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], dim=1) + self.positions
        x = nn.functional.normalize(self.layer(x)[:, 0])
        logits: Tensor = self.head(x)
        return logits


@pytest.mark.parametrize("opset", [None, 14, 17])
def test_a_transformer_of_the_older_exporter(opset: int | None) -> None:
    torch.manual_seed(0)
    stream = io.BytesIO()
    axes = {"image": {0: "N"}, "logits": {0: "N"}}
    names = {"input_names": ["image"], "output_names": ["logits"]}
    image = torch.zeros(2, 1, 8, 8, dtype=torch.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it is deprecated, and students use it
        torch.onnx.export(
            Tokens().eval(),
            (image,),
            stream,
            dynamo=False,
            dynamic_axes=axes,
            opset_version=opset,
            **names,
        )
    tidied(stream.getvalue(), "Shape")


@pytest.mark.parametrize("batch", [1, 2])
def test_a_file_for_one_size_of_the_batch_is_freed(batch: int) -> None:
    torch.manual_seed(0)
    stream = io.BytesIO()
    image = torch.zeros(batch, 1, 8, 8, dtype=torch.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(Tokens().eval(), (image,), stream, dynamo=False)
    content = stream.getvalue()
    with pytest.raises(Refusal, match="with N free"):
        build.count(content)
    made = tidy(content).content
    build.count(made)
    pixels = images(4)
    parts = [outputs(content, pixels[i : i + batch]) for i in range(0, 4, batch)]
    np.testing.assert_allclose(outputs(made, pixels), np.concatenate(parts), atol=1e-5)


# ---- the command ---------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_command_writes_the_file_and_says_what_the_scorer_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    nodes = [*SIZE_OF_X, node("Concat", ["n", "many"], ["to"], axis=0)]
    model = between([*nodes, node("Reshape", ["x", "to"], ["y"])], ZERO)
    (tmp_path / "in.onnx").write_bytes(model.SerializeToString())
    course = str(build.ROOT / "course.yaml")
    arguments = ["tidy", str(tmp_path / "in.onnx"), "--course", course]
    app([*arguments, "-o", str(tmp_path / "out.onnx")], standalone_mode=False)
    text = capsys.readouterr().out
    assert "The scorer accepts it." in text
    assert "computed shapes folded" in text
    build.count((tmp_path / "out.onnx").read_bytes())


@pytest.mark.slow
def test_what_is_too_large_for_an_entry_is_not_written_and_not_said_to_be(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nodes = [node("Flatten", ["x"], ["flat"]), node("MatMul", ["flat", "w"], ["y"])]
    weights = {"w": floats(int(np.prod(build.SHAPE)), 200_000)}
    source, target = tmp_path / "in.onnx", tmp_path / "out.onnx"
    source.write_bytes(between(nodes, weights).SerializeToString())
    code = app(["tidy", str(source), "-o", str(target)], standalone_mode=False)
    printed = " ".join(capsys.readouterr().out.split())
    assert code == 1
    assert "at most 50,000,000 are allowed" in printed
    assert "Wrote" not in printed
    assert not target.exists()
