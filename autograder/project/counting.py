"""Counts what a checked graph stores and computes, operator by operator.

Conventions are those of docs/scoring.md: exact integers, for one image, everything that reaches
the arithmetic counted once where it is stored. Each rule has its page: `constants` and `decoded`
(what an operator sees of a stored tensor), `storage` (what it costs), `widths` (bits), `macs`
(formulas), `sparsity` (zeros), `tables` (elementwise products). Here they meet, with the other
operations.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from autograder.project import macs, rules, storage
from autograder.project.constants import Decode, decoder, less_zero_point
from autograder.project.network import Network, Node, Refusal
from autograder.project.sparsity import count_nonzero_macs, dense_macs
from autograder.project.tables import Roots, is_table, roots
from autograder.project.widths import activation_bits, factor_bits
from autograder.records.measurement import MeasuredLayer, Products, Stored


def count(network: Network) -> tuple[MeasuredLayer, ...]:
    """One layer for each operator that touches the image; Refusal beyond the caps."""
    decode = decoder(network)
    stored = storage.stored_tensors(network, decode)
    context = _Context(network, decode, activation_bits(network), roots(network))
    layers = tuple(
        _layer(context, node, stored[node.position])
        for node in network.nodes
        if node.position in stored
    )
    total = sum(layer.macs for layer in layers)
    if total > rules.MAX_MACS:
        raise Refusal(
            f"{total:,} multiply-accumulates are more than {rules.MAX_MACS:,} for one image: use "
            f"fewer channels, or larger strides; most are in {_most(network, layers, 'macs')}"
        )
    work = sum(layer.ops for layer in layers)
    if work > rules.MAX_OPS:
        raise Refusal(
            f"{work:,} other operations are more than {rules.MAX_OPS:,} for one image: use fewer "
            f"channels or cheaper operators; most are in {_most(network, layers, 'ops')}"
        )
    return layers


def _most(network: Network, layers: Sequence[MeasuredLayer], what: str) -> str:
    """Which operator has most of something."""
    layer = max(layers, key=lambda layer: getattr(layer, what))
    return next(node.label for node in network.nodes if node.position == layer.position)


@dataclass(frozen=True)
class _Context:
    """What is known when an operator is counted: of activations by name, `bits` and `roots`."""

    network: Network
    decode: Decode
    bits: Mapping[str, int]
    roots: Roots


def _layer(context: _Context, node: Node, stored: tuple[Stored, ...]) -> MeasuredLayer:
    network = context.network
    table = tuple(_table_products(context, node))
    # What is charged as a multiply-accumulate is not charged as an operation again.
    ops = _ops(network, node) - sum(products.macs for products in table)
    shape = network.shapes[node.outputs[0]][1:]
    products = (*_products(context, node), *table)
    return MeasuredLayer(node.position, node.kind, shape, stored, products, ops)


# ---- multiply-accumulates ----------------------------------------------------------------------


def _products(context: _Context, node: Node) -> Iterator[Products]:
    if node.kind == "Attention":
        yield from _attention(context, node)
    elif (formula := macs.FORMULAS.get(node.kind)) is not None:
        yield _product(context, node, macs.factors(node), formula(context.network, node))


def _product(context: _Context, node: Node, factors: tuple[int, int], sums: macs.Sums) -> Products:
    """The sums of products of the inputs at `factors`."""
    network, (outputs, reduction) = context.network, sums
    names = [node.inputs[index] for index in factors]
    data = [context.bits[name] for name in names if name in network.activations]
    weights = [index for index in factors if node.inputs[index] not in network.activations]
    if not weights:  # of two activations the narrower stands for the weight, and no zero is known
        return Products(outputs, reduction, *dense_macs(outputs, reduction), min(data), max(data))
    weight = less_zero_point(network, node, weights[-1], context.decode)
    is_left = weights[-1] == factors[0]
    counts = count_nonzero_macs(node, weight, is_left, outputs, reduction)
    # Of two constants the second is the weight; the first is as wide as what they make.
    activation = data[0] if data else network.bits(node.outputs[0])
    return Products(outputs, reduction, *counts, factor_bits(weight), activation)


def _attention(context: _Context, node: Node) -> Iterator[Products]:
    """Queries times keys, then the scores, which are never stored, times values."""
    network = context.network
    heads, queries, keys, depth, value_depth = macs.attention_sizes(network, node)
    yield _product(context, node, (0, 1), (heads * queries * keys, depth))
    # The scores are the runtime's own, of the output's type; which are zero is not known.
    own, value = network.bits(node.outputs[0]), node.inputs[2]
    outputs = heads * queries * value_depth
    if value in network.activations:
        bits = sorted((own, context.bits[value]))
    else:
        bits = [factor_bits(context.decode(value)), own]
    yield Products(outputs, keys, *dense_macs(outputs, keys), *bits)


def _table_products(context: _Context, node: Node) -> Iterator[Products]:
    """An elementwise product with a constant that is a table: see `is_table`.

    A linear layer can be written so: a table times the repeated image, and a sum over an axis.
    """
    network = context.network
    elements = network.elements(node.outputs[0])
    for index in rules.TABLE_OPERANDS.get(node.kind, ()):
        name = node.inputs[index]
        if name in network.activations:
            continue
        activation = next(factor for factor in node.inputs if factor in network.activations)
        if is_table(network, node, name, activation, context.roots):
            bits = max(factor_bits(context.decode(part)) for part in _parts(node, name))
            yield Products(elements, 1, elements, 0, bits, context.bits[activation])


def _parts(node: Node, name: str) -> tuple[str, ...]:
    """What a factor is made of: that of a batch norm is its scale by the root of its variance."""
    return (name, node.inputs[4]) if node.kind == "BatchNormalization" else (name,)


# ---- other operations --------------------------------------------------------------------------


def _ops(network: Network, node: Node) -> int:
    outputs = network.elements(node.outputs[0])
    if node.kind == "Attention":
        heads, queries, keys, *_ = macs.attention_sizes(network, node)
        return rules.OPS_PER_SCORE * heads * queries * keys
    if node.kind in rules.PRODUCTS:
        return _epilogue(node, outputs)
    if node.kind in rules.WINDOWS:
        return math.prod(node.integers("kernel_shape") or ()) * outputs
    if node.kind in rules.REDUCTIONS:
        return network.elements(node.inputs[0])
    if node.kind == "Gather" and node.inputs[1] not in network.activations:
        return 0  # constant indices move data; indices of the image look something up
    if node.kind in ("Min", "Max"):
        return (len(node.inputs) - 1) * outputs
    return rules.OPS_PER_OUTPUT.get(node.kind, 0) * outputs


_BIAS = {"Conv": 2, "ConvTranspose": 2, "Gemm": 2, "QLinearConv": 8}
"""Index of the optional bias."""


def _epilogue(node: Node, outputs: int) -> int:
    """One per output for a bias, for factors of Gemm, and for a quantised operator's scale."""
    index = _BIAS.get(node.kind)
    steps = int(index is not None and node.has_input(index))
    if node.kind == "Gemm":
        steps += len(storage.attributes(node))
    if node.kind.startswith("QLinear"):
        steps += 1
    return steps * outputs
