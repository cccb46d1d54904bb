"""Writes operators that the graph language lacks in those that it has.

ONNX defines many operators as functions of others; its own inliner writes those out. The rest has
rules here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from onnx import NodeProto, TensorProto, defs, helper, inliner, numpy_helper

from autograder.project import rules
from autograder.project.parsing import DEFAULT_DOMAINS
from autograder.project.tidy import versions
from autograder.project.tidy.draft import Array, Draft, attribute, graphs_of
from autograder.project.tidy.shapes import origins

_LOWEST = -1e4  # what is added instead of chosen: a softmax makes it zero

Rule = Callable[[Draft, NodeProto], list[NodeProto] | None]
"""Nodes that do the same; None where the rule does not apply."""


def write_out(draft: Draft) -> None:
    """Replace operators that are not allowed."""
    for node in list(draft.nodes):
        rule = _RULES.get(node.op_type)
        if rule is None or node.domain not in ("com.microsoft", *DEFAULT_DOMAINS):
            continue
        if (nodes := rule(draft, node)) is not None:
            draft.replace(node, nodes)
            draft.note(f"{node.op_type} written in other operators")


def expand_functions(draft: Draft) -> Draft:
    """The draft with ONNX's own definitions in place of operators that are not allowed."""
    names = _not_allowed(draft)
    # ONNX's converter leaves the branches of an If as they are; they are chosen first.
    if draft.opset < versions.LOWEST and not any(map(_has_branches, draft.nodes)):
        newer = {name for name in names if _is_function(name, versions.LOWEST)}
        if not all(_is_function(name, draft.opset) for name in newer):
            draft = versions.converted(draft, versions.LOWEST)
    functions = [name for name in names if _is_function(name, draft.opset)]
    if not functions:
        return draft
    for node in draft.nodes:
        if node.op_type in functions and node.domain in DEFAULT_DOMAINS:
            _write_defaults(node, draft.opset)
    assembled = draft.assembled()
    # A definition may depend on types, and the inliner knows those of stored tensors from here.
    assembled.graph.value_info.extend(
        helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
        for tensor in assembled.graph.initializer
    )
    selected = [("", name) for name in functions]
    model = inliner.inline_selected_functions(
        assembled, selected, exclude=False, inline_schema_functions=True
    )
    expanded = Draft(model)
    expanded.changes, expanded.left = draft.changes, draft.left
    for name in functions:
        expanded.note(f"{name} written in other operators")
    return expanded


def _has_branches(node: NodeProto) -> bool:
    return any(True for _ in graphs_of(node))


def _not_allowed(draft: Draft) -> list[str]:
    """Operators of the default domain on images that the graph language lacks."""
    images = origins(draft).images
    names = {
        node.op_type
        for node in draft.nodes
        if node.domain in DEFAULT_DOMAINS and not images.isdisjoint(node.output)
    }
    return sorted(names - rules.ALLOWED)


def _is_function(name: str, opset: int) -> bool:
    """Whether ONNX defines an operator by others that the opset has."""
    try:
        schema: Any = defs.get_schema(name, opset)
    except defs.SchemaError:
        return False
    bodies = (
        *schema.function_opset_versions,
        *schema.context_dependent_function_opset_versions,
    )
    return any(version <= opset for version in bodies)


def _write_defaults(node: NodeProto, opset: int) -> None:
    """Write out attributes that a node leaves to their defaults: the inliner does not know them."""
    schema: Any = defs.get_schema(node.op_type, opset)
    written = {each.name for each in node.attribute}
    for name, definition in schema.attributes.items():
        if name not in written and definition.default_value.type:
            node.attribute.append(definition.default_value)


# ---- rules ---------------------------------------------------------------------------------------


def _output(node: NodeProto) -> str:
    return str(node.output[0])


