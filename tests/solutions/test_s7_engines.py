"""The starter's files for TensorRT: the scorer takes them, and engines are built from them."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from torch import Tensor, nn

from autograder.project import counting, graph, inference
from tests.solutions import support
from tests.support import ROOT

FOLDER = ROOT / "solutions" / "s7_final_project"
REFERENCE = FOLDER / "reference"
needs_tensorrt = pytest.mark.skipif(
    importlib.util.find_spec("tensorrt_rtx") is None, reason="tensorrt_rtx is not installed"
)


def pixels(count: int, shape: tuple[int, int, int], peak: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, peak + 1, (count, *shape), generator=generator).to(torch.uint8)


def digits_network(kit: SimpleNamespace, bits: int, weight_bits: int, edge_bits: int) -> nn.Module:
    torch.manual_seed(0)
    model: nn.Module = kit.network.SmallResNet((1, 1), (8, 16), channels=1)
    for layer in kit.recipes.convolutions(model):
        nn.init.normal_(layer.norm.weight)  # some are negative
        nn.init.normal_(layer.norm.bias)
    if bits:
        kit.recipes.start_quantising(model, (bits, bits), edge_bits, (weight_bits, weight_bits))
    model.train()
    for _ in range(3):
        model((pixels(32, (1, 8, 8), 16).float() - 8) / 4)
    return model.eval()


def written(
    kit: SimpleNamespace, model: nn.Module, folder: Path, shape: tuple[int, int, int], peak: int
) -> tuple[bytes, bytes]:
    """The entry, and the file for TensorRT."""
    paths = [folder / "model.onnx", folder / "engine.onnx"]
    for path in paths:
        kit.export.export_submission(model, path, shape, peak, for_tensorrt=path is paths[1])
    return paths[0].read_bytes(), paths[1].read_bytes()


def logits(content: bytes, images: Tensor) -> NDArray[np.float32]:
    found: NDArray[np.float32] = inference.logits(inference.session(content), images.numpy(), 8)
    return found


def built(content: bytes, shape: tuple[int, int, int]) -> bytes:
    """The engine that session 6's function builds of the file, for one kind of GPU."""
    tensorrt = support.load(ROOT / "solutions" / "s6_export", "tensorrt_build")
    batches = [(batch, *shape) for batch in (1, 4, 8)]
    profile = tensorrt.optimization_profile(*batches, name="image")
    assert tensorrt.unsupported_nodes(content) == []
    engine: bytes = tensorrt.build_engine(content, ["8.6"], profile, 1 << 26)
    return engine


WIDTHS = [(0, 0, 8), (8, 8, 8), (4, 4, 8), (4, 2, 8), (4, 1, 8), (3, 3, 8), (2, 2, 4)]


@pytest.mark.slow
@pytest.mark.parametrize(("bits", "weight_bits", "edge_bits"), WIDTHS)
def test_both_files_compute_the_same(
    kit: SimpleNamespace, tmp_path: Path, bits: int, weight_bits: int, edge_bits: int
) -> None:
    """And the scorer takes both: the same products, in wider types."""
    shape = (1, 8, 8)
    model = digits_network(kit, bits, weight_bits, edge_bits)
    entry, ours = written(kit, model, tmp_path, shape, 16)
    images = pixels(24, shape, 16)
    np.testing.assert_allclose(logits(ours, images), logits(entry, images), rtol=1e-4, atol=1e-4)
    before, after = (list(counting.count(graph.read(each, shape, 10))) for each in (entry, ours))
    assert [each.macs for each in after if each.macs] == [each.macs for each in before if each.macs]
    widths = [[layer.stored[0].bits for layer in each if layer.macs] for each in (before, after)]
    assert widths[1] == [max(width, 8) for width in widths[0]]


@pytest.mark.slow
@needs_tensorrt
@pytest.mark.parametrize(("bits", "weight_bits", "edge_bits"), WIDTHS)
def test_engines_are_built_of_every_width(
    kit: SimpleNamespace, tmp_path: Path, bits: int, weight_bits: int, edge_bits: int
) -> None:
    model = digits_network(kit, bits, weight_bits, edge_bits)
    _, ours = written(kit, model, tmp_path, (1, 8, 8), 16)
    assert built(ours, (1, 8, 8))


# ---- the reference network -----------------------------------------------------------------------


def restored(kit: SimpleNamespace, content: bytes) -> nn.Module:
    """The reference network with the numbers of its file, batch norms folded as they are there."""
    model: nn.Module = kit.network.SmallResNet((2, 2, 2), (16, 32, 64))
    network = onnx.load_model_from_string(content).graph
    constants = {each.name: numpy_helper.to_array(each) for each in network.initializer}
    nodes = {node.output[0]: node for node in network.node}
    products = [node for node in network.node if node.op_type in ("Conv", "Gemm")]
    roundings = [node for node in network.node if node.op_type == "QuantizeLinear"]

    def tensor(name: str) -> Tensor:
        return torch.from_numpy(constants[name].astype(np.float32))

    def set_step(quantiser: Any, scale: Tensor, stored: NDArray[Any]) -> None:
        quantiser.start(8 * stored.dtype.itemsize if "4" not in stored.dtype.name else 4)
        quantiser.fresh.zero_()
        quantiser.step.data.copy_(scale.reshape(quantiser.step.shape) - 1e-8)

    with torch.no_grad():
        for step in kit.export._Tracer().trace(model).nodes:
            layer = model.get_submodule(str(step.target)) if step.op == "call_module" else None
            if isinstance(layer, kit.quantised.Quantiser):
                node = roundings.pop(0)
                set_step(layer, tensor(node.input[1]), constants[node.input[2]])
            elif layer is not None:
                node = products.pop(0)
                codes, scale = nodes[node.input[1]].input
                restore(layer, tensor(codes), tensor(scale), tensor(node.input[2]))
                size = tensor(scale)[: len(layer.quantiser.step)]
                set_step(layer.quantiser, size, constants[codes])
    assert not products
    assert not roundings
    return model.eval()


def restore(layer: Any, codes: Tensor, scale: Tensor, bias: Tensor) -> None:
    """Put the weight and the bias of a convolution or linear layer in their places."""
    weight = codes * scale.view(-1, *[1] * (codes.dim() - 1))
    if hasattr(layer, "linear"):
        layer.linear.weight.copy_(weight)
        layer.linear.bias.copy_(bias)
        return
    layer.conv.weight.copy_(weight)
    layer.norm.bias.copy_(bias)
    layer.norm.running_var.fill_(1 - layer.norm.eps)


def test_the_reference_networks_file_for_tensorrt(kit: SimpleNamespace, tmp_path: Path) -> None:
    """It computes what the reference's entry does, the exporter writes it, the scorer takes it."""
    shape = (3, 32, 32)
    reference, ours = ((REFERENCE / name).read_bytes() for name in ("model.onnx", "engine.onnx"))
    images = pixels(16, shape, 255)
    expected = logits(reference, images)
    for content in (ours, *written(kit, restored(kit, reference), tmp_path, shape, 255)):
        np.testing.assert_allclose(logits(content, images), expected, rtol=1e-3, atol=1e-3)
    counts = [list(counting.count(graph.read(each, shape, 10))) for each in (reference, ours)]
    assert sum(each.macs for each in counts[0]) == sum(each.macs for each in counts[1])


@needs_tensorrt
def test_an_engine_is_built_of_the_reference_network() -> None:
    assert built((REFERENCE / "engine.onnx").read_bytes(), (3, 32, 32))
