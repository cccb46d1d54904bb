"""Decodes constants: what an operator sees of a tensor that the file stores in fewer bits.

A constant may pass casts, scales, codebooks and reshapes, and is still counted as it is stored.
Any other arithmetic on constants could make a large tensor of a small one, so there the result
counts.
"""

from __future__ import annotations

import functools
import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from autograder.project import macs, rules
from autograder.project.decoded import Decoded
from autograder.project.network import Array, Network, Node, Refusal, Shape, quoted
from autograder.project.sparsity import SIGN_BITS, with_decoded_zeros, with_nonzeros
from autograder.project.widths import has_large_operands, stored_bits
from autograder.records.measurement import Stored

MAX_OPERANDS = 64  # scales in a row; more are arithmetic

Decode = Callable[[str], Decoded]
Decoder = Callable[[Network, Node, Sequence[Decoded]], Decoded | None]
"""From an operator's decoded inputs, without those that only carry a shape, to its result.

None where the operator does more than decode.
"""


def decoder(network: Network) -> Decode:
    """A function from the name of a constant to its decoded form, which remembers its answers.

    It raises Refusal where a constant's value is not defined by ONNX.
    """
    producers = {name: node for node in network.nodes for name in node.outputs if name}

    @functools.cache
    def decode(name: str) -> Decoded:
        if name in network.constants:
            return _stored(name, network.constants[name])
        node = producers[name]
        if (rule := _DECODERS.get(node.kind)) is not None:
            structure = rules.STRUCTURE.get(node.kind, ())
            inputs = [
                decode(operand)
                for index, operand in enumerate(node.inputs)
                if operand and index not in structure
            ]
            try:
                decoded = rule(network, node, inputs)
            except (IndexError, ValueError):  # NumPy's; ONNX's inference looks at few values
                raise Refusal(
                    f"{node.label}: its constants do not fit together (a scale or zero point of "
                    "another size, an index beyond the codebook): export it again"
                ) from None
            if decoded is not None:
                return decoded
        return _computed(network, name)

    return decode


def _provenance(*steps: object) -> str:
    """A digest: written out, a scale that is squared again and again would have 2^n steps."""
    return hashlib.sha256(repr(steps).encode()).hexdigest()


def _stored(name: str, tensor: TensorProto) -> Decoded:
    try:
        values = numpy_helper.to_array(tensor)
    except ValueError:
        raise Refusal(
            f"tensor {quoted(name)} has more or fewer data than its shape asks for: export it again"
        ) from None
    stored = with_nonzeros(Stored(name, values.size, 0, rules.BITS[tensor.data_type]), values)
    provenance = _provenance("stored", name)
    return Decoded(values, stored, provenance, provenance)


def _computed(network: Network, name: str) -> Decoded:
    """The result of other arithmetic on constants: counted as if it were stored."""
    elements = network.elements(name)
    stored = Stored(name, elements, elements, network.bits(name), False)
    provenance = _provenance("computed", name)
    return Decoded(None, stored, provenance, provenance)


def less_zero_point(network: Network, node: Node, index: int, decode: Decode) -> Decoded:
    """The constant at an input, less the zero point that its operator subtracts itself.

    Codes of 8 bits with the zero point 128 are zero where they are 128.
    """
    decoded = decode(node.inputs[index])
    points = rules.FACTOR_ZERO_POINTS.get(node.kind, ())
    where = dict(zip(macs.factors(node), points)).get(index, 0)
    if not where or not node.has_input(where):
        return decoded
    name = node.inputs[where]
    zero = decode(name) if network.is_constant(name) else None
    details = (decoded.provenance, None if zero is None else zero.provenance, index)
    provenance = _provenance("offset", *details)
    if zero is None or zero.values is None or decoded.values is None:
        full = replace(decoded.main, nonzeros=decoded.main.elements)
        return replace(
            decoded, values=None, main=full, provenance=provenance, zero_pattern=provenance
        )
    values = decoded.values.astype(np.int64)
    shape = [1] * values.ndim
    if zero.values.size > 1:
        # One for each row of the left factor, output channel or column of the right one.
        is_row = index == macs.factors(node)[0] or node.kind in ("QLinearConv", "ConvInteger")
        shape[0 if is_row else -1] = -1
    values = values - zero.values.astype(np.int64).reshape(shape)
    return with_decoded_zeros(
        replace(decoded, values=values, provenance=provenance, zero_pattern=provenance)
    )


