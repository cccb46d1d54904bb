"""Roads behind an exporter: quantisers, half precision, simplifiers, other ways to call torch's."""

from __future__ import annotations

import io
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_dynamic,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process
from torch import nn

from benchmarks.common import by_path
from benchmarks.exports.networks import (
    SIZE,
    ClassToken,
    File,
    FromPixels,
    exported,
    settled,
    small_network,
)


class _Images(CalibrationDataReader):  # type: ignore[misc]
    """A few random images."""

    def __init__(self) -> None:
        generator = np.random.default_rng(0)
        images = generator.integers(0, 256, (4, 8, 3, SIZE, SIZE), dtype=np.uint8)
        self._batches: Iterator[dict[str, Any]] = iter({"image": batch} for batch in images)

    def get_next(self) -> dict[str, Any] | None:
        return next(self._batches, None)


def _small(dynamo: bool = False, **options: Any) -> bytes:
    torch.manual_seed(0)
    return exported(settled(small_network()), SIZE, dynamo, **options)


def _token() -> bytes:
    torch.manual_seed(0)
    return exported(settled(ClassToken()), SIZE, False)


def _static(content: bytes, **options: Any) -> File:
    return File(by_path(content, lambda a, b: quantize_static(a, b, _Images(), **options)))


def _pre_processed(content: bytes, **options: Any) -> bytes:
    return by_path(content, lambda a, b: quant_pre_process(a, b, **options))


def _half(content: bytes, keep_io_types: bool) -> File:
    from onnxconverter_common import float16

    model = onnx.load_model_from_string(content)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of numbers that are too small
        converted = float16.convert_float_to_float16(model, keep_io_types=keep_io_types)
    return File(converted.SerializeToString())


def _half_by_onnxruntime(content: bytes) -> File:
    from onnxruntime.transformers.float16 import convert_float_to_float16

    model = onnx.load_model_from_string(content)
    return File(convert_float_to_float16(model, keep_io_types=True).SerializeToString())


def _optimized(content: bytes, level: str) -> File:
    """As ONNX Runtime saves a graph that it has optimised."""
    import onnxruntime as ort

    def tool(before: str, after: str) -> None:
        options = ort.SessionOptions()
        options.graph_optimization_level = getattr(ort.GraphOptimizationLevel, level)
        options.optimized_model_filepath = after
        options.log_severity_level = 4
        ort.InferenceSession(before, options, providers=["CPUExecutionProvider"])

    return File(by_path(content, tool))


def _slimmed(content: bytes) -> File:
    import onnxslim

    return File(onnxslim.slim(onnx.load_model_from_string(content)).SerializeToString())


def _optimised_by_onnxscript(content: bytes) -> File:
    from onnxscript import optimizer

    return File(optimizer.optimize(onnx.load_model_from_string(content)).SerializeToString())


def _pt2e() -> File:
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e
    from torchao.quantization.pt2e.quantizer.x86_inductor_quantizer import (
        X86InductorQuantizer,
        get_default_x86_inductor_quantization_config,
    )

    torch.manual_seed(0)
    model = FromPixels(settled(small_network())).eval()
    images = torch.randint(0, 256, (8, 3, SIZE, SIZE), dtype=torch.uint8)
    free = ({0: torch.export.Dim("N")},)
    graph = torch.export.export(model, (images,), dynamic_shapes=free).module()
    quantizer = X86InductorQuantizer()
    quantizer.set_global(get_default_x86_inductor_quantization_config())
    prepared = prepare_pt2e(graph, quantizer)
    prepared(images)
    converted = convert_pt2e(prepared)
    names: dict[str, Any] = {"input_names": ["image"], "output_names": ["logits"]}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        torch.onnx.export(
            converted,
            (images,),
            path,
            dynamo=True,
            dynamic_shapes=free,
            external_data=False,
            verbose=False,
            **names,
        )
        return File(path.read_bytes())


def _external() -> File:
    """Weights in a file beside the model."""
    model = onnx.load_model_from_string(_small())
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "external.onnx"
        onnx.save_model(
            model, path, save_as_external_data=True, location="external.data", size_threshold=0
        )
        beside = {"external.data": (Path(folder) / "external.data").read_bytes()}
        return File(path.read_bytes(), SIZE, beside)


