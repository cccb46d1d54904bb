"""Counts what a checked graph stores and computes, operator by operator.

Conventions are those of docs/scoring.md: exact integers, for one image, everything that reaches
the arithmetic counted once where it is stored.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from autograder.project import rules
from autograder.project.graph import Array, Network, Node, Refusal
from autograder.records.measurement import Layer, Products, Stored
from autograder.text_safety import clean_line

SIGN_BITS = 1
MAX_NAME = 100
MAX_OTHERS = 64  # scales in a row; more are arithmetic


@dataclass(frozen=True)
class Decoded:
    """A constant as an operator sees it.

    `values` in the type that ONNX gives it, or None where only its size counts; `main` is the
    tensor that carries it, `others` the scales, zero points and codebooks beside it. `path` is the
    same for constants that are decoded in the same way from the same tensors, `mask` for those
    whose zeros are the same elements of `main` (a reshape changes only the first). `spread` are
    the bits that tell the values of a codebook with longer entries apart. `values` are zero only
    where a factor is zero: what the runtime rounds, and how widely, is its own affair. Where they
    may differ from its own otherwise, they are not `exact`.
    """

    values: Array | None
    main: Stored
    path: int
    mask: int
    others: tuple[Decoded, ...] = ()
    spread: int = 0
    exact: bool = True

    @cached_property
    def beside(self) -> tuple[Decoded, ...]:
        """Scales, zero points and codebooks, with those that they need themselves, each once."""
        found: dict[tuple[int, int], Decoded] = {}
        left = list(self.others)
        while left:
            each = left.pop()
            if (key := (each.path, each.mask)) not in found:
                found[key] = each
                left += each.others
        return tuple(found.values())

    @property
    def width(self) -> int:
        """Bits of one element: of the widest tensor if what stands beside the codes is large.

        More than a quarter of the decoded elements is: it could hold the values itself. A single
        number cannot.
        """
        beside = {each.main.name: each.main for each in self.beside if each.main.elements > 1}
        size = self.main.elements if self.values is None else self.values.size
        if 4 * sum(each.elements for each in beside.values()) > size:
            return max(self.main.bits, *(each.bits for each in beside.values()))
        return self.main.bits

    @property
    def factor_bits(self) -> int:
        """Width of one factor of a product."""
        return max(self.width, self.spread)


def count(network: Network) -> tuple[Layer, ...]:
    """One layer for each operator that touches the image; Refusal beyond the caps."""
    counter = _Counter(network)
    bare = [counter.layer(node) for node in network.nodes if counter.on_image(node)]
    stored = counter.stored()
    layers = tuple(
        replace(layer, stored=(*layer.stored, *stored.get(layer.place, ()))) for layer in bare
    )
    macs = sum(layer.macs for layer in layers)
    if macs > rules.MAX_MACS:
        raise Refusal(f"{macs:,} multiply-accumulates are more than {rules.MAX_MACS:,}")
    return layers


@dataclass
class _Use:
    """One stored tensor: the first operator that needs it, and one entry for each set of zeros."""

    place: int
    by_mask: dict[int, Stored]

    def merged(self) -> Stored:
        """What it costs: an element is left out only where no way of decoding it needs it."""
        ways = list(self.by_mask.values())
        nonzeros = min(ways[0].elements, sum(each.nonzeros for each in ways))
        return replace(
            ways[0],
            name=clean_line(ways[0].name, MAX_NAME) or "?",
            nonzeros=nonzeros,
            bits=max(each.bits for each in ways),
            maskable=all(each.maskable for each in ways),
        )


class _Counter:
    """Walks the graph once; remembers decoded constants, widths, and who uses what is stored."""

    def __init__(self, network: Network) -> None:
        self._net = network
        self._producers = {name: node for node in network.nodes for name in node.outputs if name}
        self._decoded: dict[str, Decoded] = {}
        self._paths: dict[tuple[object, ...], int] = {}
        self._uses: dict[str, _Use] = {}
        self._widths: dict[str, int] = {network.source: network.bits(network.source)}
        self._structure = 0

    def on_image(self, node: Node) -> bool:
        """Whether the node's result depends on the image."""
        return any(name in self._net.data for name in node.outputs)

    def layer(self, node: Node) -> Layer:
        """What one operator computes; of what is stored only its folded batch norm."""
        self._check_structure(node)
        self._set_width(node)
        folded: tuple[Stored, ...] = ()
        if node.kind == "BatchNormalization":
            folded = (self._folded(node),)
        else:
            for place in self._operands(node):
                self._use(node, self._operand(node, place))
        table = self._table(node)
        products = (*self._products(node), *table)
        numbers = _stored_attributes(node)
        ops = self._ops(node) - sum(each.macs for each in table)
        shape = self._net.shapes[node.outputs[0]][1:]
        return Layer(node.place, node.kind, shape, (*folded, *numbers), products, ops)

    def stored(self) -> dict[int, list[Stored]]:
        """Stored tensors by the place of the first operator that needs them."""
        found: dict[int, list[Stored]] = {}
        for use in self._uses.values():
            found.setdefault(use.place, []).append(use.merged())
        return found

    def _use(self, node: Node, decoded: Decoded) -> None:
        main = replace(decoded.main, bits=decoded.width)
        self._remember(node, decoded.mask, main)
        for each in decoded.beside:
            self._remember(node, each.mask, replace(each.main, bits=each.width))

    def _remember(self, node: Node, mask: int, stored: Stored) -> None:
        if not stored.elements:
            return
        ways = self._uses.setdefault(stored.name, _Use(node.place, {})).by_mask
        known = ways.get(mask, stored)
        ways[mask] = replace(
            stored,
            nonzeros=max(stored.nonzeros, known.nonzeros),
            bits=max(stored.bits, known.bits),
        )

    # ---- constants ---------------------------------------------------------------------------

    def _operands(self, node: Node) -> Iterator[int]:
        """Places of the constants that the arithmetic uses; a zero point of zero is none."""
        for place, name in enumerate(node.inputs):
            if not name or name in self._net.data or place in self._structural(node):
                continue
            is_zero_point = place in _ZERO_POINTS.get(node.kind, ())
            if not is_zero_point or self._decode(name).main.nonzeros:
                yield place

    def _operand(self, node: Node, place: int) -> Decoded:
        """A constant as the operator uses it: less its zero point, if the operator takes one."""
        decoded = self._decode(node.inputs[place])
        where = dict(zip(_factors(node), _FACTOR_ZERO_POINTS.get(node.kind, ()))).get(place, 0)
        if not where or not _given(node, where):
            return decoded
        zero = (
            self._decode(node.inputs[where]) if node.inputs[where] not in self._net.data else None
        )
        path = self._path("offset", decoded.path, None if zero is None else zero.path, place)
        if zero is None or zero.values is None or decoded.values is None:
            full = replace(decoded.main, nonzeros=decoded.main.elements)
            return replace(decoded, values=None, main=full, path=path, mask=path)
        values = decoded.values.astype(np.int64)
        shape = [1] * values.ndim
        if zero.values.size > 1:
            is_row = place == _factors(node)[0] or node.kind.endswith(("Conv", "ConvInteger"))
            shape[0 if is_row else -1] = -1
        values = values - zero.values.astype(np.int64).reshape(shape)
        return _with_zeros(replace(decoded, values=values, path=path, mask=path))

    def _structural(self, node: Node) -> tuple[int, ...]:
        """Places of the inputs that only carry shape, axes, pads or starts."""
        if node.kind == "Gather" and node.inputs[0] in self._net.data:
            return (1,)  # a part of the image: its indices only say which
        return rules.STRUCTURE.get(node.kind, ())

    def _check_structure(self, node: Node) -> None:
        """What says where numbers go is free up to a cap: shapes, axes, parts to put together."""
        edges = [
            (self._net.elements(node.inputs[place]), "numbers for a shape or an axis")
            for place in self._structural(node)
            if _given(node, place) and node.inputs[place] not in self._net.data
        ]
        if node.kind in ("Concat", "Split"):
            edges.append((max(len(node.inputs), len(node.outputs)), "parts"))
        for elements, what in edges:
            self._structure += elements
            if elements > rules.MAX_STRUCTURE_EDGE:
                raise Refusal(
                    f"{node.label}: {elements} {what} are more than {rules.MAX_STRUCTURE_EDGE}"
                )
            if self._structure > rules.MAX_STRUCTURE_TOTAL:
                text = "numbers for shapes and axes, and parts of Concat and Split"
                raise Refusal(f"more than {rules.MAX_STRUCTURE_TOTAL} {text}")

    def _decode(self, name: str) -> Decoded:
        if name not in self._decoded:
            self._decoded[name] = self._decode_anew(name)
        return self._decoded[name]

    def _decode_anew(self, name: str) -> Decoded:
        if name in self._net.constants:
            values = numpy_helper.to_array(self._net.constants[name])
            bits = rules.BITS[self._net.constants[name].data_type]
            path = self._path("stored", name)
            return Decoded(values, _stored(name, values, bits), path, path)
        node = self._producers[name]
        rule = _DECODERS.get(node.kind)
        decoded = rule(self, node) if rule is not None else None
        return decoded if decoded is not None else self._computed(name)

    def _path(self, *steps: object) -> int:
        """The number of a way of decoding; equal ways have equal numbers."""
        return self._paths.setdefault(steps, len(self._paths))

    def _computed(self, name: str) -> Decoded:
        """The result of other arithmetic on constants: counted as if it were stored."""
        elements = self._net.elements(name)
        stored = Stored(name, elements, elements, self._net.bits(name), False)
        path = self._path("computed", name)
        return Decoded(None, stored, path, path)

    def _reshaped(self, node: Node) -> Decoded | None:
        inner = self._decode(node.inputs[0])
        if inner.values is None:
            return inner
        if node.kind == "Transpose":
            order = _ints(node.attributes.get("perm"))
            path = self._path("transposed", inner.path, order)
            return replace(inner, values=np.transpose(inner.values, order), path=path)
        shape = self._net.shapes[node.outputs[0]]
        path = self._path("reshaped", inner.path, shape)
        return replace(inner, values=inner.values.reshape(shape), path=path)

    def _cast(self, node: Node) -> Decoded | None:
        inner = self._decode(node.inputs[0])
        if inner.values is None:
            return None
        kind = self._net.types[node.outputs[0]]
        with np.errstate(all="ignore"):
            values = inner.values.astype(helper.tensor_dtype_to_np_dtype(kind))
        same = _equal(inner.values, values)
        if kind in rules.INTEGERS and not (same and inner.exact):
            # Conversions out of range are undefined: NumPy's zeros need not be the runtime's.
            raise Refusal(f"{node.label}: a Cast to integers may not change a constant's values")
        if not same and kind != TensorProto.BOOL:  # the runtime leaves out some of these roundings
            values = _wide(inner.values)
        path = self._path("cast", inner.path, kind)
        exact = inner.exact and same
        return _with_zeros(replace(inner, values=values, path=path, mask=path, exact=exact))

    def _dequantised(self, node: Node) -> Decoded | None:
        codes, scale = self._decode(node.inputs[0]), self._decode(node.inputs[1])
        zero = self._decode(node.inputs[2]) if _given(node, 2) else None
        if codes.values is None or scale.values is None or (zero and zero.values is None):
            return None
        values = codes.values
        if zero is not None and zero.values is not None:
            values = _difference(values, _along(zero.values, values.shape, node))
        values = _product_of(values, _along(scale.values, values.shape, node))
        others = (*codes.others, scale)
        if zero is not None and zero.main.nonzeros:
            others = (*others, zero)
        details = (_number(node, "axis", 1), _number(node, "block_size", 0))
        paths = (codes.path, scale.path, None if zero is None else zero.path)
        path = self._path("dequantised", *paths, *details)
        return _with_zeros(
            replace(codes, values=values, others=others, path=path, mask=path, exact=False)
        )

    def _looked_up(self, node: Node) -> Decoded | None:
        """A codebook: entries at their type, indices at the type that they are stored in."""
        book, index = self._decode(node.inputs[0]), self._decode(node.inputs[1])
        if book.values is None or index.values is None:
            return None
        axis = int(_number(node, "axis", 0))
        values = np.take(book.values, index.values.astype(np.int64), axis=axis)
        if values.size == 0:
            return None
        nonzeros = index.main.elements
        if axis == 0 and index.main.bits > SIGN_BITS and index.values.size == nonzeros:
            nonzeros = int((values.reshape(nonzeros, -1) != 0).any(axis=1).sum())
        spread = max(index.spread, book.spread)
        if values.size > index.values.size:
            levels = len(np.unique(book.values.astype(np.float64)))
            spread = max(spread, min(book.width, math.ceil(math.log2(levels))))
        path = self._path("looked up", book.path, index.path, axis)
        main = replace(index.main, nonzeros=nonzeros)
        others = (*index.others, book)
        return Decoded(values, main, path, path, others, spread, book.exact)

    def _scaled(self, node: Node) -> Decoded | None:
        """A product with one scale, or one a channel, that does not make the tensor larger."""
        first, second = (self._decode(name) for name in node.inputs)
        if first.values is None or second.values is None:
            return None
        if first.values.size < second.values.size:
            first, second = second, first
        assert first.values is not None
        assert second.values is not None
        if _long_axes(second.values.shape) > 1 or len(first.others) >= MAX_OTHERS:
            return None
        values = _product_of(first.values, second.values)
        if values.size != first.values.size:
            return None
        path = self._path("scaled", first.path, second.path, values.shape)
        others = (*first.others, second)
        return _with_zeros(
            replace(first, values=values, others=others, path=path, mask=path, exact=False)
        )

    def _folded(self, node: Node) -> Stored:
        """Batch norm as the scale and the shift that it is at inference."""
        names = node.inputs[1:5]
        if not self._net.data.isdisjoint(names):
            raise Refusal(f"{node.label}: its scale, shift and statistics have to be constants")
        parts = [self._decode(name) for name in names]
        for part in parts:
            for other in part.others:
                self._use(node, other)
        channels = self._net.elements(names[0])
        bits = max(part.width for part in parts)
        name = f"batch norm of node {node.place}"
        if any(part.values is None for part in parts):
            return Stored(name, 2 * channels, 2 * channels, bits)
        gamma, beta, mean, variance = (
            np.asarray(part.values, np.float64) for part in parts if part.values is not None
        )
        epsilon = float(_number(node, "epsilon", 1e-5))
        with np.errstate(all="ignore"):
            scale = gamma / np.sqrt(variance + epsilon)
            shift = beta - mean * scale
        nonzeros = int(np.count_nonzero(scale)) + int(np.count_nonzero(shift))
        return Stored(name, 2 * channels, nonzeros, bits)

    # ---- widths of activations -----------------------------------------------------------------

    def _set_width(self, node: Node) -> None:
        for name in node.outputs:
            if name in self._net.data:
                self._widths[name] = self._width_after(node, name)

    def _width_after(self, node: Node, name: str) -> int:
        own = self._net.bits(name)
        if node.kind == "DequantizeLinear" and self._one_constant(node):
            return self._widths.get(node.inputs[0], own)
        if node.kind in rules.CARRIES_BITS:
            carried = [self._widths[each] for each in node.inputs if each in self._net.data]
            others = [each for each in node.inputs if each and each not in self._net.data]
            if node.kind == "Concat" and others:
                return own
            return max(carried)
        return own

    def _one_constant(self, node: Node) -> bool:
        scale = node.inputs[1]
        return scale not in self._net.data and self._net.elements(scale) == 1

    # ---- products ------------------------------------------------------------------------------

    def _products(self, node: Node) -> Iterator[Products]:
        if node.kind == "Attention":
            yield from self._attention(node)
        elif (rule := _PRODUCTS.get(node.kind)) is not None:
            yield self._product(node, _factors(node), *rule(self._net, node))

    def _product(self, node: Node, places: tuple[int, int], sums: int, length: int) -> Products:
        """`sums` sums of `length` products of the inputs at `places`."""
        names = [node.inputs[place] for place in places]
        data = [self._widths[name] for name in names if name in self._net.data]
        weights = [place for place in places if node.inputs[place] not in self._net.data]
        if not weights:
            return Products(sums, length, sums * length, 0, min(data), max(data))
        decoded = self._operand(node, weights[-1])
        is_left = weights[-1] == places[0]
        nonzero, empty = _products_of(node, decoded, is_left, sums, length)
        activation = data[0] if data else self._net.bits(node.outputs[0])
        return Products(sums, length, nonzero, empty, decoded.factor_bits, activation)

    def _attention(self, node: Node) -> Iterator[Products]:
        """Queries times keys, then the scores, which are never stored, times values."""
        heads, queries, keys, depth, value_depth = _attention_sizes(self._net, node)
        yield self._product(node, (0, 1), heads * queries * keys, depth)
        own, value = self._net.bits(node.outputs[0]), node.inputs[2]
        sums = heads * queries * value_depth
        if value in self._net.data:
            bits = sorted((own, self._widths[value]))
        else:
            bits = [self._decode(value).factor_bits, own]
        yield Products(sums, keys, sums * keys, 0, *bits)

    def _table(self, node: Node) -> tuple[Products, ...]:
        """An elementwise product with a constant larger than per channel."""
        elements = self._net.elements(node.outputs[0])
        for place in rules.FACTORS.get(node.kind, ()):
            name = node.inputs[place]
            if name in self._net.data or not _is_table(self._net.shapes[name], elements):
                continue
            bits = self._decode(name).factor_bits
            data = next(self._widths[each] for each in node.inputs if each in self._net.data)
            return (Products(elements, 1, elements, 0, bits, data),)
        return ()

    # ---- other operations ------------------------------------------------------------------------

    def _ops(self, node: Node) -> int:
        if node.kind == "Attention":
            heads, queries, keys, *_ = _attention_sizes(self._net, node)
            return rules.OPS_PER_SCORE * heads * queries * keys
        if node.kind in rules.PRODUCTS:
            return self._epilogue(node)
        if node.kind in rules.WINDOWS:
            window = math.prod(_ints(node.attributes["kernel_shape"]) or ())
            return window * self._net.elements(node.outputs[0])
        if node.kind in rules.REDUCTIONS:
            return self._net.elements(node.inputs[0])
        if node.kind == "Gather" and node.inputs[1] not in self._net.data:
            return 0
        if node.kind in ("Min", "Max"):
            return (len(node.inputs) - 1) * self._net.elements(node.outputs[0])
        return rules.OPS_PER_OUTPUT.get(node.kind, 0) * self._net.elements(node.outputs[0])

    def _epilogue(self, node: Node) -> int:
        """One an output for a bias, for factors of Gemm, and for a quantised operator's scale."""
        bias = {"Conv": 2, "ConvTranspose": 2, "Gemm": 2, "QLinearConv": 8}.get(node.kind)
        outputs = self._net.elements(node.outputs[0])
        added = outputs if bias is not None and _given(node, bias) else 0
        factors = outputs * len(_stored_attributes(node)) if node.kind == "Gemm" else 0
        return added + factors + (outputs if node.kind.startswith("QLinear") else 0)


