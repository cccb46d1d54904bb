"""Multiply-accumulates: how many sums of how many products an operator computes for one image.

Padded positions and zeros are among them, so that the number follows from the shapes alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from autograder.project.network import Network, Node, Refusal, Shape

Sums = tuple[int, int]
"""(outputs, reduction): number of sums, products in each."""


def factors(node: Node) -> tuple[int, int]:
    """Which inputs are the two factors; scale and zero point follow each in QLinear operators."""
    return (0, 3) if node.kind.startswith("QLinear") else (0, 1)


def _shapes(network: Network, node: Node) -> tuple[Shape, Shape]:
    first, second = factors(node)
    return network.shapes[node.inputs[first]], network.shapes[node.inputs[second]]


def _conv(network: Network, node: Node) -> Sums:
    # The kernel is (out, in / groups, ...): groups are divided by already, and only once.
    return network.elements(node.outputs[0]), math.prod(_shapes(network, node)[1][1:])


def _conv_transpose(network: Network, node: Node) -> Sums:
    # Seen from the input, which each kernel meets whole; at the output the border would be missing.
    image, kernel = _shapes(network, node)
    return math.prod(image), math.prod(kernel[1:])


def _gemm(network: Network, node: Node) -> Sums:
    left, _ = _shapes(network, node)
    return network.elements(node.outputs[0]), left[0 if node.number("transA", 0) else 1]


def _matmul(network: Network, node: Node) -> Sums:
    return network.elements(node.outputs[0]), _shapes(network, node)[0][-1]


def _einsum(network: Network, node: Node) -> Sums:
    """Every letter once: the sums are those of the result, the products run over the rest."""
    if len(node.inputs) != 2:
        raise Refusal(f"{node.label}: exactly two operands are allowed: write several Einsum")
    text = node.attributes.get("equation", b"")
    equation = text.decode("ascii", "replace") if isinstance(text, bytes) else str(text)
    equation = equation.replace(" ", "")
    terms = equation.partition("->")[0].split(",")
    if not equation.replace(",", "").replace("->", "").isalpha() or len(terms) != 2:
        # An ellipsis stands for axes whose extents no letter has.
        raise Refusal(
            f"{node.label}: this equation is not allowed: write two terms of letters, without an "
            "ellipsis"
        )
    extents: dict[str, int] = {}
    for term, shape in zip(terms, _shapes(network, node)):
        for letter, extent in zip(term, shape):
            extents[letter] = max(extent, extents.get(letter, 0))  # an extent of 1 is repeated
    outputs = network.elements(node.outputs[0])
    return outputs, math.prod(extents.values()) // max(1, outputs)


FORMULAS: Mapping[str, Callable[[Network, Node], Sums]] = {
    "Conv": _conv,
    "QLinearConv": _conv,
    "ConvInteger": _conv,
    "ConvTranspose": _conv_transpose,
    "Gemm": _gemm,
    "MatMul": _matmul,
    "QLinearMatMul": _matmul,
    "MatMulInteger": _matmul,
    "Einsum": _einsum,
}
"""By operator; Attention has two products, see `attention_sizes`."""


def attention_sizes(network: Network, node: Node) -> tuple[int, int, int, int, int]:
    """(heads, queries, keys, depth of a key, depth of a value) of one image."""
    # Keys of the past would be multiplied too, and the shape of the output does not show them.
    if any(node.has_input(index) for index in range(4, len(node.inputs))):
        raise Refusal(
            f"{node.label}: only queries, keys, values and a mask are allowed: export without a "
            "cache of past keys"
        )
    query, key, value = (network.shapes[name] for name in node.inputs[:3])
    if len(query) == 4:
        return query[0] * query[1], query[2], key[2], query[3], value[3]
    heads = int(node.number("q_num_heads", 1))
    shared = int(node.number("kv_num_heads", 1))  # several queries may share a key's head
    return query[0] * heads, query[1], key[1], query[2] // heads, value[2] // shared
