# Generated from solutions/s6_export/onnx_export.py by `autograder release`: change it there.
"""Session 6, ONNX: from a PyTorch module to one file that other runtimes can read.

Files cross as `bytes`: each function takes or returns a serialised model, and nothing is left on
the disk. `shared.onnx_files` reads and writes them with the checks that are easily forgotten.
"""

from __future__ import annotations

import math
import warnings
from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import onnx
import torch
from onnx import GraphProto, NodeProto, TensorProto, helper
from torch import Tensor, nn

from shared.checks import check_int, refuse
from shared.onnx_files import (
    add_constant,
    extents_of,
    initializer_of,
    inputs_of,
    new_name,
    opset_of,
    raise_opset,
    read_model,
    uses,
    write_model,
)
from shared.records import Comparison, Extents, Summary

Array = npt.NDArray[np.generic]

OPSETS = (18, 25)
"""The oldest and the newest opset that an export may ask for."""


def export_onnx(
    model: nn.Module, sample: Tensor, dynamic_batch: bool = True, opset: int = 21
) -> bytes:
    """Return `model` as an ONNX file: one input `input`, one output `output`, float32.

    The file computes what the model computes in eval mode, and holds all weights itself. The mode
    of every submodule is as before afterwards, also when the export fails.

    Args:
        model: maps a tensor like `sample` to a tensor.
        sample: an input (N, ...); only its shape and dtype matter.
        dynamic_batch: whether the file takes any batch size, or only that of `sample`.
        opset: the version of the operators in the file, 18..25.

    Raises:
        ValueError: `opset` is anything else; nothing was exported then.
    """
    check_int("opset", opset, *OPSETS)
    # TODO(s6.export_onnx): your code; the docstring says what it must do
    raise NotImplementedError("s6.export_onnx")


def embed_preprocessing(model_bytes: bytes, mean: Sequence[float], std: Sequence[float]) -> bytes:
    """Return the file with its preprocessing inside: pixels in, the same output.

    The new input is uint8 (N, C, H, W), 0..255, under the same name and with the same free batch.
    The graph first computes (x / 255 - mean) / std per channel, with operators that ONNX Runtime
    and TensorRT both take: a Cast and float arithmetic, or folded into the first convolution.

    Args:
        model_bytes: a file whose one input is float32 (N, C, H, W).
        mean: C numbers.
        std: C positive numbers.

    Raises:
        ValueError: no such file; another number of values than channels; a `std` of 0 or less.
    """
    # TODO(s6.embed_preprocessing): your code; the docstring says what it must do
    raise NotImplementedError("s6.embed_preprocessing")


def put_first(graph: GraphProto, nodes: Sequence[NodeProto]) -> None:
    """Insert nodes before all others: a graph lists its nodes in the order of computation."""
    following = list(graph.node)
    del graph.node[:]
    graph.node.extend([*nodes, *following])


# ---- what is in a file, and whether it computes the same -----------------------------------------

WEIGHT_TYPES = ("FLOAT", "INT8", "INT4", "UINT4", "INT2", "UINT2")
"""Types of initialisers whose elements are parameters; wider integers are shapes and indices."""

BITS = {"INT2": 2, "UINT2": 2, "INT4": 4, "UINT4": 4}
"""Bits of an element where a NumPy dtype does not tell: these are packed in the file."""


def onnx_summary(model_bytes: bytes) -> Summary:
    """Return what a file holds.

    - `inputs`, `outputs`: name to (NumPy's name of the dtype, shape); of a free dimension its
      name, or None.
    - `operators`: type to number of nodes.
    - `parameters`: elements of the initialisers of type float, int8, int4, uint4, int2 and uint2.
    - `initializer_bytes`: of every initialiser ceil(elements * bits / 8), however it is stored.
    - `opset`: of ONNX's own operators.

    Raises:
        ValueError: no such file.
    """
    # TODO(s6.onnx_summary): your code; the docstring says what it must do
    raise NotImplementedError("s6.onnx_summary")


def compare_outputs(a: Array, b: Array, rtol: float, atol: float) -> Comparison:
    """Return how far the outputs `a` are from the reference `b`.

    `max_abs` and `mean_abs` of the differences, computed in float64, the share of rows with the
    same argmax, and `close`: whether |a - b| <= atol + rtol * |b| for every element; never if
    there is a NaN.

    Args:
        a: outputs (N, C) of the file.
        b: outputs (N, C) of the model that it was made from.

    Raises:
        ValueError: the shapes differ or are not 2-dimensional.
    """
    # TODO(s6.compare_outputs): your code; the docstring says what it must do
    raise NotImplementedError("s6.compare_outputs")