# ---- decoding ----------------------------------------------------------------------------------

_DECODERS: dict[str, Callable[[_Counter, Node], Decoded | None]] = {
    **dict.fromkeys(rules.RESHAPES, _Counter._reshaped),
    "Cast": _Counter._cast,
    "DequantizeLinear": _Counter._dequantised,
    "Gather": _Counter._looked_up,
    "Mul": _Counter._scaled,
}


def _stored_attributes(node: Node) -> tuple[Stored, ...]:
    """Numbers that stand in a node's attributes, other than what they are by default."""
    found = []
    for name, default in rules.NUMBERS.get(node.kind, {}).items():
        value = _number(node, name, math.nan)
        usual = math.isnan(value) or (default is not None and math.isclose(value, default))
        if not usual:
            found.append(Stored(f"{name} of node {node.place}", 1, int(value != 0), 32, False))
    return tuple(found)


def _stored(name: str, values: Array, bits: int) -> Stored:
    return _counted(Stored(name, values.size, 0, bits), values)


def _counted(stored: Stored, values: Array) -> Stored:
    """With the nonzeros of `values`; a one-bit tensor has no zero to leave out."""
    if stored.bits == SIGN_BITS:
        return replace(stored, nonzeros=stored.elements, maskable=False)
    wide = values.astype(np.float64) if values.dtype.kind not in "biufc" else values
    return replace(stored, nonzeros=int(np.count_nonzero(wide)))


