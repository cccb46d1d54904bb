"""Frees the batch of a file that was exported for one size of it.

Such a file has the size in its shapes. Where the images lie in a tensor is seen from ONNX's shape
inference for the fixed batch and for three times as many.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from onnx import NodeProto, numpy_helper, shape_inference

from autograder.project.parsing import free_shape
from autograder.project.tidy.cleaning import allow_zero
from autograder.project.tidy.draft import Draft, attribute
from autograder.project.tidy.shapes import join, origins

Shapes = Mapping[str, tuple[int, ...]]


def fixed_batch(draft: Draft) -> int:
    """The size for which the file was exported; 0 if it is free, or there is no shape."""
    extents = free_shape(draft.model.graph.input[0])
    return (extents[0] or 0) if extents else 0


def free_batch(draft: Draft) -> None:
    """Make the first size of the input free, and every shape that has it follow."""
    batch = fixed_batch(draft)
    if not batch:
        return
    images = origins(draft).images
    inner: dict[str, int] = {}
    for node in list(draft.nodes):
        if images.isdisjoint(node.output):
            continue
        blocks = max(inner.get(name, 1) for name in node.input)
        inner.update(dict.fromkeys(node.output, blocks))
        if node.op_type not in ("Reshape", "Expand", "Concat"):
            continue
        one, three = (_inferred(draft, size) for size in (batch, 3 * batch))
        if node.op_type == "Concat":
            _free_concat(draft, node, one, three)
        elif node.input[1] in draft.constants:
            _free_target(draft, node, one, three, inner)
    extent = draft.model.graph.input[0].type.tensor_type.shape.dim[0]
    extent.Clear()
    extent.dim_param = "N"
    draft.note(f"batch of {batch} made free")


def _inferred(draft: Draft, batch: int) -> Shapes:
    """Shapes by ONNX's rules, as far as they are known, for a batch."""
    model = draft.assembled()
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = batch
    for value in model.graph.output:
        value.type.tensor_type.ClearField("shape")
    graph = shape_inference.infer_shapes(model, data_prop=True).graph
    shapes: dict[str, tuple[int, ...]] = {}
    for value in (*graph.input, *graph.value_info):
        extents = free_shape(value)
        if extents is not None and None not in extents:
            shapes[value.name] = tuple(extent or 0 for extent in extents)
    return shapes


def _images_axis(name: str, one: Shapes, three: Shapes) -> int | None:
    """The axis along which a tensor grows with the batch."""
    pairs = zip(one.get(name, ()), three.get(name, ()))
    return next((axis for axis, (small, large) in enumerate(pairs) if small != large), None)


def _free_target(
    draft: Draft, node: NodeProto, one: Shapes, three: Shapes, inner: dict[str, int]
) -> None:
    """-1 in a Reshape, 1 in an Expand, where the images of the input are.

    `inner` says how many blocks lie before the images within their axis: positions times images.
    """
    axis = _images_axis(node.input[0], one, three)
    target = list(one.get(node.output[0], ()))
    if axis is None or not target:
        return
    if node.op_type == "Expand":
        where = axis + len(target) - len(one[node.input[0]])
        free = 1
    else:
        before = math.prod(one[node.input[0]][:axis]) * inner.get(node.input[0], 1)
        where = _part_of_images(target, before)
        inner[node.output[0]] = before // math.prod(target[:where])
        free = -1
    target[where] = free
    allow_zero(node)
    node.input[1] = draft.ints(*target)


def _part_of_images(target: Sequence[int], before: int) -> int:
    """Which size of a Reshape's result has the images, before which lie `before` elements' blocks.

    For a batch of one the size may belong to either neighbour: to the former in a matrix, whose
    rows are flattened (positions times images), else to the latter (images times heads). The
    outputs tell whether that was right.
    """
    done = [math.prod(target[:axis]) for axis in range(len(target) + 1)]
    if before in done[:-1]:
        where = done.index(before)
        return where - 1 if len(target) == 2 and where and target[where] != 1 else where
    return next(axis for axis in range(len(target)) if done[axis] < before < done[axis + 1])


def _free_concat(draft: Draft, node: NodeProto, one: Shapes, three: Shapes) -> None:
    """A constant that is joined to every image."""
    constants = [index for index, name in enumerate(node.input) if name in draft.constants]
    if len(node.input) != 2 or len(constants) != 1:
        return
    (index,) = constants
    other = node.input[1 - index]
    axis = _images_axis(other, one, three)
    once = numpy_helper.to_array(draft.constants[node.input[index]])
    if axis is None or axis == attribute(node, "axis") % once.ndim:
        return
    first = once.take([0], axis=axis)
    if np.array_equal(once, np.broadcast_to(first, once.shape)):
        join(draft, node, first, index, one[other])
