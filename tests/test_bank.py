"""The bank's way of putting a mistake into a solution whose functions call each other."""

from __future__ import annotations

import sys
import types
from typing import Any

import pytest

from tests import bank
from tests.bank import inject

MASKS = '''
from shared.checks import check_int


def mask(x):
    """Sum up. mask(x) is mentioned here."""
    # BEGIN SOLUTION s1.mask
    return helper(x) + 1
    # END SOLUTION


def helper(x):
    # BEGIN SOLUTION s1.mask
    return 10 * x
    # END SOLUTION


def unmask(x):
    # BEGIN SOLUTION s1.mask
    return (mask(x) - 1) / 10
    # END SOLUTION


class Share:
    def get(self, x, scale=mask(0)):
        # BEGIN SOLUTION s1.Share
        return [mask(each) * scale for each in x]
        # END SOLUTION


def hidden(x, mask=len):
    # BEGIN SOLUTION s1.hidden
    return mask(x) + (lambda helper: helper)(1)
    # END SOLUTION
'''
FILES = """
def pack(x):
    # BEGIN SOLUTION s1.pack
    from masks import mask, helper as times_ten

    return mask(x), times_ten(x)
    # END SOLUTION
"""
SOLUTION = {"masks.py": MASKS, "files.py": FILES}


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Import the modules of a submission from text, each under its name."""

    def execute(files: dict[str, str]) -> types.SimpleNamespace:
        modules = {}
        for name, text in files.items():
            module = types.ModuleType(name.removesuffix(".py"))
            monkeypatch.setitem(sys.modules, module.__name__, module)
            exec(compile(text, name, "exec"), module.__dict__)
            modules[module.__name__] = module
        return types.SimpleNamespace(**modules)

    return execute


def results(modules: Any) -> tuple[Any, ...]:
    masks, files = modules.masks, modules.files
    return (
        masks.mask(2),
        masks.unmask(21),
        masks.Share().get([2]),
        masks.hidden("ab"),
        files.pack(2),
    )


RIGHT = (21, 21.0, [21], 3, (21, 20))


def test_the_solution_is_what_the_test_takes_it_for(run: Any) -> None:
    assert results(run(SOLUTION)) == (21, 21.0, [21], 3, (21, 20))


@pytest.mark.parametrize(
    ("text", "own"),
    [
        ("def mask(x): return -1", (-1, -0.2)),
        ("def helper(x): return 0", (1, 0.0)),  # a helper of the exercise's own functions
        ("def unmask(x): return 0", (21, 0)),
        ("def helper(x): return 3 * x\ndef unmask(x): return mask(x)", (7, 64)),
        ("def mask(x): return Share().get([x])[0]\ndef unmask(x): return 0", (21, 0)),
    ],
)
def test_only_the_exercise_itself_sees_its_mistake(run: Any, text: str, own: Any) -> None:
    found = results(run(inject(SOLUTION, "masks.py", "s1.mask", text)))
    assert found[:2] == pytest.approx(own)
    assert found[2:] == RIGHT[2:]


def test_a_mistake_in_a_caller_leaves_what_it_calls(run: Any) -> None:
    text = "class Share:\n    def get(self, x): return mask(x[0]) + 1"
    found = results(run(inject(SOLUTION, "masks.py", "s1.Share", text)))
    assert found == (*RIGHT[:2], 22, *RIGHT[3:])


def test_several_mistakes_stay_apart(run: Any) -> None:
    texts = {"s1.mask": "def unmask(x): return 0", "s1.hidden": "def hidden(x): return mask(1)"}
    found = results(run(bank.inject_all(SOLUTION, "masks.py", texts)))
    assert found == (21, 0, RIGHT[2], 11, RIGHT[4])


def test_no_change_is_the_solution(run: Any) -> None:
    for file, exercise in (
        ("masks.py", "s1.mask"),
        ("masks.py", "s1.Share"),
        ("files.py", "s1.pack"),
    ):
        assert results(run(inject(SOLUTION, file, exercise, ""))) == RIGHT


@pytest.mark.slow
@pytest.mark.parametrize("session", [s for s in bank.course().sessions if s.kind == "functions"])
def test_every_wrong_submission_compiles(session: Any) -> None:
    for name, text in {file for entry in bank.wrong(session) for file in entry.submission.files}:
        compile(text, name, "exec")