def _with_zeros(decoded: Decoded) -> Decoded:
    """With the nonzeros of the carrier counted on the decoded values, where they correspond."""
    assert decoded.values is not None
    if decoded.values.size != decoded.main.elements:
        return decoded
    return replace(decoded, main=_counted(decoded.main, decoded.values))


def _equal(first: Array, second: Array) -> bool:
    """Whether a conversion kept every value."""
    return bool(np.array_equal(first.astype(np.float64), second.astype(np.float64)))


def _wide(values: Array) -> Array:
    """As float32, or float64 where they are that already."""
    return values if values.dtype == np.float64 else values.astype(np.float32)


def _difference(values: Array, offset: Array) -> Array:
    """Codes less their zero point, in integers where they are: 2^30 + 1 is not 2^30."""
    is_integer = values.dtype.name.startswith(("int", "uint"))
    one, other = (each.astype(np.int64) if is_integer else _wide(each) for each in (values, offset))
    return np.subtract(one, other)


def _product_of(first: Array, second: Array) -> Array:
    """Products that are zero only where a factor is: the runtime may calculate more widely."""
    one, other = _wide(first), _wide(second)
    with np.errstate(all="ignore"):
        values = np.asarray(one * other)
    values[(values == 0) & (one != 0) & (other != 0)] = np.finfo(values.dtype).smallest_subnormal
    return values


