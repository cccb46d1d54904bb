"""The solution of session 6 against references and properties; its hand-out and lab sheet."""

from __future__ import annotations

import importlib.util
import math
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from autograder.graders.s6_export.networks import drawn_network, images_for
from autograder.graders.toolkit import RandomInputs, comparable
from autograder.project import returned_files
from shared.onnx_files import read_model
from shared.records import Profile
from tests.solutions import support
from tests.support import ROOT

FOLDER = ROOT / "solutions" / "s6_export"
needs_tensorrt = pytest.mark.skipif(
    importlib.util.find_spec("tensorrt_rtx") is None, reason="tensorrt_rtx is not installed"
)


export = support.load(FOLDER, "onnx_export")
quantization = support.load(FOLDER, "onnx_quantization")
tensorrt = support.load(FOLDER, "tensorrt_build")
benchmark = support.load(FOLDER, "benchmark")


def outputs(content: bytes, images: Any) -> Any:
    """What ONNX Runtime gives without optimisations."""
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(content, options)
    return session.run(None, {session.get_inputs()[0].name: images})[0]


@pytest.fixture
def rng() -> RandomInputs:
    return RandomInputs(b"session 6 of the course")


# ---- onnx_export -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def exported() -> tuple[nn.Module, bytes]:
    """A network in mixed modes, and its file."""
    torch.manual_seed(0)
    layers = [nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten()]
    model = nn.Sequential(*layers, nn.Dropout(0.5), nn.Linear(4 * 36, 5)).train()
    model[1].eval()
    return model, export.export_onnx(model, torch.zeros(1, 2, 8, 8), opset=22)


def test_an_export_is_the_network_in_eval_mode(exported: tuple[nn.Module, bytes]) -> None:
    model, content = exported
    assert [module.training for module in model] == [True, False, True, True, True, True]
    images = torch.randn(6, 2, 8, 8)
    with torch.no_grad():
        expected = model.eval()(images).numpy()
    for batch in (1, 6):
        found = outputs(content, images[:batch].numpy())
        assert export.compare_outputs(found, expected[:batch], 1e-4, 1e-5).close
    summary = export.onnx_summary(content)
    assert summary.opset == 22
    assert summary.inputs["input"][1][1:] == (2, 8, 8)
    assert summary.parameters == 4 * 2 * 9 + 4 + 144 * 5 + 5  # batch norm is folded


def test_modes_are_restored_when_the_network_raises() -> None:
    model = nn.Sequential(nn.Linear(3, 2), nn.Dropout()).train()
    model[0].eval()
    with pytest.raises(RuntimeError, match=r"shape|size|mat"):
        export.export_onnx(model, torch.zeros(2, 7))
    assert (model.training, model[0].training, model[1].training) == (True, False, True)


def test_preprocessing_is_the_same_inside_and_outside(rng: RandomInputs) -> None:
    network = drawn_network(rng)
    mean, std = [0.2, 0.4, 0.6], [0.1, 0.3, 0.5]
    inside = export.embed_preprocessing(network.content, mean, std)
    pixels = rng.integers(0, 255, 3, *network.image).numpy().astype(np.uint8)
    shape = (1, 3, 1, 1)
    outside = (pixels / 255 - np.reshape(mean, shape)) / np.reshape(std, shape)
    assert np.allclose(outputs(inside, pixels), network.outputs(outside), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("bits", [8, 4, 2])
@pytest.mark.parametrize("name", ["conv", "matmul", "gemm"])
def test_codes_come_back_from_the_file(bits: int, name: str, rng: RandomInputs) -> None:
    network = drawn_network(rng)
    shape = network.weights[name].shape
    codes = rng.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1, *shape).numpy()
    channels = network.channels(name)
    scale = rng.uniform(shape[channels], low=0.1).numpy()
    content = export.store_low_bit(network.content, name, codes, scale, bits)
    (stored,) = [t for t in read_model(content).graph.initializer if t.name == "codes"]
    assert np.array_equal(numpy_helper.to_array(stored).astype(int), codes)
    axes = [-1 if axis == channels else 1 for axis in range(len(shape))]
    images = images_for(network, rng, 2)
    expected = network.with_weight(name, codes * scale.reshape(axes)).outputs(images)
    assert np.allclose(outputs(content, images), expected, rtol=1e-4, atol=1e-4)
    counted = returned_files.stored(content, network.image, network.classes)
    assert [codes.size, np.count_nonzero(codes), bits] in counted


def test_labels_come_back_from_the_file(rng: RandomInputs) -> None:
    network = drawn_network(rng)
    codebook = rng.normal(200).numpy()
    labels = rng.integers(0, 199, *network.weights["matmul"].shape).numpy()
    content = export.store_codebook(network.content, "matmul", codebook, labels)
    images = images_for(network, rng, 2)
    expected = network.with_weight("matmul", codebook[labels]).outputs(images)
    assert np.allclose(outputs(content, images), expected, rtol=1e-4, atol=1e-4)


