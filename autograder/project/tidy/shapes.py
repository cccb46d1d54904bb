"""Folds computed shapes: what follows from sizes alone is the same for every image.

Sizes are seen by running the file at several batch sizes. What is the same at all of them becomes
a constant. What changes with the batch is written as the graph language has it: -1 in a Reshape, 1
in an Expand (which keeps an axis), an end beyond the last in a Slice, and where a constant is
repeated for every image, the constant by itself, which operators repeat on their own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from onnx import NodeProto, helper, numpy_helper

from autograder.project.tidy.cleaning import allow_zero
from autograder.project.tidy.draft import Array, Draft, attribute, captured, graphs_of
from autograder.project.tidy.running import observe

_TYPE_ONLY = {"Shape": (), "Size": (), "CastLike": (0,)}
"""Inputs whose values matter, of operators that only look at sizes or types of others."""
_REPEATING = frozenset(
    {
        *("Add", "Sub", "Mul", "Div", "Pow", "Min", "Max", "Where", "And", "Or", "PRelu"),
        *("Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "MatMul", "Expand"),
    }
)
"""Operators that repeat an input of size 1 along an axis themselves."""
_END = np.iinfo(np.int64).max

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Origins:
    """Where tensors come from: `images` depend on pixels, `pure` on constants alone."""

    images: frozenset[str]
    pure: frozenset[str]


def origins(draft: Draft) -> Origins:
    """Of all tensors."""
    images, pure = {draft.source}, {"", *draft.constants}
    for node in draft.nodes:
        if node.op_type in _TYPE_ONLY:
            needed = {node.input[index] for index in _TYPE_ONLY[node.op_type]}
        else:
            needed = {*node.input, *captured(node)}
        if not images.isdisjoint(needed) or node.op_type.startswith(("Random", "Bernoulli")):
            images.update(filter(None, node.output))
        elif pure.issuperset((*node.input, *captured(node))) and needed:
            pure.update(filter(None, node.output))
    return Origins(frozenset(images), frozenset(pure))


def choose_branches(draft: Draft) -> None:
    """An If whose condition follows from sizes becomes the branch that it takes."""
    while True:
        where = origins(draft)
        chosen = [n for n in draft.nodes if n.op_type == "If" and n.input[0] not in where.images]
        if not chosen:
            return
        seen = observe(draft, [node.input[0] for node in chosen if node.input[0] in _made(draft)])
        for node in chosen:
            stored = draft.constants.get(node.input[0])
            takes = (
                {bool(values[node.input[0]].item()) for values, _ in seen}
                if stored is None
                else {bool(stored.raw_data.strip(b"\0") or list(stored.int32_data) == [1])}
            )
            if len(takes) != 1:
                draft.leave("an If that depends on the batch size: choose the branch in Python")
                return
            _inline_branch(draft, node, "then_branch" if takes.pop() else "else_branch")


def _made(draft: Draft) -> set[str]:
    return {name for node in draft.nodes for name in node.output}


def _inline_branch(draft: Draft, node: NodeProto, name: str) -> None:
    branch = next(each.g for each in node.attribute if each.name == name)
    renamed = dict(zip((value.name for value in branch.output), node.output))
    inner = [
        *(o for each in branch.node for o in each.output),
        *(t.name for t in branch.initializer),
    ]
    for each in inner:
        renamed.setdefault(each, draft.fresh("branch"))
    for tensor in branch.initializer:
        draft.constants[renamed[tensor.name]] = tensor
    nodes = []
    for each in branch.node:
        copy = NodeProto()
        copy.CopyFrom(each)
        _rename(copy, renamed)
        nodes.append(copy)
    made = {output for each in nodes for output in each.output}
    for value, output in zip(branch.output, node.output):
        if output not in made and output not in draft.constants:
            nodes.append(helper.make_node("Identity", [value.name], [output]))
    draft.replace(node, nodes)
    draft.note("branches chosen (If)")


def _rename(node: NodeProto, names: Mapping[str, str]) -> None:
    node.input[:] = [names.get(name, name) for name in node.input]
    node.output[:] = [names.get(name, name) for name in node.output]
    for graph in graphs_of(node):
        for inner in graph.node:
            _rename(inner, names)
        for value in graph.output:
            value.name = names.get(value.name, value.name)


def fold_shapes(draft: Draft) -> None:
    """Replace what depends on sizes alone, at the operators on the images that use it."""
    where = origins(draft)
    uses = [
        (node, index, name)
        for node in draft.nodes
        if not where.images.isdisjoint(node.output)
        for index, name in enumerate(node.input)
        if name and name not in where.images and name not in where.pure
        if node.op_type not in _TYPE_ONLY
    ]
    if not uses:
        return
    shaped = [name for node, _, _ in uses for name in (node.input[0], node.output[0]) if name]
    seen = observe(draft, [name for _, _, name in uses], shaped)
    producers = {name: node for node in draft.nodes for name in node.output}
    stored: dict[str, str] = {}
    for node, index, name in uses:
        values = [values[name] for values, _ in seen]
        shapes = [shapes for _, shapes in seen]
        if all(np.array_equal(values[0], each) for each in values):
            if name not in stored:
                stored[name] = draft.store(values[0], "size")
            node.input[index] = stored[name]
            draft.note("computed shapes folded")
        elif values[0].shape != values[1].shape:
            if _is_whole(node, index, values, shapes):
                _reshape_instead(draft, node, values)
            else:
                source = _pure_source(producers[name], where)
                _use_once(draft, node, index, values, source, stored)
        else:
            _write_batch(draft, node, index, values, shapes)


def _pure_source(node: NodeProto, where: Origins) -> str:
    """The constant that an Expand or Tile repeats; "" if it is none."""
    is_repeat = node.op_type in ("Expand", "Tile")
    return node.input[0] if is_repeat and node.input[0] in where.pure else ""


# ---- a constant that is repeated for every image -------------------------------------------------


def _use_once(
    draft: Draft,
    node: NodeProto,
    index: int,
    values: Sequence[Array],
    source: str,
    stored: dict[str, str],
) -> None:
    axis = _repeated_axis(values)
    if axis is None:
        draft.leave(f"{node.op_type}: a constant that differs between the images of a batch")
        return
    once = values[0].take([0], axis=axis)
    name = node.input[index]
    if name not in stored:
        tensor = draft.constants.get(source)
        is_same = tensor is not None and tuple(tensor.dims) == once.shape
        stored[name] = source if is_same else draft.store(once, "once")
    if node.op_type in _REPEATING:
        node.input[index] = stored[name]
        draft.note("constants repeated for every image: used once")
    elif node.op_type == "Concat" and attribute(node, "axis") % once.ndim != axis:
        if len(node.input) != 2:
            draft.leave("Concat: a constant for every image among more than two parts")
            return
        other = node.input[1 - index]
        (_, shapes), *_ = observe(draft, [], [other])
        join(draft, node, once, index, shapes[other])
    else:
        draft.leave(f"{node.op_type}: takes a constant that is repeated for every image")


def _repeated_axis(values: Sequence[Array]) -> int | None:
    """The one axis along which a tensor grows with the batch, if it says the same all along."""
    first, second = values[0], values[1]
    if first.ndim != second.ndim:
        return None
    axes = [axis for axis in range(first.ndim) if first.shape[axis] != second.shape[axis]]
    if len(axes) != 1:
        return None
    once = first.take([0], axis=axes[0])
    same = all(np.array_equal(each, np.broadcast_to(once, each.shape)) for each in values)
    return axes[0] if same else None


def join(draft: Draft, node: NodeProto, once: Array, index: int, other_shape: Shape) -> None:
    """Concat of a constant and a tensor, as the tensor with room beside it, plus the constant.

    A class token before the patches: zeros in front of the patches, and a sum with the token and
    zeros. `once` is the constant for one image, at input `index` of two.
    """
    axis, rank = attribute(node, "axis") % once.ndim, once.ndim
    other, room = node.input[1 - index], once.shape[axis]
    extent = other_shape[axis]
    pads = [0] * (2 * rank)
    pads[axis + rank * index] = room  # before it, or behind
    zeros = np.zeros([*once.shape[:axis], extent, *once.shape[axis + 1 :]], once.dtype)
    parts = [once, zeros] if index == 0 else [zeros, once]
    table = np.concatenate(parts, axis=axis)
    padded = draft.fresh("padded")
    merged = _merged_sum(draft, node, table)
    pad = helper.make_node("Pad", [other, draft.ints(*pads)], [padded], mode="constant")
    if merged is not None:
        _sum_of(draft, node.output[0]).input[:] = [padded, draft.store(merged, "sum")]
        draft.replace(node, [pad])
    else:
        add = helper.make_node("Add", [padded, draft.store(table, "joined")], [node.output[0]])
        draft.replace(node, [pad, add])
    draft.note("constants joined to every image (a class token): written as Pad and Add")


def _sum_of(draft: Draft, name: str) -> NodeProto:
    return draft.consumers()[name][0][0]


def _merged_sum(draft: Draft, node: NodeProto, table: Array) -> Array | None:
    """The sum with a constant that follows (positions), so that both are one constant."""
    users = draft.consumers()[node.output[0]]
    if len(users) != 1 or users[0][0].op_type != "Add":
        return None
    add, index = users[0]
    tensor = draft.constants.get(add.input[1 - index])
    if tensor is None or len(draft.consumers()[tensor.name]) != 1:
        return None
    values: Array = numpy_helper.to_array(tensor)
    if values.dtype != table.dtype or values.shape != table.shape:
        return None
    return np.asarray(values + table)


# ---- a Gather that takes everything in its order -------------------------------------------------


def _is_whole(
    node: NodeProto, index: int, values: Sequence[Array], shapes: Sequence[Mapping[str, Shape]]
) -> bool:
    """Whether a Gather takes all of a flat tensor in order, as torch's as_strided is exported."""
    return (
        (node.op_type, index, attribute(node, "axis")) == ("Gather", 1, 0)
        and all(each[node.input[0]] == (taken.size,) for each, taken in zip(shapes, values))
        and all(np.array_equal(taken.reshape(-1), np.arange(taken.size)) for taken in values)
    )


