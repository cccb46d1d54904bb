"""Files that want a lower cost or more right answers than they deserve, and broken ones.

Each is a small function that returns the bytes of a file for the digits, (N, 1, 8, 8) to (N, 10),
and says what must happen: it is refused with certain words, or everything in it is charged.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, helper

from shared import data
from tests.project import build
from tests.project.build import Constant, floats, ints, node, packed, scalar


@dataclass(frozen=True)
class Cheat:
    """How a file is built, and either the words of its refusal or what is measured in it.

    `charged` names attributes of `Measurement`; `widths` are (weight, activation) bits of the
    products in order.
    """

    content: Callable[[], bytes]
    refused: str = ""
    charged: Mapping[str, int] = field(default_factory=dict)
    widths: Sequence[tuple[int, int]] = ()


CHEATS: dict[str, Cheat] = {}


def cheat(
    refused: str = "", *, widths: Sequence[tuple[int, int]] = (), **charged: int
) -> Callable[[Callable[[], bytes | ModelProto]], Callable[[], bytes | ModelProto]]:
    """Add a function to the bank, under its name."""

    def add(function: Callable[[], bytes | ModelProto]) -> Callable[[], bytes | ModelProto]:
        def content() -> bytes:
            made = function()
            return made if isinstance(made, bytes) else made.SerializeToString()

        CHEATS[function.__name__] = Cheat(content, refused, charged, widths)
        return function

    return add


def honest() -> ModelProto:
    """One linear layer: 650 parameters, 640 MACs, 10 + 0 other operations."""
    nodes = [
        *build.front(),
        node("Flatten", ["x"], ["f"]),
        node("Gemm", ["f", "w", "b"], ["logits"]),
    ]
    return build.assemble(nodes, {"w": floats(64, 10), "b": floats(10)})


def between(
    nodes: Sequence[NodeProto], constants: Mapping[str, Constant] | None = None, opset: int = 21
) -> ModelProto:
    """The last output of `nodes` becomes logits; the tail adds operations but no parameters."""
    result = nodes[-1].output[0]
    return build.between(nodes, constants, result=result, opset=opset)


def conv(weight: str = "d", source: str = "x") -> NodeProto:
    """A 3x3 convolution without padding: 36 positions."""
    return node("Conv", [source, weight], ["y"])


# ---- what is no file -----------------------------------------------------------------------------


@cheat("not an ONNX file")
def empty() -> bytes:
    return b""


@cheat("not an ONNX file")
def text() -> bytes:
    return b"team: zero\n" * 100


@cheat("not an ONNX file")
def archive() -> bytes:
    return b"PK\x03\x04" + bytes(range(256)) * 8


@cheat("not an ONNX file")
def truncated() -> bytes:
    content = honest().SerializeToString()
    return content[: len(content) // 2]


@cheat("not an ONNX file|ONNX's checker")
def wrong_wire_types() -> bytes:
    return honest().SerializeToString() + b"\x3a\x05\xff\xff\xff\xff\xff"


@cheat("at most 50,000,000 are allowed")
def too_large() -> bytes:
    return honest().SerializeToString() + bytes(50_000_000)


@cheat("not an ONNX file")
def nested_messages() -> bytes:
    """A graph in an attribute of a node of a graph, 2,000 times: protobuf's own limit holds."""
    content = b""
    for _ in range(2000):
        for tag in (0x32, 0x2A, 0x0A):  # AttributeProto.g, NodeProto.attribute, GraphProto.node
            content = bytes([tag]) + varint(len(content)) + content
    return b"\x3a" + varint(len(content)) + content  # ModelProto.graph


def varint(number: int) -> bytes:
    """Protobuf's encoding of a length."""
    parts = []
    while number > 127:
        parts.append(number & 127 | 128)
        number >>= 7
    return bytes([*parts, number])


# ---- functions, domains, versions ----------------------------------------------------------------


def with_functions(depth: int, width: int, loop: bool = False) -> ModelProto:
    """Each function calls the next one `width` times."""
    model, domain = honest(), "own"
    imports = [helper.make_opsetid("", 21), helper.make_opsetid(domain, 1)]
    for level in range(depth):
        is_last = level == depth - 1
        kind = "f0" if loop and is_last else "Relu" if is_last else f"f{level + 1}"
        home = "" if kind == "Relu" else domain
        chain = ["a", *(f"t{i}" for i in range(width - 1)), "b"]
        calls = [
            node(kind, [before], [after], domain=home)
            for before, after in itertools.pairwise(chain)
        ]
        model.functions.append(
            helper.make_function(domain, f"f{level}", ["a"], ["b"], calls, imports)
        )
    model.opset_import.append(helper.make_opsetid(domain, 1))
    model.graph.node.insert(1, node("f0", ["x"], ["x2"], domain=domain))
    model.graph.node[2].input[0] = "x2"
    return model


@cheat("local functions are not allowed, this file has 1: inline them")
def local_function() -> ModelProto:
    return with_functions(1, 1)


@cheat("local functions are not allowed")
def inlining_bomb() -> ModelProto:
    return with_functions(30, 10)


@cheat("local functions are not allowed")
def recursive_function() -> ModelProto:
    return with_functions(2, 1, loop=True)


@cheat("local functions are not allowed")
def redefined_operator() -> ModelProto:
    """Gemm as a function of the default domain that does nothing."""
    model = honest()
    body = [node("Identity", ["a"], ["b"])]
    imports = [helper.make_opsetid("", 21)]
    model.functions.append(helper.make_function("", "Gemm", ["a", "w", "c"], ["b"], body, imports))
    return model


@cheat("exactly one opset of the default domain is allowed, this has 21, 13")
def two_opsets() -> ModelProto:
    model = honest()
    model.opset_import.append(helper.make_opsetid("", 13))
    return model


@cheat("exactly one opset of the default domain is allowed, this has 21, 21")
def one_opset_under_both_names() -> ModelProto:
    model = honest()
    model.opset_import.append(helper.make_opsetid("ai.onnx", 21))
    return model


@cheat(params=650, nonzeros=650, macs=640, ops=10)
def other_domain_imported() -> ModelProto:
    """Nothing of these domains is used: quantisation tools import all that they know."""
    model = honest()
    for domain in ("com.microsoft", "ai.onnx.ml", "ai.onnx.ml", "own"):
        model.opset_import.append(helper.make_opsetid(domain, 1))
    return model


@cheat("exactly one opset of the default domain is allowed, this has none")
def no_opset() -> ModelProto:
    model = honest()
    del model.opset_import[:]
    return model


def with_opset(version: int) -> ModelProto:
    model = honest()
    model.opset_import[0].version = version
    return model


@cheat("opset 12 is not allowed, only 13 to 25")
def opset_too_low() -> ModelProto:
    return with_opset(12)


@cheat("opset 26 is not allowed")
def opset_too_high() -> ModelProto:
    return with_opset(26)


@cheat(r"^node 1 'y' \(FusedConv\): operators of the domain 'com.microsoft' are not allowed")
def contributed_operator() -> ModelProto:
    return between([node("FusedConv", ["x", "d"], ["y"], domain="com.microsoft")], {"d": floats(1)})


@cheat(r"^node 1 'y' \(Relu\): operators of the domain 'own' are not allowed")
def operator_of_an_imported_domain() -> ModelProto:
    """It has the name of an operator that is allowed."""
    model = between([node("Relu", ["x"], ["y"], domain="own")])
    model.opset_import.append(helper.make_opsetid("own", 1))
    return model


@cheat("this operator is not allowed")
def unknown_operator() -> ModelProto:
    return between([node("Teleport", ["x"], ["y"])])


@cheat("training information")
def training_information() -> ModelProto:
    model = honest()
    model.training_info.add()
    return model


# ---- other files, hidden parts -------------------------------------------------------------------


def external(location: str) -> ModelProto:
    model = honest()
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    return model


@cheat("lies in another file")
def external_beside() -> ModelProto:
    return external("weights.bin")


@cheat("lies in another file")
def external_absolute() -> ModelProto:
    return external("/etc/passwd")


@cheat("lies in another file")
def external_above() -> ModelProto:
    return external("../../labels.bin")


@cheat("lies in another file")
def external_constant_node() -> ModelProto:
    value = TensorProto(name="v", dims=[1], data_type=TensorProto.FLOAT)
    value.data_location = TensorProto.EXTERNAL
    value.external_data.add(key="location", value="v.bin")
    return between([node("Constant", [], ["c"], value=value), node("Add", ["x", "c"], ["y"])])


@cheat("sparse initialisers are not allowed")
def sparse_initializer() -> ModelProto:
    model = honest()
    values, index = build.tensor("s", floats(2)), build.tensor("i", ints(0, 1))
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(values, index, [640]))
    return model


