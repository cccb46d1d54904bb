"""From the bytes of an ONNX file to nodes and constants; what the graph language lacks is refused.

protobuf accepts much that means nothing, or that ONNX Runtime and ONNX's checker read differently:
two initialisers of one name, an attribute twice, values that a caller could override.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence

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
)

from autograder.project import rules
from autograder.project.network import Node, Refusal, Shape, node_label, quoted, type_name

DEFAULT_DOMAINS = ("", "ai.onnx")  # two names of one domain
Extents = list[int | None]
"""A shape; None where it is free."""


# ---- the model ---------------------------------------------------------------------------------


def parse(content: bytes) -> ModelProto:
    """The model in a file, without imports of other domains."""
    if len(content) > rules.MAX_BYTES:
        raise Refusal(
            f"the file has {len(content):,} bytes, at most {rules.MAX_BYTES:,} are allowed: store "
            "fewer weights, or fewer bits of each"
        )
    try:
        model = onnx.load_model_from_string(content)
    except Exception:
        raise Refusal("this is not an ONNX file, or it is damaged: export it again") from None
    if not model.graph.node:
        raise Refusal("this is not an ONNX file, or its graph is empty: export it again")
    drop_foreign_imports(model)
    return model


def drop_foreign_imports(model: ModelProto) -> None:
    """Leave the imports of the default domain only.

    ONNX Runtime's tools import every domain that they know, and no node needs them. A node that
    does is refused itself, by its name.
    """
    own = [entry for entry in model.opset_import if entry.domain in DEFAULT_DOMAINS]
    del model.opset_import[:]
    model.opset_import.extend(own)


def check_model(model: ModelProto) -> int:
    """Check everything around the graph; returns the opset."""
    # Functions are refused by their number, not expanded: ten calls of ten calls, thirty levels
    # deep, are a small file that hangs every tool that inlines them.
    if model.functions:
        raise Refusal(
            f"local functions are not allowed, this file has {len(model.functions)}: inline them "
            f"with {rules.TIDY}"
        )
    if model.training_info:
        raise Refusal("training information is not allowed: save the graph of inference only")
    opset = _opset(model)
    if len(model.graph.node) > rules.MAX_NODES:
        raise Refusal(
            f"{len(model.graph.node):,} nodes are more than {rules.MAX_NODES:,}: use fewer layers, "
            f"or fold what is constant with {rules.TIDY}"
        )
    return opset


def _opset(model: ModelProto) -> int:
    """The version of the default domain, the only one whose imports `parse` leaves."""
    versions = [entry.version for entry in model.opset_import]
    if len(versions) != 1:
        listed = ", ".join(map(str, versions[:9])) or "none"
        raise Refusal(
            f"exactly one opset of the default domain is allowed, this has {listed}: "
            f"keep the one that the file was exported with, as {rules.TIDY} does"
        )
    opset = int(versions[0])
    if opset not in rules.OPSETS:
        low, high = rules.OPSETS[0], rules.OPSETS[-1]
        raise Refusal(
            f"opset {opset} is not allowed, only {low} to {high}: export again with another "
            f"opset_version, or convert it with {rules.TIDY}"
        )
    return opset


# ---- tensors -----------------------------------------------------------------------------------


def initializers(graph: GraphProto) -> Iterator[tuple[str, TensorProto]]:
    """(name, tensor) of each, checked."""
    if graph.sparse_initializer:
        raise Refusal(
            f"sparse initialisers are not allowed: store the tensor with its zeros, as "
            f"{rules.TIDY} does"
        )
    seen: set[str] = set()
    for tensor in graph.initializer:
        if tensor.name in seen or not tensor.name:
            raise Refusal(
                f"two initialisers are called {quoted(tensor.name)}, or one has no name: rename "
                "them"
            )
        seen.add(tensor.name)
        _check_tensor(tensor, tensor.name)
        yield tensor.name, tensor


def constant_nodes(
    nodes: Iterable[NodeProto], initializers: Mapping[str, object]
) -> dict[str, TensorProto]:
    """Tensors of the Constant nodes by name, checked."""
    tensors: dict[str, TensorProto] = {}
    for position, node in enumerate(nodes):
        if node.op_type != "Constant":
            continue
        label = node_label(position, node.op_type, node.output)
        if len(node.attribute) != 1 or len(node.output) != 1 or node.input:
            raise Refusal(f"{label}: exactly one value is needed: export it again")
        attribute, name = node.attribute[0], node.output[0]
        value = helper.get_attribute_value(attribute)
        if isinstance(value, TensorProto):
            tensor = value
        elif attribute.name in ("value_float", "value_floats"):
            tensor = numpy_helper.from_array(np.asarray(value, np.float32), name)
        elif attribute.name in ("value_int", "value_ints"):
            tensor = numpy_helper.from_array(np.asarray(value, np.int64), name)
        else:
            raise Refusal(
                f"{label}: {quoted(attribute.name)} is not allowed: store numbers in a tensor"
            )
        _check_tensor(tensor, name)
        if name in initializers or name in tensors:
            raise Refusal(f"two tensors are called {quoted(name)}: rename one")
        tensors[name] = tensor
    return tensors


def _check_tensor(tensor: TensorProto, name: str) -> None:
    label = f"tensor {quoted(name)}"
    if tensor.data_location == TensorProto.EXTERNAL or tensor.external_data:
        raise Refusal(
            f"{label} lies in another file: everything has to be in this one; export with "
            f"external_data=False, or take it in with {rules.TIDY}"
        )
    if tensor.data_type not in rules.BITS:
        raise Refusal(
            f"{label} has a type that is not allowed, {type_name(tensor.data_type)}: use numbers"
        )
    check_size(label, tensor.dims)


def check_size(label: str, extents: Sequence[int]) -> None:
    """Refusal if a shape is none, or too large."""
    shown = ", ".join(map(str, extents[:9]))
    # Two negative dimensions have a product that looks like a size.
    if any(extent < 0 for extent in extents):
        raise Refusal(f"{label} has a negative dimension, ({shown}): give its real size")
    if math.prod(extents) > rules.MAX_ELEMENTS:
        raise Refusal(
            f"{label} has more than {rules.MAX_ELEMENTS:,} elements, ({shown}): use fewer "
            "channels, or pool earlier"
        )


# ---- input and output --------------------------------------------------------------------------


def check_input(graph: GraphProto, constants: Mapping[str, object], expected: Shape) -> str:
    """Check that the one input is uint8 (N, *expected); returns its name."""
    overridable = [value.name for value in graph.input if value.name in constants]
    if overridable:
        raise Refusal(
            f"initialiser {quoted(overridable[0])} is an input too and could be overridden: "
            f"take it from the inputs with {rules.TIDY}"
        )
    text = f"uint8 (N, {', '.join(map(str, expected))}) with N free"
    if len(graph.input) != 1:
        raise Refusal(
            f"there must be one input, {text}; this file has {len(graph.input)}: export a model "
            "whose forward takes the image alone"
        )
    (value,) = graph.input
    extents = free_shape(value)
    kind = value.type.tensor_type.elem_type
    if kind != TensorProto.UINT8 or extents is None or extents != [None, *expected]:
        raise Refusal(
            f"the input must be {text}; it is {described(kind, extents)}: "
            f"{_input_remedy(kind, extents, expected)}"
        )
    return str(value.name)


def _input_remedy(kind: int, extents: Sequence[int | None] | None, expected: Shape) -> str:
    """What helps against the first thing that is wrong with an input."""
    if extents is None or extents[1:] != [*expected]:
        return "export it for images of that size"
    if kind != TensorProto.UINT8:
        return "take the pixels as stored, and scale them in forward (image.float() / 255)"
    return (
        "export with dynamic_shapes=({0: torch.export.Dim('N')},), or dynamic_axes of the older "
        "exporter"
    )


def check_output(graph: GraphProto, classes: int) -> str:
    """Check that the one output says float32 (N, classes); returns its name."""
    text = f"float32 (N, {classes})"
    if len(graph.output) != 1:
        raise Refusal(
            f"there must be one output, {text}; this file has {len(graph.output)}: export a "
            "model whose forward returns the logits alone"
        )
    (value,) = graph.output
    extents = free_shape(value)
    kind = value.type.tensor_type.elem_type
    if kind == TensorProto.FLOAT and extents in ([None, classes], [None, None]):
        return str(value.name)
    remedy = f"give {classes} logits per image"
    if extents in ([None, classes], [None, None]):
        remedy = f"cast it to float32, as {rules.TIDY} does"
    elif extents is not None and extents[1:] == [classes]:
        remedy = "export with dynamic_shapes=({0: torch.export.Dim('N')},)"
    raise Refusal(
        f"the output must be {text} with N free; it is {described(kind, extents)}: {remedy}"
    )


def free_shape(value: ValueInfoProto) -> Extents | None:
    """The shape of a tensor; None if there is none."""
    if not value.type.HasField("tensor_type") or not value.type.tensor_type.HasField("shape"):
        return None
    return [
        extent.dim_value if extent.HasField("dim_value") else None
        for extent in value.type.tensor_type.shape.dim
    ]


def described(kind: int, extents: Sequence[int | None] | None) -> str:
    """A type and a shape as messages show them."""
    name = type_name(kind)
    if extents is None:
        return f"{name} without a shape"
    return f"{name} ({', '.join('N' if extent is None else str(extent) for extent in extents)})"


# ---- nodes -------------------------------------------------------------------------------------


def parse_node(position: int, node: NodeProto) -> Node:
    """One operator with its plain attributes."""
    label = node_label(position, node.op_type, node.output)
    if node.domain not in DEFAULT_DOMAINS:
        raise Refusal(
            f"{label}: operators of the domain {quoted(node.domain)} are not allowed: use ONNX's "
            "own (quantize to QDQ; save without ONNX Runtime's optimizer; "
            f"{rules.TIDY} rewrites some)"
        )
    if node.op_type not in rules.ALLOWED:
        remedy = rules.REMEDIES.get(node.op_type, "")
        raise Refusal(f"{label}: this operator is not allowed{remedy and f': {remedy}'}")
    attributes: dict[str, object] = {}
    for attribute in node.attribute:
        # Tensors and graphs in attributes would be constants and nodes that nobody counts.
        is_tensor = attribute.type == AttributeProto.TENSOR and node.op_type == "Constant"
        is_plain = attribute.type in _PLAIN_ATTRIBUTES or is_tensor
        if not is_plain or attribute.ref_attr_name:
            raise Refusal(
                f"{label}: attribute {quoted(attribute.name)} is not allowed: store tensors as "
                "initialisers"
            )
        if attribute.name in attributes:
            raise Refusal(
                f"{label}: attribute {quoted(attribute.name)} appears twice: export it again"
            )
        attributes[attribute.name] = helper.get_attribute_value(attribute)
    for name, value in rules.ATTRIBUTES.get(node.op_type, {}).items():
        if attributes.get(name, value) != value:
            raise Refusal(f"{label}: {name} must be {value}: call model.eval() before the export")
    return Node(position, node.op_type, tuple(node.input), tuple(node.output), attributes)


_PLAIN_ATTRIBUTES = frozenset(
    {
        AttributeProto.FLOAT,
        AttributeProto.INT,
        AttributeProto.STRING,
        AttributeProto.FLOATS,
        AttributeProto.INTS,
    }
)
