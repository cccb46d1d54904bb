"""Small ONNX files, built by code: an operator under test between a fixed front and a fixed tail.

The front is one Cast of the image to `x`, float32 (N, *shape); the tail averages whatever the test
computes into one number per image and repeats it for each class. Neither stores or multiplies.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from autograder.project import counting, graph
from autograder.records.measurement import MeasuredLayer, Measurement, Products

ROOT = Path(__file__).resolve().parents[2]
SHAPE = (1, 8, 8)
CLASSES = 10
Constant = NDArray[Any] | TensorProto
node = helper.make_node


def floats(*shape: int, seed: int = 0) -> NDArray[np.float32]:
    """Reproducible numbers, none of them zero."""
    values = np.random.default_rng(seed).uniform(0.5, 1.5, shape)
    return values.astype(np.float32)


def ints(*values: int) -> NDArray[np.int64]:
    """A shape, axes or pads."""
    return np.array(values, np.int64)


def scalar(value: float) -> NDArray[np.float32]:
    """A float32 tensor without axes."""
    return np.array(value, np.float32)


def packed(kind: int, values: Any) -> TensorProto:
    """A tensor of a type that NumPy lacks, such as `TensorProto.INT4`."""
    array = np.asarray(values)
    return helper.make_tensor("", kind, list(array.shape), array.flatten().tolist())


def tensor(name: str, value: Constant) -> TensorProto:
    """A named initialiser."""
    if isinstance(value, TensorProto):
        copy = TensorProto()
        copy.CopyFrom(value)
        copy.name = name
        return copy
    return numpy_helper.from_array(np.asarray(value), name)


def front() -> list[NodeProto]:
    """Turn the image into `x`."""
    return [node("Cast", ["image"], ["x"], to=TensorProto.FLOAT)]


def tail(source: str, classes: int = CLASSES) -> list[NodeProto]:
    """Turn any tensor with a batch axis into logits; needs the constant `last`."""
    return [
        node("Cast", [source], ["tail_float"], to=TensorProto.FLOAT),
        node("Flatten", ["tail_float"], ["tail_flat"], axis=1),
        node("ReduceMean", ["tail_flat", "last"], ["tail_mean"], keepdims=1),
        node("Concat", ["tail_mean"] * classes, ["logits"], axis=1),
    ]


def assemble(
    nodes: Sequence[NodeProto],
    constants: Mapping[str, Constant] | None = None,
    *,
    shape: Sequence[int] = SHAPE,
    opset: int = 21,
) -> ModelProto:
    """A model from `image`, uint8 (N, *shape), to `logits`, float32 (N, CLASSES)."""
    made = helper.make_graph(
        list(nodes),
        "entry",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", *shape])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", CLASSES])],
        [tensor(name, value) for name, value in (constants or {}).items()],
    )
    imports = [helper.make_opsetid("", opset)]
    return helper.make_model(made, opset_imports=imports, ir_version=10 if opset < 25 else 13)


def between(
    nodes: Sequence[NodeProto],
    constants: Mapping[str, Constant] | None = None,
    *,
    result: str = "y",
    shape: Sequence[int] = SHAPE,
    opset: int = 21,
) -> ModelProto:
    """`nodes` make `result` of `x`; the front and the tail around them make a legal file."""
    if opset < 18:
        raise ValueError("the tail's ReduceMean takes its axes as an input, which is opset 18")
    needs_front = any("x" in node.input for node in nodes)
    return assemble(
        [*(front() if needs_front else []), *nodes, *tail(result)],
        {**(constants or {}), "last": ints(1)},
        shape=shape,
        opset=opset,
    )


def count(model: ModelProto | bytes, shape: Sequence[int] = SHAPE) -> Measurement:
    """Read and count in this process."""
    content = model if isinstance(model, bytes) else model.SerializeToString()
    network = graph.read(content, tuple(shape), CLASSES)
    return Measurement(len(content), "", network.opset, counting.count(network))


def costing(cost: float) -> Measurement:
    """A measurement that costs that much (imt-2025) on the digits."""
    products = Products(macs := round(cost * 299_840), 1, macs, 0, 32, 32)
    return Measurement(123, "ab" * 32, 21, (MeasuredLayer(0, "Conv", (1,), (), (products,)),))


def layer(measured: Measurement, kind: str) -> MeasuredLayer:
    """The last layer of a kind before the tail."""
    return [layer for layer in measured.layers[: -len(tail(""))] if layer.kind == kind][-1]