@cheat("could be overridden")
def overridable_initializer() -> ModelProto:
    model = honest()
    model.graph.input.append(helper.make_tensor_value_info("b", TensorProto.FLOAT, [10]))
    return model


@cheat("two initialisers are called 'b'")
def duplicate_initializer() -> ModelProto:
    model = honest()
    model.graph.initializer.append(build.tensor("b", floats(10, seed=1)))
    return model


@cheat("initialiser 'spare' is never used")
def unused_initializer() -> ModelProto:
    model = honest()
    model.graph.initializer.append(build.tensor("spare", floats(10)))
    return model


@cheat("its result is never used")
def dead_node() -> ModelProto:
    model = honest()
    model.graph.node.insert(1, node("Relu", ["x"], ["nowhere"]))
    return model


@cheat("is used before it is computed")
def unsorted_nodes() -> ModelProto:
    model = honest()
    nodes = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend([nodes[0], nodes[2], nodes[1]])
    return model


@cheat("'c' is used before it is computed")
def constant_after_use() -> ModelProto:
    model = between([node("Constant", [], ["c"], value_float=1.0), node("Add", ["x", "c"], ["y"])])
    nodes = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend([nodes[0], nodes[2], nodes[1], *nodes[3:]])
    return model


@cheat("two tensors are called 'x'")
def name_given_twice() -> ModelProto:
    return between([node("Relu", ["x"], ["x"])])


@cheat("two tensors are called 'd'")
def constant_given_twice() -> ModelProto:
    return between(
        [node("Constant", [], ["d"], value_float=1.0), conv()], {"d": floats(1, 1, 3, 3)}
    )


@cheat("20,001 nodes are more than 20,000")
def too_many_nodes() -> ModelProto:
    model = honest()
    chain = [f"r{i}" for i in range(19_997)]
    nodes = [node("Relu", [a], [b]) for a, b in zip(["f", *chain], [*chain, "g"])]
    model.graph.node[2].input[0] = "g"
    last = model.graph.node.pop()
    model.graph.node.extend([*nodes, last])
    return model


@cheat("has more than 67,108,864 elements")
def huge_by_expand() -> ModelProto:
    nodes = [
        node("Unsqueeze", ["x", "axes"], ["u"]),
        node("Expand", ["u", "to"], ["e"]),
        node("ReduceMax", ["e", "axes"], ["y"]),
    ]
    return between(nodes, {"to": ints(1, 2**21, 1, 8, 8), "axes": ints(1)})


@cheat("has more than 67,108,864 elements")
def huge_declared() -> ModelProto:
    model = honest()
    model.graph.initializer[0].dims[:] = [1 << 40, 1 << 40]
    return model


@cheat(r"^tensor 'w' has a negative dimension, \(-64, -10\): give its real size")
def negative_declared() -> ModelProto:
    """Its product is the size that it should have."""
    model = honest()
    model.graph.initializer[0].dims[:] = [-64, -10]
    return model


@cheat(r"^tensor 'c' has a negative dimension, \(-1\)")
def negative_constant_node() -> ModelProto:
    value = TensorProto(name="v", dims=[-1], data_type=TensorProto.FLOAT, float_data=[1.0])
    return between([node("Constant", [], ["c"], value=value), node("Add", ["x", "c"], ["y"])])


NEGATIVE = r"its result has a negative dimension, \(N, 1, -{}, -{}\): check its kernel, pads"


@cheat(r"^node 1 'y' \(Conv\): " + NEGATIVE.format(2, 2))
def kernel_larger_than_the_image() -> ModelProto:
    return between([conv("w")], {"w": floats(1, 1, 11, 11)})


@cheat(r"^node 1 'y' \(MaxPool\): " + NEGATIVE.format(1, 1))
def window_larger_than_the_image() -> ModelProto:
    return between([node("MaxPool", ["x"], ["y"], kernel_shape=[10, 10])])


@cheat(r"^node 1 'y' \(Pad\): " + NEGATIVE.format(1, 1))
def more_taken_away_than_there_is() -> ModelProto:
    """In two axes, so that the product of all is positive."""
    nodes = [node("Pad", ["x", "pads"], ["y"])]
    return between(nodes, {"pads": ints(0, 0, -9, -9, 0, 0, 0, 0)})


@cheat(r"^ONNX's checker refuses node 1 'y' \(MatMul\): Incompatible dimensions")
def sizes_that_do_not_fit() -> ModelProto:
    return between([node("MatMul", ["x", "w"], ["y"])], {"w": floats(3, 3)})


@cheat("multiply-accumulates are more than 2,000,000,000")
def enormous_work() -> ModelProto:
    one = [node("Slice", ["x", "a", "b", "axes"], ["s"]), node("Expand", ["s", "to"], ["e"])]
    constants = {"a": ints(0, 0), "b": ints(1, 1), "axes": ints(2, 3), "to": ints(1, 64, 200, 200)}
    nodes = [*one, node("Conv", ["e", "w"], ["y"])]
    return between(nodes, {**constants, "w": floats(16, 64, 9, 9)})


# ---- input and output ----------------------------------------------------------------------------


def with_input(kind: int, shape: Sequence[int | str | None]) -> ModelProto:
    model = honest()
    model.graph.input[0].CopyFrom(helper.make_tensor_value_info("image", kind, shape))
    return model


def with_output(kind: int, shape: Sequence[int | str | None] | None) -> ModelProto:
    model = honest()
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("logits", kind, shape))
    return model


@cheat(r"the input must be uint8 \(N, 1, 8, 8\) with N free; it is float")
def float_input() -> ModelProto:
    return with_input(TensorProto.FLOAT, ["N", 1, 8, 8])


@cheat(r"the input must be uint8 .* it is uint8 \(N, 3, 32, 32\)")
def other_shape() -> ModelProto:
    return with_input(TensorProto.UINT8, ["N", 3, 32, 32])


@cheat(r"the input must be uint8 .* it is uint8 \(1, 1, 8, 8\)")
def fixed_batch() -> ModelProto:
    return with_input(TensorProto.UINT8, [1, 1, 8, 8])


@cheat(r"the input must be uint8 .* it is uint8 \(N, 1, N, N\)")
def free_size() -> ModelProto:
    return with_input(TensorProto.UINT8, ["N", 1, "H", "W"])


@cheat("there must be one input")
def two_inputs() -> ModelProto:
    model = honest()
    model.graph.input.append(helper.make_tensor_value_info("labels", TensorProto.INT64, ["N"]))
    return model


@cheat("there must be one output")
def two_outputs() -> ModelProto:
    model = honest()
    model.graph.output.append(helper.make_tensor_value_info("f", TensorProto.FLOAT, ["N", 64]))
    return model


@cheat(r"the output must be float32 \(N, 10\) with N free; it is float16")
def half_output() -> ModelProto:
    model = with_output(TensorProto.FLOAT16, ["N", 10])
    model.graph.node[2].output[0] = "z"
    model.graph.node.append(node("Cast", ["z"], ["logits"], to=TensorProto.FLOAT16))
    return model


@cheat("the output must be float32")
def fixed_output() -> ModelProto:
    return with_output(TensorProto.FLOAT, [1, 10])


@cheat("the output must be float32 .* without a shape")
def shapeless_output() -> ModelProto:
    return with_output(TensorProto.FLOAT, None)


def elevenfold(model: ModelProto) -> ModelProto:
    """The honest file with a linear layer of eleven outputs."""
    for tensor, shape in zip(model.graph.initializer, ((64, 11), (11,))):
        tensor.CopyFrom(build.tensor(tensor.name, floats(*shape)))
    return model


ELEVEN = (
    r"the output must be float32 \(N, 10\), one row for each image; node 2 'logits' \(Gemm\) makes "
    r"float32 \(N, 11\): give 10 numbers per image"
)


@cheat(ELEVEN)
def eleven_classes() -> ModelProto:
    return elevenfold(with_output(TensorProto.FLOAT, ["N", None]))


@cheat(ELEVEN)
def eleven_classes_declared_as_ten() -> ModelProto:
    return elevenfold(honest())


@cheat(r"the output must be float32 \(N, 10\) with N free; it is float32 \(N, 11\)")
def eleven_classes_declared() -> ModelProto:
    return elevenfold(with_output(TensorProto.FLOAT, ["N", 11]))


@cheat(r"node 3 'logits' \(Transpose\) makes float32 \(10, N\): transpose it")
def classes_by_images() -> ModelProto:
    model = honest()
    model.graph.node[2].output[0] = "z"
    model.graph.node.append(node("Transpose", ["z"], ["logits"], perm=[1, 0]))
    return model


