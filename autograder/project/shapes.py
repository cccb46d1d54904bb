"""Shapes and types of all tensors, by ONNX's own rules, for batches of one and of three images.

Nothing that the file says about its own shapes is believed: what it declares for tensors between
its operators and for its output is removed first.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from onnx import ModelProto, TensorProto, checker, shape_inference

from autograder.project import rules
from autograder.project.network import (
    Node,
    Refusal,
    Shape,
    in_our_words,
    quoted,
    type_name,
)
from autograder.project.parsing import check_size, described, free_shape

MAX_DETAIL = 160


@dataclass(frozen=True)
class Inferred:
    """Shape and type (of `onnx.TensorProto`) of every tensor by name, for one batch size."""

    shapes: Mapping[str, Shape]
    types: Mapping[str, int]


def infer(
    model: ModelProto, nodes: Sequence[Node], activations: frozenset[str], classes: int
) -> Inferred:
    """Shapes for one image.

    Refusal if ONNX's checker refuses the file, if a shape is none or too large, if a tensor mixes
    images, or if the output is not float32 (N, classes).
    """
    one = _infer(model, nodes, 1)
    _check_sizes(one.shapes, nodes)
    three = _infer(model, nodes, 3)  # not two, which a pool or a block of two would divide
    _check_batch(nodes, activations, one.shapes, three.shapes)
    _check_result(model, nodes, one, three, classes)
    return one


def _infer(model: ModelProto, nodes: Sequence[Node], batch: int) -> Inferred:
    fixed = ModelProto()
    fixed.CopyFrom(model)
    del fixed.graph.value_info[:]
    for position, node in enumerate(fixed.graph.node):
        node.name = f"node {position}"  # so that the checker's message names a node of the file
    fixed.graph.input[0].type.tensor_type.shape.dim[0].dim_value = batch
    try:
        checker.check_model(fixed, full_check=False)
        # Else the inference would stop where it disagrees, without saying what the output is.
        fixed.graph.output[0].ClearField("type")
        inferred = shape_inference.infer_shapes(
            fixed, check_type=True, strict_mode=True, data_prop=True
        )
    except Exception as error:
        complaint = in_our_words(_complaint(str(error), nodes))
        raise Refusal(f"ONNX's checker refuses {complaint}: export it again") from None
    shapes: dict[str, Shape] = {}
    types: dict[str, int] = {}
    for tensor in fixed.graph.initializer:
        shapes[tensor.name], types[tensor.name] = tuple(tensor.dims), tensor.data_type
    for value in (*inferred.graph.value_info, *inferred.graph.input, *inferred.graph.output):
        extents = free_shape(value)
        if extents is not None and None not in extents:
            shapes[value.name] = tuple(extent for extent in extents if extent is not None)
            types[value.name] = value.type.tensor_type.elem_type
    _check_known(nodes, shapes, types)
    return Inferred(shapes, types)


def _complaint(text: str, nodes: Sequence[Node]) -> str:
    """The node and what is wrong with it, from the checker's text of several lines."""
    where = re.search(r"ame: node (\d+)(?: |\))", text)
    # "… (op_type:Add, node name: node 2): [ShapeInferenceError] Incompatible dimensions", or the
    # complaint, an empty line, and a context with the name.
    detail = re.search(r"node name: node \d+\): (?:\[\w+\] )?(.*)", text)
    lines = [line.strip() for line in text.splitlines() if line.strip()] or ["no reason given"]
    reason = (detail.group(1) if detail else lines[0])[:MAX_DETAIL]
    position = int(where.group(1)) if where else len(nodes)
    return f"{nodes[position].label if position < len(nodes) else 'the file'}: {reason}"


# ---- checks ------------------------------------------------------------------------------------


def _check_known(
    nodes: Sequence[Node], shapes: Mapping[str, Shape], types: Mapping[str, int]
) -> None:
    for node in nodes:
        for name in node.outputs:
            if name and name not in shapes:
                raise Refusal(
                    f"{node.label}: the shape of its result is not known when the file is read; "
                    "only N may be free: export for images of the real size"
                )
            if name and types[name] not in rules.BITS:
                raise Refusal(
                    f"{node.label}: its result has a type that is not allowed, "
                    f"{type_name(types[name])}: use numbers"
                )


def _check_sizes(shapes: Mapping[str, Shape], nodes: Sequence[Node]) -> None:
    makers = {name: node for node in nodes for name in node.outputs if name}
    for name, shape in shapes.items():
        if name in makers and any(extent < 0 for extent in shape):
            shown = ", ".join(map(str, ("N", *shape[1:])))
            raise Refusal(
                f"{makers[name].label}: its result has a negative dimension, ({shown}): check its "
                "kernel, pads or slices, which take more than there is"
            )
        check_size(makers[name].label if name in makers else f"tensor {quoted(name)}", shape)


def _check_batch(
    nodes: Sequence[Node],
    activations: frozenset[str],
    one: Mapping[str, Shape],
    three: Mapping[str, Shape],
) -> None:
    """Every tensor that depends on the images grows with their number, so none mixes them.

    A mean over the batch would make the answer for an image depend on its neighbours.
    """
    for node in nodes:
        for name in node.outputs:
            if name in activations and math.prod(three[name]) != 3 * math.prod(one[name]):
                raise Refusal(
                    f"{node.label}: tensor {quoted(name)} does not have one part for each image; "
                    "keep the first axis for the images"
                )


def _check_result(
    model: ModelProto, nodes: Sequence[Node], one: Inferred, three: Inferred, classes: int
) -> None:
    """The output has the required shape and type, independent of what the file declares."""
    name = model.graph.output[0].name
    shape, kind = one.shapes[name], one.types[name]
    if (shape, three.shapes[name], kind) == ((1, classes), (3, classes), TensorProto.FLOAT):
        return
    maker = next((node.label for node in nodes if name in node.outputs), f"tensor {quoted(name)}")
    if (shape, three.shapes[name]) == ((classes, 1), (classes, 3)):
        remedy = "transpose it"
    elif (shape, three.shapes[name]) == ((1, classes), (3, classes)):
        remedy = "cast it to float32"
    else:
        remedy = f"give {classes} numbers per image, one for each class"
    extents = [
        None if (first, third) == (1, 3) else first
        for first, third in zip(shape, three.shapes[name])
    ]
    raise Refusal(
        f"the output must be float32 (N, {classes}), one row for each image; "
        f"{maker} makes {described(kind, extents)}: {remedy}"
    )
