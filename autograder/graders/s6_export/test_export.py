"""Graders of onnx_export.py: a module becomes a file, and takes its preprocessing along.

torch's exporter takes a second or two of processor time. A right submission is asked for eight
exports, two to see the opset, and one that cannot succeed; no other exercise needs any.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from onnx import TensorProto, helper
from torch import Tensor, nn

from autograder.graders.common import drawn
from autograder.graders.s6_export.networks import (
    FLOAT,
    Array,
    DrawnNetwork,
    agree,
    damaged_files,
    drawn_network,
    file_of,
)
from autograder.graders.toolkit import (
    Exercise,
    RandomInputs,
    ReturnedFiles,
    StudentFailure,
    check,
    expect_value_error,
    fail,
)
from shared.models import MLP

# ---- export_onnx -------------------------------------------------------------------------------

SECONDS = 60  # an export may take 10 s on a busy machine


def network(rng: RandomInputs, dropout: bool = False) -> nn.Sequential:
    """A small convolutional network in training mode."""
    channels, width, classes = rng.integer(1, 3), rng.integer(5, 9), rng.integer(4, 9)
    layers = [
        nn.Conv2d(channels, width, 3, padding=1, stride=2),
        nn.BatchNorm2d(width),
        nn.ReLU(),
        nn.Flatten(),
        *([nn.Dropout(0.5)] if dropout else []),
        nn.Linear(16 * width, classes),
    ]
    return drawn(nn.Sequential(*layers), rng).train()


def first(model: nn.Sequential) -> nn.Conv2d:
    """The first layer."""
    layer = model[0]
    assert isinstance(layer, nn.Conv2d)
    return layer


def samples(model: nn.Sequential, rng: RandomInputs, batch: int) -> Tensor:
    """Images for the network."""
    return rng.normal(batch, first(model).in_channels, 8, 8)


def expected(model: nn.Module, images: Tensor) -> Array:
    """What the network gives in eval mode; its modes stay."""
    modes = {module: module.training for module in model.modules()}
    with torch.no_grad():
        outputs: Array = model.eval()(images).numpy()
    for module, mode in modes.items():
        module.training = mode
    return outputs


export_onnx = Exercise("s6.export_onnx")


@export_onnx.check(weight=3, essential=True, seconds=SECONDS)
def test_eval_mode_inside(student: Any, rng: RandomInputs) -> None:
    """The file computes what the network computes in eval mode, the same each time."""
    files, model = ReturnedFiles(student), network(rng, dropout=True)
    images = samples(model, rng, 2)
    data = files.returned("export_onnx", model, images, dynamic_batch=False)
    for outputs in files.outputs(data, "input", [images.numpy()] * 3):
        hint = "export in eval mode: no dropout, the running statistics of batch norm"
        check(agree(outputs, expected(model, images), 1e-4), hint)


@export_onnx.check(weight=3, essential=True, seconds=SECONDS)
def test_any_batch(student: Any, rng: RandomInputs) -> None:
    """With a free batch the file gives the network's outputs for 1 image and for 7."""
    files, model = ReturnedFiles(student), network(rng)
    data = files.returned("export_onnx", model, samples(model, rng, rng.integer(1, 2)))
    batches = [samples(model, rng, batch) for batch in (1, 7)]
    found = files.outputs(data, "input", [images.numpy() for images in batches])
    for outputs, images in zip(found, batches, strict=True):
        hint = "another batch than the sample's: its dimension has to be free in the whole graph"
        check(agree(outputs, expected(model, images), 1e-4), hint)


@export_onnx.check(weight=2, essential=True, seconds=SECONDS)
def test_one_file(student: Any, rng: RandomInputs) -> None:
    """All weights are in the bytes, and nothing is left on the disk."""
    files, model = ReturnedFiles(student), network(rng)
    data = files.returned("export_onnx", model, samples(model, rng, 2))
    check(not files.facts(data)["external"], "weights lie in another file: keep them in this one")
    check(files.left_behind() == [], "nothing stays in the working or the temporary folder")


