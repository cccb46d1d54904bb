"""A model that is being tidied: nodes and constants in plain containers, and a diary of changes."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import (
    AttributeProto,
    GraphProto,
    ModelProto,
    NodeProto,
    TensorProto,
    ValueInfoProto,
    numpy_helper,
    shape_inference,
)

from autograder.project.parsing import DEFAULT_DOMAINS, free_shape

Array = NDArray[Any]


class CannotTidy(Exception):
    """The file cannot be tidied; the text is one sentence for its author."""


class Draft:
    """The main graph of a model, in pieces that passes may exchange.

    Attributes:
        model: everything but the nodes and constants.
        nodes: in the order of the file.
        constants: by name; Constant nodes are among them.
        changes: how often each kind of change was made.
        left: what could not be changed, and why.
    """

    def __init__(self, model: ModelProto) -> None:
        self.model = ModelProto()
        self.model.CopyFrom(model)
        self.nodes = list(self.model.graph.node)
        self.constants = {tensor.name: tensor for tensor in self.model.graph.initializer}
        self.changes: Counter[str] = Counter()
        self.left: dict[str, None] = {}
        self._counter = 0
        self._inference: tuple[object, dict[str, ValueInfoProto]] | None = None
        self._used = {name for node in self.nodes for name in (*node.input, *node.output)}
        self._used.update(self.constants)
        self._extract_constant_nodes()

    def _extract_constant_nodes(self) -> None:
        rest = []
        for node in self.nodes:
            tensor = _constant_value(node)
            if tensor is None:
                rest.append(node)
            else:
                self.constants[tensor.name] = tensor
        self.nodes = rest

    @property
    def opset(self) -> int:
        """The version of the default domain; 1 where none is imported."""
        imports = self.model.opset_import
        return max((int(o.version) for o in imports if o.domain in DEFAULT_DOMAINS), default=1)

    @property
    def source(self) -> str:
        """The name of the image."""
        return str(self.model.graph.input[0].name)

    @property
    def result(self) -> str:
        """The name of the logits."""
        return str(self.model.graph.output[0].name)

    def copy(self) -> Draft:
        """Another draft of the same."""
        copy = Draft(self.assembled())
        copy.changes.update(self.changes)
        copy.left.update(self.left)
        return copy

    def note(self, change: str, count: int = 1) -> None:
        """A kind of change was made."""
        self.changes[change] += count

    def leave(self, reason: str) -> None:
        """Something stays as it is."""
        self.left[reason] = None

    def fresh(self, stem: str = "tidy") -> str:
        """A name that no tensor has."""
        while True:
            self._counter += 1
            name = f"{stem}_{self._counter}"
            if name not in self._used:
                self._used.add(name)
                return name

    def store(self, values: Array | TensorProto, stem: str = "tidy") -> str:
        """A new constant; returns its name."""
        name = self.fresh(stem)
        tensor = TensorProto()
        tensor.CopyFrom(
            values if isinstance(values, TensorProto) else numpy_helper.from_array(values)
        )
        tensor.name = name
        self.constants[name] = tensor
        return name

    def ints(self, *values: int) -> str:
        """A new shape, or axes."""
        return self.store(np.array(values, np.int64))

    def consumers(self) -> dict[str, list[tuple[NodeProto, int]]]:
        """(node, index of the input) by the name of what it takes, subgraphs' needs at -1."""
        users: dict[str, list[tuple[NodeProto, int]]] = defaultdict(list)
        for node in self.nodes:
            for index, name in enumerate(node.input):
                users[name].append((node, index))
            for name in captured(node):
                users[name].append((node, -1))
        return users

    def assembled(self) -> ModelProto:
        """The model with its present nodes and constants."""
        model = ModelProto()
        model.CopyFrom(self.model)
        graph = model.graph
        for field in (graph.node, graph.initializer, graph.value_info, graph.sparse_initializer):
            del field[:]
        graph.node.extend(self.nodes)
        for name, tensor in self.constants.items():
            graph.initializer.add().CopyFrom(tensor)
            graph.initializer[-1].name = name
        return model

    def shape(self, name: str) -> tuple[int, ...] | None:
        """What ONNX infers as a tensor's shape, 0 where it is free; None if it is not known."""
        extents = None if (value := self._inferred().get(name)) is None else free_shape(value)
        return None if extents is None else tuple(extent or 0 for extent in extents)

    def type(self, name: str) -> int:
        """What ONNX infers as a tensor's type; 0 if it is not known."""
        value = self._inferred().get(name)
        return 0 if value is None else int(value.type.tensor_type.elem_type)

    def _inferred(self) -> dict[str, ValueInfoProto]:
        state = (len(self.nodes), len(self.constants))
        if self._inference is None or self._inference[0] != state:
            try:
                graph = shape_inference.infer_shapes(self.assembled(), data_prop=True).graph
                values = (*graph.input, *graph.output, *graph.value_info)
            except shape_inference.InferenceError:
                values = ()
            self._inference = state, {value.name: value for value in values}
        return self._inference[1]

    def replace(self, old: NodeProto, new: Iterable[NodeProto]) -> None:
        """Put other nodes where one was."""
        position = next(i for i, node in enumerate(self.nodes) if node is old)
        self.nodes[position : position + 1] = list(new)


def _constant_value(node: NodeProto) -> TensorProto | None:
    """What a Constant node holds; None for another node, or one that is left to the refusals."""
    if node.op_type != "Constant" or len(node.attribute) != 1 or len(node.output) != 1:
        return None
    attribute = node.attribute[0]
    tensor = TensorProto()
    if attribute.name == "value":
        tensor.CopyFrom(attribute.t)
    elif attribute.name in ("value_float", "value_floats"):
        value = attribute.f if attribute.name == "value_float" else list(attribute.floats)
        tensor = numpy_helper.from_array(np.asarray(value, np.float32))
    elif attribute.name in ("value_int", "value_ints"):
        value = attribute.i if attribute.name == "value_int" else list(attribute.ints)
        tensor = numpy_helper.from_array(np.asarray(value, np.int64))
    else:
        return None
    tensor.name = node.output[0]
    return tensor


def graphs_of(node: NodeProto) -> Iterator[GraphProto]:
    """The graphs in a node's attributes."""
    for attribute in node.attribute:
        if attribute.type == AttributeProto.GRAPH:
            yield attribute.g
        yield from attribute.graphs


def captured(node: NodeProto) -> set[str]:
    """Names of outer tensors that a node's subgraphs use."""
    names: set[str] = set()
    for graph in graphs_of(node):
        own = {value.name for value in graph.input} | {t.name for t in graph.initializer}
        for inner in graph.node:
            names.update(name for name in inner.input if name not in own)
            names |= captured(inner) - own
            own.update(inner.output)
        names.update(value.name for value in graph.output if value.name not in own)
    names.discard("")
    return names


def attribute(node: NodeProto, name: str, default: int = 0) -> int:
    """An integer attribute."""
    return next((int(each.i) for each in node.attribute if each.name == name), default)
