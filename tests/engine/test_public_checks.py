"""What students hear: expected and actual values of public checks, rules, no paths of ours."""

from __future__ import annotations

import sys
import sysconfig
import tempfile
import textwrap
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

import autograder
from autograder.engine.judge.machine_paths import without_machine_paths
from autograder.engine.judge.public_checks import comparison
from autograder.engine.judge.rules import rule_of
from autograder.graders.toolkit import Failure
from tests.support import exercise, grade, small_course, submission

HEAD = """
from autograder.graders.toolkit import allclose, check, close, expect_int
import torch
"""
SIDES: dict[str, tuple[str, str] | None] = {
    "check(value == 16, 'hint é')": ("16", "12"),
    "check(expect_int(value, 'value') == 4 * 4, 'hint')": ("16", "12"),
    "check(close(value, 16.5), 'hint')": ("16.5", "12"),
    "check(allclose(torch.tensor([1.0]), torch.tensor([2.0])), 'hint')": (
        "tensor([2])",
        "tensor([1])",
    ),
    "check(value == 12 and value >= 13, 'hint')": ("at least 13", "12"),
    "check(bool(value > 20), 'hint')": ("more than 20", "12"),
    "check(value in (1, 2), 'hint')": ("one of (1, 2)", "12"),
    "check([x for x in range(value)][-1] == 3, 'hint')": ("3", "11"),
    "check(1 <= value <= 2, 'hint')": None,
    "check(not value, 'hint')": None,
    "check(student.again() == 3, 'hint')": None,
    "check(next(readings) == 3, 'hint')": None,
    "check(\n        value\n        == 16,\n        'hint',\n    )": ("16", "12"),
}


def imported(path: Path, text: str) -> Callable[[Any], None]:
    path.write_text(text, encoding="utf-8")
    module = ModuleType("test_public")
    exec(compile(text, str(path), "exec"), module.__dict__)
    test: Callable[[Any], None] = module.__dict__["test"]
    return test


class Once:
    """A student that may be asked once."""

    asked = 0

    def again(self) -> int:
        self.asked += 1
        return 12


@pytest.mark.parametrize("statement", SIDES)
def test_both_sides_of_a_failed_check(tmp_path: Path, statement: str) -> None:
    body = f"def test(student):\n    value, readings = 12, iter([12])\n    {statement}\n"
    test, student = imported(tmp_path / "test_public.py", HEAD + body), Once()
    with pytest.raises(Failure) as failure:
        test(student)
    asked = student.asked
    assert comparison(failure.value, [str(tmp_path)]) == SIDES[statement]
    assert student.asked == asked
    assert comparison(failure.value, [str(tmp_path / "elsewhere")]) is None


def test_no_folder_of_ours_is_shown() -> None:
    folders = {
        str(Path(torch.__file__).parent),
        sysconfig.get_path("stdlib"),
        sys.prefix,
        str(Path(autograder.__file__).parent),
        tempfile.gettempdir() + "/worker-1",
    }
    for folder in folders:
        shown = without_machine_paths(f"File {folder}/nn/module.py: no", ("/data/secret",))
        assert shown.startswith("File …/")
        assert shown.endswith("module.py: no")
    assert without_machine_paths("in /data/secret/x", ("/data/secret",)) == "in …/x"
    for theirs in ("/etc/passwd", "a/b/c", "/usr/share", "1/2", ""):
        assert without_machine_paths(theirs) == theirs


def test_only_what_honest_code_meets_is_a_rule() -> None:
    loader = "File '/x/torch/utils/data/dataloader.py', line 1"
    assert "num_workers=0" in rule_of("PermissionError", "[Errno 13] denied", loader)
    assert "torch.compile" in rule_of("TorchRuntimeError", "x", "/x/torch/_dynamo/utils.py")
    assert "`foo` is not installed" in rule_of("ModuleNotFoundError", "No module named 'foo'", "")
    withheld = "shared.profiling is not available while this session is graded"
    assert "`shared.profiling`" in rule_of("ImportError", withheld, "")
    assert rule_of("PermissionError", "[Errno 13] denied: '/etc/shadow'", "work.py") == ""
    assert rule_of("ImportError", withheld.replace("shared.profiling", "autograder"), "") == ""
    assert rule_of("ValueError", "bad", loader) == ""


CODE = """
    import os
    from torch.utils.data import DataLoader

    def loaded(values):
        print("loading", os.getcwd())
        return list(DataLoader(values, num_workers=2))

    def absent(values):
        import a_package_that_nobody_has

    def wrong(values):
        return sum(values) + 1

    def endless(values):
        while True:
            pass
"""
TESTS = """
    from autograder.graders.toolkit import Exercise, check

    def sum_of(name):
        def test(student):
            '''It adds.'''
            check(getattr(student, name)([1, 2]) == 3, "the sum")
        return Exercise(f"s1.{name}").check(visibility="visible")(test)

    test_loaded, test_absent, test_endless = map(sum_of, ("loaded", "absent", "endless"))

    @Exercise("s1.wrong").check(visibility="visible")
    def test_wrong(student):
        '''It adds.'''
        value = student.wrong([1, 2])
        check(value == 3, "the sum")
"""


@pytest.mark.slow
def test_a_student_hears_rules_calls_and_limits(tmp_path: Path) -> None:
    (tmp_path / "test_public.py").write_text(textwrap.dedent(TESTS))
    names = ["loaded", "absent", "wrong", "endless"]
    course = small_course(names, test_seconds=2)
    work = submission("ada", {"work.py": textwrap.dedent(CODE)})
    report = grade(course, [work], tmp_path, public=True)["ada"]
    told = {name: exercise(report, name).tests[0] for name in names}
    assert report.incidents == ()
    assert "num_workers=0" in told["loaded"].message
    assert told["loaded"].output.startswith("loading …")
    assert "is not installed where this is graded" in told["absent"].message
    assert told["wrong"].message == (
        "Worth checking: the sum\ncall: wrong([1, 2])\nexpected: 3\nactual: 4"
    )
    assert "did not finish within 2 s\ncall: endless([1, 2])" in told["endless"].message
    assert all(tempfile.gettempdir() not in test.message + test.output for test in told.values())
    assert report.sources["work.py"].startswith("\nimport os")
    assert report.versions["torch"].startswith(torch.__version__.partition("+")[0])
