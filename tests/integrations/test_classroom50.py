"""What Classroom 50 gets: a bundle that its runner executes in a checkout, and result.json."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autograder.course import Course, load_course
from autograder.errors import AutograderError
from autograder.integrations.classroom50.bundle import bundle, write_bundle
from autograder.integrations.classroom50.results import (
    ROUNDING,
    Submitted,
    release_body,
    result_json,
    submitted,
    whole,
)
from autograder.records import ExerciseResult, Outcome, Report
from tests import hidden_text
from tests.integrations import small
from tests.integrations.test_github import HOSTILE
from tests.support import ROOT

SCHEMA = json.loads(Path(__file__).with_name("classroom50_schema.json").read_text("utf-8"))
RUNNER = {
    "CLASSROOM": "nn",
    "ASSIGNMENT": "s1",
    "ASSIGNMENT_TYPE": "individual",
    "USERNAME": "ada",
    "OWNER": "ada",
    "SUBMISSION_TAG": "submit/2027-01-20T10-00-00Z-a1b2c3d",
    "COMMIT_URL": "https://github.com/org/nn-s1-ada/commit/a1b2c3d",
    "RELEASE_URL": "https://github.com/org/nn-s1-ada/releases/tag/submit%2F2027",
    "REVIEW_URL": "https://github.com/org/nn-s1-ada/compare/0...1",
}


@pytest.fixture
def course(tmp_path: Path) -> tuple[Course, Path]:
    return small.course(tmp_path)


def graded(course: tuple[Course, Path], folder: Path, text: str | None) -> dict[str, Any]:
    """Let autograder.py run in a student's checkout as the runner does; its validated result."""
    rules, root = course
    write_bundle(rules, root, rules.sessions[0], folder / "out")
    checkout = folder / "out" / "template"
    module = checkout / "assignments/s1_small/work.py"
    module.unlink() if text is None else module.write_text(text)
    for package in ("pip", "autograder", "subprocess"):  # nothing is imported from the checkout
        (checkout / f"{package}.py").write_text("raise SystemExit(9)\n")
    script = folder / "out" / "autograder" / "autograder.py"
    (folder / "no-pip.py").write_text(WITHOUT_PIP)
    done = subprocess.run(
        [sys.executable, folder / "no-pip.py", script],
        cwd=checkout,
        env={**os.environ, **RUNNER},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "::" not in done.stdout
    tree: dict[str, Any] = json.loads((checkout / "result.json").read_text())
    jsonschema.validate(tree, SCHEMA)
    assert tree["score"] == sum(test["score"] for test in tree["tests"])
    assert tree["max-score"] == sum(test["max-score"] for test in tree["tests"])
    assert all(test["score"] <= test["max-score"] for test in tree["tests"])
    return {**tree, "body": (checkout / "release-body.md").read_text()}


# The kit is installed already, so the bundle's own pip command is only looked at.
WITHOUT_PIP = """\
import runpy, subprocess, sys
run = subprocess.run
def installed(command, **options):
    if command[3] != "pip":
        return run(command, **options)
    assert command[:3] == [sys.executable, "-I", "-m"] and command[4] == "install", command
    assert command[-1].endswith("autograder/kit"), command
    return subprocess.CompletedProcess(command, 0)
subprocess.run = installed
runpy.run_path(sys.argv[1], run_name="__main__")
"""


@pytest.mark.slow
def test_the_runner_gets_a_result_and_a_body(course: tuple[Course, Path], tmp_path: Path) -> None:
    tree = graded(course, tmp_path, small.RIGHT.replace("n / 2", "n // 2 if n < 5 else 0"))
    assert {key: tree[key] for key in ("classroom", "assignment", "owner", "submission")} == {
        "classroom": "nn",
        "assignment": "s1",
        "owner": "ada",
        "submission": RUNNER["SUBMISSION_TAG"],
    }
    names = {test["test-name"]: test for test in tree["tests"]}
    assert list(names) == ["s1.double: Twice", "s1.half: A half", "s1.name: A name"]
    assert [names[name]["passed"] for name in names] == [True, False, True]
    assert [names[name]["score"] for name in names] == [60, 18, 3]  # of 60, half of 37.5, of 2.5
    assert tree["max-score"] == 60 + 38 + 3
    assert ROUNDING in tree["body"]
    assert "hidden checks" in tree["body"]


@pytest.mark.slow
@pytest.mark.parametrize("text", [None, HOSTILE])
def test_whatever_a_student_pushes_is_a_result(
    course: tuple[Course, Path], tmp_path: Path, text: str | None
) -> None:
    tree = graded(course, tmp_path, text)
    assert tree["score"] == 0
    assert "<b>" not in tree["body"]
    assert "@all" not in tree["body"]


@given(st.floats(0, 100), st.floats(0.01, 100))
def test_scores_are_whole_and_only_all_points_are_all(points: float, maximum: float) -> None:
    score, most = whole(points, maximum)
    assert isinstance(score, int)
    assert isinstance(most, int)
    assert most - 1 < maximum <= most
    assert (score == most) == (points >= maximum)
    assert points >= maximum or score == math.floor(points)


def test_extra_credit_has_no_place_in_it() -> None:
    results = (
        ExerciseResult("s1.a", "A", "work", Outcome.PASSED, 5.0, 5.0),
        ExerciseResult("s1.b", "B", "work", Outcome.PASSED, 3.0, 3.0, extra_credit=True),
    )
    report = Report("c", "s1", "ada", "ada", "0" * 64, results)
    tree = json.loads(result_json(report, submitted(RUNNER), datetime(2027, 1, 20, tzinfo=UTC)))
    jsonschema.validate(tree, SCHEMA)
    assert (tree["score"], tree["max-score"], len(tree["tests"])) == (5, 5, 1)
    assert "Extra credit is not counted" in release_body(report, load_small())


def load_small() -> Any:
    return load_course(ROOT / "course.yaml").session("s1")


def test_what_the_runner_does_not_say_is_named() -> None:
    assert isinstance(submitted(RUNNER), Submitted)
    assert submitted({**RUNNER, "REVIEW_URL": ""}).review == RUNNER["COMMIT_URL"]
    without = {key: value for key, value in RUNNER.items() if key != "SUBMISSION_TAG"}
    with pytest.raises(AutograderError, match="SUBMISSION_TAG not set"):
        submitted(without)


@pytest.mark.slow
def test_the_bundle_holds_one_session_and_nothing_hidden() -> None:
    rules = load_course(ROOT / "course.yaml")
    files = bundle(rules, ROOT, rules.session("s3"))
    public = {name: text for name, text in files.items() if name.startswith("autograder/")}
    assert hidden_text.leaks(public) == []  # of the template, test_student_kit.py tries each part
    assert "template/.github/workflows/autograde.yaml" not in files  # Classroom 50 writes it
    assert not any("/workflows/" in name for name in files)
    assert "autograder/kit/assignments/s3_weight_clustering/coding.py" in files
    assert not any("s1_intro" in name for name in files)
    assert json.loads(files["runtime.json"])["python"] == "3.11"
    with pytest.raises(AutograderError, match="s7 has no public checks"):
        bundle(rules, ROOT, rules.session("s7"))
    with pytest.raises(AutograderError, match="name a folder"):
        write_bundle(rules, ROOT, rules.session("s3"), Path("x.zip"))
