"""The judge's own work is bounded: what a student returns cannot keep it busy."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from autograder.engine.channel import frames, modules, values
from autograder.engine.channel.frames import FrameError
from autograder.engine.channel.values import Decoder, Encoder
from autograder.engine.judge.watchdog import JUDGE_SECONDS, CheckTimedOut, GraderTooSlow, watchdog
from autograder.records import Outcome
from shared import models
from tests.support import exercise, grade, small_course, submission

# ---- time --------------------------------------------------------------------------------------


def busy(seconds: float) -> None:
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def test_work_is_ended_and_waiting_is_not() -> None:
    with pytest.raises(CheckTimedOut), watchdog(0.2, lambda: True):
        busy(10)
    with watchdog(0.2, lambda: True):
        time.sleep(0.6)
    busy(0.4)  # and the timer is gone


def test_before_anything_was_asked_it_is_the_grader() -> None:
    with pytest.raises(GraderTooSlow), watchdog(0.2, lambda: False):
        busy(10)


def test_a_grader_that_swallows_it_is_ended_the_next_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("autograder.engine.judge.watchdog.AGAIN_SECONDS", 0.2)
    swallowed = [0]

    def stubborn() -> None:
        while swallowed[0] < 3:
            try:
                busy(10)
            except CheckTimedOut:
                swallowed[0] += 1
        busy(10)

    with pytest.raises(CheckTimedOut), watchdog(0.2, lambda: True):
        stubborn()
    assert swallowed == [3]


@pytest.mark.slow
def test_a_value_that_takes_for_ever_to_check_costs_that_test_only(tmp_path: Path) -> None:
    (tmp_path / "test_work.py").write_text(
        "from autograder.graders.toolkit import check, exercise\n\n"
        '@exercise("s1.count")\ndef test_walks(student):\n    """It is walked."""\n'
        "    for _ in range(student.count()):\n        pass\n\n"
        '@exercise("s1.count")\ndef test_again(student):\n    """It is a number."""\n'
        "    check(student.count() > 0, 'count')\n"
    )
    course = small_course(["count"], test_seconds=1, exercise_seconds=120, submission_seconds=300)
    work = submission("ada", {"work.py": "def count():\n    return 10 ** 15\n"})
    reports = grade(course, [work], tmp_path)
    walks, again = exercise(reports["ada"], "count").tests
    assert (walks.outcome, again.outcome) == (Outcome.TIMED_OUT, Outcome.PASSED)
    assert "checking what your code returned" in walks.message


# ---- modules -----------------------------------------------------------------------------------


def node(number: int, kind: str, **arguments: object) -> dict[str, Any]:
    """The node of a layer as a worker might write it."""
    encoder = Encoder(1 << 20)
    return {
        "$": "module",
        "id": number,
        "kind": kind,
        "train": True,
        "args": encoder.encode(arguments),
        "parameters": [],
        "buffers": [],
    }


@pytest.mark.parametrize(
    ("kind", "arguments"),
    [("ReLU", {}), ("Identity", {}), ("MLP", {"sizes": [2] * 60})],
)
def test_modules_are_counted_over_the_whole_frame(
    kind: str, arguments: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many small ones, and few that each make many: never more than the budget is built."""
    if kind not in modules.LAYERS and kind not in modules.REGISTRY:
        pytest.skip(f"no {kind}")
    built = [0]
    original = nn.Module.__init__

    def counting(self: nn.Module, *args: Any, **kwargs: Any) -> None:
        built[0] += 1
        original(self, *args, **kwargs)

    monkeypatch.setattr(nn.Module, "__init__", counting)
    nodes = [node(number, kind, **arguments) for number in range(13_000)]
    with pytest.raises(FrameError):
        Decoder([]).decode(nodes)
    assert built[0] <= modules.MAX_MODULES + 200


def test_an_ordinary_list_of_networks_crosses() -> None:
    networks = [nn.Sequential(nn.Linear(2, 2), nn.ReLU()) for _ in range(50)]
    encoder = Encoder(1 << 20)
    encoded = encoder.encode(networks)
    decoded = Decoder([bytearray(buffer) for buffer in encoder.buffers]).decode(encoded)
    assert len(decoded) == 50
    assert torch.equal(decoded[7][0].weight, networks[7][0].weight)


# ---- the largest frames --------------------------------------------------------------------------


WIDE = values.MAX_NODES - 10


def nested() -> Any:
    """Lists in lists, as deep as they may be."""
    value: Any = 1
    for _ in range(values.MAX_DEPTH - 2):
        value = [value]
    return value


LARGEST: dict[str, Callable[[], Any]] = {
    "numbers": lambda: [0] * WIDE,
    "long numbers": lambda: [2**999] * 10_000,
    "texts": lambda: ["x"] * WIDE,
    "long text": lambda: "x" * (values.MAX_STRING - 200),
    "truths": lambda: [True] * WIDE,
    "floats": lambda: [float("nan")] * 150_000,
    "tuples": lambda: [()] * 150_000,
    "mapping": lambda: dict.fromkeys(range(WIDE // 3), 0),
    "keys of tuples": lambda: {(n, n): 0 for n in range(values.MAX_TUPLE_KEYS - 1)},
    "depth": lambda: [nested()] * (WIDE // values.MAX_DEPTH),
    "bytes": lambda: [b"x"] * (frames.MAX_BUFFERS - 1),
    "tensors": lambda: [torch.zeros(1)] * (frames.MAX_BUFFERS - 1),
    "arrays": lambda: [np.zeros(1, "f4")] * (frames.MAX_BUFFERS - 1),
    "one tensor": lambda: torch.zeros(15_000_000),
    "layers": lambda: nn.Sequential(*(nn.ReLU() for _ in range(modules.MAX_MODULES - 2))),
    "layers with weights": lambda: nn.Sequential(*(nn.Linear(1, 1) for _ in range(4_000))),
    "one large model": lambda: models.MLP([2] * 60),
}
"""About the largest legal value of each kind that a frame may hold."""


@pytest.mark.slow
@pytest.mark.parametrize("kind", LARGEST)
def test_the_largest_frames_are_read_within_the_judges_time(kind: str) -> None:
    """From bytes to the value, under the watchdog that a check has."""
    encoder = Encoder(frames.FrameLimits().body_bytes)
    sent = LARGEST[kind]()
    header = {"id": 1, "op": "value", "value": encoder.encode(sent)}
    pieces = frames.pack(frames.Frame(header, encoder.buffers), frames.FrameLimits())
    ours, theirs = socket.socketpair()
    with ours, theirs:
        sender = threading.Thread(target=lambda: [theirs.sendall(piece) for piece in pieces])
        sender.start()
        with watchdog(JUDGE_SECONDS, lambda: True):
            frame = frames.receive(ours, frames.FrameLimits())
            value = Decoder(frame.buffers).decode(frame.header["value"])
        sender.join()
    assert type(value) is type(sent)
