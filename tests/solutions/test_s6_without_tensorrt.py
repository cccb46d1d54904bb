"""Session 6 is graded where no TensorRT is installed: nobody loses points for that."""

from __future__ import annotations

import sys

import pytest

from autograder.records import Report
from tests import bank
from tests.support import ROOT, exercise, grade, submission

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs a zygote to replace")
NAMES = ("unsupported_nodes", "build_engine", "optimization_profile")
INTERPRETER = """#!/bin/sh
# As python -I -c CODE, but tensorrt_rtx cannot be imported.
exec "{python}" "$1" "$2" "import sys; sys.modules['tensorrt_rtx'] = None
$3"
"""


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Report]:
    """The solution, and one that takes every target, graded by an interpreter without a builder."""
    course = bank.course()
    session = next(each for each in course.sessions if each.id == "s6")
    files = bank.solution(session)
    checks = "not set(targets) <= set(TARGETS)"
    assert checks in files["tensorrt_build.py"]
    careless = files["tensorrt_build.py"].replace(f" or {checks}", "")
    script = tmp_path_factory.mktemp("interpreter") / "python"
    script.write_text(INTERPRETER.format(python=sys.executable), encoding="utf-8")
    script.chmod(0o755)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "executable", str(script))
        return grade(
            course.model_copy(update={"sessions": (session,)}),
            [
                submission("right", files),
                submission("careless", {**files, "tensorrt_build.py": careless}),
                submission("blank", bank.blank(session)),
            ],
            ROOT / "autograder" / "graders" / session.folder,
            only=tuple(f"s6.{name}" for name in NAMES),
            fresh=True,
        )


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_right_submission_keeps_all_points(reports: dict[str, Report], name: str) -> None:
    result = exercise(reports["right"], name)
    assert result.points == result.maximum, [test for test in result.tests if test.detail]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["unsupported_nodes", "build_engine"])
def test_the_report_says_that_there_is_no_builder(reports: dict[str, Report], name: str) -> None:
    titles = [test.title for test in exercise(reports["right"], name).tests]
    assert any(title.startswith("No TensorRT is installed where this") for title in titles)
    assert not any("byte by byte" in title for title in titles)


def test_what_needs_no_builder_is_still_checked(reports: dict[str, Report]) -> None:
    result = exercise(reports["careless"], "build_engine")
    assert 0 < result.points < result.maximum
    assert [exercise(reports["blank"], name).points for name in NAMES] == [0, 0, 0]