def _chain(kind: str) -> Rule:
    """Sum of many inputs: one after the other."""

    def rule(draft: Draft, node: NodeProto) -> list[NodeProto]:
        nodes, total = [], node.input[0]
        for position, name in enumerate(node.input[1:], start=2):
            output = _output(node) if position == len(node.input) else draft.fresh("sum")
            nodes.append(helper.make_node(kind, [total, name], [output]))
            total = output
        return nodes or [helper.make_node("Identity", [total], [_output(node)])]

    return rule


def _instance_norm(draft: Draft, node: NodeProto) -> list[NodeProto] | None:
    """Mean and variance of every channel of every image, in operators of their own."""
    x, scale, bias = node.input
    if scale not in draft.constants or bias not in draft.constants:
        return None
    shape = draft.shape(x)
    if shape is None:
        return None
    channels = shape[1]
    epsilon = next((a.f for a in node.attribute if a.name == "epsilon"), 1e-5)
    kind = numpy_helper.to_array(draft.constants[scale]).dtype
    names = {key: draft.fresh("norm") for key in ("r", "m", "c", "s", "v", "e", "d", "n", "w", "o")}
    folded = {
        key: draft.store(numpy_helper.to_array(draft.constants[name]).reshape(channels, 1), "norm")
        for key, name in (("scale", scale), ("bias", bias))
    }
    make = helper.make_node
    return [
        make("Reshape", [x, draft.ints(0, channels, -1)], [names["r"]]),
        _mean(draft, names["r"], names["m"]),
        make("Sub", [names["r"], names["m"]], [names["c"]]),
        make("Mul", [names["c"], names["c"]], [names["s"]]),
        _mean(draft, names["s"], names["v"]),
        make("Add", [names["v"], draft.store(np.asarray(epsilon, kind))], [names["e"]]),
        make("Sqrt", [names["e"]], [names["d"]]),
        make("Div", [names["c"], names["d"]], [names["n"]]),
        make("Mul", [names["n"], folded["scale"]], [names["w"]]),
        make("Add", [names["w"], folded["bias"]], [names["o"]]),
        make("Reshape", [names["o"], draft.ints(0, *shape[1:])], [_output(node)]),
    ]


def _mean(draft: Draft, source: str, output: str) -> NodeProto:
    """Over the last of three axes."""
    if draft.opset < 18:
        return helper.make_node("ReduceMean", [source], [output], axes=[2], keepdims=1)
    return helper.make_node("ReduceMean", [source, draft.ints(2)], [output], keepdims=1)


def _where(draft: Draft, node: NodeProto) -> list[NodeProto] | None:
    """A choice by constants (a mask), or by the image, as arithmetic."""
    condition, yes, no = node.input
    images = origins(draft).images
    if _output(node) not in images:
        return None  # it is folded
    mask = _values(draft, condition)
    if mask is not None and mask.dtype == bool:
        for name, other, where in ((yes, no, ~mask), (no, yes, mask)):
            filler = _values(draft, name)
            if filler is not None and filler.size == 1 and float(filler.item()) <= _LOWEST:
                # Attention: what is added to a score is as good as what is put in its place.
                table = np.where(where, np.zeros((), filler.dtype), filler.reshape(()))
                return [helper.make_node("Add", [other, draft.store(table)], [_output(node)])]
    return _blend(draft, node)


def _blend(draft: Draft, node: NodeProto) -> list[NodeProto] | None:
    """yes * mask + no * (1 - mask), where no constant of both is infinite."""
    condition, yes, no = node.input
    for name in (yes, no):
        values = _values(draft, name)
        if values is not None and not np.isfinite(values.astype(np.float64)).all():
            return None
    kind = draft.type(_output(node)) or TensorProto.FLOAT
    one = draft.store(np.ones((), helper.tensor_dtype_to_np_dtype(kind)))
    m, rest, a, b = (draft.fresh("where") for _ in range(4))
    make = helper.make_node
    return [
        make("Cast", [condition], [m], to=kind),
        make("Sub", [one, m], [rest]),
        make("Mul", [yes, m], [a]),
        make("Mul", [no, rest], [b]),
        make("Add", [a, b], [_output(node)]),
    ]


