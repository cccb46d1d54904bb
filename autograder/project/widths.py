"""Bits of weights, from how they are stored, and of activations, from how they are quantised."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from autograder.project import rules
from autograder.project.decoded import Decoded
from autograder.project.network import Network, Node
from autograder.records.measurement import Stored

# ---- weights -----------------------------------------------------------------------------------


def stored_bits(decoded: Decoded) -> int:
    """Bits of one stored element: of the widest tensor, if the operands are large."""
    if has_large_operands(decoded):
        return max(decoded.main.bits, *(tensor.bits for tensor in _lists(decoded)))
    return decoded.main.bits


def has_large_operands(decoded: Decoded) -> bool:
    """Whether scales, zero points and codebooks could hold the values themselves.

    They can if they hold more than a quarter as many elements as they decode: blocks of one
    element make scales of the weights, and signs of the codes.
    """
    size = decoded.main.elements if decoded.values is None else decoded.values.size
    return 4 * sum(tensor.elements for tensor in _lists(decoded)) > size


def _lists(decoded: Decoded) -> Collection[Stored]:
    """The operands that are more than one number, which cannot hold the values."""
    # By name, since a tensor may be an operand in two ways.
    operands = (operand.main for operand in decoded.all_operands)
    return {tensor.name: tensor for tensor in operands if tensor.elements > 1}.values()


def factor_bits(decoded: Decoded) -> int:
    """Width of a weight as one factor of a product.

    One bit that chooses between two rows of a codebook is stored as one bit, but it does not make
    the products with these rows one-bit operations.
    """
    return max(stored_bits(decoded), decoded.index_bits)


# ---- activations -------------------------------------------------------------------------------


def activation_bits(network: Network) -> dict[str, int]:
    """Bits of every tensor that depends on the image, by name."""
    bits = {network.source: network.bits(network.source)}
    for node in network.nodes:
        for name in node.outputs:
            if name in network.activations:
                bits[name] = _bits_of_result(network, node, name, bits)
    return bits


def _bits_of_result(network: Network, node: Node, name: str, bits: Mapping[str, int]) -> int:
    own = network.bits(name)
    if node.kind == "DequantizeLinear" and _has_one_constant_scale(network, node):
        # What comes out are at most 2^b values on a grid, in whatever type they are written. With
        # several scales, or one of the image, they are not on one grid.
        return bits.get(node.inputs[0], own)
    if node.kind not in rules.KEEPS_BIT_WIDTH:
        return own  # a sum of two 4-bit numbers does not have 4 bits
    if node.kind == "Concat" and any(map(network.is_constant, node.inputs)):
        return own
    return max(bits[part] for part in node.inputs if part in network.activations)


def _has_one_constant_scale(network: Network, node: Node) -> bool:
    scale = node.inputs[1]
    return network.is_constant(scale) and network.elements(scale) == 1
