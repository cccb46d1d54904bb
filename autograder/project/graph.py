"""Reads an ONNX file into a checked graph: one straight line of allowed operators, shapes known.

Everything that cannot be measured is refused here, with one sentence. Runs in the sandbox, since
protobuf, ONNX's checker and its shape inference work on the stranger's bytes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import (
    AttributeProto,
    GraphProto,
    ModelProto,
    NodeProto,
    TensorProto,
    ValueInfoProto,
    helper,
    numpy_helper,
    shape_inference,
)

from autograder.project import rules

DEFAULT_DOMAINS = ("", "ai.onnx")
Array = np.ndarray
Shape = tuple[int, ...]


class Refusal(Exception):
    """The file cannot be an entry; the text is one sentence for its author."""


@dataclass(frozen=True)
class Node:
    """One operator: its position in the file, inputs and outputs by name ("" for a missing one)."""

    place: int
    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, object]

    @property
    def label(self) -> str:
        """How messages name it: names in the file may be empty or repeat."""
        return f"node {self.place} ({self.kind})"


@dataclass(frozen=True)
class Network:
    """A checked graph, for a batch of one image.

    `data` are the names of tensors that depend on the image; every other one is constant.
    `shapes` and `types` (of `onnx.TensorProto`) are known for all of them, `constants` are the
    initialisers and Constant nodes.
    """

    opset: int
    nodes: tuple[Node, ...]
    source: str
    result: str
    data: frozenset[str]
    shapes: Mapping[str, Shape]
    types: Mapping[str, int]
    constants: Mapping[str, TensorProto]

    def elements(self, name: str) -> int:
        """Number of elements of a tensor."""
        return math.prod(self.shapes[name])

    def bits(self, name: str) -> int:
        """Width of a tensor's type."""
        return rules.BITS[self.types[name]]


def read(content: bytes, input_shape: Shape, classes: int) -> Network:
    """Parse and check a file whose input is uint8 (N, *input_shape) and output (N, classes)."""
    if len(content) > rules.MAX_BYTES:
        raise Refusal(f"the file has {len(content):,} bytes, at most {rules.MAX_BYTES:,} may be")
    model = _parse(content)
    graph = model.graph
    opset = _check_model(model)
    constants = dict(_initialisers(graph))
    source = _check_input(graph, constants, input_shape)
    result = _check_output(graph, classes)
    nodes = [_node(place, node) for place, node in enumerate(graph.node)]
    constants |= _constant_nodes(graph.node, constants)
    _check_order(nodes, source, constants)
    _check_use(nodes, result, constants)
    data = _data(nodes, source)
    _check_shapes_are_stored(nodes, constants, data)
    if result not in data:
        raise Refusal("the output does not depend on the image")
    shapes, types = _infer(model, 1)
    _check_batch(model, result, data, shapes, classes)
    for name, shape in shapes.items():
        if math.prod(shape) > rules.MAX_ELEMENTS:
            raise Refusal(f"tensor {name!r} has more than {rules.MAX_ELEMENTS:,} elements")
    return Network(opset, tuple(nodes), source, result, data, shapes, types, constants)


# ---- the model ---------------------------------------------------------------------------------


def _parse(content: bytes) -> ModelProto:
    try:
        model = onnx.load_model_from_string(content)
    except Exception:
        raise Refusal("this is not an ONNX file, or it is damaged") from None
    if not model.graph.node:
        raise Refusal("this is not an ONNX file, or its graph is empty")
    return model


def _check_model(model: ModelProto) -> int:
    if model.functions:
        raise Refusal("local functions are not allowed: inline them before you save the file")
    if model.training_info:
        raise Refusal("training information is not allowed")
    if len(model.opset_import) != 1 or model.opset_import[0].domain not in DEFAULT_DOMAINS:
        names = ", ".join(repr(entry.domain) for entry in model.opset_import) or "none"
        raise Refusal(f"exactly one opset of the default domain is allowed, this has {names[:99]}")
    opset = int(model.opset_import[0].version)
    if opset not in rules.OPSETS:
        low, high = rules.OPSETS[0], rules.OPSETS[-1]
        raise Refusal(f"opset {opset} is not allowed, only {low} to {high}")
    if len(model.graph.node) > rules.MAX_NODES:
        raise Refusal(f"{len(model.graph.node):,} nodes are more than {rules.MAX_NODES:,}")
    return opset


def _initialisers(graph: GraphProto) -> Iterator[tuple[str, TensorProto]]:
    if graph.sparse_initializer:
        raise Refusal("sparse initialisers are not allowed: store the tensor with its zeros")
    seen: set[str] = set()
    for tensor in graph.initializer:
        if tensor.name in seen or not tensor.name:
            raise Refusal(f"two initialisers are called {tensor.name!r}, or one has no name")
        seen.add(tensor.name)
        _check_tensor(tensor, tensor.name)
        yield tensor.name, tensor


