"""What graders ask of an ONNX file or an engine that a student's function returned.

Runs in a worker without the student's code, see `graders.toolkit.returned_files`. ONNX Runtime's
graph optimisations are disabled and bits are counted as for the final project. Names that an
exporter makes up are left out: what is returned here tells how a file behaves.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import AttributeProto, ModelProto, TensorProto, helper

from autograder.project import counting, graph, inference
from autograder.project.parsing import DEFAULT_DOMAINS, free_shape

Array = NDArray[Any]


def outputs(content: bytes, name: str, batches: Sequence[Array]) -> list[Array]:
    """The first output for each value of the input `name`."""
    model = inference.session(content)
    return [np.asarray(model.run(None, {name: np.asarray(batch)})[0]) for batch in batches]


def facts(content: bytes) -> dict[str, Any]:
    """How a file is made: `problem` ("" if ONNX's full check passes), inputs, outputs, opset.

    Inputs and outputs are name -> [dtype, shape], a free dimension None; `domains` are the foreign
    ones of its nodes, `external` says whether a tensor lies in another file.
    """
    model = onnx.load_model_from_string(content)
    stored = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in stored]
    imports = {entry.domain: entry.version for entry in model.opset_import}
    return {
        "problem": problem(model),
        "inputs": {value.name: _described(value) for value in inputs},
        "outputs": {value.name: _described(value) for value in model.graph.output},
        "opset": next((imports[name] for name in DEFAULT_DOMAINS if name in imports), 0),
        "domains": sorted({n.domain for n in model.graph.node} - set(DEFAULT_DOMAINS)),
        "external": any(_is_external(tensor) for tensor in _tensors(model)),
    }


def problem(model: ModelProto) -> str:
    """What ONNX's full check says; "" if nothing."""
    try:
        onnx.checker.check_model(model, full_check=True)
    except Exception as error:
        return (str(error).strip() or type(error).__name__).splitlines()[0][:300]
    return ""


def operators(content: bytes) -> dict[str, int]:
    """Type of operator -> number of nodes."""
    kinds = [node.op_type for node in onnx.load_model_from_string(content).graph.node]
    return {kind: kinds.count(kind) for kind in sorted(set(kinds))}


def initializers(content: bytes) -> dict[str, list[Any]]:
    """Name -> [type, shape, digest of the elements as they are stored]."""
    found = {}
    for tensor in onnx.load_model_from_string(content).graph.initializer:
        kind = TensorProto.DataType.Name(tensor.data_type)
        data = onnx.numpy_helper.to_array(tensor).tobytes()
        found[tensor.name] = [kind, list(tensor.dims), hashlib.sha256(data).hexdigest()]
    return found


def types(content: bytes) -> dict[str, int]:
    """Type of initialisers and of tensors in Constants -> elements of that type."""
    found: dict[str, int] = {}
    for tensor in _tensors(onnx.load_model_from_string(content)):
        kind = TensorProto.DataType.Name(tensor.data_type)
        found[kind] = found.get(kind, 0) + int(np.prod(tensor.dims, dtype=np.int64))
    return found


def stored(content: bytes, image_shape: Sequence[int], classes: int) -> list[list[int]]:
    """[elements, nonzeros, bits] of each stored tensor, as the final project counts them.

    There images are uint8: a Cast takes the place of a float input.
    """
    model = onnx.load_model_from_string(content)
    (value,) = model.graph.input
    for node in model.graph.node:
        for place, name in enumerate(node.input):
            if name == value.name:
                node.input[place] = "image in floats"
    cast = helper.make_node("Cast", [value.name], ["image in floats"], to=TensorProto.FLOAT)
    nodes = [cast, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    value.type.tensor_type.elem_type = TensorProto.UINT8
    network = graph.read(model.SerializeToString(), tuple(image_shape), classes)
    layers = counting.count(network)
    return [[t.elements, t.nonzeros, t.bits] for layer in layers for t in layer.stored]


def engine(
    content: bytes, targets: Sequence[str], profile: Sequence[Any] | None, workspace: int
) -> bytes:
    """The engine that TensorRT builds with these settings and no others, without generated numbers.

    `profile` is (name, minimum, optimum, maximum). A failed build changes the next engine of a
    process, so this is asked of a new one.
    """
    import tensorrt_rtx as trt

    logger = trt.Logger(trt.Logger.INTERNAL_ERROR)
    builder = trt.Builder(logger)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse(content):
        raise ValueError("the parser does not take the file")
    config = builder.create_builder_config()
    config.num_compute_capabilities = len(targets)
    for place, target in enumerate(targets):
        name = f"SM{target.replace('.', '')}"
        config.set_compute_capability(getattr(trt.ComputeCapability, name), place)
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, workspace)
    if profile is not None:
        shapes = builder.create_optimization_profile()
        shapes.set_shape(profile[0], *(tuple(shape) for shape in profile[1:]))
        config.add_optimization_profile(shapes)
    built = builder.build_serialized_network(network, config)
    if built is None:
        raise ValueError("no engine can be built")
    return re.sub(rb"__mye\d+", b"__mye", bytes(built))


def digest(content: bytes) -> str:
    """The SHA-256 of bytes."""
    return hashlib.sha256(content).hexdigest()


def _described(value: onnx.ValueInfoProto) -> list[Any]:
    kind = value.type.tensor_type.elem_type
    return [helper.tensor_dtype_to_np_dtype(kind).name, free_shape(value)]


def _tensors(model: ModelProto) -> list[TensorProto]:
    attributes = (attribute for node in model.graph.node for attribute in node.attribute)
    values = [each.t for each in attributes if each.type == AttributeProto.TENSOR]
    return [*model.graph.initializer, *values]


def _is_external(tensor: TensorProto) -> bool:
    return tensor.data_location == TensorProto.EXTERNAL or bool(tensor.external_data)