def _torch(model: nn.Module, image: torch.Tensor, **options: Any) -> File:
    stream = io.BytesIO()
    names: dict[str, Any] = {"input_names": ["image"], "output_names": ["logits"]}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(model, (image,), stream, dynamo=False, **names, **options)
    return File(stream.getvalue())


def _fixed_batch() -> File:
    torch.manual_seed(0)
    model = FromPixels(settled(ClassToken())).eval()
    return _torch(model, torch.zeros(1, 3, SIZE, SIZE, dtype=torch.uint8))


def _float_input() -> File:
    torch.manual_seed(0)
    axes = {"image": {0: "N"}, "logits": {0: "N"}}
    model = settled(small_network()).eval()
    return _torch(model, torch.zeros(2, 3, SIZE, SIZE), dynamic_axes=axes)


def _training() -> File:
    torch.manual_seed(0)
    axes = {"image": {0: "N"}, "logits": {0: "N"}}
    mode = torch.onnx.TrainingMode.TRAINING
    image = torch.zeros(2, 3, SIZE, SIZE, dtype=torch.uint8)
    model = FromPixels(small_network()).train()
    return _torch(model, image, dynamic_axes=axes, training=mode, do_constant_folding=False)


def _half_network() -> File:
    """A network that was cast by `.half()`, its logits too."""
    torch.manual_seed(0)

    class Half(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = settled(small_network()).half()

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            logits: torch.Tensor = self.network(image.half() / 255)
            return logits

    axes = {"image": {0: "N"}, "logits": {0: "N"}}
    image = torch.zeros(2, 3, SIZE, SIZE, dtype=torch.uint8)
    return _torch(Half().eval(), image, dynamic_axes=axes)


ROADS: dict[str, Callable[[], File]] = {
    "older opset (11)": lambda: File(_small(opset_version=11)),
    "opset 17": lambda: File(_small(opset_version=17)),
    "external data": _external,
    "fixed batch": _fixed_batch,
    "float32 input": _float_input,
    "exported in training mode": _training,
    "model.half()": _half_network,
    "quant_pre_process": lambda: File(_pre_processed(_small())),
    # Its symbolic shape inference stops at this file with an assertion of its own.
    "quant_pre_process, class token": lambda: File(
        _pre_processed(_token(), skip_symbolic_shape=True)
    ),
    "QDQ per tensor": lambda: _static(_small()),
    "QDQ per channel": lambda: _static(_small(), per_channel=True),
    "pre-processed, QDQ per channel": lambda: _static(_pre_processed(_small()), per_channel=True),
    "QDQ uint8 activations": lambda: _static(
        _small(), per_channel=True, activation_type=QuantType.QUInt8
    ),
    "QDQ int16 activations": lambda: _static(_small(), activation_type=QuantType.QInt16),
    "QDQ int4 weights": lambda: _static(_small(), weight_type=QuantType.QInt4),
    "QDQ, weights kept in float": lambda: _static(
        _small(), extra_options={"AddQDQPairToWeight": True}
    ),
    "QOperator": lambda: _static(_small(), quant_format=QuantFormat.QOperator),
    "QDQ, class token": lambda: _static(_token()),
    "dynamic quantisation": lambda: File(by_path(_small(), quantize_dynamic)),
    "float16, onnxconverter": lambda: _half(_small(), True),
    "float16, onnxconverter, float16 logits": lambda: _half(_small(), False),
    "float16, ONNX Runtime": lambda: _half_by_onnxruntime(_small()),
    "ONNX Runtime, basic optimisation": lambda: _optimized(_small(), "ORT_ENABLE_BASIC"),
    "ONNX Runtime, extended optimisation": lambda: _optimized(_token(), "ORT_ENABLE_EXTENDED"),
    "ONNX Runtime, all optimisation": lambda: _optimized(_small(), "ORT_ENABLE_ALL"),
    "onnxslim": lambda: _slimmed(_small()),
    "onnxslim, class token": lambda: _slimmed(_token()),
    "onnxscript's optimiser, class token": lambda: _optimised_by_onnxscript(_token()),
    "onnxslim after QDQ": lambda: _slimmed(_static(_small(), per_channel=True).content),
    "torchao pt2e, per channel": _pt2e,
}
"""Ways to a file, by name."""
