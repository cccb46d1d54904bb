# Generated from solutions/s6_export/tensorrt_build.py by `autograder release`: change it there.
"""Session 6, TensorRT: engines built ahead of time, on a machine without a GPU.

`tensorrt_rtx` compiles an ONNX file for the GPUs that are named, and needs none itself. Import it
inside the functions that use it (see `builder_module`): everything else here works without it.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import AttributeProto, GraphProto, ModelProto, TensorProto, helper, numpy_helper

from shared.checks import check_int, refuse
from shared.onnx_files import extents_of, inputs_of, new_name, read_model, uses, write_model
from shared.records import Profile

Shape = Sequence[int]

TARGETS = ("7.5", "8.0", "8.6", "8.9", "12.0", "12.1")
"""Compute capabilities that the builder knows: Turing, Ampere (two), Ada, Blackwell (two)."""


def builder_module() -> ModuleType:
    """The package tensorrt_rtx; RuntimeError, naming it, where it is not installed."""
    try:
        import tensorrt_rtx
    except ImportError:
        text = "tensorrt_rtx is not installed: pip install 'compression-course[tensorrt]'"
        raise RuntimeError(text) from None
    module: ModuleType = tensorrt_rtx
    return module


def optimization_profile(
    minimum: Shape, optimum: Shape, maximum: Shape, name: str = "input"
) -> Profile:
    """Return the shapes of one input that an engine is built for, as tuples.

    The engine takes every shape from `minimum` to `maximum` and is tuned for `optimum`.

    Args:
        minimum: the smallest shape, ints of at least 1; the others alike.
        optimum: elementwise from `minimum` to `maximum`.
        maximum: the largest shape.
        name: of the input.

    Raises:
        ValueError: the shapes differ in rank, hold anything but ints of at least 1, or are not in
            order.
    """
    # TODO(s6.optimization_profile): your code; the docstring says what it must do
    raise NotImplementedError("s6.optimization_profile")


# ---- precision -----------------------------------------------------------------------------------


def to_float16(model_bytes: bytes) -> bytes:
    """Return the file computing in half precision; inputs and outputs stay float32.

    Networks are strongly typed: there is no flag, precision is a property of the graph. Every
    float32 initialiser, Constant and target of a Cast becomes float16. A Cast follows each float32
    input, and one precedes each output; names and free dimensions stay. Weights in integers stay,
    their scales become float16.

    Raises:
        ValueError: no such file.
    """
    # TODO(s6.to_float16): your code; the docstring says what it must do
    raise NotImplementedError("s6.to_float16")


def half(tensor: TensorProto) -> TensorProto:
    """The tensor in float16 if it is float32, else the tensor."""
    if tensor.data_type != TensorProto.FLOAT:
        return tensor
    largest = np.finfo(np.float16).max
    values: npt.NDArray[Any] = numpy_helper.to_array(tensor)
    values = np.where(np.isfinite(values), values.clip(-largest, largest), values)
    return numpy_helper.from_array(values.astype(np.float16), tensor.name)


def halve_attribute(kind: str, attribute: AttributeProto) -> None:
    """Make a float32 tensor, or the float32 type that a Cast gives, float16. In place."""
    if attribute.type == AttributeProto.TENSOR:
        attribute.t.CopyFrom(half(attribute.t))
    is_type = attribute.name in ("to", "dtype", "output_dtype") and kind != "Shape"
    if is_type and attribute.i == TensorProto.FLOAT:
        attribute.i = TensorProto.FLOAT16
    if kind == "Constant" and attribute.name in ("value_float", "value_floats"):
        values = np.asarray(helper.get_attribute_value(attribute), np.float16)
        attribute.CopyFrom(helper.make_attribute("value", numpy_helper.from_array(values)))


def cast(source: str, target: str, kind: int) -> onnx.NodeProto:
    """A node that converts a tensor."""
    return helper.make_node("Cast", [source], [target], to=kind)


def rename(graph: GraphProto, old: str, new: str) -> None:
    """Give the tensor that a node computes another name, wherever it is used. In place."""
    for node in graph.node:
        for names in (node.input, node.output):
            for place, name in enumerate(names):
                if name == old:
                    names[place] = new


# ---- the builder ---------------------------------------------------------------------------------


def unsupported_nodes(model_bytes: bytes) -> list[tuple[str, str]]:
    """Return (node name, operator) of each node that the builder does not take, in graph order.

    Each node once; [] if all are taken.

    Raises:
        ValueError: no such file.
        RuntimeError: tensorrt_rtx is not installed.
    """
    model = read_model(model_bytes)
    # TODO(s6.unsupported_nodes): your code; the docstring says what it must do
    raise NotImplementedError("s6.unsupported_nodes")


def build_engine(
    model_bytes: bytes, targets: Sequence[str], profile: Profile | None, workspace: int
) -> bytes:
    """Return an engine for the GPUs with these compute capabilities, built on this machine.

    Set are the targets in their order, the profile and the limit of the workspace, and nothing
    else: the same arguments then give the same engine, generated names apart.

    Args:
        model_bytes: the file.
        targets: of `TARGETS`, at least one.
        profile: for the one input with free dimensions; None for a file without any.
        workspace: bytes of GPU memory that a layer may use for its intermediate results.

    Raises:
        ValueError: no such file; unknown targets; a workspace that is no positive int; a profile
            of another name or rank than the input's, or against its fixed dimensions, or missing.
            Raised before the builder is needed.
        RuntimeError: tensorrt_rtx is not installed, or the network cannot be built; the text then
            names node and operator where the parser does.
    """
    # TODO(s6.build_engine): your code; the docstring says what it must do
    raise NotImplementedError("s6.build_engine")


def check_profile(model: ModelProto, profile: Profile | None) -> None:
    """ValueError unless the profile fits the inputs of the model."""
    values = inputs_of(model.graph)
    free = [value for value in values if not all(isinstance(e, int) for e in extents_of(value))]
    if profile is None:
        if free:
            raise ValueError(f"profile: expected one for the free input {free[0].name!r}, got None")
        return
    named = [value for value in values if value.name == profile.name]
    if not named:
        known = ", ".join(value.name for value in values)
        raise ValueError(f"profile: expected an input of the file ({known}), got {profile.name!r}")
    extents = extents_of(named[0])
    for shape in (profile.minimum, profile.optimum, profile.maximum):
        if len(shape) != len(extents):
            raise ValueError(f"profile: expected shapes like {extents}, got {shape}")
        for extent, fixed in zip(shape, extents):
            if isinstance(fixed, int) and extent != fixed:
                raise ValueError(f"profile: expected shapes like {extents}, got {shape}")


def quiet_logger(trt: ModuleType) -> Any:
    """A logger that keeps silent about a missing GPU: nothing is run here."""
    return trt.Logger(trt.Logger.INTERNAL_ERROR)


def strongly_typed(trt: ModuleType, builder: Any) -> Any:
    """An empty network whose types are those of the graph."""
    return builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))


def complaints(parser: Any) -> str:
    """What the parser says of the nodes it cannot take; to be read while the parser lives."""
    errors = [parser.get_error(number) for number in range(parser.num_errors)]
    texts = [
        f"node {error.node_name()!r} ({error.node_operator()}): {error.desc()}" for error in errors
    ]
    return "; ".join(" ".join(text.split()) for text in texts) or "the parser gives no reason"