@cheat(r"the output must be float32 \(N, 10\) with N free; it is float32 \(10, N\)")
def classes_by_images_declared() -> ModelProto:
    return with_output(TensorProto.FLOAT, [10, "N"])


@cheat(r"must be float32 .* node 3 'logits' \(Cast\) makes int32 \(N, 10\): cast it to float32")
def declared_as_another_type() -> ModelProto:
    """int32 logits that claim to be float32."""
    model = honest()
    model.graph.node[2].output[0] = "z"
    model.graph.node.append(node("Cast", ["z"], ["logits"], to=TensorProto.INT32))
    return model


@cheat("does not depend on the image|never used")
def constant_answer() -> ModelProto:
    nodes = [*build.front(), node("Identity", ["c"], ["logits"])]
    return build.assemble(nodes, {"c": floats(1, 10)})


@cheat("type that is not allowed, string")
def strings() -> ModelProto:
    tensor = helper.make_tensor("c", TensorProto.STRING, [1], [b"seven"])
    return between([node("Add", ["x", "c"], ["y"])], {"c": tensor})


@cheat("type that is not allowed, complex64")
def complex_numbers() -> ModelProto:
    return between([node("Add", ["x", "c"], ["y"])], {"c": np.zeros(1, np.complex64)})


@cheat("ONNX's checker refuses the file")
def data_shorter_than_its_shape() -> ModelProto:
    model = honest()
    model.graph.initializer[0].raw_data = b"\0" * 12
    return model


@cheat("^tensor 'w' has more or fewer data than its shape asks for")
def data_longer_than_its_shape() -> ModelProto:
    model = honest()
    model.graph.initializer[0].raw_data += b"\0" * 12
    return model


@cheat(r"^node 1 'd' \(DequantizeLinear\): its constants do not fit together")
def scales_of_another_size() -> ModelProto:
    made = node("DequantizeLinear", ["w", "s"], ["d"], axis=0)
    return between([made, conv()], {"w": np.ones((4, 1, 3, 3), np.int8), "s": floats(5)})


@cheat(r"^node 1 'd' \(Gather\): its constants do not fit together")
def an_index_beyond_the_codebook() -> ModelProto:
    index = np.full((4, 1, 3, 3), 7)
    return between([node("Gather", ["b", "i"], ["d"]), conv()], {"b": floats(3), "i": index})


# ---- operators that are not in the language ------------------------------------------------------


def body(name: str, inputs: Sequence[str] = ()) -> GraphProto:
    """A graph for control flow that copies x."""
    return helper.make_graph(
        [node("Identity", ["x"], ["inside"])],
        name,
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in inputs],
        [helper.make_tensor_value_info("inside", TensorProto.FLOAT, None)],
    )


def forbidden(
    kind: str, *inputs: str, outputs: int = 1, remedy: str = "", **attributes: object
) -> None:
    """Add a file in which one operator is not of the language; `remedy` is a pattern."""

    def make() -> ModelProto:
        names = ["y", *(f"more{i}" for i in range(outputs - 1))]
        constants = {"c": floats(1)} if "c" in inputs else {}
        made = node(kind, list(inputs), names, **attributes)
        return between([made, node("Identity", ["y"], ["z"])], constants)

    make.__name__ = f"operator_{kind}"
    cheat(rf"^node \d 'y' \({kind}\): this operator is not allowed.*{remedy}")(make)


forbidden("If", "c", then_branch=body("yes"), else_branch=body("no"))
forbidden("Loop", "", "", "x", body=body("again", ["i", "go", "s"]))
forbidden("Scan", "x", num_scan_inputs=1, body=body("each", ["s"]))
forbidden("RandomNormalLike", "x")
forbidden("RandomUniform", shape=[1, 10])
forbidden("Bernoulli", "x")
forbidden("Dropout", "x", "", "c", remedy=r"call model\.eval\(\) before the export")
forbidden("Shape", "x", remedy="write sizes as numbers")
forbidden("Size", "x", remedy="write sizes as numbers")
forbidden("NonZero", "x")
forbidden("Compress", "x", "c")
forbidden("ScatterND", "x", "c", "c")
forbidden("GatherND", "x", "c")
forbidden("LSTM", "x", "c", "c", hidden_size=1)
forbidden("STFT", "x", "c")
forbidden("StringNormalizer", "x")
forbidden("Where", "c", "x", "c")
forbidden("DynamicQuantizeLinear", "x", outputs=3)
forbidden("CumSum", "x", "c")
forbidden("TopK", "x", "c", outputs=2)
forbidden("SequenceConstruct", "x")
forbidden("ConstantOfShape", "c")
forbidden("BitShift", "c", "c", direction="LEFT")


@cheat("training_mode must be 0")
def batch_norm_in_training() -> ModelProto:
    inputs = ["x", "g", "g", "g", "g"]
    return between([node("BatchNormalization", inputs, ["y"], training_mode=1)], {"g": floats(1)})


@cheat("only its first output is allowed")
def second_output() -> ModelProto:
    """Indices of max pooling: the position of the maximum as data."""
    nodes = [
        node("MaxPool", ["x"], ["m", "i"], kernel_shape=[2, 2]),
        node("Cast", ["i"], ["j"], to=TensorProto.FLOAT),
        node("Add", ["m", "j"], ["y"]),
    ]
    return between(nodes)


@cheat("attribute 'table' is not allowed")
def tensor_in_an_attribute() -> ModelProto:
    made = node("Relu", ["x"], ["y"])
    made.attribute.append(helper.make_attribute("table", build.tensor("t", floats(9))))
    return between([made])


@cheat(r"^ONNX's checker refuses node 1 'y' \(Relu\): Unrecognized attribute: table")
def numbers_in_an_attribute() -> ModelProto:
    return between([node("Relu", ["x"], ["y"], table=[1.5] * 1000)])


@cheat("attribute 'axis' appears twice")
def attribute_twice() -> ModelProto:
    made = node("Softmax", ["x"], ["y"], axis=3)
    made.attribute.append(helper.make_attribute("axis", 0))
    return between([made])


@cheat("attribute 'alpha' is not allowed")
def attribute_without_a_type() -> ModelProto:
    made = node("LeakyRelu", ["x"], ["y"])
    made.attribute.append(AttributeProto(name="alpha", f=3.0))
    return between([made])


@cheat("only queries, keys, values and a mask are allowed")
def keys_of_the_past() -> ModelProto:
    """Attention over 64 keys that the shapes of its inputs do not show."""
    nodes = [
        node("Attention", ["x", "x", "x", "", "past", "past"], ["y"]),
    ]
    return between(nodes, {"past": floats(1, 1, 64, 8)}, opset=23)


# ---- one image must not know the others ----------------------------------------------------------


@cheat("does not have one part for each image")
def mean_over_the_batch() -> ModelProto:
    nodes = [node("ReduceMean", ["x", "zero"], ["m"]), node("Sub", ["x", "m"], ["y"])]
    return between(nodes, {"zero": ints(0)})


@cheat("does not have one part for each image")
def scale_of_the_batch() -> ModelProto:
    """Dynamic quantisation, spelled out."""
    nodes = [
        node("ReduceMax", ["x", "all"], ["m"], keepdims=0),
        node("QuantizeLinear", ["x", "m", "z"], ["q"]),
        node("DequantizeLinear", ["q", "m", "z"], ["y"]),
    ]
    return between(nodes, {"all": ints(0, 1, 2, 3), "z": np.uint8(0)})


@cheat(r"^node 2 'c' \(Conv\): tensor 'c' does not have one part for each image")
def batch_as_channels() -> ModelProto:
    nodes = [node("Reshape", ["x", "to"], ["r"]), node("Conv", ["r", "w"], ["c"])]
    nodes += [node("Reshape", ["c", "back"], ["y"])]
    return between(nodes, {"to": ints(1, -1, 8, 8), "back": ints(-1, 64), "w": floats(64, 1, 8, 8)})


@cheat("does not have one part for each image|output must")
def images_against_images() -> ModelProto:
    nodes = [
        node("Flatten", ["x"], ["f"]),
        node("Transpose", ["f"], ["t"], perm=[1, 0]),
        node("MatMul", ["f", "t"], ["s"]),
        node("MatMul", ["s", "f"], ["y"]),
    ]
    return between(nodes)


@cheat("does not have one part for each image|ONNX's checker refuses")
def first_image_only() -> ModelProto:
    nodes = [
        node("Slice", ["x", "a", "b", "a"], ["first"]),
        node("Sub", ["x", "first"], ["y"]),
    ]
    return between(nodes, {"a": ints(0), "b": ints(1)})


@cheat("does not have one part for each image|ONNX's checker refuses")
def split_batch() -> ModelProto:
    nodes = [node("Split", ["x", "parts"], ["a"], axis=0), node("Relu", ["a"], ["y"])]
    return between(nodes, {"parts": ints(1)})


