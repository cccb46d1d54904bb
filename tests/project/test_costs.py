"""Both costs: values of the formula, and of files, which differ a little. By hand, kept apart."""

from __future__ import annotations

import importlib
import sys
import tempfile
import warnings
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from types import ModuleType

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
import torchvision
from onnx import TensorProto, numpy_helper
from torch import Tensor, nn

from autograder.project.costs import COSTS, imt_2025, imt_2025_formula, micronet_2019
from autograder.records.measurement import MeasuredLayer, Measurement, Products, Stored
from shared.models import ResNet18
from shared.profiling import count_parameters, profile
from tests.project import build
from tests.project.build import floats, node, scalar

PARAMS, MACS = 11_173_962, 555_422_720
IMT = (5.6e6, 2.8e8)

# ---- values of the formula -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("unstructured", "weight_bits", "activation_bits", "cost"),
    [
        (0, 32, 32, 3.979),
        (0, 16, 16, 1.9895),
        (0, 8, 8, 0.99475),
        (0, 8, 32, 2.48249),
        (0, 1, 32, 2.04601),
        (0.9, 16, 16, 1.09159),
    ],
)
def test_formula_of_resnet18(
    unstructured: float, weight_bits: int, activation_bits: int, cost: float
) -> None:
    measured = imt_2025_formula(0, unstructured, weight_bits, activation_bits, PARAMS, MACS)
    assert measured == pytest.approx(cost, abs=6e-6)


def test_formula_of_resnet20() -> None:
    assert imt_2025_formula(0, 0, 16, 16, 272_474, 40_810_000) == pytest.approx(0.0972, abs=5e-5)


def test_names_of_costs_are_fixed() -> None:
    assert {"imt-2025": imt_2025, "micronet-2019": micronet_2019} == COSTS


# ---- measurements by hand ------------------------------------------------------------------------


def measurement(*layers: MeasuredLayer) -> Measurement:
    return Measurement(0, "", 21, layers)


def one(
    stored: Sequence[Stored] = (), products: Sequence[Products] = (), ops: int = 0
) -> MeasuredLayer:
    return MeasuredLayer(0, "Conv", (1,), tuple(stored), tuple(products), ops)


def test_imt_counts_nonzeros_and_the_wider_factor() -> None:
    measured = measurement(
        one([Stored("w", 100, 40, 8)], [Products(10, 20, 80, 0, 8, 4)]),
        one([Stored("v", 10, 10, 32)], [Products(1, 100, 100, 0, 2, 16)]),
    )
    storage = (40 * 8 + 10 * 32) / 32
    work = (200 * 8 + 100 * 16) / 32
    assert imt_2025(measured, 1000, 2000) == pytest.approx(storage / 1000 + work / 2000)


def test_imt_charges_excess_operations_at_full_width() -> None:
    measured = measurement(one(products=[Products(1, 100, 100, 0, 8, 8)], ops=65))
    assert imt_2025(measured, 1, 1) == pytest.approx(100 * 8 / 32 + 40)


def test_micronet_takes_the_cheaper_of_dense_and_masked() -> None:
    sparse, dense = Stored("w", 100, 40, 8), Stored("v", 100, 95, 8)
    signs = Stored("b", 100, 100, 1, maskable=False)
    assert micronet_2019(measurement(one([sparse])), 1, 1) == pytest.approx((40 * 8 + 100) / 32)
    assert micronet_2019(measurement(one([dense])), 1, 1) == pytest.approx(100 * 8 / 32)
    assert micronet_2019(measurement(one([signs])), 1, 1) == pytest.approx(100 / 32)


def test_micronet_multiplies_at_the_wider_width_and_adds_one_less() -> None:
    """10 sums of 20 products, 80 of them not zero, 3 sums without any: 80 - 7 additions."""
    measured = measurement(one(products=[Products(10, 20, 80, 3, 8, 16)], ops=5))
    assert micronet_2019(measured, 1, 1) == pytest.approx(80 * 16 / 32 + (80 - 7) + 5)


def test_micronet_products_with_signs_are_one_bit() -> None:
    measured = measurement(one(products=[Products(10, 20, 200, 0, 1, 32)]))
    assert micronet_2019(measured, 1, 1) == pytest.approx(200 / 32 + 190)