@export_onnx.check(weight=2, seconds=SECONDS)
def test_opset_is_the_one_asked_for(student: Any, rng: RandomInputs) -> None:
    """The file's opset is the one asked for, an old and a new one."""
    files, model = ReturnedFiles(student), network(rng)
    images = samples(model, rng, 2)
    for opset in (rng.choice([18, 19]), rng.choice([24, 25])):
        data = files.returned("export_onnx", model, images, opset=opset)
        check(files.facts(data)["opset"] == opset, "opset_import states another version")
        (outputs,) = files.outputs(data, "input", [images.numpy()])
        check(agree(outputs, expected(model, images), 1e-4), "the outputs are others")


@export_onnx.check(weight=2, seconds=SECONDS)
def test_interface(student: Any, rng: RandomInputs) -> None:
    """One input "input" and one output "output", float32; a fixed batch is the sample's."""
    files, sizes = ReturnedFiles(student), (rng.integer(6, 12), rng.integer(5, 9), 4)
    model = drawn(MLP(sizes), rng)  # whose own name for its input is another one
    images = rng.normal(rng.integer(2, 4), sizes[0])
    data = files.returned("export_onnx", model, images, dynamic_batch=False)
    facts = files.facts(data)
    check(list(facts["inputs"]) == ["input"], "one input, called input")
    check(list(facts["outputs"]) == ["output"], "one output, called output")
    kind, shape = facts["inputs"]["input"]
    check(kind == "float32" and facts["outputs"]["output"][0] == "float32", "both are float32")
    check(shape == list(images.shape), "dynamic_batch=False: every dimension of the input is fixed")


def mixed_modes(model: nn.Sequential, rng: RandomInputs) -> dict[str, bool]:
    """Put some submodules of a training network into eval mode."""
    model.train()
    model[rng.choice([1, 4])].eval()
    model[rng.choice([0, 2])].eval()
    return {name: module.training for name, module in model.named_modules()}


@export_onnx.check(weight=1, seconds=SECONDS)
def test_modes_are_restored(student: Any, rng: RandomInputs) -> None:
    """Every submodule has its own mode again after an export."""
    model = network(rng, dropout=True)
    modes = mixed_modes(model, rng)
    ref = student.put(model)
    files = ReturnedFiles(student)
    files.facts(files.returned("export_onnx", ref, samples(model, rng, 2)))
    check(student.modes(ref) == modes, "each submodule's own mode, not one for all of them")


@export_onnx.check(weight=1, seconds=SECONDS)
def test_modes_are_restored_after_an_error(student: Any, rng: RandomInputs) -> None:
    """Every submodule has its own mode again when the network does not take the sample."""
    model = network(rng, dropout=True)
    modes = mixed_modes(model, rng)
    ref = student.put(model)
    try:
        student.export_onnx(ref, rng.normal(2, first(model).in_channels, 20, 20))
    except StudentFailure as failure:
        if getattr(failure, "kind", "") == "NotImplementedError":
            raise
    else:
        fail("export_onnx should raise what the network raises, yours returned a value")
    check(student.modes(ref) == modes, "restore the modes in a finally block")
    files = ReturnedFiles(student)
    files.facts(files.returned("export_onnx", ref, samples(model, rng, 2)))


@export_onnx.check(weight=1, guard=True)
def test_export_refuses_other_opsets(student: Any, rng: RandomInputs) -> None:
    """An opset that is not an int in 18..25 raises ValueError."""
    model = network(rng)
    for opset in (rng.integer(7, 17), 26, rng.integer(27, 40), "21"):
        expect_value_error(student.export_onnx, model, samples(model, rng, 2), opset=opset)


# ---- embed_preprocessing -----------------------------------------------------------------------


def statistics(rng: RandomInputs, channels: int = 3) -> tuple[list[float], list[float]]:
    """A mean and a standard deviation for each channel."""
    mean = rng.uniform(channels, low=0.2, high=0.7).double().tolist()
    return mean, rng.uniform(channels, low=0.1, high=0.6).double().tolist()


def pixels(net: DrawnNetwork, rng: RandomInputs, batch: int) -> Array:
    """Images in bytes, the smallest and the largest value among them."""
    drawn_pixels: Array = rng.integers(0, 255, batch, *net.image).to(torch.uint8).numpy()
    drawn_pixels[:, :, 0, 0], drawn_pixels[:, :, 0, 1] = 0, 255
    return drawn_pixels


