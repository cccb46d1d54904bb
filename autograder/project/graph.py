"""Reads an ONNX file into a checked graph: one straight line of allowed operators, shapes known.

Everything that cannot be measured is refused here, with one sentence. Runs in the sandbox, since
protobuf, ONNX's checker and its shape inference work on the stranger's bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from autograder.project import parsing, rules
from autograder.project.network import Array, Network, Node, Refusal, Shape, quoted
from autograder.project.shapes import infer

__all__ = ["Array", "Network", "Node", "Refusal", "read"]


def read(content: bytes, input_shape: Shape, classes: int) -> Network:
    """Parse and check a file whose input is uint8 (N, *input_shape) and output (N, classes)."""
    model = parsing.parse(content)
    graph = model.graph
    opset = parsing.check_model(model)
    constants = dict(parsing.initializers(graph))
    source = parsing.check_input(graph, constants, input_shape)
    result = parsing.check_output(graph, classes)
    nodes = [parsing.parse_node(position, node) for position, node in enumerate(graph.node)]
    constants |= parsing.constant_nodes(graph.node, constants)
    _check_order(nodes, source, constants)
    _check_use(nodes, result, constants)
    activations = _activations(nodes, source)
    _check_shapes_are_stored(nodes, constants, activations)
    if result not in activations:
        raise Refusal("the output does not depend on the image: export a model that uses its input")
    one = infer(model, nodes, activations, classes)
    network = Network(
        opset, tuple(nodes), source, result, activations, one.shapes, one.types, constants
    )
    _check_structure(network)
    return network


def _check_order(nodes: Sequence[Node], source: str, constants: Mapping[str, object]) -> None:
    """Every input exists before it is used, and every name is given once."""
    if source in constants:
        raise Refusal(f"two tensors are called {quoted(source)}: rename one")
    # A Constant node is a constant everywhere, but it has to stand before its first use.
    later = {name for node in nodes if node.kind == "Constant" for name in node.outputs}
    known = {source, *constants} - later
    for node in nodes:
        missing = [name for name in node.inputs if name and name not in known]
        if missing:
            raise Refusal(
                f"{node.label}: {quoted(missing[0])} is used before it is computed: put the nodes "
                f"in order with {rules.TIDY}"
            )
        for name in node.outputs:
            if name and name in known:
                raise Refusal(f"{node.label}: two tensors are called {quoted(name)}: rename one")
            known.add(name)


def _check_use(nodes: list[Node], result: str, constants: Mapping[str, object]) -> None:
    """Everything in the file is needed for the output.

    What is not needed could be left out by its author; here it would have to be guessed whether
    it counts.
    """
    needed = {result}
    for node in reversed(nodes):
        if not needed.intersection(node.outputs):
            raise Refusal(f"{node.label}: its result is never used: remove it with {rules.TIDY}")
        if len([name for name in node.outputs if name]) > 1 and node.kind != "Split":
            raise Refusal(
                f"{node.label}: only its first output is allowed: use no indices, masks or "
                "statistics"
            )
        needed.update(name for name in node.inputs if name)
    unused = [name for name in constants if name not in needed]
    if unused:
        raise Refusal(f"initialiser {quoted(unused[0])} is never used: remove it with {rules.TIDY}")


def _activations(nodes: Iterable[Node], source: str) -> frozenset[str]:
    """Names of tensors that depend on the image."""
    names = {source}
    for node in nodes:
        if not names.isdisjoint(node.inputs):
            names.update(name for name in node.outputs if name)
    return frozenset(names)


def _check_shapes_are_stored(
    nodes: Iterable[Node], constants: Mapping[str, object], activations: frozenset[str]
) -> None:
    """No shape is computed.

    ONNX's inference and the runtime need not compute the same: then the runtime would do other
    work than what is counted here.
    """
    for node in nodes:
        for index in rules.STRUCTURE.get(node.kind, ()):
            name = node.inputs[index] if index < len(node.inputs) else ""
            if name in activations:
                raise Refusal(
                    f"{node.label}: shapes and axes may not depend on the image: "
                    f"{rules.WRITE_SIZES}"
                )
            if name and name not in constants:
                raise Refusal(
                    f"{node.label}: shapes and axes have to be stored, not computed: fold them "
                    f"with {rules.TIDY}"
                )


def _check_structure(network: Network) -> None:
    """What says where numbers go is free up to a cap: shapes, axes, parts to put together.

    Without a cap a network could keep its weights in its wiring: which pixel goes where.
    """
    total = 0
    for node in network.nodes:
        if network.activations.isdisjoint(node.outputs):
            continue  # decoding, where shapes only rearrange what is counted
        edges = [
            (network.elements(node.inputs[index]), "numbers for a shape or an axis")
            for index in network.structural_inputs(node)
            if node.has_input(index) and node.inputs[index] not in network.activations
        ]
        if node.kind in ("Concat", "Split"):  # which part goes where is wiring without a number
            edges.append((max(len(node.inputs), len(node.outputs)), "parts"))
        for count, what in edges:
            total += count
            if count > rules.MAX_STRUCTURE_EDGE:
                raise Refusal(
                    f"{node.label}: {count} {what} are more than {rules.MAX_STRUCTURE_EDGE}, the "
                    "cap for one input: use several operators, or fewer parts"
                )
        if total > rules.MAX_STRUCTURE_TOTAL:
            text = "numbers for shapes and axes, and parts of Concat and Split"
            raise Refusal(
                f"more than {rules.MAX_STRUCTURE_TOTAL} {text}: {node.label} is beyond the cap, "
                "use fewer operators that cut and join"
            )
