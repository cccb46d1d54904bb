"""The bank of cheats: refused in one sentence, or charged for everything."""

from __future__ import annotations

import json
import re

import pytest

from autograder.scoring import inside
from autograder.scoring.records import Layer, Measurement
from autograder.scoring.strict import record
from tests.scoring import build
from tests.scoring.cheats import CHEATS, RUNNING, honest


def measure(content: bytes) -> str | Measurement:
    """What the process in the sandbox answers: a refusal or a measurement."""
    answer = json.loads(inside.measure(content, list(build.SHAPE), build.CLASSES))
    if "refusal" in answer:
        return str(answer["refusal"])
    layers = tuple(record(Layer, each) for each in answer["layers"])
    return Measurement(len(content), "", answer["opset"], layers)


def test_the_honest_file_is_measured() -> None:
    found = measure(honest().SerializeToString())
    assert isinstance(found, Measurement)
    assert (found.params, found.macs, found.ops) == (650, 640, 10)


@pytest.mark.parametrize("name", [name for name, each in CHEATS.items() if each.refused])
def test_refused(name: str) -> None:
    found = measure(CHEATS[name].content())
    assert isinstance(found, str)
    assert re.search(CHEATS[name].refused, found), found
    assert len(found.splitlines()) == 1


@pytest.mark.parametrize("name", [name for name, each in CHEATS.items() if not each.refused])
def test_charged(name: str) -> None:
    cheat = CHEATS[name]
    found = measure(cheat.content())
    assert isinstance(found, Measurement), found
    assert {each: getattr(found, each) for each in cheat.charged} == dict(cheat.charged)
    if cheat.widths:
        products = [each for layer in found.layers for each in layer.products]
        assert [(p.weight_bits, p.activation_bits) for p in products] == list(cheat.widths)


@pytest.mark.parametrize("name", RUNNING)
def test_what_shows_only_when_it_runs_can_be_read(name: str) -> None:
    assert isinstance(measure(RUNNING[name].content()), Measurement)


def test_the_bank_is_large_enough() -> None:
    assert len(CHEATS) + len(RUNNING) >= 100
