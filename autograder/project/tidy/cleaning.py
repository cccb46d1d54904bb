"""Passes that take out what does nothing: dead nodes, unused constants, copies, foreign imports."""

from __future__ import annotations

import hashlib

from onnx import NodeProto, TensorProto, defs, helper, numpy_helper

from autograder.project.parsing import DEFAULT_DOMAINS
from autograder.project.tidy.draft import CannotTidy, Draft, attribute, captured

_BYPASSED = frozenset(["Identity", "Dropout"])


def drop_what_is_unused(draft: Draft) -> None:
    """Nodes, second outputs and constants that the logits do not need."""
    needed = {value.name for value in draft.model.graph.output}
    kept: list[NodeProto] = []
    for node in reversed(draft.nodes):
        if needed.isdisjoint(node.output):
            draft.note("nodes without use removed")
            continue
        while len(node.output) > _fewest(draft, node) and node.output[-1] not in needed:
            node.output.pop()
        needed.update(node.input)
        needed |= captured(node)
        kept.append(node)
    draft.nodes = kept[::-1]
    for name in [name for name in draft.constants if name not in needed]:
        del draft.constants[name]
        draft.note("constants without use removed")


def _fewest(draft: Draft, node: NodeProto) -> int:
    """How many outputs a node has to have; of a Split all of them."""
    if node.op_type == "Split":
        return len(node.output)
    try:
        return int(defs.get_schema(node.op_type, draft.opset, node.domain).min_output)
    except defs.SchemaError:
        return len(node.output)


def sort(draft: Draft) -> None:
    """Every node behind what it needs."""
    known = {draft.source, "", *draft.constants}
    ordered: list[NodeProto] = []
    waiting = draft.nodes
    while waiting:
        rest = []
        for node in waiting:
            if known.issuperset((*node.input, *captured(node))):
                ordered.append(node)
                known.update(node.output)
            else:
                rest.append(node)
        if len(rest) == len(waiting):
            name = next(n for n in (*rest[0].input, *captured(rest[0])) if n not in known)
            raise CannotTidy(f"tensor {name[:60]!r} is used and never computed: export again")
        if rest:
            draft.note("nodes put in order")
        waiting = rest
    draft.nodes = ordered


def bypass_copies(draft: Draft) -> None:
    """Identity, Dropout of inference, casts to the same type: their input takes their place."""
    renamed: dict[str, str] = {}
    kept = []
    for node in draft.nodes:
        for index, name in enumerate(node.input):
            if name in renamed:
                node.input[index] = renamed[name]
        if _is_copy(draft, node):
            renamed[node.output[0]] = node.input[0]
            draft.note(f"{node.op_type} removed")
        else:
            kept.append(node)
    draft.nodes = kept


def _is_copy(draft: Draft, node: NodeProto) -> bool:
    if (
        node.op_type not in _BYPASSED
        or node.domain not in DEFAULT_DOMAINS
        or node.output[0] == draft.result
    ):
        return False
    if any(node.output[0] in captured(other) for other in draft.nodes):
        return False
    if node.op_type == "Identity":
        return True
    if len(node.input) > 2 and node.input[2]:
        training = draft.constants.get(node.input[2])
        if training is None or any(_numbers(training)):
            return False
    return not any(name in other.input for name in node.output[1:] if name for other in draft.nodes)


def _numbers(tensor: TensorProto) -> list[float]:
    """The numbers of a constant."""
    return [float(value) for value in numpy_helper.to_array(tensor).reshape(-1)]


def join_equal_constants(draft: Draft) -> None:
    """One constant for all that are equal bit by bit: exporters copy a weight that layers share."""
    first: dict[bytes, str] = {}
    joined: dict[str, str] = {}
    in_branches = {name for node in draft.nodes for name in captured(node)}
    for name, tensor in draft.constants.items():
        if name != draft.result and name not in in_branches:
            kept = first.setdefault(_content(tensor), name)
            if kept != name:
                joined[name] = kept
    if not joined:
        return
    for name in joined:
        del draft.constants[name]
    for node in draft.nodes:
        node.input[:] = [joined.get(name, name) for name in node.input]
    draft.note("equal constants joined", len(joined))


def _content(tensor: TensorProto) -> bytes:
    """A digest of type, shape and numbers."""
    unnamed = TensorProto()
    unnamed.CopyFrom(tensor)
    unnamed.ClearField("name")
    unnamed.ClearField("doc_string")
    return hashlib.sha256(unnamed.SerializeToString(deterministic=True)).digest()


def drop_notes(draft: Draft) -> None:
    """Documentation, metadata and training information: the file is about its graph."""
    model = draft.model
    for field in ("doc_string", "metadata_props"):
        for part in (model, model.graph, *draft.nodes):
            part.ClearField(field)
    if model.training_info:
        del model.training_info[:]
        draft.note("training information removed")


def keep_own_imports(draft: Draft) -> None:
    """One import of the default domain, and others only while nodes need them."""
    used = {node.domain for node in draft.nodes} - set(DEFAULT_DOMAINS)
    before = list(draft.model.opset_import)
    own = helper.make_opsetid("", draft.opset)
    kept = [own, *(entry for entry in before if entry.domain in used)]
    if len(kept) < len(before):
        draft.note("unused imports removed", len(before) - len(kept))
    del draft.model.opset_import[:]
    draft.model.opset_import.extend(kept)


def free_inputs(draft: Draft) -> None:
    """Constants are no inputs."""
    inputs = draft.model.graph.input
    rest = [value for value in inputs if value.name not in draft.constants]
    if len(rest) < len(inputs):
        draft.note("constants taken from the inputs", len(inputs) - len(rest))
        del inputs[:]
        inputs.extend(rest)


def allow_zero(node: NodeProto) -> None:
    """Drop `allowzero`, which forbids a -1."""
    if attribute(node, "allowzero"):
        rest = [each for each in node.attribute if each.name != "allowzero"]
        del node.attribute[:]
        node.attribute.extend(rest)
