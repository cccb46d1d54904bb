"""ONNX files that the judge writes itself, with drawn weights, and what they compute."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper
from torch import Tensor

from autograder.graders.common import scrambled_digits
from autograder.graders.toolkit import RandomInputs

Array = NDArray[Any]
FLOAT = TensorProto.FLOAT
BAD_FILES = (b"", b"no ONNX file at all", b"\x00" * 40)
"""Bytes that are no model; the first parses as an empty one."""


def file_of(
    nodes: Sequence[NodeProto],
    inputs: Mapping[str, tuple[int, Sequence[Any]]],
    outputs: Mapping[str, tuple[int, Sequence[Any]]],
    constants: Mapping[str, Any],
    opset: int = 18,
) -> bytes:
    """A checked file; inputs and outputs are name -> (type, shape)."""
    graph = helper.make_graph(
        list(nodes),
        "graph",
        [helper.make_tensor_value_info(name, *value) for name, value in inputs.items()],
        [helper.make_tensor_value_info(name, *value) for name, value in outputs.items()],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    imports = [helper.make_opsetid("", opset)]
    model = helper.make_model(
        graph, opset_imports=imports, ir_version=helper.find_min_ir_version_for(imports)
    )
    onnx.checker.check_model(model, full_check=True)
    data: bytes = model.SerializeToString()
    return data


@dataclass(frozen=True)
class DrawnNetwork:
    """Conv, ReLU, flatten, MatMul, ReLU, Gemm: weights by the name of their initialiser."""

    weights: dict[str, Array]
    biases: dict[str, Array]
    size: int = 6
    transposed: bool = True
    opset: int = 18
    input_name: str = "input"

    @property
    def image(self) -> tuple[int, int, int]:
        """The shape of one image."""
        return self.weights["conv"].shape[1], self.size, self.size

    @property
    def classes(self) -> int:
        """Number of outputs."""
        return len(self.biases["scale"])

    @property
    def content(self) -> bytes:
        """The file; the batch is free."""
        nodes = [
            helper.make_node("Conv", [self.input_name, "conv", "mean"], ["c"], pads=[1, 1, 1, 1]),
            helper.make_node("Relu", ["c"], ["scaled"]),
            helper.make_node("Flatten", ["scaled"], ["f"]),
            helper.make_node("MatMul", ["f", "matmul"], ["m"]),
            helper.make_node("Relu", ["m"], ["prepared"]),
            helper.make_node(
                "Gemm", ["prepared", "gemm", "scale"], ["output"], transB=int(self.transposed)
            ),
        ]
        for number, node in enumerate(nodes):
            node.name = f"layer {number}"
        return file_of(
            nodes,
            {self.input_name: (FLOAT, ["N", *self.image])},
            {"output": (FLOAT, ["N", self.classes])},
            {**self.weights, **self.biases},
            self.opset,
        )

    def outputs(self, images: Array) -> Array:
        """What the file computes, in float64."""
        w = {name: torch.from_numpy(value).double() for name, value in self.weights.items()}
        b = {name: torch.from_numpy(value).double() for name, value in self.biases.items()}
        x = torch.from_numpy(np.asarray(images)).double()
        x = F.relu(F.conv2d(x, w["conv"], b["mean"], padding=1)).flatten(1)
        x = F.relu(x @ w["matmul"])
        gemm = w["gemm"].T if self.transposed else w["gemm"]
        return (x @ gemm + b["scale"]).numpy()

    def channels(self, name: str) -> int:
        """The dimension of a weight that counts its outputs."""
        return 0 if name == "conv" or (name == "gemm" and self.transposed) else 1

    def with_weight(self, name: str, weight: Array) -> DrawnNetwork:
        """The same network with another weight."""
        return replace(self, weights={**self.weights, name: weight.astype(np.float32)})


def drawn_network(rng: RandomInputs, channels: int = 3, **options: Any) -> DrawnNetwork:
    """A small network with drawn weights. Its other initialisers have names that one may want."""
    width, classes = rng.sample(range(4, 10), 2)  # never alike: a shape tells whose it is
    hidden, size = rng.integer(12, 18), 6
    transposed = options.pop("transposed", True)
    flat = width * size * size
    gemm = (classes, hidden) if transposed else (hidden, classes)
    shapes = {"conv": (width, channels, 3, 3), "matmul": (flat, hidden), "gemm": gemm}
    fans = {"conv": 9 * channels, "matmul": flat, "gemm": hidden}
    weights = {n: rng.normal(*s).numpy() * np.float32(fans[n] ** -0.5) for n, s in shapes.items()}
    biases = {"mean": rng.normal(width).numpy(), "scale": rng.normal(classes).numpy()}
    return DrawnNetwork(weights, biases, size, transposed, **options)


def images_for(network: DrawnNetwork, rng: RandomInputs, batch: int) -> Array:
    """Gaussian images, float32 (batch, C, H, W)."""
    drawn: Array = rng.normal(batch, *network.image).numpy()
    return drawn


def agree(actual: Array, expected: Array, tolerance: float = 1e-5) -> bool:
    """Whether outputs are of one shape and equal to `tolerance` of the largest one."""
    if actual.shape != expected.shape or not np.isfinite(actual).all():
        return False
    scale = max(float(np.abs(expected).max()), 1e-30)
    return float(np.abs(actual.astype(np.float64) - expected).max()) <= tolerance * scale


def damaged_files(content: bytes) -> list[bytes]:
    """Files that are no whole model: empty, junk, cut off, with data elsewhere."""
    return [*BAD_FILES, content[: len(content) // 2], external(content)]


def external(content: bytes) -> bytes:
    """The file with its first tensor's data in another file."""
    model: ModelProto = onnx.load_model_from_string(content)
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="model.onnx.data")
    data: bytes = model.SerializeToString()
    return data