# ---- decoders ----------------------------------------------------------------------------------


def _reshaped(network: Network, node: Node, inputs: Sequence[Decoded]) -> Decoded | None:
    # The zero pattern stays: the same elements of the stored tensor are zero.
    inner = inputs[0]
    if inner.values is None:
        return inner
    if node.kind == "Transpose":
        order = node.integers("perm")
        values = np.transpose(inner.values, order)
        return replace(
            inner, values=values, provenance=_provenance("transposed", inner.provenance, order)
        )
    shape = network.shapes[node.outputs[0]]
    provenance = _provenance("reshaped", inner.provenance, shape)
    return replace(inner, values=inner.values.reshape(shape), provenance=provenance)


def _cast(network: Network, node: Node, inputs: Sequence[Decoded]) -> Decoded | None:
    inner = inputs[0]
    if inner.values is None:
        return None
    kind = network.types[node.outputs[0]]
    with np.errstate(all="ignore"):
        values = inner.values.astype(helper.tensor_dtype_to_np_dtype(kind))
    is_same = _are_equal(inner.values, values)
    if kind in rules.INTEGERS and not (is_same and inner.exact):
        # Conversions out of range are undefined: NumPy's zeros need not be the runtime's.
        raise Refusal(
            f"{node.label}: a Cast to integers may not change a constant's values; store integers"
        )
    if not is_same and kind != TensorProto.BOOL:
        # The runtime leaves out some of these roundings, so what they make zero is not.
        values = _wide(inner.values)
    provenance = _provenance("cast", inner.provenance, kind)
    exact = inner.exact and is_same
    return with_decoded_zeros(
        replace(inner, values=values, provenance=provenance, zero_pattern=provenance, exact=exact)
    )


def _dequantized(network: Network, node: Node, inputs: Sequence[Decoded]) -> Decoded | None:
    codes, scale, *points = inputs
    zero = points[0] if points else None
    if codes.values is None or scale.values is None or (zero and zero.values is None):
        return None
    values = codes.values
    if zero is not None and zero.values is not None:
        values = _difference(values, _along(zero.values, values.shape, node))
    values = _multiply_keeping_nonzero(values, _along(scale.values, values.shape, node))
    operands = (scale, zero) if zero is not None and zero.main.nonzeros else (scale,)
    details = (node.number("axis", 1), node.number("block_size", 0))
    parts = (codes.provenance, scale.provenance, None if zero is None else zero.provenance)
    provenance = _provenance("dequantised", *parts, *details)
    return _scaled_by(codes, values, operands, provenance, network.bits(node.outputs[0]))


def _looked_up(_: Network, node: Node, inputs: Sequence[Decoded]) -> Decoded | None:
    """A codebook: entries at their type, indices at the type that they are stored in."""
    book, index = inputs
    if book.values is None or index.values is None:
        return None
    axis = int(node.number("axis", 0))
    values = np.take(book.values, index.values.astype(np.int64), axis=axis)
    if values.size == 0:
        return None
    nonzeros = index.main.elements
    if axis == 0 and index.main.bits > SIGN_BITS and index.values.size == nonzeros:
        # An index is left out where its entry is zero, or, of a row of weights, all of them.
        nonzeros = int((values.reshape(nonzeros, -1) != 0).any(axis=1).sum())
    index_bits = max(index.index_bits, book.index_bits)
    if values.size > index.values.size:
        levels = len(np.unique(book.values.astype(np.float64)))
        index_bits = max(index_bits, min(stored_bits(book), math.ceil(math.log2(levels))))
    provenance = _provenance("looked up", book.provenance, index.provenance, axis)
    main = replace(index.main, nonzeros=nonzeros)
    operands = (*index.operands, book)
    return Decoded(values, main, provenance, provenance, operands, index_bits, book.exact)