def reading(content: bytes) -> dict[str, Callable[[bytes], object]]:
    """Every function that reads a file, as a function of the file only."""
    del content
    profile = Profile("input", (1, 3, 6, 6), (2, 3, 6, 6), (3, 3, 6, 6))
    images = [np.zeros((2, 3, 6, 6), np.float32)]
    return {
        "embed_preprocessing": lambda data: export.embed_preprocessing(data, [0.0] * 3, [1.0] * 3),
        "onnx_summary": export.onnx_summary,
        "store_low_bit": lambda data: export.store_low_bit(
            data, "conv", np.zeros((2, 2), int), np.ones(2), 8
        ),
        "store_codebook": lambda data: export.store_codebook(
            data, "conv", np.zeros(2), np.zeros(2, int)
        ),
        "quantize_static": lambda data: quantization.quantize_static(data, images),
        "to_float16": tensorrt.to_float16,
        "unsupported_nodes": tensorrt.unsupported_nodes,
        "build_engine": lambda data: tensorrt.build_engine(data, ["8.6"], profile, 1 << 20),
    }


@pytest.mark.parametrize("name", list(reading(b"")))
def test_bad_files_give_one_clear_line(name: str, rng: RandomInputs) -> None:
    content = drawn_network(rng).content
    for data in (b"", b"junk", content[: len(content) // 2], content[:-30]):
        with pytest.raises(ValueError, match=r"^model_bytes: ") as caught:
            reading(content)[name](data)
        assert "\n" not in str(caught.value)


# ---- onnx_quantization -------------------------------------------------------------------------


def test_quantised_files_are_close_and_small(rng: RandomInputs) -> None:
    network = drawn_network(rng, opset=21)
    images = images_for(network, rng, 30)
    content = quantization.quantize_static(network.content, [images[:9], images[9:]])
    again = quantization.quantize_static(network.content, [images[:20], images[20:]])
    assert content == again
    expected = network.outputs(images)
    error = outputs(content, images) - expected
    assert (error**2).sum() < 0.01 * (expected**2).sum()


@given(st.permutations(range(4)), st.integers(1, 3))
@settings(max_examples=20)
def test_keys_depend_on_order_and_cuts(order: list[int], cut: int) -> None:
    images = np.arange(8, dtype=np.float32).reshape(4, 2)
    own = quantization.cache_key(b"file", [images[:2], images[2:]])
    other = quantization.cache_key(b"file", [images[order][:cut], images[order][cut:]])
    assert (own == other) == (order == [0, 1, 2, 3] and cut == 2)


@pytest.mark.parametrize("alpha", [0.0, 0.3, 0.5, 1.0])
def test_smoothing_leaves_the_product(alpha: float) -> None:
    torch.manual_seed(0)
    weight, inputs = torch.randn(5, 8), torch.randn(20, 8) * torch.logspace(-2, 2, 8)
    smoothed, scales = quantization.smooth(weight, inputs.abs().amax(0), alpha)
    assert torch.allclose((inputs / scales) @ smoothed.T, inputs @ weight.T, rtol=1e-3, atol=1e-3)


def test_scales_protect_loud_channels() -> None:
    torch.manual_seed(0)
    weight, inputs = torch.randn(16, 32), torch.randn(64, 32)
    inputs[:, 5] *= 50
    scales = quantization.awq_scales(weight, inputs, 3, None, 20).double()

    def error(s: torch.Tensor) -> float:
        back = quantization.rounded(weight * s, 3, None) / s
        return float(((back - weight) @ inputs.double().T).norm())

    assert error(scales) < 0.5 * error(torch.ones(32))


@given(st.integers(1, 8), st.integers(1, 6), st.integers(1, 15))
@settings(max_examples=25, deadline=None)
def test_a_cache_does_not_depend_on_how_tokens_come(bits: int, residual: int, count: int) -> None:
    generator = torch.Generator().manual_seed(count)
    keys, values = (torch.randn(count, 2, 4, generator=generator) for _ in range(2))
    whole, single = (quantization.KVCache(bits, residual) for _ in range(2))
    whole.append(keys, values)
    for key, value in zip(keys, values, strict=True):
        single.append(key[None], value[None])
    query = torch.randn(2, 4, generator=generator)
    assert torch.equal(whole.attend(query), single.attend(query))
    assert whole.nbytes == single.nbytes
    groups, waiting = divmod(count, residual)
    codes = math.ceil(2 * groups * residual * 8 * bits / 8)
    assert whole.nbytes == codes + 2 * (2 * groups * 8 + 2 * groups * residual * 2 + 16 * waiting)


@given(st.integers(1, 5), st.integers(1, 5), st.randoms(use_true_random=False))
@settings(max_examples=25)
def test_two_of_four_come_back(rows: int, fours: int, random: Any) -> None:
    weight = torch.zeros(rows * fours, 4)
    for four in weight:
        for place in random.sample(range(4), random.randint(0, 2)):
            four[place] = random.uniform(-1, 1)
    weight = weight.reshape(rows, 4 * fours)
    values, metadata = quantization.pack_2_4(weight)
    assert values.numel() == weight.numel() // 2
    assert metadata.numel() == math.ceil(weight.numel() / 8)
    assert torch.equal(quantization.unpack_2_4(values, metadata), weight)


# ---- tensorrt_build ----------------------------------------------------------------------------


def test_half_precision_is_close(rng: RandomInputs) -> None:
    network = drawn_network(rng, transposed=False)
    content = tensorrt.to_float16(network.content)
    images = images_for(network, rng, 3)
    assert np.allclose(outputs(content, images), network.outputs(images), rtol=1e-2, atol=1e-2)
    assert "FLOAT" not in returned_files.types(content)


@needs_tensorrt
def test_engines_are_the_same_in_every_process(rng: RandomInputs) -> None:
    network = drawn_network(rng)
    shapes = [(batch, *network.image) for batch in (1, 4, 8)]
    profile = tensorrt.optimization_profile(*shapes)
    engine = tensorrt.build_engine(network.content, ["8.6"], profile, 1 << 24)
    own = returned_files.engine(network.content, ["8.6"], ["input", *shapes], 1 << 24)
    assert comparable(engine) == own


@needs_tensorrt
def test_refusals_name_node_and_operator() -> None:
    nodes = [
        helper.make_node("Relu", ["x"], ["a"], name="fine"),
        helper.make_node("Bernoulli", ["a"], ["y"], name="the odd one"),
    ]
    ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [3]) for name in "xy"]
    graph = helper.make_graph(nodes, "g", ports[:1], ports[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    content = model.SerializeToString()
    assert tensorrt.unsupported_nodes(content) == [("the odd one", "Bernoulli")]
    with pytest.raises(RuntimeError, match=r"'the odd one' \(Bernoulli\)"):
        tensorrt.build_engine(content, ["8.6"], None, 1 << 20)


def test_without_a_builder_the_package_is_named(
    monkeypatch: pytest.MonkeyPatch, rng: RandomInputs
) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", None)
    with pytest.raises(RuntimeError, match="tensorrt_rtx is not installed"):
        tensorrt.unsupported_nodes(drawn_network(rng).content)


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        (((1, 3), (5, 3), (4, 3)), "minimum <= optimum <= maximum"),
        (((0, 3), (1, 3), (4, 3)), "minimum: expected an int of at least 1, got 0"),
        (((1, 3), (1, 3, 1), (4, 3)), "optimum: expected 2 dimensions"),
    ],
)
def test_profiles_are_checked(shapes: tuple[Any, ...], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        tensorrt.optimization_profile(*shapes)


# ---- benchmark ---------------------------------------------------------------------------------


def test_runners_take_turns_and_failures_do_not_matter() -> None:
    log: list[str] = []
    now = iter(range(1000))

    def failing(_: object) -> None:
        log.append("b")
        raise OSError

    runners = {"a": lambda _: log.append("a"), "b": failing, "c": lambda _: log.append("c")}
    rows = benchmark.benchmark(runners, None, 1, 3, lambda: float(next(now)))
    assert log == ["a", "b", "c", "a", "c", "a", "c", "a", "c"]
    assert [(row.name, row.median) for row in rows[::2]] == [("a", 1.0), ("c", 1.0)]
    assert math.isnan(rows[1].median)
    figure = benchmark.latency_plot(rows)
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["a", "b", "c"]


# ---- hand-out ----------------------------------------------------------------------------------


def test_the_worked_example_is_right() -> None:
    codes = np.array([[1, -2, 0], [7, 1, 2]])
    packed = numpy_helper.from_array(codes.astype(helper.tensor_dtype_to_np_dtype(22)), "q")
    assert onnx.TensorProto.INT4 == 22
    assert packed.raw_data == bytes([0xE1, 0x70, 0x21])
    _, metadata = quantization.pack_2_4(torch.tensor([[0.0, 5.0, 0.0, -1.0]]))
    assert metadata.tolist() == [13]


def test_hand_out_gives_the_points_of_the_course() -> None:
    support.expect_points_of_the_course(FOLDER)


def test_lab_sheet_has_model_answers_for_20_points() -> None:
    support.expect_model_answers(FOLDER, questions=4)


@pytest.mark.slow
def test_lab_sheet_runs_from_top_to_bottom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_QUICK", "1")
    assert "argmax_agreement=1.0, close=True" in support.lab_output(FOLDER, tmp_path)
