"""Which compressed formats a TensorRT engine can be built from: the table of session 6's hand-out.

python -m benchmarks.engines              # the table; half a minute, no GPU
python -m benchmarks.engines int4 QDQ     # rows with one of these words

Needs tensorrt_rtx. Only whether an engine can be built is asked, so weights are random.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from benchmarks.common import ROOT, STARTER, by_path
from shared.models import DigitsCNN

TARGET = "8.6"
SHAPE = (1, 8, 8)
Array = NDArray[Any]


def solution(name: str) -> ModuleType:
    """A module of session 6."""
    folder = str(ROOT / "solutions" / "s6_export")
    if folder not in sys.path:
        sys.path.insert(0, folder)
    return importlib.import_module(name)


@dataclass(frozen=True)
class Row:
    """One format; `refusal` is "" if an engine was built."""

    name: str
    file_bytes: int
    runs: str
    engine_bytes: int
    refusal: str

    def __str__(self) -> str:
        built = f"{self.engine_bytes:,}" if not self.refusal else f"refused: {self.refusal}"
        return f"| {self.name} | {self.file_bytes:,} | {self.runs} | {built} |"


# ---- files ---------------------------------------------------------------------------------------


class Files:
    """Files of one network with random weights, and how to change them."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        export = solution("onnx_export")
        model = DigitsCNN(width=32)
        self.float32: bytes = export.export_onnx(model, torch.zeros(2, *SHAPE))
        graph = onnx.load_model_from_string(self.float32).graph
        stored = {each.name: numpy_helper.to_array(each) for each in graph.initializer}
        self.largest = max(stored, key=lambda name: stored[name].size)
        self.linear = next(node.input[1] for node in graph.node if node.op_type == "Gemm")
        self.weights = {name: stored[name] for name in (self.largest, self.linear)}

    def replaced(self, weight: Array) -> bytes:
        """With another largest weight, of the same type."""
        model = onnx.load_model_from_string(self.float32)
        for tensor in model.graph.initializer:
            if tensor.name == self.largest:
                tensor.CopyFrom(numpy_helper.from_array(weight, self.largest))
        return bytes(model.SerializeToString())

    def pruned(self) -> bytes:
        """Half of the weights are zero, anywhere."""
        weight = self.weights[self.largest]
        return self.replaced(np.where(np.abs(weight) < np.median(np.abs(weight)), 0, weight))

    def two_of_four(self) -> bytes:
        """Of each four input channels the two largest weights are kept."""
        weight = self.weights[self.largest]
        fours = np.moveaxis(weight, 1, -1).reshape(-1, 4).copy()
        np.put_along_axis(fours, np.abs(fours).argsort(axis=1)[:, :2], 0, axis=1)
        moved = fours.reshape(np.moveaxis(weight, 1, -1).shape)
        return self.replaced(np.ascontiguousarray(np.moveaxis(moved, -1, 1)))

    def low_bit(self, bits: int, content: bytes | None = None) -> bytes:
        """The largest weight in `bits` bits, one scale for each output channel."""
        weight = self.weights[self.largest]
        scale = np.abs(weight).reshape(len(weight), -1).max(axis=1) / (2 ** (bits - 1) - 1)
        codes = np.rint(weight / scale.reshape(-1, 1, 1, 1)).astype(np.int64)
        store = solution("onnx_export").store_low_bit
        stored: bytes = store(content or self.float32, self.largest, codes, scale, bits)
        return stored

    def unsigned(self) -> bytes:
        """The largest weight in uint4, with 8 as zero point."""
        model = onnx.load_model_from_string(self.low_bit(4))
        four = helper.tensor_dtype_to_np_dtype(TensorProto.UINT4)
        (codes,) = (each for each in model.graph.initializer if each.data_type == TensorProto.INT4)
        values = (numpy_helper.to_array(codes).astype(np.int8) + 8).astype(four)
        codes.CopyFrom(numpy_helper.from_array(values, codes.name))
        (node,) = (each for each in model.graph.node if codes.name in each.input)
        zeros = np.full(values.shape[0], 8).astype(four)
        model.graph.initializer.append(numpy_helper.from_array(zeros, "the zero points"))
        node.input[2:] = ["the zero points"]
        return bytes(model.SerializeToString())

    def in_blocks(self, size: int = 16) -> bytes:
        """The linear layer's weight in int4, one scale for each row and `size` inputs."""
        weight = self.weights[self.linear]
        rows, columns = weight.shape
        blocks = weight.reshape(rows, columns // size, size)
        scale = (np.abs(blocks).max(axis=2) / 7).astype(np.float32)
        codes = np.rint(blocks / scale[..., None]).reshape(weight.shape)
        model = onnx.load_model_from_string(self.float32)
        model.opset_import[0].version = 21
        kept = [each for each in model.graph.initializer if each.name != self.linear]
        four = helper.tensor_dtype_to_np_dtype(TensorProto.INT4)
        kept.append(numpy_helper.from_array(codes.astype(four), "the codes"))
        kept.append(numpy_helper.from_array(scale, "the scales"))
        del model.graph.initializer[:]
        model.graph.initializer.extend(kept)
        names = ["the codes", "the scales"]
        decode = helper.make_node("DequantizeLinear", names, [self.linear], axis=1, block_size=size)
        model.graph.node.insert(0, decode)
        return bytes(model.SerializeToString())

    def codebook(self, entries: int) -> bytes:
        """The largest weight as uint8 labels into a codebook."""
        weight = self.weights[self.largest]
        book = np.quantile(weight, (np.arange(entries) + 0.5) / entries).astype(np.float32)
        labels = np.abs(weight[..., None] - book).argmin(axis=-1)
        store = solution("onnx_export").store_codebook
        stored: bytes = store(self.float32, self.largest, book, labels)
        return stored

    def from_pixels(self, decode: bool) -> bytes:
        """Pixels in, by Cast and float arithmetic or by DequantizeLinear."""
        if not decode:
            content: bytes = solution("onnx_export").embed_preprocessing(self.float32, [0.3], [0.3])
            return content
        model = onnx.load_model_from_string(self.float32)
        for node in model.graph.node:
            node.input[:] = ["numbers" if name == "input" else name for name in node.input]
        model.graph.input[0].type.tensor_type.elem_type = TensorProto.UINT8
        scale = numpy_helper.from_array(np.array(1 / 77, np.float32), "the scale")
        zero = numpy_helper.from_array(np.array(77, np.uint8), "the zero point")
        model.graph.initializer.extend([scale, zero])
        names = ["input", scale.name, zero.name]
        model.graph.node.insert(0, helper.make_node("DequantizeLinear", names, ["numbers"]))
        return bytes(model.SerializeToString())

    def quantised(self, per_channel: bool = True) -> bytes:
        """Weights and activations in int8, by session 6's function."""
        content: bytes = solution("onnx_quantization").quantize_static(
            self.float32, [images()], per_channel
        )
        return content

    def quantised_by_default(self, unsigned: bool = False) -> bytes:
        """As ONNX Runtime quantises without being told how."""
        from onnxruntime.quantization import QuantType, quantize_static

        reader = solution("onnx_quantization").CalibrationReader([images()], "input")
        return by_path(
            self.float32,
            lambda before, after: quantize_static(
                before,
                after,
                reader,
                per_channel=True,
                activation_type=QuantType.QUInt8 if unsigned else QuantType.QInt8,
            ),
        )

    def activations_in_int8(self) -> bytes:
        """int4 weights, and what their convolution reads passes int8."""
        model = onnx.load_model_from_string(self.low_bit(4))
        graph = model.graph
        codes = next(each for each in graph.initializer if each.data_type == TensorProto.INT4)
        decoder = next(node for node in graph.node if codes.name in node.input)
        weight = decoder.output[0]
        place, conv = next((n, node) for n, node in enumerate(graph.node) if weight in node.input)
        graph.initializer.append(numpy_helper.from_array(np.array(0.05, np.float32), "the step"))
        graph.initializer.append(numpy_helper.from_array(np.array(0, np.int8), "the zero"))
        rounded = helper.make_node("QuantizeLinear", [conv.input[0], "the step", "the zero"], ["q"])
        decoded = helper.make_node("DequantizeLinear", ["q", "the step", "the zero"], ["rounded"])
        conv.input[0] = "rounded"
        graph.node.insert(place, decoded)
        graph.node.insert(place, rounded)
        return bytes(model.SerializeToString())


def images() -> Array:
    """Random images that activations are measured on."""
    drawn: Array = np.random.default_rng(0).normal(size=(32, *SHAPE)).astype(np.float32)
    return drawn


def formats() -> dict[str, Callable[[], bytes]]:
    """Files by the name of their format."""
    files = Files()
    half = solution("tensorrt_build").to_float16
    reference = STARTER / "reference"
    return {
        "float32": lambda: files.float32,
        "float16 (`to_float16`)": lambda: half(files.float32),
        "uint8 pixels, Cast": lambda: files.from_pixels(decode=False),
        "uint8 pixels, DequantizeLinear": lambda: files.from_pixels(decode=True),
        "half of the weights zero": files.pruned,
        "two of four weights zero (2:4)": files.two_of_four,
        "int8 weights (`store_low_bit`)": lambda: files.low_bit(8),
        "int4 weights (`store_low_bit`)": lambda: files.low_bit(4),
        "int4 weights, then `to_float16`": lambda: half(files.low_bit(4)),
        "int4 weights in blocks of 16 (linear layer)": files.in_blocks,
        "int4 weights, int8 activations": files.activations_in_int8,
        "uint4 weights": files.unsigned,
        "int2 weights (`store_low_bit`)": lambda: files.low_bit(2),
        "codebook of 16, uint8 labels": lambda: files.codebook(16),
        "QDQ int8, `quantize_static` here": files.quantised,
        "QDQ int8, one scale a tensor": lambda: files.quantised(per_channel=False),
        "QDQ int8, ONNX Runtime's defaults": files.quantised_by_default,
        "QDQ uint8 activations, ONNX Runtime's defaults": lambda: files.quantised_by_default(True),
        "final project's reference, `model.onnx`": (reference / "model.onnx").read_bytes,
        "the same `for_tensorrt`, `engine.onnx`": (reference / "engine.onnx").read_bytes,
    }


# ---- trying them ---------------------------------------------------------------------------------


def tried(name: str, content: bytes) -> Row:
    """Run a file, and build an engine of it."""
    engine, refusal = b"", ""
    try:
        engine = built(content)
    except RuntimeError as error:
        refusal = " ".join(str(error).split())
    return Row(name, len(content), runs(content), len(engine), refusal)


def built(content: bytes) -> bytes:
    """An engine for batches of 1 to 32; RuntimeError where there is none."""
    tensorrt = solution("tensorrt_build")
    port = onnx.load_model_from_string(content).graph.input[0]
    image = [extent.dim_value for extent in port.type.tensor_type.shape.dim][1:]
    shapes = [(batch, *image) for batch in (1, 8, 32)]
    profile = tensorrt.optimization_profile(*shapes, name=port.name)
    engine: bytes = tensorrt.build_engine(content, [TARGET], profile, 1 << 26)
    return engine


def runs(content: bytes) -> str:
    """Whether ONNX Runtime gives the same with its optimisations as without, or only without."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level = 4
    port = onnx.load_model_from_string(content).graph.input[0].type.tensor_type
    shape = [extent.dim_value for extent in port.shape.dim][1:]
    drawn = np.random.default_rng(0).uniform(0, 3, (4, *shape))
    batch = drawn.astype(helper.tensor_dtype_to_np_dtype(port.elem_type))
    found = []
    for level in ("ORT_DISABLE_ALL", "ORT_ENABLE_ALL"):
        options.graph_optimization_level = getattr(ort.GraphOptimizationLevel, level)
        session = ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        found.append(session.run(None, {session.get_inputs()[0].name: batch})[0])
    plain, optimised = found
    close = np.abs(optimised - plain).max() <= 0.1 * np.abs(plain).max()  # integers round otherwise
    return "yes" if close else "yes, unoptimised"


def rows(words: list[str]) -> Iterator[Row]:
    """Every format whose name has one of the words."""
    for name, make in formats().items():
        if not words or any(word.lower() in name.lower() for word in words):
            yield tried(name, make())


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("words", nargs="*", metavar="WORD")
    options = parser.parse_args()
    if importlib.util.find_spec("tensorrt_rtx") is None:
        raise SystemExit("tensorrt_rtx is missing: pip install 'compression-course[tensorrt]'")
    print("| format | file (bytes) | ONNX Runtime | engine (bytes) |\n|---|---|---|---|")
    for row in rows(options.words):
        print(row, flush=True)


if __name__ == "__main__":
    main()
