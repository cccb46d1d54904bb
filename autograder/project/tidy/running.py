"""Runs a model that is being tidied, to see what its tensors are for batches of several sizes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, shape_inference

from autograder.project import rules
from autograder.project.inference import plain_session
from autograder.project.network import in_our_words
from autograder.project.parsing import free_shape
from autograder.project.tidy.draft import Array, CannotTidy, Draft

BATCHES = (2, 3, 5)
"""Not 1, which a fixed size would look like; what is linear in three sizes is linear."""
_SHAPE = "shape of "

Seen = Sequence[tuple[Mapping[str, Array], Mapping[str, tuple[int, ...]]]]
"""(values, shapes) of tensors by name, for each batch size."""


def images(model: ModelProto, batch: int) -> tuple[str, Array]:
    """The input's name and random values for it: bytes, or numbers in 0..1."""
    if len(model.graph.input) != 1:
        raise CannotTidy(f"there must be one input, the image; this file has {_names(model)}")
    (value,) = model.graph.input
    extents = free_shape(value)
    if not extents:
        raise CannotTidy(f"the input {value.name!r} has no shape: export it with its real one")
    if None in extents[1:]:
        raise CannotTidy(
            f"the input {value.name!r} has more free sizes than the batch: export with the real "
            "height and width"
        )
    shape = [batch if extents[0] is None else extents[0], *(e or 0 for e in extents[1:])]
    generator = np.random.default_rng(batch)
    kind = value.type.tensor_type.elem_type
    if kind in (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE):
        return value.name, generator.random(shape).astype(helper.tensor_dtype_to_np_dtype(kind))
    high = 256 if kind != TensorProto.INT8 else 128
    values = generator.integers(0, high, shape)
    return value.name, values.astype(helper.tensor_dtype_to_np_dtype(kind))


def _names(model: ModelProto) -> str:
    return ", ".join(repr(value.name[:60]) for value in model.graph.input[:9]) or "none"


def has_free_batch(model: ModelProto) -> bool:
    """Whether the first size of the input is free."""
    extents = free_shape(model.graph.input[0])
    return bool(extents) and extents is not None and extents[0] is None


def run(
    content: bytes, name: str, image: Array, outputs: Iterable[str] | None = None
) -> list[Array]:
    """Outputs of a file, on one thread without optimisations."""
    try:
        session = plain_session(content)
        wanted = None if outputs is None else list(outputs)
        return list(session.run(wanted, {name: image} if name else {}))
    except Exception as error:
        line = in_our_words(" ".join(str(error).split()))
        line = re.sub(r"^(?:\[ONNXRuntimeError\] : \d+ : \w+ : )+", "", line)
        raise CannotTidy(
            f"ONNX Runtime cannot run the file, export it again: {line[:300]}"
        ) from None


def observe(draft: Draft, values: Iterable[str], shapes: Iterable[str] = ()) -> Seen:
    """Values of some tensors and shapes of others, by name, for each batch of `BATCHES`."""
    values, shapes = list(dict.fromkeys(values)), list(dict.fromkeys(shapes))
    model = draft.assembled()
    probes = [helper.make_node("Shape", [name], [_SHAPE + name]) for name in shapes]
    model.graph.node.extend(probes)
    wanted = [*values, *(_SHAPE + name for name in shapes)]
    known = {value.name for value in model.graph.output}
    model.graph.output.extend(ValueInfoProto(name=n) for n in wanted if n not in known)
    content = model.SerializeToString()
    seen: list[tuple[Mapping[str, Array], Mapping[str, tuple[int, ...]]]] = []
    for batch in BATCHES:
        arrays = run(content, *images(draft.model, batch), wanted)
        seen.append(
            (
                dict(zip(values, arrays)),
                {n: tuple(map(int, a)) for n, a in zip(shapes, arrays[len(values) :])},
            )
        )
    return seen


def evaluate(draft: Draft, nodes: Iterable[NodeProto]) -> dict[str, TensorProto]:
    """The results of nodes that need constants only; without those that do not run."""
    found: dict[str, TensorProto] = {}
    for node in nodes:
        if all(not n or n in found or n in draft.constants for n in node.input):
            found |= _evaluate_one(draft, node, found)
    return found


def _evaluate_one(
    draft: Draft, node: NodeProto, found: Mapping[str, TensorProto]
) -> dict[str, TensorProto]:
    name = node.output[0]
    graph = helper.make_graph([node], "one", [], [ValueInfoProto(name=name)])
    for each in dict.fromkeys(filter(None, node.input)):
        graph.initializer.add().CopyFrom(found[each] if each in found else draft.constants[each])
        graph.initializer[-1].name = each
    model = helper.make_model(
        graph, opset_imports=draft.model.opset_import, ir_version=draft.model.ir_version
    )
    try:
        kind = shape_inference.infer_shapes(model).graph.output[0].type.tensor_type.elem_type
    except shape_inference.InferenceError:
        return {}
    if kind not in rules.BITS:
        return {}
    # The runtime hands out bytes for float8, and nothing for other types that NumPy lacks; float32
    # has all of their values.
    dtype = helper.tensor_dtype_to_np_dtype(kind)
    if dtype.isbuiltin != 1:
        cast = helper.make_node("Cast", [name], [f"{name} as float32"], to=TensorProto.FLOAT)
        model.graph.node.append(cast)
        model.graph.output[0].name = cast.output[0]
    try:
        (value,) = run(model.SerializeToString(), "", np.zeros(0), [model.graph.output[0].name])
    except CannotTidy:
        return {}
    values = np.asarray(value).astype(dtype)
    return {name: helper.make_tensor(name, kind, values.shape, values, raw=True)}