@pytest.mark.parametrize(("kernel", "additions"), [(3, 3 * 9 * 16 - 2 * 9 * 9), (1, 0)])
def test_micronet_adds_the_products_of_a_transposed_convolution_at_its_outputs(
    kernel: int, additions: int
) -> None:
    """From (3, 4, 4) with a stride of 2 to (2, 9, 9): products less outputs, never below 0."""
    products = 3 * 16 * kernel**2
    sums = Products(3 * 16, kernel**2, products, 0, 32, 32)
    layer = MeasuredLayer(0, "ConvTranspose", (2, 9, 9), (), (sums,))
    assert micronet_2019(Measurement(1, "", 21, (layer,)), 1, 1) == products + additions


def test_micronet_has_no_negative_additions() -> None:
    """A depthwise convolution with kernels of one weight, and of none."""
    weight = np.zeros((4, 1, 3, 3), np.float32)
    weight[:2, 0, 1, 1] = 1
    nodes = [
        node("SpaceToDepth", ["x"], ["d"], blocksize=2),
        node("Conv", ["d", "w"], ["y"], group=4, pads=[1] * 4),
    ]
    layer = build.layer(build.count(build.between(nodes, {"w": weight})), "Conv")
    (products,) = layer.products
    assert (products.outputs, products.nonzero_macs, products.empty_outputs) == (64, 32, 32)
    storage = (2 * 32 + 36) / 32
    assert micronet_2019(measurement(layer), 1, 1) == pytest.approx(storage + 32)


def test_micronet_of_a_file() -> None:
    """Padded positions count; a bias is one addition per output."""
    nodes = [node("Conv", ["x", "w", "b"], ["y"], pads=[1] * 4)]
    layer = build.layer(
        build.count(build.between(nodes, {"w": floats(2, 1, 3, 3), "b": floats(2)})), "Conv"
    )
    products = 2 * 64 * 9
    assert micronet_2019(measurement(layer), 1, 1) == pytest.approx(
        20 + products + (products - 128) + 128
    )


# ---- values of files -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def export() -> ModuleType:
    """The exporter that students get."""
    return s7_module("export")


def compact(content: bytes) -> bytes:
    """The same file with its tensors as raw bytes: as varints, negative codes take ten each."""
    model = onnx.load_model_from_string(content)
    for tensor in model.graph.initializer:
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor), tensor.name))
    return bytes(model.SerializeToString())


def s7_module(name: str) -> ModuleType:
    """A module of the final project, which lies outside of every package."""
    folder = str(build.ROOT / "solutions" / "s7_final_project")
    sys.path.insert(0, folder)
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(folder)


@pytest.mark.slow
def test_file_of_resnet18_in_float32(export: ModuleType, tmp_path: Path) -> None:
    """Formula plus the constants of preprocessing: one scale and one zero point of 8 bits."""
    torch.manual_seed(0)
    model = randomized(ResNet18())
    export.export_submission(model, tmp_path / "m.onnx", (3, 32, 32), 255)
    measured = build.count((tmp_path / "m.onnx").read_bytes(), (3, 32, 32))
    assert (measured.params, measured.macs) == (PARAMS + 2, MACS)
    assert measured.stored_bits == 32 * (PARAMS + 1) + 8
    assert measured.excess_macs == 0
    formula = imt_2025_formula(0, 0, 32, 32, PARAMS, MACS)
    assert imt_2025(measured, *IMT) == pytest.approx(formula + 40 / 32 / 5.6e6, rel=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize(("activation_bits", "near"), [(8, 0.9948), (0, 2.4825)])
def test_file_of_resnet18_with_8_bit_weights(
    export: ModuleType, tmp_path: Path, activation_bits: int, near: float
) -> None:
    """Batch norm is folded, codes that round to zero are free, scales and biases are float32."""
    network, quantized = s7_module("network"), s7_module("quantised")
    torch.manual_seed(0)
    model = network.SmallResNet((2, 2, 2, 2), (64, 128, 256, 512))
    for module in model.modules():
        if isinstance(module, quantized.Quantiser):
            if module.signed:
                module.start(8)
            elif activation_bits:
                module.start(activation_bits)
    model.train()(torch.randn(8, 3, 32, 32))
    model.eval()
    export.export_submission(model, tmp_path / "m.onnx", (3, 32, 32), 255)
    measured = build.count(compact((tmp_path / "m.onnx").read_bytes()), (3, 32, 32))
    layers = [m for m in model.modules() if isinstance(m, quantized.ConvNorm)]
    nonzero = sum(int((layer.weight() != 0).sum()) for layer in layers)
    last = model.classifier
    nonzero += int((last.quantiser(last.linear.weight) != 0).sum())
    channels = 4800
    scales = channels + 10 + 1 + (16 + 1 if activation_bits else 0)  # and one of the image
    assert measured.macs == MACS
    weights = [s for layer in measured.layers for s in layer.stored if s.elements > 4800]
    assert sum(weight.nonzeros for weight in weights) == pytest.approx(nonzero, rel=1e-3)
    assert {weight.bits for weight in weights} == {8}
    assert measured.params == 11_159_232 + 5_120 + channels + 10 + scales + 1
    bits = 8 if activation_bits else 32
    products = [p for layer in measured.layers for p in layer.products]
    assert {p.activation_bits for p in products} == ({8} if activation_bits else {8, 32})
    assert imt_2025(measured, *IMT) == pytest.approx(near, rel=0.03)  # untrained: more zeros
    assert imt_2025(measured, *IMT) < imt_2025_formula(0, 0, 8, bits, PARAMS, MACS)


# ---- torchvision's networks through torch's exporter ---------------------------------------------


class Front(nn.Module):
    """Pixels in, as the contract wants it."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.model(x / 64)
        return logits


def randomized(model: nn.Module) -> nn.Module:
    """With every parameter and statistic drawn anew, so that no two tensors are equal."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for tensor in (*model.parameters(), *model.buffers()):
            if tensor.is_floating_point():
                tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.5)
    return model.eval()


