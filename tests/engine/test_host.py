"""What the host does by itself: which modules are imported early, and messages to judges."""

from __future__ import annotations

import pickle
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autograder.engine.host.preload import mentioned, sources
from autograder.engine.messages import Messages
from tests.support import submission

DYNAMO, SKLEARN = "torch._dynamo", "sklearn.datasets"
SYMPY = "torch.fx.experimental.symbolic_shapes"
WATCHED = ("torch.utils.flop_counter", SYMPY)
ONNX = (
    "onnxscript.function_libs.torch_lib.ops",
    "torch.export._trace",
    "torch._inductor.decomposition",
)
PLOTS = ("matplotlib.pyplot", "matplotlib.backends.backend_agg")


@pytest.mark.parametrize(
    ("text", "modules"),
    [
        ("import torch\n", ()),
        ("opt = torch.optim.SGD(model.parameters(), lr=0.1)", ()),
        ("torch.onnx.export(model, inputs, file)", (DYNAMO, *ONNX)),
        ("from torch import nn, onnx", (DYNAMO, *ONNX)),
        ("program = torch.export.export(model, inputs)", (DYNAMO,)),
        ("from torch.export import export", (DYNAMO,)),
        ("from torch import compile, nn", (DYNAMO,)),
        ("from shared.profiling import profile_layers", WATCHED),
        ("from shared import profiling", WATCHED),
        ("x = torch.empty(3, device='meta')", (SYMPY,)),
        ("_, grads = student.vjp('f', (x,), ones)", (SYMPY,)),
        ("loss.backward()", ()),
        ("import optuna", ("optuna",)),
        ("data = load_digits().scaled()", ()),
        ("from sklearn.datasets import load_iris", (SKLEARN,)),
        ("the network is trained on digits, its torch compiles nothing", ()),
        ("figure = latency_plot(rows)", PLOTS),
        ("import tensorrt_rtx as trt", ("tensorrt_rtx",)),
        ("import sklearn\ntorch.compile(model)", (DYNAMO, SKLEARN)),
    ],
)
def test_what_a_source_mentions_is_imported_early(text: str, modules: tuple[str, ...]) -> None:
    assert mentioned([b"x = 1", text.encode()]) == modules


def test_graders_and_submissions_are_looked_at(tmp_path: Path) -> None:
    (tmp_path / "test_work.py").write_text("first")
    (tmp_path / "notes.txt").write_text("ignored")
    (tmp_path / "alone.py").write_text("second")
    students = [submission("ada", {"work.py": "third"})]
    found = list(sources((str(tmp_path), str(tmp_path / "alone.py")), students))
    assert found == [b"second", b"first", b"second", b"third"]


def test_the_host_imports_no_judge_and_no_torch() -> None:
    code = (
        "import sys, autograder.engine.host.pool\n"
        "heavy = ('torch', 'pytest', 'shared.models', 'autograder.engine.judge.plugin')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@given(st.lists(st.binary(max_size=300_000) | st.text() | st.tuples(st.integers()), max_size=4))
def test_messages_arrive_whole_and_in_order(values: list[object]) -> None:
    ours, theirs = (Messages(end) for end in socket.socketpair())
    sender = threading.Thread(target=lambda: [ours.send(value) for value in values])
    sender.start()
    assert [theirs.receive() for _ in values] == values
    sender.join()
    assert not theirs.wait(0)
    ours.close()
    assert theirs.wait(1)
    with pytest.raises(EOFError):
        theirs.receive()
    theirs.close()


def test_half_a_message_is_no_message() -> None:
    plain, theirs = socket.socketpair()
    data = pickle.dumps("whole")
    plain.sendall((len(data) + 1).to_bytes(8, "little") + data)
    plain.close()
    messages = Messages(theirs)
    with pytest.raises(EOFError):
        messages.receive()
    messages.close()