def _values(draft: Draft, name: str) -> Array | None:
    tensor = draft.constants.get(name)
    return None if tensor is None else np.asarray(numpy_helper.to_array(tensor))


def _selu(draft: Draft, node: NodeProto) -> list[NodeProto]:
    named = {each.name: each.f for each in node.attribute}
    alpha, gamma = named.get("alpha", 1.6732632), named.get("gamma", 1.0507010)
    kind = helper.tensor_dtype_to_np_dtype(draft.type(_output(node)) or TensorProto.FLOAT)
    inner = draft.fresh("elu")
    return [
        helper.make_node("Elu", [node.input[0]], [inner], alpha=alpha),
        helper.make_node("Mul", [inner, draft.store(np.asarray(gamma, kind))], [_output(node)]),
    ]


def _celu(_: Draft, node: NodeProto) -> list[NodeProto] | None:
    alpha = next((each.f for each in node.attribute if each.name == "alpha"), 1.0)
    return [helper.make_node("Elu", node.input, node.output)] if alpha == 1 else None


def _tile(draft: Draft, node: NodeProto) -> list[NodeProto] | None:
    """Copies beside each other along one axis that is not the images'."""
    repeats = _values(draft, node.input[1])
    if repeats is None or _output(node) not in origins(draft).images:
        return None
    axes = [axis for axis, count in enumerate(repeats.tolist()) if count != 1]
    if not axes:
        return [helper.make_node("Identity", [node.input[0]], [_output(node)])]
    if len(axes) > 1 or axes[0] == 0 or repeats[axes[0]] > rules.MAX_STRUCTURE_EDGE:
        return None
    copies = [node.input[0]] * int(repeats[axes[0]])
    return [helper.make_node("Concat", copies, [_output(node)], axis=axes[0])]


def _grid(draft: Draft, node: NodeProto) -> list[NodeProto] | None:
    """GatherND of constant rows and columns, as two Gathers: adaptive pooling is exported so."""
    index, shape = _values(draft, node.input[1]), draft.shape(node.input[0])
    if index is None or shape is None or attribute(node, "batch_dims") or index.shape[-1] != 2:
        return None
    rows, columns = (index[..., each].astype(np.int64) for each in range(2))
    axes = [_axes_that_matter(each) for each in (rows, columns)]
    grid = index.shape[:-1]
    if set(axes[0]) & set(axes[1]) or shape[2:].count(0) > 1:
        return None
    for axis, size in enumerate(grid):  # along which one row or column is repeated
        if size > 1 and axis not in (*axes[0], *axes[1]):
            axes[bool(axes[0])].append(axis)
    axes = [sorted(each) for each in axes]
    first, second, flat = (draft.fresh("grid") for _ in range(3))
    taken = [_along(each, kept) for each, kept in zip((rows, columns), axes)]
    rest = [axis for axis in range(len(grid)) if axis not in (*axes[0], *axes[1])]
    order = [*axes[0], *axes[1], *rest]
    sizes = [*(grid[axis] for axis in order), *(size or -1 for size in shape[2:])]
    back = [order.index(axis) for axis in range(len(grid))]
    perm = [*back, *range(len(grid), len(sizes))]
    return [
        helper.make_node("Gather", [node.input[0], draft.store(taken[0])], [first], axis=0),
        helper.make_node("Gather", [first, draft.store(taken[1])], [second], axis=1),
        helper.make_node("Reshape", [second, draft.ints(*sizes)], [flat]),
        helper.make_node("Transpose", [flat], [_output(node)], perm=perm),
    ]


def _axes_that_matter(values: Array) -> list[int]:
    return [
        axis
        for axis in range(values.ndim)
        if not np.array_equal(values, np.broadcast_to(values.take([0], axis), values.shape))
    ]