def _along(values: Array, shape: tuple[int, ...], node: Node) -> Array:
    """Scale or zero point of DequantizeLinear, spread over `shape`: one, per axis, or per block."""
    if values.size == 1:
        return values.reshape(())
    axis = int(_number(node, "axis", 1)) % len(shape)
    block = int(_number(node, "block_size", 0))
    if block:
        return np.repeat(values, block, axis=axis).take(range(shape[axis]), axis=axis)
    return values.reshape([-1 if i == axis else 1 for i in range(len(shape))])


def _number(node: Node, name: str, default: float) -> float:
    value = node.attributes.get(name, default)
    return value if isinstance(value, int | float) else default


def _ints(value: object) -> tuple[int, ...] | None:
    return tuple(int(each) for each in value) if isinstance(value, Sequence) else None


def _given(node: Node, place: int) -> bool:
    return len(node.inputs) > place and bool(node.inputs[place])


def _long_axes(shape: Sequence[int]) -> int:
    """How many axes have more than one entry."""
    return sum(extent > 1 for extent in shape)


def _is_table(shape: Sequence[int], elements: int) -> bool:
    """Whether a factor is larger than per channel, or has a number for each element of an image."""
    return _long_axes(shape) > 1 or (math.prod(shape) > 1 and math.prod(shape) >= elements)


