"""A graph as the scorer sees it: nodes, tensors, what depends on the image, and what is refused."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from onnx import TensorProto

from autograder.project import rules

Array = np.ndarray
Shape = tuple[int, ...]
MAX_NAME = 60


class Refusal(Exception):
    """The file cannot be an entry; the text is one sentence for its author."""


def quoted(name: str) -> str:
    """A name of the file as messages show it."""
    return repr(name[:MAX_NAME])


def type_name(kind: int) -> str:
    """A type of `onnx.TensorProto` as messages show it: NumPy's name."""
    if kind not in TensorProto.DataType.values():
        return "no type"
    name = str(TensorProto.DataType.Name(kind)).lower()
    return _NUMPY_NAMES.get(name, name)


def in_our_words(text: str) -> str:
    """A message of ONNX's or ONNX Runtime's, with types as in every other one.

    They write `tensor(float)`, FLOAT, or numbers, and where in their own source they stopped.
    """
    text = _SOURCE.sub("", text)
    text = re.sub(r"tensor\((\w+)\)", lambda found: _numpy_name(found[1]), text)
    text = re.sub(
        r"elem(?:ent)? type([^()]*)\((\d+)\)( vs )\((\d+)\)",
        lambda f: f"element type{f[1]}{type_name(int(f[2]))}{f[3]}{type_name(int(f[4]))}",
        text,
    )
    return re.sub(rf"\b(?:{'|'.join(_PROTO_NAMES)})\b", lambda found: _numpy_name(found[0]), text)


# A file and line, and the function there: its signature, or a name alone.
_SIGNATURE = (
    r"(?:[\w:<>~*&]+ ){0,8}?[\w<>~]+(?:::[\w<>~]+)+\((?:[^()]|\([^()]*\))*\)(?: const)?"
    r"(?: \[with [^]]*\])?"
)
_SOURCE = re.compile(
    rf"(?<!\S)\S{{1,300}}\.(?:cc|cpp|cu|h|hpp):\d+ (?:{_SIGNATURE} |[\w~]+ (?=\S))?"
)


def _numpy_name(name: str) -> str:
    return _NUMPY_NAMES.get(name.lower(), name.lower())


_NUMPY_NAMES = {"float": "float32", "double": "float64", "undefined": "no type"}
_PROTO_NAMES = sorted(set(TensorProto.DataType.keys()) - {"UNDEFINED", "STRING"}, key=len)[::-1]


@dataclass(frozen=True)
class Node:
    """One operator: its position in the file, inputs and outputs by name ("" for a missing one)."""

    position: int
    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, object]

    @property
    def label(self) -> str:
        """How messages name it: names of nodes may be empty or repeat, those of tensors not."""
        return node_label(self.position, self.kind, self.outputs)

    def has_input(self, index: int) -> bool:
        """Whether the optional input at `index` is there."""
        return len(self.inputs) > index and bool(self.inputs[index])

    def number(self, name: str, default: float) -> float:
        """An attribute that is one number."""
        value = self.attributes.get(name, default)
        return value if isinstance(value, int | float) else default

    def integers(self, name: str) -> tuple[int, ...] | None:
        """An attribute that is a list of integers; None if it is missing."""
        value = self.attributes.get(name)
        return tuple(int(entry) for entry in value) if isinstance(value, Sequence) else None


def node_label(position: int, kind: str, outputs: Sequence[str]) -> str:
    """Position, first output and operator, as in "node 3 'y' (Conv)"."""
    output = f" {quoted(outputs[0])}" if outputs and outputs[0] else ""
    return f"node {position}{output} ({kind[:MAX_NAME]})"


@dataclass(frozen=True)
class Network:
    """A checked graph, for a batch of one image.

    `activations` are the names of tensors that depend on the image; every other one is constant.
    `shapes` and `types` (of `onnx.TensorProto`) are known for all of them, `constants` are the
    initialisers and Constant nodes.
    """

    opset: int
    nodes: tuple[Node, ...]
    source: str
    result: str
    activations: frozenset[str]
    shapes: Mapping[str, Shape]
    types: Mapping[str, int]
    constants: Mapping[str, TensorProto]

    def elements(self, name: str) -> int:
        """Number of elements of a tensor."""
        return math.prod(self.shapes[name])

    def bits(self, name: str) -> int:
        """Width of a tensor's type."""
        return rules.BITS[self.types[name]]

    def is_constant(self, name: str) -> bool:
        """Whether an input is there and does not depend on the image."""
        return bool(name) and name not in self.activations

    def structural_inputs(self, node: Node) -> tuple[int, ...]:
        """Indices of the inputs that only carry shape, axes, pads or starts."""
        if node.kind == "Gather" and node.inputs[0] in self.activations:
            return (1,)  # a part of the image: the indices only say which
        return rules.STRUCTURE.get(node.kind, ())
