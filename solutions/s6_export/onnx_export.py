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
    # BEGIN SOLUTION s6.export_onnx
    modes = {module: module.training for module in model.modules()}
    dynamic_shapes = None
    if dynamic_batch:
        dynamic_shapes = ({0: torch.export.Dim.DYNAMIC},)
        sample = torch.cat([sample, sample])  # torch takes a batch of 1 for a constant
    try:
        model.eval()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the exporter uses what torch itself deprecates
            program = torch.onnx.export(
                model,
                (sample,),
                input_names=["input"],
                output_names=["output"],
                opset_version=opset,
                dynamic_shapes=dynamic_shapes,
                external_data=False,
                dynamo=True,
                verbose=False,
            )
    finally:
        for module, mode in modes.items():
            module.training = mode
    assert program is not None
    return write_model(program.model_proto)
    # END SOLUTION


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
    # BEGIN SOLUTION s6.embed_preprocessing
    model = read_model(model_bytes)
    graph = model.graph
    (image,) = inputs_of(graph)
    extents = extents_of(image)
    if image.type.tensor_type.elem_type != TensorProto.FLOAT or len(extents) != 4:
        text = f"{image.name!r} is not float32 (N, C, H, W)"
        raise ValueError(f"model_bytes: expected an input that preprocessing precedes, {text}")
    channels = extents[1] if isinstance(extents[1], int) else len(mean)
    for name, values in (("mean", mean), ("std", std)):
        if len(values) != channels:
            raise refuse(name, f"{channels} numbers, one per channel", values)
    if not all(deviation > 0 for deviation in std):
        raise refuse("std", "positive numbers", std)

    def per_channel(values: Sequence[float]) -> Array:
        return np.array(values, np.float32).reshape(1, -1, 1, 1)

    stored = [
        add_constant(graph, "peak", np.float32(255)),
        add_constant(graph, "mean", per_channel(mean)),
        add_constant(graph, "std", per_channel(std)),
    ]
    names = [new_name(graph, name) for name in ("pixels", "scaled", "centred", "prepared")]
    for node, place in uses(graph, image.name):
        node.input[place] = names[-1]
    nodes = [helper.make_node("Cast", [image.name], [names[0]], to=TensorProto.FLOAT)]
    for number, kind in enumerate(("Div", "Sub", "Div")):
        operands = [names[number], stored[number]]
        nodes.append(helper.make_node(kind, operands, [names[number + 1]]))
    put_first(graph, nodes)
    image.type.tensor_type.elem_type = TensorProto.UINT8
    return write_model(model)
    # END SOLUTION


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
    # BEGIN SOLUTION s6.onnx_summary
    model = read_model(model_bytes)
    graph = model.graph

    def described(
        values: Sequence[onnx.ValueInfoProto],
    ) -> dict[str, tuple[str, Extents]]:
        return {
            value.name: (
                helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type).name,
                extents_of(value),
            )
            for value in values
        }

    parameters = stored = 0
    for tensor in graph.initializer:
        elements = math.prod(tensor.dims)
        kind = TensorProto.DataType.Name(tensor.data_type)
        width = BITS.get(kind) or 8 * helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
        parameters += elements * (kind in WEIGHT_TYPES)
        stored += -(-elements * width // 8)
    return Summary(
        inputs=described(inputs_of(graph)),
        outputs=described(graph.output),
        operators=dict(Counter(node.op_type for node in graph.node)),
        parameters=parameters,
        initializer_bytes=stored,
        opset=opset_of(model),
    )
    # END SOLUTION


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
    # BEGIN SOLUTION s6.compare_outputs
    first, second = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if first.shape != second.shape or first.ndim != 2:
        raise ValueError(f"a, b: expected one shape (N, C), got {first.shape} and {second.shape}")
    difference = np.abs(first - second)
    return Comparison(
        max_abs=float(difference.max()),
        mean_abs=float(difference.mean()),
        argmax_agreement=float(np.mean(first.argmax(axis=1) == second.argmax(axis=1))),
        close=bool(np.allclose(first, second, rtol=rtol, atol=atol)),
    )
    # END SOLUTION


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
    # BEGIN SOLUTION s6.store_low_bit
    model = read_model(model_bytes)
    graph = model.graph
    axis = output_axis(graph, name)
    check_codes(codes, tuple(initializer_of(graph, name).dims), bits)
    scale = np.asarray(scale, np.float32)
    if scale.shape != (codes.shape[axis],) or not bool(np.all(scale > 0)):
        raise ValueError(f"scale: expected {codes.shape[axis]} positive numbers, got {scale!r}")
    packed = codes.astype(helper.tensor_dtype_to_np_dtype(TYPE_OF_BITS[bits]))
    inputs = [add_constant(graph, "codes", packed), add_constant(graph, "scale", scale)]
    node = helper.make_node("DequantizeLinear", inputs, [], axis=axis)
    replace_weight(graph, name, [node])
    raise_opset(model, OPSET_OF_BITS[bits])
    return write_model(model)
    # END SOLUTION


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
    # BEGIN SOLUTION s6.store_codebook
    model = read_model(model_bytes)
    graph = model.graph
    output_axis(graph, name)
    entries = np.asarray(codebook, np.float32)
    if entries.ndim != 1 or not 1 <= len(entries) <= 256:
        raise refuse("codebook", "1 to 256 entries in one dimension", entries.shape)
    labels, shape = np.asarray(labels), tuple(initializer_of(graph, name).dims)
    if labels.shape != shape or not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(f"labels: expected integers {shape}, got {labels.dtype} {labels.shape}")
    if labels.min(initial=0) < 0 or labels.max(initial=0) >= len(entries):
        raise ValueError(
            f"labels: expected 0..{len(entries) - 1}, got {labels.min()}..{labels.max()}"
        )
    stored = add_constant(graph, "labels", labels.astype(np.uint8))
    indices = new_name(graph, "indices")
    nodes = [
        helper.make_node("Cast", [stored], [indices], to=TensorProto.INT32),
        helper.make_node("Gather", [add_constant(graph, "codebook", entries), indices], [], axis=0),
    ]
    replace_weight(graph, name, nodes)
    return write_model(model)
    # END SOLUTION


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
