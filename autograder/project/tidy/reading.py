"""Reads a model to be tidied into one piece: with its external data, without its functions."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import onnx
from onnx import FunctionProto, ModelProto, TensorProto, inliner, numpy_helper

from autograder.project.tidy.draft import CannotTidy, graphs_of

_EXPANDED_NODES = 200_000


def external_files(content: bytes) -> list[str]:
    """Names of the files that hold external data."""
    names: dict[str, None] = {}
    for tensor in _stored(parse(content)):
        if tensor.data_location == TensorProto.EXTERNAL:
            where = {entry.key: entry.value for entry in tensor.external_data}
            names[where.get("location", "")] = None
    return list(names)


def parse(content: bytes) -> ModelProto:
    """The model in a file; CannotTidy if there is none."""
    try:
        model = onnx.load_model_from_string(content)
    except Exception:
        raise CannotTidy("this is not an ONNX file, or it is damaged") from None
    if not model.graph.node or not model.graph.output:
        raise CannotTidy("this is not an ONNX file, or its graph is empty")
    return model


def _stored(model: ModelProto) -> list[TensorProto]:
    tensors = list(model.graph.initializer)
    waiting = [*model.graph.node, *(node for f in model.functions for node in f.node)]
    while waiting:
        node = waiting.pop()
        tensors += [each.t for each in node.attribute if each.HasField("t")]
        for graph in graphs_of(node):
            tensors += graph.initializer
            waiting += graph.node
    return tensors


def take_in(model: ModelProto, beside: Mapping[str, bytes]) -> int:
    """Put external data into the model; returns how many tensors that were."""
    count = 0
    for tensor in _stored(model):
        if tensor.data_location != TensorProto.EXTERNAL:
            continue
        where = {entry.key: entry.value for entry in tensor.external_data}
        name = where.get("location", "")
        if name not in beside:
            raise CannotTidy(
                f"tensor {tensor.name[:60]!r} lies in {name[:60]!r}, which is not beside the model"
            )
        try:
            start = int(where.get("offset", 0))
            end = start + int(where["length"]) if "length" in where else None
        except ValueError:
            raise CannotTidy(f"tensor {tensor.name[:60]!r} has damaged external data") from None
        tensor.raw_data = beside[name][start:end]
        tensor.ClearField("external_data")
        tensor.ClearField("data_location")
        count += 1
    sparse = list(model.graph.sparse_initializer)
    for each in sparse:
        model.graph.initializer.add().CopyFrom(_dense(each))
    del model.graph.sparse_initializer[:]
    return count


def _dense(sparse: onnx.SparseTensorProto) -> TensorProto:
    values = numpy_helper.to_array(sparse.values)
    where = numpy_helper.to_array(sparse.indices)
    dense = np.zeros(math.prod(sparse.dims), values.dtype)
    if where.ndim == 2:
        where = np.ravel_multi_index(tuple(where.T), tuple(sparse.dims))
    dense[where] = values
    return numpy_helper.from_array(dense.reshape(tuple(sparse.dims)), sparse.values.name)


def inlined(model: ModelProto) -> tuple[ModelProto, int]:
    """Without local functions; CannotTidy if written out they were far too many nodes."""
    if not model.functions:
        return model, 0
    if _expanded_size(model) > _EXPANDED_NODES:
        raise CannotTidy("its local functions call each other too often to be written out")
    return inliner.inline_local_functions(model), len(model.functions)


def _expanded_size(model: ModelProto) -> int:
    functions = {(f.domain, f.name): f for f in model.functions}
    known: dict[tuple[str, str], int] = {}

    def size(function: FunctionProto, above: tuple[tuple[str, str], ...]) -> int:
        key = (function.domain, function.name)
        if key in above or len(above) > 100:
            raise CannotTidy("its local functions call themselves")
        if key not in known:
            known[key] = sum(
                size(functions[inner], (*above, key)) if inner in functions else 1
                for inner in ((node.domain, node.op_type) for node in function.node)
            )
        return known[key]

    calls = ((node.domain, node.op_type) for node in model.graph.node)
    return sum(size(functions[call], ()) if call in functions else 1 for call in calls)