def _scaled(network: Network, node: Node, inputs: Sequence[Decoded]) -> Decoded | None:
    """A product with one scale, or one per channel, that does not make the tensor larger."""
    first, second = inputs
    if first.values is None or second.values is None:
        return None
    if network.types[node.outputs[0]] in rules.INTEGERS:
        return None  # they wrap around, and are exact where float32 rounds: another index
    is_scale_first = first.values.size < second.values.size
    codes, scale = (second, first) if is_scale_first else (first, second)
    assert codes.values is not None
    assert scale.values is not None
    if long_axes(scale.values.shape) > 1 or len(codes.operands) >= MAX_OPERANDS:
        return None
    values = _multiply_keeping_nonzero(codes.values, scale.values)
    if values.size != codes.values.size:
        return None  # an outer product: few stored numbers, many weights
    provenance = _provenance("scaled", codes.provenance, scale.provenance, values.shape)
    return _scaled_by(codes, values, (scale,), provenance, network.bits(node.outputs[0]))


_DECODERS: Mapping[str, Decoder] = {
    **dict.fromkeys(rules.RESHAPES, _reshaped),
    "Cast": _cast,
    "DequantizeLinear": _dequantized,
    "Gather": _looked_up,
    "Mul": _scaled,
}


# ---- arithmetic of the decoders ----------------------------------------------------------------


def _scaled_by(
    codes: Decoded, values: Array, operands: tuple[Decoded, ...], provenance: str, bits: int
) -> Decoded:
    """Codes behind one more step with `operands`; `bits` are those of its result's type."""
    scaled = with_decoded_zeros(
        replace(
            codes,
            values=values,
            operands=(*codes.operands, *operands),
            provenance=provenance,
            zero_pattern=provenance,
            exact=False,  # the runtime may round each product, or calculate more widely
        )
    )
    if all(operand.main.elements == 1 for operand in operands) or not has_large_operands(scaled):
        return scaled
    # No scale but a second factor: the product of two 4-bit numbers is none. Unlike a codebook,
    # whose entries are what is stored, it makes new values, as any other arithmetic does.
    return replace(scaled, main=replace(scaled.main, bits=max(scaled.main.bits, bits)))


def _are_equal(first: Array, second: Array) -> bool:
    """Whether a conversion kept every value."""
    return bool(np.array_equal(first.astype(np.float64), second.astype(np.float64)))


def _wide(values: Array) -> Array:
    """As float32, or float64 where they are that already."""
    return values if values.dtype == np.float64 else values.astype(np.float32)


def _difference(codes: Array, offset: Array) -> Array:
    """Codes less their zero point, in integers where they are: 2^30 + 1 is not 2^30."""
    if codes.dtype.name.startswith(("int", "uint")):
        return np.asarray(codes.astype(np.int64) - offset.astype(np.int64))
    return np.asarray(_wide(codes) - _wide(offset))


def _multiply_keeping_nonzero(first: Array, second: Array) -> Array:
    """Products that are zero only where a factor is.

    1e-30 times 1e-30 is zero in float32, but the runtime may calculate more widely.
    """
    one, other = _wide(first), _wide(second)
    with np.errstate(all="ignore"):
        values = np.asarray(one * other)
    values[(values == 0) & (one != 0) & (other != 0)] = np.finfo(values.dtype).smallest_subnormal
    return values


def _along(values: Array, shape: Shape, node: Node) -> Array:
    """Scale or zero point of DequantizeLinear, spread over `shape`: one, per axis, or per block."""
    if values.size == 1:
        return values.reshape(())
    axis = int(node.number("axis", 1)) % len(shape)
    block = int(node.number("block_size", 0))
    if block:
        return np.repeat(values, block, axis=axis).take(range(shape[axis]), axis=axis)
    return values.reshape([-1 if i == axis else 1 for i in range(len(shape))])


def long_axes(shape: Sequence[int]) -> int:
    """How many axes have more than one entry; a factor per channel has one."""
    return sum(extent > 1 for extent in shape)