def _check_tensor(tensor: TensorProto, name: str) -> None:
    if tensor.data_location == TensorProto.EXTERNAL or tensor.external_data:
        raise Refusal(f"tensor {name!r} lies in another file: everything has to be in this one")
    if tensor.data_type not in rules.BITS:
        kind = TensorProto.DataType.Name(tensor.data_type) if tensor.data_type else "UNDEFINED"
        raise Refusal(f"tensor {name!r} has a type that is not allowed: {kind}")
    if any(extent < 0 for extent in tensor.dims) or math.prod(tensor.dims) > rules.MAX_ELEMENTS:
        raise Refusal(f"tensor {name!r} has more than {rules.MAX_ELEMENTS:,} elements")


def _extents(value: ValueInfoProto) -> list[int | None] | None:
    """The shape of a graph's input or output; None where it is free."""
    if not value.type.HasField("tensor_type") or not value.type.tensor_type.HasField("shape"):
        return None
    return [
        extent.dim_value if extent.HasField("dim_value") else None
        for extent in value.type.tensor_type.shape.dim
    ]


def _check_input(graph: GraphProto, constants: Mapping[str, object], wanted: Shape) -> str:
    overridable = [value.name for value in graph.input if value.name in constants]
    if overridable:
        raise Refusal(f"initialiser {overridable[0]!r} is an input too and could be overridden")
    text = f"uint8 (N, {', '.join(map(str, wanted))}) with N free"
    if len(graph.input) != 1:
        raise Refusal(f"there must be one input, {text}; this file has {len(graph.input)}")
    (value,) = graph.input
    extents = _extents(value)
    kind = value.type.tensor_type.elem_type
    if kind != TensorProto.UINT8 or extents is None or extents != [None, *wanted]:
        raise Refusal(f"the input must be {text}; it is {_describe(kind, extents)}")
    return str(value.name)


def _check_output(graph: GraphProto, classes: int) -> str:
    text = f"float32 (N, {classes})"
    if len(graph.output) != 1:
        raise Refusal(f"there must be one output, {text}; this file has {len(graph.output)}")
    (value,) = graph.output
    extents = _extents(value)
    kind = value.type.tensor_type.elem_type
    fits = extents is not None and len(extents) == 2 and extents[0] is None
    if kind != TensorProto.FLOAT or not fits or extents[1] not in (classes, None):  # type: ignore[index]
        raise Refusal(f"the output must be {text} with N free; it is {_describe(kind, extents)}")
    return str(value.name)


def _describe(kind: int, extents: list[int | None] | None) -> str:
    name = TensorProto.DataType.Name(kind).lower() if kind in TensorProto.DataType.values() else "?"
    if extents is None:
        return f"{name} without a shape"
    return f"{name} ({', '.join('N' if extent is None else str(extent) for extent in extents)})"


# ---- nodes -------------------------------------------------------------------------------------


def _node(place: int, node: NodeProto) -> Node:
    label = f"node {place} ({node.op_type[:60]})"
    if node.domain not in DEFAULT_DOMAINS:
        raise Refusal(f"{label}: operators of the domain {node.domain[:60]!r} are not allowed")
    if node.op_type not in rules.ALLOWED:
        raise Refusal(f"{label}: this operator is not allowed")
    attributes: dict[str, object] = {}
    for attribute in node.attribute:
        is_tensor = attribute.type == AttributeProto.TENSOR and node.op_type == "Constant"
        is_plain = attribute.type in _PLAIN_ATTRIBUTES or is_tensor
        if not is_plain or attribute.ref_attr_name:
            raise Refusal(f"{label}: attribute {attribute.name[:60]!r} is not allowed")
        if attribute.name in attributes:
            raise Refusal(f"{label}: attribute {attribute.name[:60]!r} appears twice")
        attributes[attribute.name] = helper.get_attribute_value(attribute)
    for name, value in rules.ATTRIBUTES.get(node.op_type, {}).items():
        if attributes.get(name, value) != value:
            raise Refusal(f"{label}: {name} must be {value}")
    return Node(place, node.op_type, tuple(node.input), tuple(node.output), attributes)


_PLAIN_ATTRIBUTES = frozenset(
    {
        AttributeProto.FLOAT,
        AttributeProto.INT,
        AttributeProto.STRING,
        AttributeProto.FLOATS,
        AttributeProto.INTS,
    }
)


def _constant_nodes(
    nodes: Iterable[NodeProto], initialisers: Mapping[str, object]
) -> dict[str, TensorProto]:
    found: dict[str, TensorProto] = {}
    for place, node in enumerate(nodes):
        if node.op_type != "Constant":
            continue
        if len(node.attribute) != 1 or len(node.output) != 1 or node.input:
            raise Refusal(f"node {place} (Constant): exactly one value is needed")
        attribute, name = node.attribute[0], node.output[0]
        value = helper.get_attribute_value(attribute)
        if isinstance(value, TensorProto):
            tensor = value
        elif attribute.name in ("value_float", "value_floats"):
            tensor = numpy_helper.from_array(np.asarray(value, np.float32), name)
        elif attribute.name in ("value_int", "value_ints"):
            tensor = numpy_helper.from_array(np.asarray(value, np.int64), name)
        else:
            raise Refusal(f"node {place} (Constant): {attribute.name[:60]!r} is not allowed")
        _check_tensor(tensor, name)
        if name in initialisers or name in found:
            raise Refusal(f"two tensors are called {name!r}")
        found[name] = tensor
    return found


