"""The bank of cheats: refused in one sentence, or charged for everything."""

from __future__ import annotations

import re

import numpy as np
import pytest
from onnx import TensorProto

from autograder.project import constants, graph, inference, rules, worker_side
from autograder.records.codec import rebuild
from autograder.records.measurement import MeasuredLayer, Measurement
from tests.project import build
from tests.project.cheats import CHEATS, RUNNING, honest


def measure(content: bytes) -> str | Measurement:
    """What the process in the sandbox answers: a refusal or a measurement."""
    answer = worker_side.measure(content, list(build.SHAPE), build.CLASSES)
    if "refusal" in answer:
        return str(answer["refusal"])
    layers = tuple(rebuild(MeasuredLayer, layer) for layer in answer["layers"])
    return Measurement(len(content), "", answer["opset"], layers)


def widths(measured: Measurement) -> list[tuple[int, int]]:
    """(weight, activation) bits of all products in order."""
    products = [p for layer in measured.layers for p in layer.products]
    return [(p.weight_bits, p.activation_bits) for p in products]


def test_the_honest_file_is_measured() -> None:
    measured = measure(honest().SerializeToString())
    assert isinstance(measured, Measurement)
    assert (measured.params, measured.macs, measured.ops) == (650, 640, 10)


@pytest.mark.parametrize("name", [name for name, cheat in CHEATS.items() if cheat.refused])
def test_refused(name: str) -> None:
    measured = measure(CHEATS[name].content())
    assert isinstance(measured, str)
    assert re.search(CHEATS[name].refused, measured), measured
    assert len(measured.splitlines()) == 1


@pytest.mark.parametrize("name", [name for name, cheat in CHEATS.items() if not cheat.refused])
def test_charged(name: str) -> None:
    cheat = CHEATS[name]
    measured = measure(cheat.content())
    assert isinstance(measured, Measurement), measured
    assert {key: getattr(measured, key) for key in cheat.charged} == dict(cheat.charged)
    if cheat.widths:
        assert widths(measured) == list(cheat.widths)
    for products in (p for layer in measured.layers for p in layer.products):
        used = products.outputs - products.empty_outputs  # each takes its products less one
        assert 0 <= used <= products.nonzero_macs <= products.macs


@pytest.mark.parametrize("name", RUNNING)
def test_what_shows_only_when_it_runs_can_be_read(name: str) -> None:
    assert isinstance(measure(RUNNING[name].content()), Measurement)


@pytest.mark.parametrize("name", [name for name, cheat in CHEATS.items() if not cheat.refused])
def test_what_is_charged_has_the_shapes_that_it_was_charged_for(name: str) -> None:
    """ONNX's inference and the runtime agree, or the file is refused when it runs."""
    content = CHEATS[name].content()
    assert worker_side.shape_mismatch(content, list(build.SHAPE), build.CLASSES) == ""


@pytest.mark.parametrize("name", [name for name, cheat in CHEATS.items() if not cheat.refused])
def test_integers_are_never_decoded_to_numbers_that_round(name: str) -> None:
    """What float32 rounds to a zero point, or to another index, is none to the runtime."""
    network = graph.read(CHEATS[name].content(), build.SHAPE, build.CLASSES)
    decode = constants.decoder(network)
    for tensor, kind in network.types.items():
        if kind in rules.INTEGERS and tensor not in network.activations:
            values = decode(tensor).values
            assert values is None or values.dtype.name.startswith(("int", "uint")), tensor


def test_memory_that_runs_out_is_not_a_graph_that_cannot_be_measured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whoever called is told what was missing, and tells it."""

    def count(_: object) -> None:
        raise MemoryError("no room for 1 GB")

    monkeypatch.setattr(worker_side.counting, "count", count)
    with pytest.raises(MemoryError, match="no room"):
        measure(honest().SerializeToString())


def test_names_of_nodes_mean_nothing_to_the_runtime() -> None:
    """ONNX Runtime removes pairs of Casts that are called so, and with them their rounding."""

    def logits(name: str) -> np.ndarray:
        nodes = [
            build.node("Cast", ["w"], ["h"], name=name and f"{name}1", to=TensorProto.FLOAT16),
            build.node("Cast", ["h"], ["d"], name=name and f"{name}2", to=TensorProto.FLOAT),
            build.node("Conv", ["x", "d"], ["y"]),
        ]
        tiny = build.floats(1, 1, 3, 3) * np.float32(1e-9)
        content = build.between(nodes, {"w": tiny}).SerializeToString()
        images = np.full((1, *build.SHAPE), 16, np.uint8)
        return inference.logits(inference.session(content), images, 1)

    assert np.array_equal(logits("InsertedPrecisionFreeCast_"), logits(""))


def test_the_bank_is_large_enough() -> None:
    assert len(CHEATS) + len(RUNNING) >= 100