def prepared(images: Array, mean: list[float], std: list[float]) -> Array:
    """Preprocessing outside, in float64."""
    shape = (1, -1, 1, 1)
    floats: Array = (images / 255 - np.reshape(mean, shape)) / np.reshape(std, shape)
    return floats


embed_preprocessing = Exercise("s6.embed_preprocessing")


@embed_preprocessing.check(weight=4, essential=True)
def test_same_output_from_pixels(student: Any, rng: RandomInputs) -> None:
    """Pixels in give what the network gives for (x / 255 - mean) / std, channel by channel."""
    files = ReturnedFiles(student)
    for channels in (1, 3):
        net = drawn_network(rng, channels)
        mean, std = statistics(rng, channels)
        data = files.returned("embed_preprocessing", net.content, mean, std)
        images = pixels(net, rng, 4)
        (outputs,) = files.outputs(data, "input", [images])
        hint = "first divide by 255, then subtract the mean, then divide by std, each channel's own"
        check(agree(outputs, net.outputs(prepared(images, mean, std)), 3e-5), hint)


@embed_preprocessing.check(weight=2)
def test_input_is_uint8(student: Any, rng: RandomInputs) -> None:
    """The input is uint8 under the same name, its batch is free, and the rest is as before."""
    files = ReturnedFiles(student)
    net = drawn_network(rng, input_name=rng.choice(["image", "x", "data"]))
    data = files.returned("embed_preprocessing", net.content, *statistics(rng))
    facts = files.facts(data)
    hint = "one input, uint8, with its name and its free batch"
    check(facts["inputs"] == {net.input_name: ["uint8", [None, *net.image]]}, hint)
    check(list(facts["outputs"]) == ["output"], "the output keeps its name")
    shapes = [out.shape for out in files.outputs(data, net.input_name, [pixels(net, rng, 5)])]
    check(shapes == [(5, net.classes)], "the batch is free in the whole graph")


@embed_preprocessing.check(weight=1)
def test_operators_that_both_runtimes_take(student: Any, rng: RandomInputs) -> None:
    """Only ONNX's own operators, and no DequantizeLinear on uint8, which TensorRT refuses."""
    files = ReturnedFiles(student)
    data = files.returned("embed_preprocessing", drawn_network(rng).content, *statistics(rng))
    facts = files.facts(data)
    check([kind for kind, _ in facts["inputs"].values()] == ["uint8"], "the input is uint8")
    check(facts["domains"] == [], "operators of another domain")
    check("DequantizeLinear" not in files.operators(data), "use Cast and float arithmetic")
    check(files.left_behind() == [], "nothing stays in the working or the temporary folder")


@embed_preprocessing.check(weight=0.38, guard=True)
def test_preprocessing_refuses_bad_statistics(student: Any, rng: RandomInputs) -> None:
    """Another number of values than channels, and a std of 0 or less, raise ValueError."""
    content = drawn_network(rng).content
    mean, std = statistics(rng)
    call = student.embed_preprocessing
    for wrong in (mean[:2], [*mean, 0.5], mean[:1]):
        expect_value_error(call, content, wrong, std)
    for wrong in (std[:2], [*std, 0.5], [std[0], 0.0, std[2]], [std[0], std[1], -0.2]):
        expect_value_error(call, content, mean, wrong)


@embed_preprocessing.check(weight=0.38, guard=True)
def test_preprocessing_refuses_bad_files(student: Any, rng: RandomInputs) -> None:
    """Damaged files, inputs that are not float or have not 4 dimensions raise ValueError."""
    mean, std = statistics(rng)
    for data in damaged_files(drawn_network(rng).content):
        expect_value_error(student.embed_preprocessing, data, mean, std)
    relu = [helper.make_node("Relu", ["x"], ["y"])]
    flat = file_of(relu, {"x": (FLOAT, ["N", 3])}, {"y": (FLOAT, ["N", 3])}, {})
    cast = [helper.make_node("Cast", ["x"], ["y"], to=FLOAT)]
    image = ["N", 3, 4, 4]
    ready = file_of(cast, {"x": (TensorProto.UINT8, image)}, {"y": (FLOAT, image)}, {})
    for data in (flat, ready):
        expect_value_error(student.embed_preprocessing, data, mean, std)