def exported(model: nn.Module, size: int) -> onnx.ModelProto:
    """A file with a uint8 front, of torch's own export for one image."""
    file = BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch asks for its newer exporter, which takes minutes
        torch.onnx.export(
            Front(model),
            (torch.zeros(1, 3, size, size),),
            file,
            dynamo=False,
            opset_version=20,
            input_names=["pixels"],
            output_names=["logits"],
        )
    model = onnx.load_from_string(file.getvalue())
    if any(node.op_type == "Shape" for node in model.graph.node):
        model = folded(model)
    return adapted(model, size)


def folded(model: onnx.ModelProto) -> onnx.ModelProto:
    """With arithmetic on shapes replaced by its results, by ONNX Runtime."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.log_severity_level = 4
    with tempfile.TemporaryDirectory() as folder:
        options.optimized_model_filepath = str(Path(folder, "folded.onnx"))
        onnxruntime.InferenceSession(model.SerializeToString(), options)
        result = onnx.load(options.optimized_model_filepath)
    kept = [opset for opset in result.opset_import if not opset.domain]
    del result.opset_import[:]
    result.opset_import.extend(kept)
    return result


def adapted(model: onnx.ModelProto, size: int) -> onnx.ModelProto:
    """Make N free: in the signature, and in reshapes whose first number is the batch of one."""
    graph = model.graph
    graph.node.insert(
        0,
        node("DequantizeLinear", ["image", "front"], ["pixels"]),
    )
    graph.initializer.append(build.tensor("front", scalar(0.5)))
    del graph.input[:]
    shape = ["N", 3, size, size]
    graph.input.append(onnx.helper.make_tensor_value_info("image", TensorProto.UINT8, shape))
    graph.output[0].type.tensor_type.shape.dim[0].dim_param = "N"
    shapes = {n.input[1] for n in graph.node if n.op_type == "Reshape"}
    for constant in graph.node:
        if constant.op_type == "Constant" and constant.output[0] in shapes:
            value = numpy_helper.to_array(constant.attribute[0].t).copy()
            value[0] = -1
            constant.attribute[0].t.CopyFrom(numpy_helper.from_array(value))
    for tensor in graph.initializer:
        if tensor.name in shapes:
            value = numpy_helper.to_array(tensor).copy()
            value[0] = -1
            tensor.CopyFrom(numpy_helper.from_array(value, tensor.name))
    return model


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "resnet18",
        "mobilenet_v2",
        "shufflenet_v2_x0_5",
        "squeezenet1_1",
        "efficientnet_b0",
        "densenet121",
    ],
)
def test_counts_agree_with_the_profiler(name: str) -> None:
    """MACs exactly; parameters but for batch norms that torch's exporter folds into biases."""
    size = 64
    model = randomized(getattr(torchvision.models, name)(num_classes=10))
    content = exported(model, size)
    measured = build.count(content, (3, size, size))
    expected = profile(model, torch.zeros(1, 3, size, size))
    assert not expected.not_counted
    assert measured.macs == expected.macs
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    channels = sum(norm.num_features for norm in norms)
    kept = [node for node in content.graph.node if node.op_type == "BatchNormalization"]
    kept_channels = sum(
        next(s.elements for s in layer.stored) // 2
        for layer in measured.layers
        if layer.kind == "BatchNormalization"
    )
    assert len(kept) <= len(norms)
    extra = measured.params - (count_parameters(model) - (channels - kept_channels))
    assert 0 < extra < 100  # the front, and bounds and factors that torch writes as constants
