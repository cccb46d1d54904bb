"""The graders under comparison: how each is set up, fed and read, in its stock configuration.

    python -m benchmarks.peers --setup      makes .cache/peers with the pinned peers

A submission is a set of files: `work.py` and whatever lies beside it. Notebook graders get the
text of `work.py` as the cell that students fill in, and the other files beside the notebook.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import textwrap
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol
from xml.etree import ElementTree

from benchmarks.common import CHECKS, MODULE, PEER_BIN, PEERS, ROOT, SOLUTION, Check, Run, run

Files = Mapping[str, str]
"""File name -> text."""

REQUIREMENTS = Path(__file__).with_name("peers-requirements.txt")


@dataclass
class Graded:
    """Points by submission (None: no result), and the processes that it took."""

    points: dict[str, float | None]
    runs: list[Run] = field(default_factory=list)


class Grader(Protocol):
    """One way to grade the light assignment."""

    name: str
    batch: bool
    """Whether one command grades all submissions."""
    results: tuple[str, ...]
    """Glob patterns of what it writes about the submission {name}."""

    def prepare(self, root: Path) -> None:
        """Make the assignment in the empty folder `root`."""

    def grade(
        self, root: Path, submissions: Mapping[str, Files], cpu: int | None, timeout: float
    ) -> Graded:
        """Grade all submissions; `timeout` in seconds for one submission."""


def setup() -> None:
    """Make the environment of the peers.

    The project's own site-packages come last on its path, so that torch is not downloaded twice;
    what is pinned for the peers wins over what the project has.
    """
    if not (PEER_BIN / "python").exists():
        subprocess.run([sys.executable, "-m", "venv", str(PEERS)], check=True)
    pip = [str(PEER_BIN / "python"), "-m", "pip", "install", "--disable-pip-version-check"]
    subprocess.run([*pip, "--quiet", "--requirement", str(REQUIREMENTS)], check=True)
    import torch

    packages = Path(torch.__file__).parent.parent
    for folder in PEERS.glob("**/site-packages"):
        line = f"import sys; sys.path.append({str(packages)!r})\n"
        (folder / "zz_project.pth").write_text(line, encoding="utf-8")


def ready() -> bool:
    """Whether `setup` has been run."""
    return (PEER_BIN / "otter").exists()


# ---- this kit --------------------------------------------------------------------------------

COURSE = """\
kit_version: 1
id: light
title: Light
term: now
sessions:
  - id: s1
    folder: s1_light
    title: Light
    modules:
      - file: work.py
        exercises:
          - {id: s1.sparsity, title: Sparsity, points: 50}
          - {id: s1.magnitude_mask, title: Mask, points: 50}
limits:
  test_seconds: 10
  exercise_seconds: 30
  submission_seconds: 60
"""


class Kit:
    """This kit, with full isolation, one job."""

    name = "this kit"
    batch = True
    results: tuple[str, ...] = ("results/**/*{name}*",)

    def __init__(self, stages: Path | None = None) -> None:
        self._stages = stages

    def prepare(self, root: Path) -> None:
        """Write course.yaml and the graders."""
        (root / "course.yaml").write_text(COURSE, encoding="utf-8")
        (root / "graders").mkdir()
        text = "import torch\n\nfrom autograder.graders.toolkit import check, exercise\n"
        for check in CHECKS:
            call = check.call.format(m="student.")
            text += (
                f'\n\n@exercise("s1.{check.exercise}")\ndef test_{check.name}(student):\n'
                f'    {call}\n    check({check.condition}, "wrong")\n'
            )
        (root / "graders" / "test_light.py").write_text(text, encoding="utf-8")

    def grade(
        self,
        root: Path,
        submissions: Mapping[str, Files],
        cpu: int | None,
        timeout: float,
        sample: bool = False,
    ) -> Graded:
        """One command for all."""
        folder = _fresh(root / "submissions")
        for name, files in submissions.items():
            write_files(folder / name, files)
        output = root / "results"
        shutil.rmtree(output, ignore_errors=True)
        parts = [root / "course.yaml", root / "graders", folder, output]
        stages: list[str | Path] = ["--stages", self._stages] if self._stages else []
        done = run(
            [sys.executable, "-m", "benchmarks.kit", *parts, *stages],
            cwd=ROOT,
            cpu=cpu,
            timeout=timeout * max(1, len(submissions)),
            sample=sample,
        )
        points: dict[str, float | None] = dict.fromkeys(submissions)
        for path in (output / "reports").glob("*.json"):
            report = json.loads(path.read_text(encoding="utf-8"))
            tests = [test for exercise in report["exercises"] for test in exercise["tests"]]
            points[report["student"]] = float(sum(test["credit"] for test in tests))
        return Graded(points, [done])


# ---- pytest and gradescope-utils -------------------------------------------------------------


def unittest_file() -> str:
    """Tests as the samples of gradescope-utils have them."""
    text = "import unittest\n\nimport torch\nfrom gradescope_utils.autograder_utils.decorators "
    text += f"import weight\n\nimport {MODULE}\n\n\nclass TestWork(unittest.TestCase):\n"
    for check in CHECKS:
        call = check.call.format(m=f"{MODULE}.")
        text += (
            f"    @weight(1)\n    def test_{check.name}(self):\n        {call}\n"
            f"        self.assertTrue({check.condition})\n\n"
        )
    return text


RUN_TESTS = """\
import unittest