# ---- what was made small stays small -------------------------------------------------------------

OPSET_OF_BITS = {8: 13, 4: 21, 2: 25}
"""The first opset whose DequantizeLinear takes signed integers of so many bits, per channel."""

TYPE_OF_BITS = {8: TensorProto.INT8, 4: TensorProto.INT4, 2: TensorProto.INT2}


def store_low_bit(model_bytes: bytes, name: str, codes: Array, scale: Array, bits: int) -> bytes:
    """Return the file with the weight `name` stored in few bits: codes behind a DequantizeLinear.

    The graph sees scale * codes. A weight takes `bits` bits in the file, a channel 4 bytes. The
    opset is raised to 21 for 4 bits and to 25 for 2 bits if it is older. All other initialisers
    stay bit by bit; `name` is gone.

    Args:
        model_bytes: the file.
        name: a float32 initialiser, used once, as the weight of a Conv or Gemm, or as the right
            operand of a MatMul.
        codes: integers in the shape of the weight, -2**(bits-1) .. 2**(bits-1) - 1.
        scale: positive numbers (channels,), one for each output channel: along dimension 0 for
            Conv and for Gemm with transB, along the last one for MatMul and for Gemm without.
        bits: 8, 4 or 2.

    Raises:
        ValueError: no such file, or anything else than that.
    """
    if bits not in OPSET_OF_BITS:
        raise refuse("bits", "8, 4 or 2", bits)
    # TODO(s6.store_low_bit): your code; the docstring says what it must do
    raise NotImplementedError("s6.store_low_bit")


def store_codebook(model_bytes: bytes, name: str, codebook: Array, labels: Array) -> bytes:
    """Return the file with the weight `name` stored as labels into a codebook, through a Gather.

    The graph sees codebook[labels]. A weight takes one byte (uint8), an entry 4 bytes (float32);
    an entry that is exactly 0 stays 0. All other initialisers stay bit by bit; `name` is gone.

    Args:
        model_bytes: the file.
        name: as in `store_low_bit`.
        codebook: float32 (k,), at most 256 entries.
        labels: integers 0 .. k - 1 in the shape of the weight.

    Raises:
        ValueError: no such file, or anything else than that.
    """
    # TODO(s6.store_codebook): your code; the docstring says what it must do
    raise NotImplementedError("s6.store_codebook")


def output_axis(graph: GraphProto, name: str) -> int:
    """The dimension of a weight that counts output channels.

    ValueError unless `name` is a float32 initialiser that is used once, as a weight.
    """
    tensor = initializer_of(graph, name)
    places = uses(graph, name)
    if tensor.data_type != TensorProto.FLOAT or len(places) != 1:
        raise ValueError(f"name: expected a float32 weight that is used once, got {name!r}")
    ((node, place),) = places
    if place != 1 or node.op_type not in ("Conv", "Gemm", "MatMul"):
        raise ValueError(f"name: expected the weight of Conv, Gemm or MatMul, got {name!r}")
    attributes = {each.name: helper.get_attribute_value(each) for each in node.attribute}
    by_rows = node.op_type == "Conv" or (node.op_type == "Gemm" and attributes.get("transB", 0))
    return 0 if by_rows else len(tensor.dims) - 1


def check_codes(codes: Array, shape: tuple[int, ...], bits: int) -> None:
    """ValueError unless `codes` are integers of `shape` that fit signed integers of `bits` bits."""
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    if codes.shape != shape or not np.issubdtype(codes.dtype, np.integer):
        raise ValueError(f"codes: expected integers {shape}, got {codes.dtype} {codes.shape}")
    if codes.min(initial=0) < low or codes.max(initial=0) > high:
        raise ValueError(f"codes: expected {low}..{high}, got {codes.min()}..{codes.max()}")


def replace_weight(graph: GraphProto, name: str, nodes: Sequence[NodeProto]) -> None:
    """Put `nodes`, the last of which has no output yet, in the place of the initialiser `name`."""
    ((user, place),) = uses(graph, name)
    decoded = new_name(graph, "weight")
    nodes[-1].output.append(decoded)
    user.input[place] = decoded
    for values in (graph.initializer, graph.input):
        kept = [value for value in values if value.name != name]
        del values[:]
        values.extend(kept)
    put_first(graph, nodes)