def _along(values: Array, axes: list[int]) -> Array:
    """A flat list of what changes along `axes`."""
    where = tuple(slice(None) if axis in axes else 0 for axis in range(values.ndim))
    return np.ascontiguousarray(values[where]).reshape(-1)


def _own_quantizer(draft: Draft, node: NodeProto) -> list[NodeProto] | None:
    """ONNX Runtime's QuantizeLinear and DequantizeLinear are ONNX's, once the opset has the types.

    For an opset below it they were needed for 4 and 16 bits; `tidy` raises the opset first.
    """
    if node.domain != "com.microsoft" or draft.opset < versions.QUANTIZERS:
        return None
    copy = NodeProto()
    copy.CopyFrom(node)
    copy.domain = ""
    return [copy]


def _own_gelu(draft: Draft, node: NodeProto) -> list[NodeProto] | None:
    if node.domain != "com.microsoft" or draft.opset < 20:
        return None
    kind = "tanh" if node.op_type == "FastGelu" else "none"
    nodes, source = [], node.input[0]
    if len(node.input) > 1 and node.input[1]:
        source = draft.fresh("biased")
        nodes = [helper.make_node("Add", node.input, [source])]
    return [*nodes, helper.make_node("Gelu", [source], [_output(node)], approximate=kind)]


def _fused_conv(draft: Draft, node: NodeProto) -> list[NodeProto] | None:
    named = {each.name: each for each in node.attribute}
    activation = named.pop("activation").s.decode() if "activation" in named else ""
    parameters = list(named.pop("activation_params").floats) if "activation_params" in named else []
    if (
        activation not in ("Relu", "Sigmoid", "Tanh", "LeakyRelu", "Clip", "HardSigmoid")
        or len(node.input) > 3
    ):
        return None
    inner = draft.fresh("conv")
    conv = helper.make_node("Conv", node.input, [inner])
    conv.attribute.extend(named.values())
    if activation == "Clip":
        bounds = [draft.store(np.asarray(each, np.float32)) for each in parameters]
        return [conv, helper.make_node("Clip", [inner, *bounds], [_output(node)])]
    keys = {"LeakyRelu": ("alpha",), "HardSigmoid": ("alpha", "beta")}.get(activation, ())
    more = dict(zip(keys, parameters))
    return [conv, helper.make_node(activation, [inner], [_output(node)], **more)]


def _fused_matmul(draft: Draft, node: NodeProto) -> list[NodeProto] | None:
    flags = ("transA", "transB", "transBatchA", "transBatchB")
    ranks = [draft.shape(name) for name in node.input]
    if any(attribute(node, name) for name in flags[2:]) or any(rank is None for rank in ranks):
        return None
    nodes, names = [], list(node.input)
    for index, flag in enumerate(flags[:2]):
        if attribute(node, flag):
            order = list(range(len(ranks[index] or ())))
            order[-2:] = order[:-3:-1]
            names[index] = draft.fresh("transposed")
            nodes.append(
                helper.make_node("Transpose", [node.input[index]], [names[index]], perm=order)
            )
    alpha = next((each.f for each in node.attribute if each.name == "alpha"), 1.0)
    product = _output(node) if alpha == 1 else draft.fresh("product")
    nodes.append(helper.make_node("MatMul", names, [product]))
    if alpha != 1:
        factor = draft.store(np.asarray(alpha, np.float32))
        nodes.append(helper.make_node("Mul", [product, factor], [_output(node)]))
    return nodes


_RULES: dict[str, Rule] = {
    "Sum": _chain("Add"),
    "InstanceNormalization": _instance_norm,
    "Where": _where,
    "Selu": _selu,
    "Celu": _celu,
    "Tile": _tile,
    "GatherND": _grid,
    "QuantizeLinear": _own_quantizer,
    "DequantizeLinear": _own_quantizer,
    "Gelu": _own_gelu,
    "FastGelu": _own_gelu,
    "BiasGelu": _own_gelu,
    "FusedConv": _fused_conv,
    "FusedMatMul": _fused_matmul,
}