from gradescope_utils.autograder_utils.json_test_runner import JSONTestRunner

if __name__ == "__main__":
    suite = unittest.defaultTestLoader.discover("tests")
    with open("results/results.json", "w") as f:
        JSONTestRunner(visibility="visible", stream=f).run(suite)
"""


class Gradescope:
    """`run_tests.py` of gradescope-utils: unittest imports the student; one process each."""

    name = "gradescope-utils"
    batch = False
    results: tuple[str, ...] = ("{name}/results/*",)

    def prepare(self, root: Path) -> None:
        """Nothing is shared between submissions."""

    def grade(
        self, root: Path, submissions: Mapping[str, Files], cpu: int | None, timeout: float
    ) -> Graded:
        """As on the platform: the submission is copied to the tests' folder, then they run."""
        graded = Graded({})
        for name, files in submissions.items():
            source = _fresh(root / name)
            self.lay_out(source, files)
            graded.runs.append(
                run([PEER_BIN / "python", *self.command()], cwd=source, cpu=cpu, timeout=timeout)
            )
            graded.points[name] = self.points(source, graded.runs[-1])
        return graded

    def lay_out(self, source: Path, files: Files) -> None:
        """Write the grader's files, then the student's."""
        write_files(source, {"run_tests.py": RUN_TESTS})
        write_files(source / "tests", {"test_work.py": unittest_file()})
        (source / "results").mkdir()
        write_files(source, files)

    def command(self) -> Sequence[str]:
        """Arguments of the interpreter."""
        return ["run_tests.py"]

    def points(self, source: Path, done: Run) -> float | None:
        """The sum that the platform shows."""
        del done
        try:
            results = json.loads((source / "results" / "results.json").read_text("utf-8"))
            if "score" in results:
                return float(results["score"])
            return float(sum(test.get("score", 0) for test in results["tests"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None


class Pytest(Gradescope):
    """`pytest` over the same file; a run that exits with 0 has earned all points.

    So the stock setup of GitHub Classroom counts; otherwise the JUnit file tells what passed.
    """

    name = "pytest"

    def command(self) -> Sequence[str]:
        """Arguments of the interpreter."""
        return ["-m", "pytest", "-q", "--junitxml=results/results.xml", "tests/test_work.py"]

    def points(self, source: Path, done: Run) -> float | None:
        """All for exit status 0, else the passed tests of the JUnit file."""
        if done.status == 0:
            return float(len(CHECKS))
        try:
            suite = next(ElementTree.parse(source / "results" / "results.xml").iter("testsuite"))
            bad = sum(int(suite.get(name, "0")) for name in ("failures", "errors", "skipped"))
            return float(max(0, int(suite.get("tests", "0")) - bad))
        except (OSError, ValueError, StopIteration, ElementTree.ParseError):
            return None


# ---- nbgrader --------------------------------------------------------------------------------

_NBGRADER_SCORES = """\
import json
import sys
from nbgrader.api import Gradebook
with Gradebook("sqlite:///gradebook.db") as book:
    json.dump({s.student.id: s.score for s in book.assignment_submissions("light")}, sys.stdout)
"""


class Nbgrader:
    """`nbgrader generate_assignment` and one `nbgrader autograde` for all submissions."""

    name = "nbgrader"
    batch = True
    results: tuple[str, ...] = ("autograded/{name}/**/*.ipynb",)

    def prepare(self, root: Path) -> None:
        """Make source and release version."""
        cells = [_nbgrader_cell("work", f"### BEGIN SOLUTION\n{SOLUTION}\n### END SOLUTION")]
        for check in CHECKS:
            text = (
                f"import torch\n### BEGIN HIDDEN TESTS\n{check.call.format(m='')}\n"
                f"assert {check.condition}\n### END HIDDEN TESTS"
            )
            cells.append(_nbgrader_cell(check.name, text, points=1))
        source = root / "source" / "light"
        source.mkdir(parents=True)
        _write_notebook(source / "work.ipynb", cells)
        (root / "nbgrader_config.py").write_text(
            'c = get_config()\nc.CourseDirectory.course_id = "light"\n', encoding="utf-8"
        )
        done = run(
            [PEER_BIN / "nbgrader", "generate_assignment", "light"],
            cwd=root,
            environment={"PATH": _peer_path()},
        )
        if done.status != 0:
            raise RuntimeError(f"nbgrader generate_assignment failed:\n{done.output[-2000:]}")

    def grade(
        self, root: Path, submissions: Mapping[str, Files], cpu: int | None, timeout: float
    ) -> Graded:
        """One command for all."""
        for name in ("submitted", "autograded"):
            shutil.rmtree(root / name, ignore_errors=True)
        for name, files in submissions.items():
            notebook = _read(root / "release" / "light" / "work.ipynb")
            notebook["cells"][0]["source"] = files[f"{MODULE}.py"]
            folder = root / "submitted" / name / "light"
            write_files(folder, {k: v for k, v in files.items() if k != f"{MODULE}.py"})
            (folder / "work.ipynb").write_text(json.dumps(notebook), encoding="utf-8")
        done = run(
            [PEER_BIN / "nbgrader", "autograde", "light"],
            cwd=root,
            cpu=cpu,
            timeout=timeout * max(1, len(submissions)),
            environment={"PATH": _peer_path()},
        )
        scores = run(
            [PEER_BIN / "python", "-c", _NBGRADER_SCORES],
            cwd=root,
            environment={"PATH": _peer_path()},
        )
        scores_by_name = json.loads(scores.output) if scores.status == 0 else {}
        graded_names = {path.name for path in (root / "autograded").glob("*")}
        points = {n: scores_by_name.get(n) if n in graded_names else None for n in submissions}
        return Graded(points, [done])


def _nbgrader_cell(name: str, source: str, points: int = 0) -> dict[str, Any]:
    nbgrader: dict[str, Any] = {
        "grade": points > 0,
        "solution": points == 0,
        "locked": points > 0,
        "task": False,
        "grade_id": name,
        "schema_version": 3,
    }
    if points:
        nbgrader["points"] = points
    return _cell("code", name, source, {"nbgrader": nbgrader})


# ---- otter-grader ----------------------------------------------------------------------------


class Otter:
    """`otter assign` makes the autograder zip; one `otter run` for each submission."""

    name = "otter-grader"
    batch = False
    results: tuple[str, ...] = ("runs/{name}/results.json",)

    def prepare(self, root: Path) -> None:
        """Make the master notebook and the autograder from it."""
        config = "# ASSIGNMENT CONFIG\nname: light\nexport_cell: false\ngenerate: true"
        cells = [_cell("raw", "config", config)]
        for exercise in dict.fromkeys(check.exercise for check in CHECKS):
            first = exercise == CHECKS[0].exercise
            cells += [
                _cell("raw", f"b-{exercise}", f"# BEGIN QUESTION\nname: {exercise}\npoints: 2"),
                _cell("markdown", f"m-{exercise}", f"Write {exercise}."),
                _cell("raw", f"bs-{exercise}", "# BEGIN SOLUTION"),
                _cell("code", f"s-{exercise}", SOLUTION if first else "pass"),
                _cell("raw", f"es-{exercise}", "# END SOLUTION"),
                _cell("raw", f"bt-{exercise}", "# BEGIN TESTS"),
                *(_otter_test(check) for check in CHECKS if check.exercise == exercise),
                _cell("raw", f"et-{exercise}", "# END TESTS"),
                _cell("raw", f"e-{exercise}", "# END QUESTION"),
            ]
        _write_notebook(root / "work.ipynb", cells)
        done = run(
            [PEER_BIN / "otter", "assign", "work.ipynb", "dist", "--no-pdfs"],
            cwd=root,
            environment={"PATH": _peer_path()},
        )
        if not list((root / "dist" / "autograder").glob("*.zip")):
            raise RuntimeError(f"otter assign failed:\n{done.output[-3000:]}")

    def grade(
        self, root: Path, submissions: Mapping[str, Files], cpu: int | None, timeout: float
    ) -> Graded:
        """One process per submission."""
        (autograder,) = (root / "dist" / "autograder").glob("*.zip")
        graded = Graded({})
        for name, files in submissions.items():
            folder = _fresh(root / "runs" / name)
            archive = folder / "submission.zip"
            notebook = _read(root / "dist" / "student" / "work.ipynb")
            code = [c for c in notebook["cells"] if c["cell_type"] == "code"]
            answers = [c for c in code if "grader.check" not in "".join(c["source"])]
            answers[-2]["source"] = files[f"{MODULE}.py"]
            with zipfile.ZipFile(archive, "w") as packed:
                packed.writestr("work.ipynb", json.dumps(notebook))
                for extra in files.keys() - {f"{MODULE}.py"}:
                    packed.writestr(extra, files[extra])
            graded.runs.append(
                run(
                    [PEER_BIN / "otter", "run", archive, "-a", autograder, "-o", folder],
                    cwd=folder,
                    cpu=cpu,
                    timeout=timeout,
                    environment={"PATH": _peer_path()},
                )
            )
            graded.points[name] = _otter_points(folder / "results.json")
        return graded


def _otter_test(check: Check) -> dict[str, Any]:
    text = '""" # BEGIN TEST CONFIG\nhidden: true\npoints: 1\n""" # END TEST CONFIG\n'
    return _cell(
        "code", f"t-{check.name}", f"{text}{check.call.format(m='')}\nassert {check.condition}"
    )


def _otter_points(path: Path) -> float | None:
    try:
        results = json.loads(path.read_text(encoding="utf-8"))
        return float(sum(test.get("score", 0) for test in results["tests"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


# ---- small helpers ---------------------------------------------------------------------------


def write_files(folder: Path, files: Files) -> None:
    """Write files below `folder`, which is made if needed."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")


def _fresh(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _peer_path() -> str:
    return os.pathsep.join((str(PEER_BIN), os.environ.get("PATH", "")))


def _cell(
    kind: str, name: str, source: str, metadata: dict[str, Any] | None = None
) -> dict[str, Any]:
    identity = name.replace("_", "-")
    cell: dict[str, Any] = {"cell_type": kind, "id": identity, "source": textwrap.dedent(source)}
    cell["metadata"] = metadata or {}
    if kind == "code":
        cell |= {"execution_count": None, "outputs": []}
    return cell


def _write_notebook(path: Path, cells: list[dict[str, Any]]) -> None:
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook = {
        "cells": cells,
        "metadata": {"kernelspec": kernel, "language_info": {"name": "python"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    path.write_text(json.dumps(notebook), encoding="utf-8")


def graders() -> dict[str, Grader]:
    """All graders by name, this kit first."""
    known: tuple[Grader, ...] = (Kit(), Pytest(), Gradescope(), Nbgrader(), Otter())
    return {grader.name: grader for grader in known}


def main() -> None:
    """Set up the peers."""
    parser = argparse.ArgumentParser(description="Set up the graders that we compare with.")
    parser.add_argument("--setup", action="store_true", help="make or update .cache/peers")
    if parser.parse_args().setup:
        setup()
    print("ready" if ready() else "not set up: python -m benchmarks.peers --setup")


if __name__ == "__main__":
    main()
