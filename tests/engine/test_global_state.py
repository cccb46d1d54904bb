"""What a call leaves changed in its process is seen, named, and put back for the next call."""

from __future__ import annotations

from pathlib import Path

import pytest

from autograder.engine.worker.global_state import STATE
from autograder.records import Outcome, Report
from tests.support import exercise, grade, small_course, submission

CHANGES = {
    "whether gradients are recorded": "torch.set_grad_enabled(False)",
    "torch's default dtype": "torch.set_default_dtype(torch.float64)",
    "the number of torch's threads": "torch.set_num_threads(torch.get_num_threads() + 1)",
    "torch.use_deterministic_algorithms": "torch.use_deterministic_algorithms(True)",
    "whether autocast is on": "torch.set_autocast_enabled('cpu', True)",
    "torch's anomaly detection": "torch.autograd.set_detect_anomaly(True)",
    "NumPy's handling of floating-point errors": "numpy.seterr(all='ignore')",
    "the hooks on all modules": (
        "torch.nn.modules.module.register_module_forward_hook(lambda *a: None)"
    ),
}

GRADERS = """
from autograder.graders.toolkit import Exercise, check, expect_value_error

{declared}
"""

GRADER = '''
e{n} = Exercise("s1.f{n}")

@e{n}.check()
def test_call_{n}(student):
    """It says yes."""
    check(student.f{n}() == "yes", "say yes")

@e{n}.check()
def test_refusal_{n}(student):
    """What is no number is refused."""
    expect_value_error(student.f{n}, "no number")

@e{n}.check()
def test_clean_{n}(student):
    """The next call finds everything as it was."""
    check(student.state_is_kept(), "it was put back")
'''

WORK = """
import numpy
import torch

def state():
    return (
        torch.is_grad_enabled(), torch.get_default_dtype(), torch.get_num_threads(),
        torch.are_deterministic_algorithms_enabled(), torch.is_autocast_enabled("cpu"),
        torch.is_anomaly_enabled(), numpy.geterr(),
    )

BEFORE = state()

def state_is_kept():
    return state() == BEFORE
"""

FUNCTION = """
def f{n}(value=0):
    {change}
    return "yes"
"""


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    graders = tmp_path_factory.mktemp("graders")
    declared = "\n".join(GRADER.format(n=n) for n in range(len(CHANGES)))
    (graders / "test_work.py").write_text(GRADERS.format(declared=declared))
    changes = enumerate(CHANGES.values())
    code = WORK + "\n".join(FUNCTION.format(n=n, change=change) for n, change in changes)
    course = small_course([f"f{n}" for n in range(len(CHANGES))])
    return grade(course, [submission("ann", {"work.py": code})], graders)["ann"]


def test_all_of_it_is_tried() -> None:
    assert CHANGES.keys() == STATE.keys()


@pytest.mark.slow
@pytest.mark.parametrize("name", CHANGES)
def test_a_change_is_named_and_put_back(report: Report, name: str) -> None:
    call, refusal, clean = exercise(report, f"f{list(CHANGES).index(name)}").tests
    sentence = f"the call left {name} changed: put back what is global"
    assert (call.outcome, call.message) == (Outcome.FAILED, sentence)
    assert (refusal.outcome, refusal.message) == (Outcome.FAILED, sentence)
    assert clean.outcome is Outcome.PASSED


def test_seeding_as_an_earlier_check_did_is_seen(tmp_path: Path) -> None:
    """A digest before and after does not tell a generator that was seeded the same way before."""
    (tmp_path / "test_work.py").write_text(
        '''
from autograder.graders.toolkit import Exercise, check

draw = Exercise("s1.draw")

@draw.check()
def test_first(student):
    """It draws."""
    student.draw(3)

@draw.check()
def test_generators(student):
    """Global generators are left alone."""
    before = student.rng_fingerprint()
    student.draw(3)
    check(student.rng_fingerprint() == before, "a global generator was seeded")
'''
    )
    seeding = {
        "torch": "torch.manual_seed(seed)",
        "numpy": "numpy.random.seed(seed)",
        "python": "random.seed(seed)",
        "none": "torch.Generator().manual_seed(seed)",
    }
    code = "import random, numpy, torch\ndef draw(seed):\n    {}\n"
    entries = [submission(n, {"work.py": code.format(c)}) for n, c in seeding.items()]
    reports = grade(small_course(["draw"]), entries, tmp_path)
    outcomes = {n: exercise(r, "draw").tests[1].outcome for n, r in reports.items()}
    assert outcomes.pop("none") is Outcome.PASSED
    assert set(outcomes.values()) == {Outcome.FAILED}