# ---- products ----------------------------------------------------------------------------------

Sums = tuple[int, int]
"""Number of sums, products in each."""


def _factors(node: Node) -> tuple[int, int]:
    """Places of the two factors."""
    return (0, 3) if node.kind.startswith("QLinear") else (0, 1)


def _shapes(net: Network, node: Node) -> tuple[Sequence[int], Sequence[int]]:
    first, second = _factors(node)
    return net.shapes[node.inputs[first]], net.shapes[node.inputs[second]]


def _conv(net: Network, node: Node) -> Sums:
    return net.elements(node.outputs[0]), math.prod(_shapes(net, node)[1][1:])


def _conv_transpose(net: Network, node: Node) -> Sums:
    image, kernel = _shapes(net, node)
    return math.prod(image), math.prod(kernel[1:])


def _gemm(net: Network, node: Node) -> Sums:
    left, _ = _shapes(net, node)
    return net.elements(node.outputs[0]), left[0 if _number(node, "transA", 0) else 1]


def _matmul(net: Network, node: Node) -> Sums:
    return net.elements(node.outputs[0]), _shapes(net, node)[0][-1]


def _einsum(net: Network, node: Node) -> Sums:
    """Every letter once: the sums are those of the result, the products run over the rest."""
    if len(node.inputs) != 2:
        raise Refusal(f"{node.label}: exactly two operands are allowed")
    text = node.attributes.get("equation", b"")
    equation = text.decode("ascii", "replace") if isinstance(text, bytes) else str(text)
    equation = equation.replace(" ", "")
    terms = equation.partition("->")[0].split(",")
    if not equation.replace(",", "").replace("->", "").isalpha() or len(terms) != 2:
        raise Refusal(f"{node.label}: this equation is not allowed")
    extents: dict[str, int] = {}
    for term, shape in zip(terms, _shapes(net, node)):
        for letter, extent in zip(term, shape):
            extents[letter] = max(extent, extents.get(letter, 0))  # an extent of 1 is repeated
    sums = net.elements(node.outputs[0])
    return sums, math.prod(extents.values()) // max(1, sums)


