"""Training does without torch's compiler, and whoever compiles has it."""

from __future__ import annotations

import subprocess
import sys

import pytest

START = """
import inspect, sys, warnings
warnings.simplefilter("ignore")
import torch
from torch import nn
from autograder.engine import compiler

def trained():
    torch.manual_seed(0)
    model = nn.Linear(3, 2)
    kinds = [k for k in vars(torch.optim).values() if isinstance(k, type)]
    simple = [k for k in kinds if k not in (torch.optim.Optimizer, torch.optim.SparseAdam)]
    for kind in simple:
        weights = [model.weight] if kind is torch.optim.Muon else list(model.parameters())
        optimizer = kind(weights, lr=0.01)
        def loss():
            optimizer.zero_grad()
            value = model(torch.ones(4, 3)).square().sum()
            value.backward()
            return value
        optimizer.step(loss)
        optimizer.state_dict()
    assert len(simple) > 10
    return model.weight.detach().clone()

compiler.leave_out()
there = lambda: hasattr(sys.modules[compiler.NAME], "optimize_assert")
absent = lambda: type(sys.modules[compiler.NAME]).__name__ == "_Absent"
"""


def run(code: str) -> str:
    """What an interpreter prints that has left the compiler out."""
    done = subprocess.run(
        [sys.executable, "-c", START + code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.slow
def test_training_gives_the_same_without_it() -> None:
    code = (
        "without = trained()\n"
        "inspect.getmodule(inspect.currentframe())  # looks at every module\n"
        "assert absent()\n"
        "import torch._dynamo.utils\n"
        "assert there() and torch._dynamo is sys.modules[compiler.NAME]\n"
        "print(bool((without == trained()).all()))"
    )
    assert run(code) == "True"


@pytest.mark.slow
def test_who_needs_it_has_it() -> None:
    for need in (
        "torch.compile(nn.Linear(3, 2), backend='eager')(torch.ones(1, 3))",
        "torch.export.export(nn.Linear(3, 2), (torch.ones(1, 3),))",
        "from torch._dynamo import config; config.verbose",
        "torch._dynamo.reset()",
    ):
        assert run(f"{need}\nprint(there())") == "True", need


def test_what_it_is_told_changes_nothing() -> None:
    code = (
        "f = lambda: 1\n"
        "dynamo = sys.modules[compiler.NAME]\n"
        "dynamo.graph_break()\n"
        "print(dynamo.disable(f) is f, dynamo.disable(recursive=False)(f) is f, absent())"
    )
    assert run(code) == "True True True"


@pytest.mark.slow
def test_one_that_is_there_stays() -> None:
    code = "import torch._dynamo\nassert there()\ncompiler.leave_out()\nprint(there())"
    assert run(code) == "True"