# ---- digits --------------------------------------------------------------------------------------

WIDTHS = (64, 256, 300, 10)
"""93,540 weights and 566 biases."""
TRAINING_IMAGES = 1200


@dataclass(frozen=True)
class TrainedFile:
    """A network for digits that nobody else has, as a file, and digits that it has not seen."""

    content: bytes
    calibration: Array
    images: Array
    labels: Array

    def accuracy(self, outputs: Array) -> float:
        """Share of right predictions on `images`."""
        return float(np.mean(outputs.argmax(axis=1) == self.labels))


@functools.lru_cache(maxsize=2)
def _trained(seed: int) -> TrainedFile:
    rng = RandomInputs(seed.to_bytes(8, "little"))
    images, labels = scrambled_digits(rng)
    weights = [rng.normal(b, a, std=(2 / a) ** 0.5) for a, b in itertools.pairwise(WIDTHS)]
    biases = [torch.zeros(width) for width in WIDTHS[1:]]
    parameters = [each.requires_grad_() for each in (*weights, *biases)]
    velocities = [torch.zeros_like(each) for each in parameters]
    for step in range(150):
        batch = rng.integers(0, TRAINING_IMAGES - 1, 128)
        loss = F.cross_entropy(_forward(images[batch], weights, biases), labels[batch])
        for each, velocity, gradient in zip(
            parameters, velocities, torch.autograd.grad(loss, parameters), strict=True
        ):
            velocity.mul_(0.9).add_(gradient)
            each.data.sub_(velocity, alpha=0.1 * (1 - step / 150))
    names = ("first", "second", "third")
    constants = {n: w.detach().numpy() for n, w in zip(names, weights, strict=True)}
    constants |= {f"{n}.bias": b.detach().numpy() for n, b in zip(names, biases, strict=True)}
    nodes, at = [helper.make_node("Flatten", ["pixels"], ["flat"])], "flat"
    for place, name in enumerate(names):
        out = "logits" if place == 2 else f"sum {place}"
        nodes.append(helper.make_node("Gemm", [at, name, f"{name}.bias"], [out], transB=1))
        if place < 2:
            at = f"hidden {place}"
            nodes.append(helper.make_node("Relu", [out], [at]))
    content = file_of(
        nodes,
        {"pixels": (FLOAT, ["batch", 1, 8, 8])},
        {"logits": (FLOAT, ["batch", 10])},
        constants,
        opset=21,
    )
    kept = images[TRAINING_IMAGES:], labels[TRAINING_IMAGES:]
    return TrainedFile(content, images[:256].numpy(), kept[0].numpy(), kept[1].numpy())


def trained_digits(rng: RandomInputs) -> TrainedFile:
    """A network trained on digits, whose images and classes are scrambled, within a second."""
    return _trained(rng.seed())


def _forward(x: Tensor, weights: Sequence[Tensor], biases: Sequence[Tensor]) -> Tensor:
    x = x.flatten(1)
    for place, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        x = F.linear(x if place == 0 else F.relu(x), weight, bias)
    return x