def _check_order(nodes: Sequence[Node], source: str, constants: Mapping[str, object]) -> None:
    """Every input exists before it is used, and every name is given once."""
    if source in constants:
        raise Refusal(f"two tensors are called {source!r}")
    later = {name for node in nodes if node.kind == "Constant" for name in node.outputs}
    known = {source, *constants} - later
    for node in nodes:
        missing = [name for name in node.inputs if name and name not in known]
        if missing:
            raise Refusal(f"{node.label}: {missing[0][:60]!r} is used before it is computed")
        for name in node.outputs:
            if name and name in known:
                raise Refusal(f"{node.label}: two tensors are called {name[:60]!r}")
            known.add(name)


def _check_use(nodes: list[Node], result: str, constants: Mapping[str, object]) -> None:
    """Everything in the file is needed for the output."""
    needed = {result}
    for node in reversed(nodes):
        if not needed.intersection(node.outputs):
            raise Refusal(f"{node.label}: its result is never used")
        if len([name for name in node.outputs if name]) > 1 and node.kind != "Split":
            raise Refusal(f"{node.label}: only its first output is allowed")
        needed.update(name for name in node.inputs if name)
    unused = [name for name in constants if name not in needed]
    if unused:
        raise Refusal(f"initialiser {unused[0][:60]!r} is never used")


def _data(nodes: Iterable[Node], source: str) -> frozenset[str]:
    """Names of tensors that depend on the image."""
    data = {source}
    for node in nodes:
        if not data.isdisjoint(node.inputs):
            data.update(name for name in node.outputs if name)
    return frozenset(data)


def _check_shapes_are_stored(
    nodes: Iterable[Node], constants: Mapping[str, object], data: frozenset[str]
) -> None:
    """No shape is computed: ONNX's inference and the runtime need not compute the same."""
    for node in nodes:
        for place in rules.STRUCTURE.get(node.kind, ()):
            name = node.inputs[place] if place < len(node.inputs) else ""
            if name in data:
                raise Refusal(f"{node.label}: shapes and axes may not depend on the image")
            if name and name not in constants:
                raise Refusal(f"{node.label}: shapes and axes have to be stored, not computed")


# ---- shapes ------------------------------------------------------------------------------------


def _infer(model: ModelProto, batch: int) -> tuple[dict[str, Shape], dict[str, int]]:
    """Shapes and types of all tensors for a batch of `batch` images."""
    fixed = ModelProto()
    fixed.CopyFrom(model)
    del fixed.graph.value_info[:]
    fixed.graph.input[0].type.tensor_type.shape.dim[0].dim_value = batch
    fixed.graph.output[0].type.tensor_type.shape.dim[0].dim_value = batch
    try:
        onnx.checker.check_model(fixed, full_check=False)
        inferred = shape_inference.infer_shapes(
            fixed, check_type=True, strict_mode=True, data_prop=True
        )
    except Exception as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        detail = (lines[-1] if lines else type(error).__name__)[:200]
        raise Refusal(f"ONNX's checker refuses the file: {detail}") from None
    shapes: dict[str, Shape] = {}
    types: dict[str, int] = {}
    for tensor in fixed.graph.initializer:
        shapes[tensor.name], types[tensor.name] = tuple(tensor.dims), tensor.data_type
    everything = (*inferred.graph.value_info, *inferred.graph.input, *inferred.graph.output)
    for value in everything:
        extents = _extents(value)
        if extents is not None and None not in extents:
            shapes[value.name] = tuple(extent for extent in extents if extent is not None)
            types[value.name] = value.type.tensor_type.elem_type
    for place, node in enumerate(fixed.graph.node):
        for name in node.output:
            if name and name not in shapes:
                text = f"node {place} ({node.op_type}): the shape of its result is not known"
                raise Refusal(f"{text} when the file is read; only N may be free")
            if name and types[name] not in rules.BITS:
                raise Refusal(f"node {place} ({node.op_type}): its result has a forbidden type")
    return shapes, types


def _check_batch(
    model: ModelProto, result: str, data: frozenset[str], one: Mapping[str, Shape], classes: int
) -> None:
    """Every tensor that depends on the images grows with their number, so none mixes them."""
    three, _ = _infer(model, 3)
    for name in data:
        if math.prod(three[name]) != 3 * math.prod(one[name]):
            raise Refusal(f"tensor {name[:60]!r} does not have one part for each image")
    if one[result] != (1, classes) or three[result] != (3, classes):
        raise Refusal(f"the output must be float32 (N, {classes}), one row for each image")