@cheat("does not have one part for each image|ONNX's checker refuses")
def padded_batch() -> ModelProto:
    nodes = [node("Pad", ["x", "pads"], ["p"]), node("MaxPool", ["p"], ["y"], kernel_shape=[8, 8])]
    return between(nodes, {"pads": ints(1, 0, 0, 0, 0, 0, 0, 0)})


# ---- work that hides -----------------------------------------------------------------------------


@cheat(macs=0, params=9, ops=9 * 36 + 8 * 36 + 36, excess_macs=9 * 36 + 8 * 36 + 36)
def convolution_as_shifts() -> ModelProto:
    """Nine slices, nine products with one number each, eight sums: 17 operations a position."""
    nodes: list[NodeProto] = []
    constants: dict[str, Constant] = {"axes": ints(2, 3)}
    total = ""
    for i in range(9):
        constants |= {
            f"w{i}": floats(1, seed=i),
            f"a{i}": ints(i // 3, i % 3),
            f"b{i}": ints(i // 3 + 6, i % 3 + 6),
        }
        nodes += [
            node("Slice", ["x", f"a{i}", f"b{i}", "axes"], [f"s{i}"]),
            node("Mul", [f"s{i}", f"w{i}"], [f"p{i}"]),
        ]
        if i:
            nodes.append(node("Add", [total, f"p{i}"], [f"t{i}"]))
        total = nodes[-1].output[0]
    return between(nodes, constants)


@cheat(macs=640, params=640, ops=640 + 10, widths=[(32, 32)])
def product_and_sum() -> ModelProto:
    """A linear layer as a product with a table, and a sum."""
    nodes = [
        node("Reshape", ["x", "to"], ["c"]),
        node("Mul", ["c", "w"], ["p"]),
        node("ReduceSum", ["p", "axis"], ["y"], keepdims=0),
    ]
    return between(nodes, {"to": ints(0, 1, 64), "w": floats(10, 64), "axis": ints(2)})


@cheat(macs=64, params=64, widths=[(32, 32)])
def product_of_a_flat_table() -> ModelProto:
    """One number for each pixel, in a shape that looks like one for each channel."""
    return between(
        [node("Flatten", ["x"], ["f"]), node("Mul", ["f", "w"], ["y"])], {"w": floats(64)}
    )


@cheat(macs=10 * 64 * 64, widths=[(32, 32)])
def einsum_that_repeats() -> ModelProto:
    """64 products for each of 640 results; the second operand says that letter c has extent 1."""
    nodes = [
        node("Reshape", ["x", "to"], ["r"]),
        node("Expand", ["r", "wide"], ["e"]),
        node("Einsum", ["e", "w"], ["y"], equation="ndc,ck->ndk"),
    ]
    return between(nodes, {"to": ints(0, 1, 64), "wide": ints(1, 64, 1), "w": floats(1, 10)})


@cheat(macs=64, params=64, ops=64 * 4 + 64 * 4 + 64 + 64)
def product_as_a_sum_of_logarithms() -> ModelProto:
    """exp(log x + log w): nine operations instead of one; w as a table of sums is no product."""
    nodes = [
        node("Log", ["x"], ["l"]),
        node("Add", ["l", "w"], ["s"]),
        node("Exp", ["s"], ["e"]),
        node("Einsum", ["e", "e"], ["y"], equation="nchw,nchw->nchw"),
    ]
    return between(nodes, {"w": floats(1, 8, 8)})


@cheat(macs=64, params=64, widths=[(32, 32)])
def slopes_as_weights() -> ModelProto:
    """PRelu of a negative image multiplies with its slope."""
    return between(
        [node("Neg", ["x"], ["n"]), node("PRelu", ["n", "w"], ["y"])], {"w": floats(1, 8, 8)}
    )


@cheat(macs=64, params=64, widths=[(32, 8)])
def scales_as_weights() -> ModelProto:
    """DequantizeLinear with a block over the batch has a scale for each pixel."""
    made = node("DequantizeLinear", ["image", "w"], ["y"], axis=0, block_size=250)
    return between([made], {"w": floats(1, 1, 8, 8)})


@cheat(macs=64, params=64, widths=[(32, 32)])
def layer_norm_as_weights() -> ModelProto:
    return between([node("LayerNormalization", ["x", "w"], ["y"], axis=1)], {"w": floats(1, 8, 8)})


REPEATED = [
    node("Reshape", ["x", "one"], ["r"]),
    node("Expand", ["r", "ten"], ["e"]),
    node("Reshape", ["e", "flat"], ["f"]),
]
BACK = [node("Reshape", ["p", "rows"], ["b"]), node("ReduceSum", ["b", "axis"], ["y"], keepdims=0)]
SHAPES: dict[str, Constant] = {
    "one": ints(-1, 1, 64),
    "ten": ints(1, 10, 64),
    "flat": ints(-1, 640),
    "rows": ints(-1, 10, 64),
    "axis": ints(2),
}


@cheat(macs=640, params=2 * 640, ops=640 + 640 + 10, widths=[(32, 32)])
def batch_norm_as_weights() -> ModelProto:
    """A linear layer as a batch norm with a channel for each product."""
    norm = node("BatchNormalization", ["f", "w", "zero", "zero", "v"], ["p"], epsilon=0.0)
    zero, one = np.zeros(640, np.float32), np.ones(640, np.float32)
    constants = {**SHAPES, "w": floats(640), "zero": zero, "v": one}
    return between([*REPEATED, norm, *BACK], constants)


@cheat(macs=640, params=2 * 640, widths=[(32, 32)])
def variances_as_weights() -> ModelProto:
    """The scale has one bit, and says nothing."""
    nodes = [
        node("Cast", ["w"], ["g"], to=TensorProto.FLOAT),
        node("BatchNormalization", ["f", "g", "zero", "zero", "v"], ["p"], epsilon=0.0),
    ]
    zero, ones = np.zeros(640, np.float32), np.ones(640, bool)
    constants = {**SHAPES, "w": ones, "zero": zero, "v": floats(640)}
    return between([*REPEATED, *nodes, *BACK], constants)


@cheat(macs=4 * 640, params=40, widths=[(32, 32)])
def channels_of_a_repeated_image() -> ModelProto:
    """A 1x1 convolution of 4 channels to 10, as 40 channels with one factor each, and sums."""
    nodes = [
        node("Concat", ["x"] * 4, ["c"], axis=1),
        node("Relu", ["c"], ["d"]),
        node("Reshape", ["d", "one"], ["r"]),
        node("Expand", ["r", "ten"], ["e"]),
        node("Reshape", ["e", "flat"], ["f"]),
        node("Mul", ["f", "w"], ["p"]),
        node("Reshape", ["p", "rows"], ["b"]),
        node("ReduceSum", ["b", "axis"], ["y"], keepdims=0),
    ]
    shapes = {"one": ints(-1, 1, 4, 64), "ten": ints(1, 10, 4, 64), "flat": ints(-1, 40, 64)}
    more = {"rows": ints(-1, 10, 4, 64), "axis": ints(2), "w": floats(40, 1)}
    return between(nodes, {**shapes, **more})


@cheat(macs=640, params=10, widths=[(32, 32)])
def outer_product() -> ModelProto:
    """The product repeats the image itself."""
    nodes = [node("Reshape", ["x", "one"], ["r"]), node("Mul", ["r", "w"], ["y"])]
    return between(nodes, {"one": ints(-1, 1, 64), "w": floats(10, 1)})


@cheat(macs=640, params=10, widths=[(32, 32)])
def copies_beside_each_other() -> ModelProto:
    """Copies under names of their own."""
    copies = [node("Identity", ["x"], [f"c{i}"]) for i in range(10)]
    names = [f"c{i}" for i in range(10)]
    nodes = [node("Concat", names, ["f"], axis=1), node("Mul", ["f", "w"], ["y"])]
    return between([*copies, *nodes], {"w": floats(10, 1, 1)})


@cheat(macs=64, params=64, widths=[(32, 32)])
def powers_as_weights() -> ModelProto:
    return between([node("Pow", ["x", "w"], ["y"])], {"w": floats(1, 8, 8)})


@cheat(params=17 * 16, ops=64 * 16 + 64 * 16 + 16, macs=0)
def products_by_lookup() -> ModelProto:
    """A row of products for each grey level: one operation for each number that is fetched."""
    nodes = [
        node("Cast", ["image"], ["i"], to=TensorProto.INT32),
        node("Gather", ["t", "i"], ["g"]),
        node("ReduceSum", ["g", "axes"], ["y"], keepdims=0),
    ]
    return between(nodes, {"t": floats(17, 16), "axes": ints(1, 2, 3)})


@cheat("exactly two operands")
def einsum_of_three() -> ModelProto:
    made = node("Einsum", ["x", "w", "w"], ["y"], equation="nchw,hk,kw->nc")
    return between([made], {"w": floats(8, 8)})


@cheat("this equation is not allowed")
def einsum_with_dots() -> ModelProto:
    return between(
        [node("Einsum", ["x", "w"], ["y"], equation="...h,hk->...k")], {"w": floats(8, 3)}
    )


# ---- constants that hide -------------------------------------------------------------------------


@cheat("65 numbers for a shape or an axis are more than 64")
def indices_as_weights() -> ModelProto:
    nodes = [node("Flatten", ["x"], ["f"]), node("Gather", ["f", "i"], ["y"], axis=1)]
    return between(nodes, {"i": np.zeros(65, np.int64)})


@cheat("more than 1024 numbers for shapes and axes")
def many_small_shapes() -> ModelProto:
    nodes = [node("Flatten", ["x"], ["f0"])]
    nodes += [node("Gather", [f"f{i}", f"i{i}"], [f"f{i + 1}"], axis=1) for i in range(17)]
    return between(nodes, {f"i{i}": np.arange(64) for i in range(17)})


@cheat("shapes and axes may not depend on the image")
def shape_of_the_image() -> ModelProto:
    nodes = [
        node("ReduceMax", ["x", "all"], ["m"], keepdims=0),
        node("Cast", ["m"], ["n"], to=TensorProto.INT64),
        node("Reshape", ["x", "n"], ["y"]),
    ]
    return between(nodes, {"all": ints(0, 1, 2, 3)})


@cheat(params=64, stored_bits=64 * 32)
def weights_in_constant_nodes() -> ModelProto:
    constant = node("Constant", [], ["c"], value_floats=[1.5] * 64)
    nodes = [constant, node("Reshape", ["c", "to"], ["d"]), node("Add", ["x", "d"], ["y"])]
    return between(nodes, {"to": ints(1, 8, 8)})


@cheat("'value_strings' is not allowed|attribute 'value_strings' is not allowed")
def strings_in_constant_nodes() -> ModelProto:
    nodes = [node("Constant", [], ["c"], value_strings=["a"]), node("Add", ["x", "c"], ["y"])]
    return between(nodes)


@cheat(params=2, stored_bits=64)
def weights_in_bounds() -> ModelProto:
    return between([node("Clip", ["x", "a", "b"], ["y"])], {"a": scalar(1), "b": scalar(3)})


@cheat(params=1, stored_bits=32)
def weight_in_padding() -> ModelProto:
    made = node("Pad", ["x", "pads", "v"], ["y"])
    return between([made], {"pads": ints(0, 0, 1, 1, 0, 0, 1, 1), "v": scalar(7)})


@cheat(params=9 * 16, stored_bits=9 * 16 * 32, macs=16 * 36 * 9)
def weights_by_expand() -> ModelProto:
    """Nine numbers become 144: all of them are counted."""
    nodes = [node("Expand", ["w", "to"], ["d"]), conv()]
    return between(nodes, {"w": floats(1, 1, 3, 3), "to": ints(16, 1, 3, 3)})


@cheat(params=144, stored_bits=144 * 32)
def weights_by_arithmetic() -> ModelProto:
    """A product of two small matrices."""
    nodes = [
        node("MatMul", ["a", "b"], ["p"]),
        node("Reshape", ["p", "to"], ["d"]),
        conv(),
    ]
    return between(nodes, {"a": floats(16, 1), "b": floats(1, 9), "to": ints(16, 1, 3, 3)})


@cheat(params=36, stored_bits=36 * 64)
def shape_that_is_also_a_weight() -> ModelProto:
    """A tensor on an edge for shapes is free, on any other edge it is stored."""
    nodes = [
        node("Flatten", ["x"], ["f"]),
        node("Gather", ["f", "i"], ["g"], axis=1),
        node("Cast", ["i"], ["c"], to=TensorProto.FLOAT),
        node("Add", ["g", "c"], ["y"]),
    ]
    return between(nodes, {"i": np.arange(1, 37)})


@cheat(params=18 + 36, stored_bits=(18 + 36) * 32)
def two_copies() -> ModelProto:
    nodes = [
        node("Conv", ["x", "a"], ["p"]),
        node("Conv", ["x", "b"], ["q"]),
        node("Conv", ["x", "b"], ["r"]),
        node("Conv", ["x", "c"], ["s"]),
        node("Add", ["p", "q"], ["t"]),
        node("Add", ["r", "s"], ["u"]),
        node("Add", ["t", "u"], ["y"]),
    ]
    same = floats(2, 1, 3, 3)
    return between(nodes, {"a": same, "b": same.copy(), "c": same.copy()})


@cheat(params=2 + 90, stored_bits=92 * 32)
def name_of_a_folded_norm() -> ModelProto:
    """An initialiser with the name that the scorer gives to a batch norm is still stored."""
    nodes = [node("BatchNormalization", ["x", "g", "g", "g", "g"], ["n"])]
    nodes += [node("Conv", ["n", "batch norm of node 1"], ["y"])]
    return between(nodes, {"g": floats(1) + 1, "batch norm of node 1": floats(10, 1, 3, 3)})


# ---- zeros that are none -------------------------------------------------------------------------


def summand(values: Sequence[float]) -> ModelProto:
    table = np.float32(values).reshape(-1, 1, 1)
    return between([node("Add", ["x", "d"], ["y"])], {"d": table})


@cheat(params=4, nonzeros=4)
def almost_zero() -> ModelProto:
    return summand([1e-12, -1e-12, 1e-30, 1.0])


@cheat(params=3, nonzeros=3)
def subnormal() -> ModelProto:
    return summand([1e-45, -1e-40, 1.0])


@cheat(params=3, nonzeros=1)
def negative_zero() -> ModelProto:
    return summand([-0.0, 0.0, 1.0])


@cheat(params=36 + 2, nonzeros=36 + 2, stored_bits=36 + 64, widths=[(1, 32)])
def zeros_of_one_bit() -> ModelProto:
    nodes = [
        node("Cast", ["w"], ["i"], to=TensorProto.INT32),
        node("Gather", ["b", "i"], ["d"]),
        conv(),
    ]
    return between(nodes, {"w": np.zeros((4, 1, 3, 3), bool), "b": np.float32([-1, 1])})


@cheat(params=36 + 1, nonzeros=36, stored_bits=36 * 32, macs=2 * 4 * 36 * 9)
def zeros_at_the_first_use() -> ModelProto:
    """All weights times zero for one convolution, as they are for the next one."""
    nodes = [
        node("Mul", ["w", "zero"], ["nothing"]),
        node("Conv", ["x", "nothing"], ["a"]),
        node("Conv", ["x", "w"], ["b"]),
        node("Add", ["a", "b"], ["y"]),
    ]
    return between(nodes, {"w": floats(4, 1, 3, 3), "zero": scalar(0)})


@cheat(params=36 + 1, nonzeros=0, stored_bits=0, macs=4 * 36 * 9)
def multiplied_by_zero() -> ModelProto:
    """Weights that are zero at the operator are zero; their products are made all the same."""
    nodes = [node("Mul", ["w", "zero"], ["d"]), conv()]
    return between(nodes, {"w": floats(4, 1, 3, 3), "zero": scalar(0)})


@cheat(params=2 * 8 + 72, nonzeros=2 * 4 + 72)
def zeros_by_turns() -> ModelProto:
    """Half of the channels for one use, the other half for another."""
    half = np.float32([1] * 4 + [0] * 4).reshape(8, 1, 1, 1)
    nodes = [
        node("Mul", ["w", "half"], ["a"]),
        node("Mul", ["w", "rest"], ["b"]),
        node("Conv", ["x", "a"], ["p"]),
        node("Conv", ["x", "b"], ["q"]),
        node("Add", ["p", "q"], ["y"]),
    ]
    return between(nodes, {"w": floats(8, 1, 3, 3), "half": half, "rest": half[::-1].copy()})


@cheat("may not change a constant's values")
def zeros_by_overflow() -> ModelProto:
    """256 as int8 is zero on this machine, and whatever a runtime likes."""
    nodes = [
        node("Cast", ["w"], ["i"], to=TensorProto.INT8),
        node("Cast", ["i"], ["d"], to=TensorProto.FLOAT),
        conv(),
    ]
    return between(nodes, {"w": np.full((4, 1, 3, 3), 256, np.float32)})


@cheat(params=36 + 1, nonzeros=36 + 1, stored_bits=37 * 8, widths=[(8, 8)])
def zeros_by_zero_point() -> ModelProto:
    """Codes 0 stand for -7."""
    made = node("ConvInteger", ["image", "w", "", "z"], ["y"])
    return between([made], {"w": np.zeros((4, 1, 3, 3), np.uint8), "z": np.uint8(7)})


# ---- bits that are none --------------------------------------------------------------------------


@cheat(params=36, stored_bits=36 * 32, widths=[(32, 32)])
def cast_there_and_back() -> ModelProto:
    nodes = [
        node("Cast", ["w"], ["i"], to=TensorProto.INT8),
        node("Cast", ["i"], ["d"], to=TensorProto.FLOAT),
        conv(),
    ]
    return between(nodes, {"w": np.full((4, 1, 3, 3), 3, np.float32)})


@cheat(params=36, stored_bits=36 * 32, widths=[(32, 32)])
def quantized_in_the_file() -> ModelProto:
    nodes = [
        node("QuantizeLinear", ["w", "s", "z"], ["q"]),
        node("DequantizeLinear", ["q", "s", "z"], ["d"]),
        conv(),
    ]
    constants = {"w": floats(4, 1, 3, 3), "s": scalar(0.1), "z": packed(TensorProto.INT4, 0)}
    return between(nodes, constants)


@cheat(params=36, stored_bits=36 * 32, widths=[(32, 32)])
def two_halves_of_a_number() -> ModelProto:
    """High and low byte, put together by arithmetic: the result counts."""
    nodes = [
        node("Cast", ["h"], ["fh"], to=TensorProto.FLOAT),
        node("Cast", ["l"], ["fl"], to=TensorProto.FLOAT),
        node("Mul", ["fh", "k"], ["m"]),
        node("Add", ["m", "fl"], ["d"]),
        conv(),
    ]
    byte = np.ones((4, 1, 3, 3), np.uint8)
    return between(nodes, {"h": byte, "l": byte, "k": scalar(256)})


@cheat(params=36 + 30, stored_bits=66 * 32, widths=[(32, 32)])
def codebook_of_everything() -> ModelProto:
    nodes = [
        node("Cast", ["w"], ["i"], to=TensorProto.INT32),
        node("Gather", ["b", "i"], ["d"]),
        conv(),
    ]
    index = (np.arange(36) % 30).astype(np.uint8).reshape(4, 1, 3, 3)
    return between(nodes, {"w": index, "b": floats(30)})


@cheat(params=8 + 36, stored_bits=8 + 36 * 32, widths=[(6, 32)])
def codebook_of_rows() -> ModelProto:
    """One bit chooses 18 weights: the index is not their width."""
    nodes = [
        node("Cast", ["w"], ["i"], to=TensorProto.INT32),
        node("Gather", ["b", "i"], ["rows"]),
        node("Reshape", ["rows", "to"], ["d"]),
        conv(),
    ]
    index = np.array([0, 1] * 4, bool)
    return between(nodes, {"w": index, "b": floats(2, 18), "to": ints(16, 1, 3, 3)})


def scaled(scale: Sequence[int], **attributes: int) -> ModelProto:
    nodes = [
        node("DequantizeLinear", ["w", "s"], ["r"], **attributes),
        node("Reshape", ["r", "to"], ["d"]),
        conv(),
    ]
    codes = packed(TensorProto.INT2, np.ones((36,) if len(scale) == 1 else (1, 36)))
    return between(nodes, {"w": codes, "s": floats(*scale), "to": ints(4, 1, 3, 3)}, opset=25)


@cheat(params=72, stored_bits=72 * 32, widths=[(32, 32)])
def scale_for_each_element() -> ModelProto:
    """The weights are the scales of codes that are all one."""
    return scaled((36,), axis=0)


@cheat(params=36 + 18, stored_bits=54 * 32, widths=[(32, 32)])
def scale_for_each_pair() -> ModelProto:
    return scaled((1, 18), axis=1, block_size=2)


@cheat(params=72, stored_bits=72 * 32, widths=[(32, 32)])
def product_of_two_vectors() -> ModelProto:
    """A scale per channel, in a shape in which every element is a channel."""
    nodes = [
        node("Cast", ["w"], ["c"], to=TensorProto.FLOAT),
        node("Mul", ["c", "s"], ["r"]),
        node("Reshape", ["r", "to"], ["d"]),
        conv(),
    ]
    return between(nodes, {"w": np.ones(36, np.int8), "s": floats(36), "to": ints(4, 1, 3, 3)})


def codes_of(kind: int, seed: int) -> TensorProto:
    """36 numbers of few bits, none of them zero."""
    bits = {TensorProto.INT2: 2, TensorProto.INT4: 4}[kind]
    values = np.random.default_rng(seed).integers(1, 2 ** (bits - 1), 36)
    return packed(kind, values if seed % 2 else -values)


def factors(kind: int, count: int) -> tuple[list[NodeProto], dict[str, Constant]]:
    """Nodes that make d (4, 1, 3, 3), the product of vectors of few bits."""
    nodes: list[NodeProto] = []
    for i in range(count):
        nodes.append(node("DequantizeLinear", [f"w{i}", "one"], [f"f{i}"]))
        if i:
            nodes.append(node("Mul", [f"p{i - 1}" if i > 1 else "f0", f"f{i}"], [f"p{i}"]))
    nodes.append(node("Reshape", [f"p{count - 1}", "to"], ["d"]))
    vectors = {f"w{i}": codes_of(kind, i) for i in range(count)}
    return nodes, {**vectors, "one": scalar(1), "to": ints(4, 1, 3, 3)}


@cheat(params=72 + 1, stored_bits=36 * (32 + 4) + 32, widths=[(32, 32)])
def product_of_two_vectors_of_few_bits() -> ModelProto:
    """More different products than 4 bits tell apart."""
    nodes, constants = factors(TensorProto.INT4, 2)
    return between([*nodes, conv()], constants)


@cheat(params=3 * 36 + 1, stored_bits=36 * (32 + 2 + 2) + 32, widths=[(32, 32)])
def product_of_three_vectors_of_few_bits() -> ModelProto:
    nodes, constants = factors(TensorProto.INT2, 3)
    return between([*nodes, conv()], constants, opset=25)


@cheat(params=3 * 36 + 1, stored_bits=36 * (32 + 2 + 2) + 32, widths=[(32, 32)])
def zero_points_and_scales_of_few_bits() -> ModelProto:
    """Codes less other codes, times others again."""
    nodes = [
        node("DequantizeLinear", ["s", "one"], ["scale"]),
        node("DequantizeLinear", ["w", "scale", "z"], ["r"], axis=0),
        node("Reshape", ["r", "to"], ["d"]),
        conv(),
    ]
    codes = {name: codes_of(TensorProto.INT2, i) for i, name in enumerate(["z", "w", "s"])}
    return between(nodes, {**codes, "one": scalar(1), "to": ints(4, 1, 3, 3)}, opset=25)


@cheat(params=8 + 2 * 36 + 1, widths=[(32, 32)])
def codebook_of_products() -> ModelProto:
    """One bit chooses a row of products of two numbers of 4 bits."""
    nodes, constants = factors(TensorProto.INT4, 2)
    nodes += [
        node("Reshape", ["d", "rows"], ["book"]),
        node("Cast", ["w"], ["i"], to=TensorProto.INT32),
        node("Gather", ["book", "i"], ["chosen"]),
        node("Reshape", ["chosen", "kernels"], ["k"]),
        conv("k"),
    ]
    more = {"w": np.array([0, 1] * 4, bool), "rows": ints(2, 18), "kernels": ints(16, 1, 3, 3)}
    return between(nodes, {**constants, **more})


@cheat(params=36 + 4 * 9, stored_bits=72 * 32, widths=[(32, 32)])
def many_small_scales() -> ModelProto:
    """Four scales, each for a quarter of the elements: together they are as many."""
    nodes = [node("Cast", ["w"], ["c0"], to=TensorProto.FLOAT)]
    for i in range(4):
        nodes += [
            node("Reshape", [f"c{i}", "cut"], [f"r{i}"]),
            node("Mul", [f"r{i}", f"s{i}"], [f"p{i}"]),
            node("Transpose", [f"p{i}"], [f"c{i + 1}"]),
        ]
    nodes += [node("Reshape", ["c4", "to"], ["d"]), conv()]
    scales = {f"s{i}": floats(9, 1, seed=i) for i in range(4)}
    constants = {"w": np.ones(36, bool), "cut": ints(9, 4), "to": ints(4, 1, 3, 3)}
    return between(nodes, {**constants, **scales})


@cheat(params=72 + 36, widths=[(32, 32)])
def zero_point_for_each_element() -> ModelProto:
    nodes = [
        node("DequantizeLinear", ["w", "s", "z"], ["r"], axis=0),
        node("Reshape", ["r", "to"], ["d"]),
        conv(),
    ]
    points = np.arange(1, 37, dtype=np.int8)
    constants = {
        "w": np.ones(36, np.int8) * 50,
        "s": floats(36),
        "z": points,
        "to": ints(4, 1, 3, 3),
    }
    return between(nodes, constants)


@cheat(params=2, stored_bits=64)
def norm_of_few_bits() -> ModelProto:
    """A batch norm whose codes are ones and whose scales are its parameters."""
    names = ["g", "b", "m", "v"]
    nodes = [
        *(node("Cast", [f"{n}1"], [f"{n}2"], to=TensorProto.FLOAT) for n in names),
        node("BatchNormalization", ["x", *(f"{n}2" for n in names)], ["y"]),
    ]
    return between(nodes, {f"{n}1": np.float32([i + 2.0]) for i, n in enumerate(names)})


@cheat(params=4 * 2 + 4 * 4, stored_bits=(8 + 16) * 32)
def norm_with_scales() -> ModelProto:
    names = ["g", "b", "m", "v"]
    nodes = [node("SpaceToDepth", ["x"], ["c"], blocksize=2)]
    constants: dict[str, Constant] = {}
    for i, name in enumerate(names):
        nodes.append(node("DequantizeLinear", [f"{name}1", f"{name}s"], [f"{name}2"], axis=0))
        constants |= {f"{name}1": np.ones(4, np.int8), f"{name}s": floats(4, seed=i)}
    nodes.append(node("BatchNormalization", ["c", *(f"{n}2" for n in names)], ["y"]))
    return between(nodes, constants)


PAIR = [
    node("QuantizeLinear", ["x", "s", "z"], ["q"]),
    node("DequantizeLinear", ["q", "s", "z"], ["p"]),
]
FOUR: dict[str, Constant] = {
    "s": scalar(1),
    "z": packed(TensorProto.UINT4, 0),
    "w": floats(1, 1, 3, 3),
}


@cheat(widths=[(32, 32)])
def float_behind_a_quantizer() -> ModelProto:
    return between([*PAIR, node("Sigmoid", ["p"], ["a"]), conv("w", "a")], FOUR)


@cheat(widths=[(32, 32)])
def sum_of_few_bits() -> ModelProto:
    return between([*PAIR, node("Add", ["p", "x"], ["a"]), conv("w", "a")], FOUR)


@cheat(widths=[(32, 32)])
def several_scales_for_activations() -> ModelProto:
    nodes = [
        node("QuantizeLinear", ["x", "s", "z"], ["q"], axis=3),
        node("DequantizeLinear", ["q", "s", "z"], ["p"], axis=3),
        conv("w", "p"),
    ]
    points = packed(TensorProto.UINT4, [0] * 8)
    return between(nodes, {**FOUR, "s": floats(8), "z": points})


@cheat(widths=[(32, 32)])
def float_beside_few_bits() -> ModelProto:
    return between([*PAIR, node("Concat", ["p", "x"], ["a"], axis=3), conv("w", "a")], FOUR)


@cheat(widths=[(32, 32)])
def integers_of_many_bits() -> ModelProto:
    """int32 codes behind one scale are 32 bits, whatever operator made them."""
    nodes = [
        node("Cast", ["x"], ["i"], to=TensorProto.INT32),
        node("DequantizeLinear", ["i", "s"], ["p"]),
        conv("w", "p"),
    ]
    return between(nodes, {"s": scalar(1), "w": floats(1, 1, 3, 3)})


# ---- numbers that are computed otherwise than they are counted -----------------------------------


@cheat("node 4 'r' .Reshape.: shapes and axes have to be stored, not computed")
def a_shape_that_is_computed() -> ModelProto:
    """ONNX carries 8 through a Cast to bool; the runtime makes it 1, and 9 - 1 is the image."""
    nodes = [
        node("Cast", ["v"], ["v1"], to=TensorProto.BOOL),
        node("Cast", ["v1"], ["v2"], to=TensorProto.INT64),
        node("Sub", ["k", "v2"], ["s"]),
        node("Reshape", ["x", "s"], ["r"]),
        node("Conv", ["r", "w"], ["y"], pads=[1] * 4),
    ]
    shapes: dict[str, Constant] = {"v": ints(1, 0, 8, 8), "k": ints(1, 1, 9, 9)}
    return between(nodes, {**shapes, "w": floats(4, 1, 3, 3)})


@cheat(params=11, nonzeros=11, macs=324)
def codes_around_a_large_zero_point() -> ModelProto:
    """2^30 + 1 is 2^30 in float32, and is not in int32."""
    codes = (2**30 + np.arange(1, 10)).astype(np.int32).reshape(1, 1, 3, 3)
    nodes = [node("DequantizeLinear", ["w", "s", "z"], ["d"]), conv()]
    return between(nodes, {"w": codes, "s": scalar(1), "z": np.array(2**30, np.int32)})


@cheat(params=9, nonzeros=9, stored_bits=9 * 32, macs=324)
def codes_that_a_product_rounds_to_the_zero_point() -> ModelProto:
    """The product with one is exact in int32; in float32 all codes are 2^30."""
    codes = (2**30 + np.arange(1, 10)).astype(np.int32).reshape(1, 1, 3, 3)
    nodes = [
        node("Mul", ["w", "one"], ["c"]),
        node("DequantizeLinear", ["c", "s", "z"], ["d"]),
        conv(),
    ]
    constants = {"w": codes, "one": np.array(1, np.int32), "s": scalar(1)}
    return between(nodes, {**constants, "z": np.array(2**30, np.int32)})


@cheat(params=9, nonzeros=9, stored_bits=9 * 32)
def an_index_that_a_product_makes() -> ModelProto:
    """Rounded to float32, it would name another entry of a book of more than 2^24."""
    nodes = [node("Mul", ["i", "one"], ["j"]), node("Gather", ["book", "j"], ["d"]), conv()]
    index = np.arange(9, dtype=np.int32).reshape(1, 1, 3, 3)
    return between(nodes, {"i": index, "one": np.array(1, np.int32), "book": floats(9)})


@cheat(params=2, nonzeros=2)
def a_shift_that_cancels() -> ModelProto:
    """beta - mean * gamma / sqrt(variance) is 0 in float64, and -1 to the runtime."""
    beta = np.float32((2 - 2**-11) * 2**23)
    nodes = [node("BatchNormalization", ["x", "g", "b", "m", "v"], ["y"], epsilon=0.0)]
    statistics = {"m": np.float32([7 * beta]), "v": np.float32([49])}
    return between(nodes, {"g": np.float32([1]), "b": np.float32([beta]), **statistics})


def of_nothing(*product: NodeProto, **constants: Constant) -> ModelProto:
    """A product that sums over an axis of `e`, (N, 0), beside the image itself."""
    nodes = [node("Flatten", ["x"], ["f"]), node("Slice", ["f", "a", "a", "one"], ["e"])]
    nodes += [*product, node("Concat", ["f", "p"], ["y"], axis=1)]
    return between(nodes, {**constants, "a": ints(0), "one": ints(1)})


@cheat(params=0, macs=0)
def sums_of_nothing() -> ModelProto:
    """1,000 sums of no products take no additions, rather than 1,000 fewer than none."""
    return of_nothing(node("MatMul", ["e", "w"], ["p"]), w=np.zeros((0, 1000), np.float32))


@cheat(params=0, macs=0)
def sums_of_nothing_of_the_image() -> ModelProto:
    made = node("Einsum", ["e", "e"], ["q"], equation="na,na->n")
    return of_nothing(made, node("Unsqueeze", ["q", "one"], ["p"]))


@cheat(params=9, nonzeros=9)
def a_rounding_that_the_runtime_leaves_out() -> ModelProto:
    """Zero in half precision, and float32 to ONNX Runtime, which has no half convolution."""
    nodes = [
        node("Cast", ["w"], ["h"], to=TensorProto.FLOAT16),
        node("Cast", ["h"], ["d"], to=TensorProto.FLOAT),
        conv(),
    ]
    return between(nodes, {"w": floats(1, 1, 3, 3) * np.float32(1e-9)})


@cheat(params=12, nonzeros=12)
def a_product_that_underflows() -> ModelProto:
    """In half precision, which the runtime calculates in float32."""
    nodes = [node("Cast", ["w"], ["h0"], to=TensorProto.FLOAT16)]
    nodes += [node("Mul", [f"h{i}", f"s{i}"], [f"h{i + 1}"]) for i in range(3)]
    nodes += [node("Cast", ["h3"], ["d"], to=TensorProto.FLOAT), conv()]
    scales = {f"s{i}": np.array(v, np.float16) for i, v in enumerate((6e-8, 4096, 4096))}
    return between(nodes, {**scales, "w": floats(1, 1, 3, 3) * np.float32(0.1)})


@cheat("a Cast to integers may not change")
def an_index_that_was_rounded() -> ModelProto:
    """Which entries of the codebook it names depends on who leaves out the rounding to half."""
    nodes = [
        node("Cast", ["i"], ["h"], to=TensorProto.FLOAT16),
        node("Cast", ["h"], ["f"], to=TensorProto.FLOAT),
        node("Cast", ["f"], ["j"], to=TensorProto.INT64),
        node("Gather", ["book", "j"], ["d"]),
        conv(),
    ]
    index = np.full((1, 1, 3, 3), 2049, np.float32)
    return between(nodes, {"i": index, "book": np.zeros(2050, np.float32)})


@cheat(params=8, nonzeros=8)
def weights_as_slopes() -> ModelProto:
    """LeakyRelu of negative numbers multiplies by an attribute."""
    nodes = [
        node("Neg", ["x"], ["n"]),
        node("Split", ["n"], [f"p{i}" for i in range(8)], axis=3, num_outputs=8),
    ]
    nodes += [node("LeakyRelu", [f"p{i}"], [f"q{i}"], alpha=0.5 + i) for i in range(8)]
    return between([*nodes, node("Concat", [f"q{i}" for i in range(8)], ["y"], axis=3)])


@cheat(params=4, nonzeros=3, ops=704)
def numbers_of_other_attributes() -> ModelProto:
    nodes = [
        node("HardSigmoid", ["x"], ["a"], alpha=0.25, beta=0.5),  # beta is the default
        node("Elu", ["a"], ["b"], alpha=0.0),
        node("LayerNormalization", ["b", "w"], ["y"], epsilon=0.125),
    ]
    return between(nodes, {"w": scalar(1).reshape(1)})


@cheat(ops=3077, excess_macs=3077 - 1300)
def products_of_few_bits_that_pay_for_other_work() -> ModelProto:
    """64 x 325 products with zeros of 2 bits cost a sixteenth, and would free a quarter."""
    nodes = [node("Flatten", ["x"], ["f0"])]
    nodes += [node("Tanh", [f"f{i}"], [f"f{i + 1}"]) for i in range(10)]
    nodes += [
        node("QuantizeLinear", ["f0", "s", "z"], ["q"]),
        node("DequantizeLinear", ["q", "s", "z"], ["p"]),
        node("DequantizeLinear", ["w", "s"], ["d"]),
        node("MatMul", ["p", "d"], ["m"]),
        node("Concat", ["f10", "m"], ["y"], axis=1),
    ]
    few: dict[str, Constant] = {"z": packed(TensorProto.UINT2, 0), "s": scalar(1)}
    zeros = packed(TensorProto.INT2, np.zeros((64, 325), int))
    return between(nodes, {**few, "w": zeros}, opset=25)


@cheat(params=10, nonzeros=10)
def a_scale_squared_again_and_again() -> ModelProto:
    """Each is beside the next twice: there are 2^40 ways from the last to the first."""
    nodes = [node("Mul", [f"s{i}"] * 2, [f"s{i + 1}"]) for i in range(40)]
    nodes += [node("Mul", ["w", "s40"], ["d"]), conv()]
    return between(nodes, {"s0": scalar(1), "w": floats(1, 1, 3, 3)})


@cheat(ops=208)
def a_table_that_was_added_to_the_image() -> ModelProto:
    """Rows of a stored table, chosen by pixels, which only seem to be computed."""
    nodes = [
        node("ReduceMax", ["x", "all"], ["m"], keepdims=0),
        node("Sub", ["m", "m"], ["o"]),
        node("Reshape", ["o", "one"], ["o1"]),
        node("Add", ["o1", "table"], ["t"]),
        node("Reshape", ["t", "tall"], ["rows"]),
        node("Reshape", ["image", "flat"], ["pixels"]),
        node("Cast", ["pixels"], ["i"], to=TensorProto.INT64),
        node("Gather", ["rows", "i"], ["y"], axis=0),
    ]
    shapes: dict[str, Constant] = {"all": ints(1, 2, 3), "one": ints(-1, 1, 1)}
    shapes |= {"flat": ints(-1, 64), "tall": ints(-1, 1)}
    return between(nodes, {**shapes, "table": floats(1, 5, 3)})


@cheat("65 parts are more than 64")
def weights_as_wiring() -> ModelProto:
    """Which part of the image goes where is a weight of its own."""
    nodes = [node("Split", ["x"], [f"p{i}" for i in range(8)], axis=3, num_outputs=8)]
    return between([*nodes, node("Concat", [f"p{i % 8}" for i in range(65)], ["y"], axis=3)])


# ---- what shows only when it runs ----------------------------------------------------------------

RUNNING: dict[str, Cheat] = {}


def running(refused: str) -> Callable[[Callable[[], ModelProto]], Callable[[], ModelProto]]:
    """Add a file that is read without complaint, and refused when it runs."""

    def add(function: Callable[[], ModelProto]) -> Callable[[], ModelProto]:
        RUNNING[function.__name__] = Cheat(lambda: function().SerializeToString(), refused)
        return function

    return add


@running("it has memorised them")
def memorized_labels() -> ModelProto:
    """A checksum of each test image, compared with stored ones; labels behind it.

    It costs 360 x 11 numbers, and the smallest change of an image loses it.
    """
    test = data.load_digits().test
    images = test.images.numpy().reshape(-1, 64).astype(np.float32)
    checksum = np.random.default_rng(0).integers(1, 8192, (64, 1)).astype(np.float32)
    labels = np.eye(10, dtype=np.float32)[test.labels.numpy()]
    nodes = [
        *build.front(),
        node("Flatten", ["x"], ["f"]),
        node("MatMul", ["f", "checksum"], ["key"]),
        node("Equal", ["key", "keys"], ["same"]),
        node("Cast", ["same"], ["hit"], to=TensorProto.FLOAT),
        node("MatMul", ["hit", "labels"], ["logits"]),
    ]
    keys = (images @ checksum)[:, 0]
    return build.assemble(nodes, {"checksum": checksum, "keys": keys, "labels": labels})


@running("an output is NaN or infinite")
def not_a_number() -> ModelProto:
    model = honest()
    model.graph.node[2].output[0] = "g"
    model.graph.node.extend([node("Sub", ["g", "g"], ["n"]), node("Div", ["n", "n"], ["logits"])])
    return model


@running("an output is NaN or infinite")
def infinite() -> ModelProto:
    model = honest()
    model.graph.node[2].output[0] = "g"
    model.graph.node.extend([node("Exp", ["g"], ["e"]), node("Exp", ["e"], ["logits"])])
    return model


@running(r"predictions at batch size \d+ differ from those for each image alone")
def maximum_over_neighbors() -> ModelProto:
    """A pooling window over the batch: sizes grow with N, answers mix."""
    nodes = [
        *build.front(),
        node("Transpose", ["x"], ["t"], perm=[1, 2, 0, 3]),
        node("MaxPool", ["t"], ["m"], kernel_shape=[3, 1], pads=[1, 0, 1, 0]),
        node("Transpose", ["m"], ["u"], perm=[2, 0, 1, 3]),
        node("Flatten", ["u"], ["f"]),
        node("Gemm", ["f", "w"], ["logits"]),
    ]
    weight = np.random.default_rng(0).standard_normal((64, 10)).astype(np.float32)
    return build.assemble(nodes, {"w": weight})


@running(r"has the shape \(8, 8\) when it runs, \(1, 1, 8, 8\) by ONNX's shape inference")
def a_shape_that_is_another_when_it_runs() -> ModelProto:
    """No axes at all: none to ONNX's inference, all to the runtime."""
    nodes = [node("Squeeze", ["x", "none"], ["y"])]
    return between(nodes, {"none": np.zeros(0, np.int64)})


@running(
    r"the network could not be run: .*node 1 \(Expand\) needs another 3\.2 GB at a batch of 250 "
    "images, which is not available: use fewer channels there, or pool earlier"
)
def more_memory_than_there_is() -> ModelProto:
    """Small for one image: each alone and seven together are answered."""
    nodes = [node("Expand", ["x", "to"], ["e"]), node("ReduceMax", ["e", "axes"], ["y"])]
    return between(nodes, {"to": ints(1, 50_000, 8, 8), "axes": ints(1, 2, 3)})


@running("the network could not be run: .*NOT_IMPLEMENTED")
def without_a_kernel() -> ModelProto:
    """Legal ONNX that the runtime has no code for."""
    nodes = [node("DequantizeLinear", ["w", "s"], ["d"]), conv()]
    weight = packed(TensorProto.FLOAT4E2M1, np.ones((1, 1, 3, 3)))
    return between(nodes, {"w": weight, "s": scalar(1)}, opset=23)
