"""Without fork, as on Windows and macOS: whole commands, by `--spawn` from a relative folder."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import ROOT

pytestmark = pytest.mark.slow

SAMPLES = ROOT / "tests" / "submissions"


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A folder with a class of two and a final project, in a place with a space and an accent."""
    folder = tmp_path / "Übung 1"
    for name in ("ada", "blaise"):
        shutil.copytree(SAMPLES / "s1_intro" / "samples" / name, folder / "class" / name)
    shutil.copytree(SAMPLES / "s7_final_project" / "samples" / "ada", folder / "project")
    return folder


def run(here: Path, *arguments: str) -> str:
    """The output of a command that is run in `here`, with relative paths."""
    done = subprocess.run(
        [sys.executable, "-m", "autograder", *arguments, "--course", str(ROOT / "course.yaml")],
        cwd=here,
        env={**os.environ, "AUTOGRADER_SECRET": "spawned", "COLUMNS": "100"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout


def results(folder: Path) -> dict[str, object]:
    """What every record says of its exercises' tests, by student."""
    found = {}
    for path in sorted(folder.glob("**/reports/*.json")):
        record = json.loads(path.read_text("utf-8"))
        found[record["student"]] = [
            (exercise["id"], exercise["points"], test["name"], test["outcome"])
            for exercise in record["exercises"]
            for test in exercise["tests"]
        ]
    return found


def test_a_class_is_graded_as_with_fork(here: Path) -> None:
    arguments = ("grade", "s1", "class", "--only", "split", "--only", "s1.mixup")
    run(here, *arguments, "-o", "results/", "--spawn")
    run(here, *arguments, "-o", "./forked")
    spawned = results(here / "results")
    assert spawned == results(here / "forked")
    assert spawned.keys() == {"ada", "blaise"}
    for rows in spawned.values():
        assert {outcome for *_, outcome in rows} == {"passed"}


def test_a_student_checks_and_scores(here: Path) -> None:
    printed = run(here, "check", "s1", "class/ada", "--only", "split", "--spawn")
    assert "1 of 1 exercises pass" in " ".join(printed.split())
    spawned = run(here, "score", "project/model.onnx", "--brief", "--spawn", "-o", "scores/")
    assert (
        spawned.splitlines()[0]
        == run(here, "score", "project/model.onnx", "--brief").splitlines()[0]
    )
    assert list((here / "scores").rglob("*.json"))
