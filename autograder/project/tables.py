"""Elementwise products that are matrix products: with a table, or of a repeated image."""

from __future__ import annotations

from collections.abc import Mapping

from autograder.project import rules
from autograder.project.constants import long_axes
from autograder.project.network import Network, Node

Roots = Mapping[str, frozenset[str]]
"""By activation: those from which data movement alone makes it."""


def roots(network: Network) -> Roots:
    """Of every activation; of what an operator calculates, itself."""
    found = {network.source: frozenset([network.source])}
    for node in network.nodes:
        moved = [found[name] for name in node.inputs if name in found]
        for name in node.outputs:
            if name in network.activations:
                is_moved = _moves(network, node)
                found[name] = frozenset().union(*moved) if is_moved else frozenset([name])
    return found


def _moves(network: Network, node: Node) -> bool:
    takes = node.kind == "Gather" and node.inputs[1] not in network.activations
    return takes or node.kind in rules.DATA_MOVEMENT


def is_table(network: Network, node: Node, name: str, activation: str, made_of: Roots) -> bool:
    """Whether a product with a constant is one of many numbers for each of the image.

    Args:
        network: the network.
        node: the product.
        name: the constant.
        activation: the other factor.
        made_of: the roots of activations.
    """
    size, elements = network.elements(name), network.elements(node.outputs[0])
    for_each = size > 1 and size >= elements and node.kind not in rules.BY_CHANNEL
    if long_axes(network.shapes[name]) > 1 or for_each:
        return True  # larger than per channel
    # A channel of a repeated image is none: each number of the image meets several of the constant.
    numbers = sum(network.elements(root) for root in made_of[activation])
    return size > 1 and elements >= 2 * numbers
