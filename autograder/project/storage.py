"""What the file stores: every constant that reaches the arithmetic, once, where first used."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from autograder.project import rules
from autograder.project.constants import Decode, less_zero_point
from autograder.project.decoded import Decoded
from autograder.project.network import Network, Node, Refusal
from autograder.project.widths import stored_bits
from autograder.records.measurement import Stored
from autograder.text_safety import clean_line

MAX_NAME = 100

Stores = dict[int, tuple[Stored, ...]]
"""By the position of the first operator that needs them."""


def stored_tensors(network: Network, decode: Decode) -> Stores:
    """Tensors of the file that the arithmetic on the image uses; numbers in attributes are last."""
    stores: Stores = {}
    ledger = _Ledger()
    # What decodes constants is entered with the result, at the first operator on the image.
    for node in network.nodes:
        if not network.activations.isdisjoint(node.outputs):
            stores[node.position] = (*_of_node(network, node, decode, ledger), *attributes(node))
    for position, stored in ledger.merged():
        stores[position] = (*stores[position], stored)
    return stores


def _of_node(network: Network, node: Node, decode: Decode, ledger: _Ledger) -> tuple[Stored, ...]:
    """Enter an operator's constants; returns what stands for them instead."""
    if node.kind == "BatchNormalization":
        return (_folded_batch_norm(network, node, decode, ledger),)
    for index in _used_inputs(network, node, decode):
        ledger.enter(node, less_zero_point(network, node, index, decode))
    return ()


class _Ledger:
    """Who uses a stored tensor first, and what each way of decoding it needs."""

    def __init__(self) -> None:
        self._first: dict[str, int] = {}
        self._ways: dict[str, dict[str, Stored]] = {}

    def enter(self, node: Node, decoded: Decoded) -> None:
        """A constant of an operator, with its operands."""
        for part in (decoded, *decoded.all_operands):
            self._enter(node, part)

    def _enter(self, node: Node, decoded: Decoded) -> None:
        # Judged at each use: beside large scales the same codes are as wide as these.
        stored = replace(decoded.main, bits=stored_bits(decoded))
        if not stored.elements:
            return
        self._first.setdefault(stored.name, node.position)
        ways = self._ways.setdefault(stored.name, {})
        known = ways.get(decoded.zero_pattern, stored)
        ways[decoded.zero_pattern] = replace(
            stored,
            nonzeros=max(stored.nonzeros, known.nonzeros),
            bits=max(stored.bits, known.bits),
        )

    def merged(self) -> Iterator[tuple[int, Stored]]:
        """(position of the first operator, what the tensor costs) of every tensor."""
        for name, position in self._first.items():
            yield position, _merged(list(self._ways[name].values()))


def _merged(ways: list[Stored]) -> Stored:
    """One tensor for all ways of decoding it.

    An element is left out only where no way needs it: one tensor that is the left half for one
    operator and the right half for another is stored whole.
    """
    return replace(
        ways[0],
        name=clean_line(ways[0].name, MAX_NAME) or "?",
        nonzeros=min(ways[0].elements, sum(way.nonzeros for way in ways)),
        bits=max(way.bits for way in ways),
        maskable=all(way.maskable for way in ways),
    )


def _used_inputs(network: Network, node: Node, decode: Decode) -> Iterator[int]:
    """Indices of the constants that the arithmetic uses.

    What only carries a shape is free on that edge; if it is a summand elsewhere, it counts there.
    """
    structural = network.structural_inputs(node)
    zero_points = rules.ZERO_POINTS.get(node.kind, ())
    for index, name in enumerate(node.inputs):
        if not network.is_constant(name) or index in structural:
            continue
        # A zero point of zero changes nothing, yet the operator asks for one of the code's type.
        if index not in zero_points or decode(name).main.nonzeros:
            yield index


def _folded_batch_norm(network: Network, node: Node, decode: Decode, ledger: _Ledger) -> Stored:
    """Batch norm as the scale and the shift that it is at inference: two numbers per channel."""
    names = node.inputs[1:5]
    if not network.activations.isdisjoint(names):
        raise Refusal(
            f"{node.label}: its scale, shift and statistics have to be constants: call "
            "model.eval() before the export"
        )
    parts = [decode(name) for name in names]
    for operand in itertools.chain.from_iterable(part.operands for part in parts):
        ledger.enter(node, operand)
    channels = network.elements(names[0])
    bits = max(stored_bits(part) for part in parts)
    name = f"batch norm of node {node.position}"
    if any(part.values is None for part in parts):
        return Stored(name, 2 * channels, 2 * channels, bits)
    gamma, beta, mean = (
        np.asarray(part.values, np.float64) != 0 for part in parts[:3] if part.values is not None
    )
    # Of the fold, by its factors: a channel with gamma and beta zero is gone, whatever its
    # statistics; a shift that cancels in this precision need not where the runtime rounds.
    nonzeros = int(np.count_nonzero(gamma)) + int(np.count_nonzero(beta | mean & gamma))
    return Stored(name, 2 * channels, nonzeros, bits)


def attributes(node: Node) -> tuple[Stored, ...]:
    """Numbers that stand in a node's attributes, other than what they are by default."""
    stored = []
    for name, default in rules.SCALAR_ATTRIBUTES.get(node.kind, {}).items():
        value = node.number(name, math.nan)
        is_default = default is not None and math.isclose(value, default)
        if not (math.isnan(value) or is_default):
            text = f"{name} of node {node.position}"
            stored.append(Stored(text, 1, int(value != 0), 32, False))
    return tuple(stored)