_PRODUCTS: dict[str, Callable[[Network, Node], Sums]] = {
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

_FACTOR_ZERO_POINTS: Mapping[str, tuple[int, int]] = {
    "QLinearConv": (2, 5),
    "ConvInteger": (2, 3),
    "QLinearMatMul": (2, 5),
    "MatMulInteger": (2, 3),
}
"""Places of the zero points of the first and the second factor."""

_ZERO_POINTS: Mapping[str, tuple[int, ...]] = {
    **_FACTOR_ZERO_POINTS,
    "QLinearConv": (2, 5, 7),
    "QLinearMatMul": (2, 5, 7),
    "QuantizeLinear": (2,),
    "DequantizeLinear": (2,),
}


def _attention_sizes(net: Network, node: Node) -> tuple[int, int, int, int, int]:
    """(heads, queries, keys, depth of a key, depth of a value) of one image."""
    if any(_given(node, place) for place in range(4, len(node.inputs))):
        raise Refusal(f"{node.label}: only queries, keys, values and a mask are allowed")
    query, key, value = (net.shapes[name] for name in node.inputs[:3])
    if len(query) == 4:
        return query[0] * query[1], query[2], key[2], query[3], value[3]
    heads, shared = (int(_number(node, name, 1)) for name in ("q_num_heads", "kv_num_heads"))
    return query[0] * heads, query[1], key[1], query[2] // heads, value[2] // shared


def _products_of(
    node: Node, decoded: Decoded, is_left: bool, sums: int, length: int
) -> tuple[int, int]:
    """Products with a weight that is not zero, and sums that have none of them.

    Each output channel of a convolution, each row or column of a matrix, has the same share of
    the sums.
    """
    values = decoded.values
    dense = (sums * length, 0)
    if values is None or decoded.main.bits == SIGN_BITS or values.size == 0:
        return dense
    present = values.astype(np.float64) != 0 if values.dtype.kind not in "biuf" else values != 0
    kernels = _kernels(node, present, is_left)
    if kernels is None or sums % len(kernels):
        return dense
    each = sums // len(kernels)
    nonzero = kernels.sum(axis=1, dtype=np.int64)
    return int(nonzero.sum()) * each, int((nonzero == 0).sum()) * each


def _kernels(node: Node, present: Array, is_left: bool) -> Array | None:
    """(kinds of sums, products) of a weight; None where its rows are not those of the sums."""
    if node.kind in ("Conv", "QLinearConv", "ConvInteger", "ConvTranspose"):
        return None if is_left else present.reshape(len(present), -1)
    if present.ndim != 2:
        return None
    if node.kind == "Gemm":
        is_row = bool(_number(node, "transA" if is_left else "transB", 0)) != is_left
        return present if is_row else present.T
    if node.kind in ("MatMul", "QLinearMatMul", "MatMulInteger"):
        return present if is_left else present.T
    return None
