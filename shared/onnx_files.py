"""ONNX files as bytes: read with suspicion, written whole.

`onnx.load_from_string(b"")` succeeds, and a truncated file may parse as a smaller one, so what is
read here is checked before it is used.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import onnx
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, numpy_helper

from shared.records import Extents

Array = npt.NDArray[np.generic]


def read_model(model_bytes: bytes, name: str = "model_bytes") -> ModelProto:
    """The model in a file, checked.

    ValueError, in one line that begins with `name`, for what is no ONNX file: other types than
    bytes, no bytes, junk, a truncated file, and tensors whose data lies in another file.
    """
    if not isinstance(model_bytes, bytes) or not model_bytes:
        given = f"{len(model_bytes)} bytes" if isinstance(model_bytes, bytes) else type(model_bytes)
        raise ValueError(f"{name}: expected the bytes of an ONNX file, got {given}")
    try:
        model: ModelProto = onnx.load_model_from_string(model_bytes)
    except Exception:  # the parser's own class, which has no public name
        raise ValueError(f"{name}: this is no ONNX file, or it is damaged") from None
    for tensor in _tensors(model.graph):
        if tensor.data_location == TensorProto.EXTERNAL or tensor.external_data:
            text = "lies in another file: export with external_data=False"
            raise ValueError(f"{name}: tensor {tensor.name!r} {text}")
    try:
        onnx.checker.check_model(model)
    except onnx.checker.ValidationError as error:
        line = str(error).strip().splitlines()[0]
        raise ValueError(f"{name}: no whole ONNX model: {line}") from None
    return model


def write_model(model: ModelProto) -> bytes:
    """The model as the bytes of one file, checked with its types and shapes."""
    onnx.checker.check_model(model, full_check=True)
    data: bytes = model.SerializeToString()
    return data


def _tensors(graph: GraphProto) -> Iterator[TensorProto]:
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == AttributeProto.TENSOR:
                yield attribute.t


def opset_of(model: ModelProto) -> int:
    """The version of the operators of ONNX's own domain."""
    return int(next(e.version for e in model.opset_import if e.domain in ("", "ai.onnx")))


def raise_opset(model: ModelProto, version: int) -> None:
    """Let the model use operators of `version`; one that is newer stays. In place.

    Only the number changes: what the operators of convolutional networks mean is the same from
    version 18 to 25. The file format's own version follows.
    """
    for entry in model.opset_import:
        if entry.domain in ("", "ai.onnx"):
            entry.version = max(entry.version, version)
    needed = onnx.helper.find_min_ir_version_for(list(model.opset_import), ignore_unknown=True)
    model.ir_version = max(model.ir_version, needed)


def new_name(graph: GraphProto, wanted: str) -> str:
    """A name like `wanted` that no tensor of the graph has."""
    taken = {tensor.name for tensor in graph.initializer}
    taken |= {value.name for value in (*graph.input, *graph.output)}
    taken |= {name for node in graph.node for name in (*node.input, *node.output)}
    name, number = wanted, 0
    while name in taken:
        number += 1
        name = f"{wanted}_{number}"
    return name


def add_constant(graph: GraphProto, wanted: str, values: npt.ArrayLike) -> str:
    """Store an array as an initialiser; returns its name."""
    name = new_name(graph, wanted)
    graph.initializer.append(numpy_helper.from_array(np.asarray(values), name))
    return name


def initializer_of(graph: GraphProto, name: str) -> TensorProto:
    """The initialiser `name`; ValueError if there is none."""
    found: TensorProto
    for found in graph.initializer:
        if found.name == name:
            return found
    known = ", ".join(sorted(tensor.name for tensor in graph.initializer)[:9])
    raise ValueError(f"name: expected an initialiser ({known}), got {name!r}")


def uses(graph: GraphProto, name: str) -> list[tuple[NodeProto, int]]:
    """Each place where a tensor goes in: node and number of the input."""
    return [
        (node, place)
        for node in graph.node
        for place, given in enumerate(node.input)
        if given == name
    ]


def extents_of(value: onnx.ValueInfoProto) -> Extents:
    """The shape of an input or output; of a free dimension its name, or None."""
    return tuple(
        int(dim.dim_value) if dim.HasField("dim_value") else (dim.dim_param or None)
        for dim in value.type.tensor_type.shape.dim
    )


def inputs_of(graph: GraphProto) -> list[onnx.ValueInfoProto]:
    """The inputs that a caller feeds: old files list initialisers as well."""
    stored = {tensor.name for tensor in graph.initializer}
    return [value for value in graph.input if value.name not in stored]
