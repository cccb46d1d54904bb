"""Zeros: elements that need not be stored, and products that need not be computed.

A zero is judged by its bit pattern: -0.0 is one, 1e-12 and subnormal numbers are none.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from autograder.project.decoded import Decoded
from autograder.project.network import Array, Node
from autograder.records.measurement import Stored

SIGN_BITS = 1
_CONVOLUTIONS = frozenset(["Conv", "QLinearConv", "ConvInteger", "ConvTranspose"])
_MATRIX_PRODUCTS = frozenset(["MatMul", "QLinearMatMul", "MatMulInteger"])


def with_nonzeros(stored: Stored, values: Array) -> Stored:
    """The stored tensor with the nonzeros of `values`, which has as many elements."""
    if stored.bits == SIGN_BITS:
        # Both values of a bit are needed: one that stands for -1 is not left out because it is 0.
        return replace(stored, nonzeros=stored.elements, maskable=False)
    # NumPy does not compare the 2-, 4- and 8-bit floats of ml_dtypes itself; float64 holds them.
    wide = values.astype(np.float64) if values.dtype.kind not in "biufc" else values
    return replace(stored, nonzeros=int(np.count_nonzero(wide)))


def with_decoded_zeros(decoded: Decoded) -> Decoded:
    """With the nonzeros of the carrier judged on the decoded values, where they correspond."""
    assert decoded.values is not None
    if decoded.values.size != decoded.main.elements:
        return decoded  # an index that stands for several weights
    return replace(decoded, main=with_nonzeros(decoded.main, decoded.values))


def dense_macs(outputs: int, reduction: int) -> tuple[int, int]:
    """As `count_nonzero_macs`, where no zero is known: only a sum over an empty axis is empty."""
    return outputs * reduction, 0 if reduction else outputs


def count_nonzero_macs(
    node: Node, weight: Decoded, is_left: bool, outputs: int, reduction: int
) -> tuple[int, int]:
    """(products with a weight that is not zero, sums that have none of them).

    Args:
        node: a convolution or matrix product.
        weight: its constant factor.
        is_left: whether that is the first factor.
        outputs: number of sums.
        reduction: products in each.
    """
    dense = dense_macs(outputs, reduction)
    values = weight.values
    if values is None or weight.main.bits == SIGN_BITS or values.size == 0:
        return dense
    is_nonzero = values.astype(np.float64) != 0 if values.dtype.kind not in "biuf" else values != 0
    kernels = _kernels(node, is_nonzero, is_left)
    if kernels is None or outputs % len(kernels):
        return dense
    # Each output channel of a convolution, each row or column of a matrix, has the same share of
    # the sums: one for each position of the image.
    positions = outputs // len(kernels)
    per_kernel = kernels.sum(axis=1, dtype=np.int64)
    return int(per_kernel.sum()) * positions, int((per_kernel == 0).sum()) * positions


def _kernels(node: Node, is_nonzero: Array, is_left: bool) -> Array | None:
    """Bool (kinds of sums, products in each); None where a weight's rows are not those of sums."""
    if node.kind in _CONVOLUTIONS:
        # A constant image under a computed kernel: its zeros meet each weight at another position.
        return None if is_left else is_nonzero.reshape(len(is_nonzero), -1)
    if is_nonzero.ndim != 2:
        return None  # a batch of matrices: counted as dense
    if node.kind == "Gemm":
        is_transposed = bool(node.number("transA" if is_left else "transB", 0))
        return is_nonzero if is_transposed != is_left else is_nonzero.T
    if node.kind in _MATRIX_PRODUCTS:
        return is_nonzero if is_left else is_nonzero.T
    return None
