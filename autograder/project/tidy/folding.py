"""Folds arithmetic on constants, unless the file would be charged for more than it stores now.

A constant that is decoded (Cast, DequantizeLinear, Gather from a codebook, a scale) is counted as
it is stored, so decoding stays. QuantizeLinear of a stored float32 is folded: then its codes are
what is stored.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from onnx import NodeProto, TensorProto

from autograder.project import rules
from autograder.project.parsing import DEFAULT_DOMAINS
from autograder.project.tidy.draft import Draft, captured
from autograder.project.tidy.running import evaluate
from autograder.project.tidy.shapes import origins

_DECODERS = frozenset({*rules.RESHAPES, "Cast", "DequantizeLinear", "Gather", "Mul"})


def fold_constants(draft: Draft) -> None:
    """Replace operators on constants by their results."""
    pure = origins(draft).pure
    structural = _structural(draft)
    decoded: dict[str, NodeProto] = {}  # left as they are, by what they make
    kept: list[NodeProto] = []
    for node in draft.nodes:
        result = _result(draft, node, decoded) if _is_foldable(node, pure) else None
        if result is None or not _pays(draft, node, result, structural):
            kept.append(node)
            if result is not None:
                decoded[node.output[0]] = node
            continue
        draft.constants[node.output[0]] = result
        draft.note(f"arithmetic on constants folded ({node.op_type})")
    draft.nodes = kept


def _is_foldable(node: NodeProto, pure: frozenset[str]) -> bool:
    return (
        pure.issuperset((*node.input, *node.output))
        and len([name for name in node.output if name]) == 1
        and node.domain in DEFAULT_DOMAINS
        and not captured(node)
    )


def _result(draft: Draft, node: NodeProto, decoded: Mapping[str, NodeProto]) -> TensorProto | None:
    """What a node makes of constants, also of such as others decode; None if it does not run."""
    chain = [node]
    for each in chain:  # grows
        chain += [decoded[name] for name in each.input if name in decoded]
    ordered = {each.output[0]: each for each in reversed(chain)}
    return evaluate(draft, ordered.values()).get(node.output[0])


def _structural(draft: Draft) -> set[str]:
    """Names of constants that say shapes and axes, through whatever they pass: they are free."""
    names: set[str] = set()
    for node in reversed(draft.nodes):
        if names.intersection(node.output):
            names.update(node.input)
        for index in rules.STRUCTURE.get(node.op_type, ()):
            if index < len(node.input):
                names.add(node.input[index])
    return names


def _pays(draft: Draft, node: NodeProto, result: TensorProto, structural: set[str]) -> bool:
    """Whether the result is charged no more than what it is made of."""
    if node.op_type not in _DECODERS or node.output[0] in structural:
        return bool(result.ByteSize() <= rules.MAX_BYTES)
    users = draft.consumers()
    only_here = [
        name
        for name in dict.fromkeys(filter(None, node.input))
        if name in draft.constants and all(user is node for user, _ in users[name])
    ]
    return _bits(result) <= sum(_bits(draft.constants[name]) for name in only_here)


def _bits(tensor: TensorProto) -> int:
    return int(math.prod(tensor.dims)) * rules.BITS.get(tensor.data_type, 64)