def _reshape_instead(draft: Draft, node: NodeProto, values: Sequence[Array]) -> None:
    target = _with_free([each.shape for each in values], -1)
    if target is None:
        draft.leave("Gather: takes another shape for another batch size")
        return
    reshaped = [node.input[0], draft.ints(*target)]
    draft.replace(node, [helper.make_node("Reshape", reshaped, node.output)])
    draft.note("Gather of everything in order written as Reshape")


# ---- a shape that has the batch in it ------------------------------------------------------------


def _write_batch(
    draft: Draft,
    node: NodeProto,
    index: int,
    values: Sequence[Array],
    shapes: Sequence[Mapping[str, Shape]],
) -> None:
    target: list[int] | None = None
    if node.op_type == "Reshape" and index == 1:
        target = _with_free([each[node.output[0]] for each in shapes], -1)
        if target is not None:
            allow_zero(node)
    elif node.op_type == "Expand" and index == 1:
        target = _expanded(node, shapes)
    elif node.op_type == "Slice" and index == 2:
        target = _ends(values)
    if target is None:
        draft.leave(f"{node.op_type}: its input {index} changes with the batch size")
        return
    node.input[index] = draft.ints(*target)
    draft.note("computed shapes folded, -1 or 1 for the batch")


def _with_free(results: Sequence[Shape], free: int) -> list[int] | None:
    """A shape with `free` where it changes with the batch; None unless that is in one place."""
    if len({len(shape) for shape in results}) != 1:
        return None
    sizes = [set(each) for each in zip(*results)]
    target = [each.copy().pop() if len(each) == 1 else free for each in sizes]
    return target if sum(len(each) > 1 for each in sizes) <= 1 else None


def _expanded(node: NodeProto, shapes: Sequence[Mapping[str, Shape]]) -> list[int] | None:
    """1 wherever the tensor has that size already: it stays."""
    before = [each[node.input[0]] for each in shapes]
    after = [each[node.output[0]] for each in shapes]
    rank = len(after[0])
    padded = [(1,) * (rank - len(each)) + tuple(each) for each in before]
    target = []
    for axis in range(rank):
        if all(old[axis] == new[axis] for old, new in zip(padded, after)):
            target.append(1)
        elif len({new[axis] for new in after}) == 1:
            target.append(after[0][axis])
        else:
            return None
    return target


def _ends(values: Sequence[Array]) -> list[int] | None:
    """The ends of a Slice; one that grows with the batch takes all of it (checked by running)."""
    columns = np.stack([each.reshape(-1) for each in values])
    return [int(c[0]) if (c == c[0]).all() else _END for c in columns.T]
