"""What the documents tell people to type: every command exists, and those of the README run."""

from __future__ import annotations

import importlib.util
import re
import shlex
import shutil
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
import typer.main

from autograder.cli.app import app
from benchmarks.mutation import __main__ as mutation
from tests import bank
from tests.docs.guides import COMMENT, run, shell_lines
from tests.integrations import importers
from tests.support import ROOT

DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").glob("*.md")),
    ROOT / "solutions" / "README.md",
    *sorted((ROOT / "solutions").glob("*/README.md")),
    ROOT / "autograder" / "release" / "templates" / "README.md",
]
SAMPLES = ROOT / "tests" / "submissions"


def commands(document: Path) -> list[str]:
    """The lines of all shell blocks, without comments."""
    return shell_lines(document.read_text("utf-8"))


SHOWN = [
    (document.relative_to(ROOT).as_posix(), part.strip())
    for document in DOCUMENTS
    for line in commands(document)
    for part in line.split("&&")
    if part.strip().startswith("autograder ")
]


@pytest.mark.parametrize(("document", "command"), SHOWN)
def test_a_command_that_is_shown_exists_with_its_options(document: str, command: str) -> None:
    del document
    found: Any = typer.main.get_command(app)
    words = shlex.split(command.replace("$session", "s1"))[1:]
    while commands_of_group := vars(found).get("commands"):
        name, *words = words
        assert name in commands_of_group
        found = commands_of_group[name]
    if "--help" not in words:  # it would print and exit
        found.make_context(name, words)


def test_commands_are_found() -> None:
    assert len(SHOWN) > 10
    assert {command.split()[1] for _, command in SHOWN} >= {"check", "submit", "grade", "report"}


@pytest.mark.parametrize(
    "handout", sorted((ROOT / "solutions").glob("*/README.md")), ids=lambda path: path.parent.name
)
def test_a_handout_with_commands_says_how_they_are_installed(handout: Path) -> None:
    if any(line.startswith("autograder ") for line in commands(handout)):
        assert "`../README.md`" in handout.read_text("utf-8")


def test_no_command_hides_in_a_block_without_a_language() -> None:
    """Only blocks of shell commands are tried."""
    for document in DOCUMENTS:
        blocks = re.findall(r"^```(\w*)\n(.*?)^```", document.read_text("utf-8"), re.M | re.S)
        plain = [block for language, block in blocks if not language]
        assert not any(re.search(r"^(autograder|nbgrader|pip) ", b, re.M) for b in plain), document


BENCHMARKS = ROOT / "benchmarks" / "README.md"
MODULES = re.findall(
    r"^(?:\S+/)?python -m (benchmarks\.\w+)(.*)$", BENCHMARKS.read_text("utf-8"), re.MULTILINE
)


@pytest.mark.parametrize("module", sorted({module for module, _ in MODULES}))
def test_a_benchmark_that_is_shown_exists(module: str) -> None:
    assert importlib.util.find_spec(module) is not None


@pytest.mark.slow
@pytest.mark.parametrize("rest", [rest for module, rest in MODULES if module.endswith("mutation")])
def test_the_commands_that_make_mutants_find_some(
    rest: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """As they are shown, but listed and not graded."""
    assert mutation.main([*shlex.split(COMMENT.sub("", rest)), "--only-list"]) == 0
    printed = capsys.readouterr()
    assert (len(printed.out.splitlines()) > 5, printed.err) == (True, "")


@pytest.mark.slow
def test_the_commands_of_the_readme_run_one_after_the_other(tmp_path: Path) -> None:
    """And those of the student guide; in a course with one submission per session.

    Training has its own tests, the guides of the staff and of lecturers too.
    """
    kit = tmp_path / "kit"
    kit.mkdir()
    for name in ("course.yaml", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, kit)
    for folder in ("assignments", "solutions", "shared"):
        shutil.copytree(ROOT / folder, kit / folder)
    (kit / "marks.csv").write_text("student,exercise,points\nada,split,2\n")
    project = kit / "assignments" / "s7_final_project"
    entry = SAMPLES / "s7_final_project" / "samples" / "ada"
    (project / "out").mkdir()
    shutil.copy(entry / "model.onnx", project / "out")
    shutil.copy(entry / "card.yaml", project)
    shutil.copytree(entry, kit / "projects" / "ada")
    _put_downloads(kit)
    projects = (ROOT / "docs" / "ta.md").read_text("utf-8").partition("\n## Final projects\n")[2]
    # What needs nbgrader's gradebook is run with it, in tests/integrations/test_nbgrader.py.
    exports = ("autograder export gradescope ", "autograder export nbgrader ")
    shown = [
        line
        for line in commands(ROOT / "docs" / "platforms.md")
        if "build/" not in line or line.startswith(exports)
    ]
    lines = [
        *commands(ROOT / "README.md"),
        *commands(ROOT / "docs" / "student.md"),
        f"cd {kit}",
        *shell_lines(projects),
        *shown,
    ]
    found_something = 1  # blanks fail their public tests
    folder = kit
    ran = 0
    for line in lines:
        if line.startswith("cd "):
            folder = kit / line.removeprefix("cd ")
        if line.startswith(("autograder ", "cp ")):
            run(line, folder, Path(sys.executable).parent, (0, found_something))
            ran += 1
    assert ran > 10
    assert (kit / "results" / "grades.csv").read_text().count("\nada,") == 1
    assert (kit / "results-s7" / "leaderboard.html").is_file()
    assert (kit / "results-canvas" / "export" / "canvas-s1-feedback.zip").is_file()
    assert (kit / "results-moodle" / "export" / "moodle-s1.csv").is_file()


def _put_downloads(kit: Path) -> None:
    """What docs/platforms.md calls moodle.zip, downloads/, roster.csv and the two gradebooks."""
    blank = [p for p in (ROOT / "assignments" / "s1_intro").glob("*.py") if p.stem != "lab"]
    folder = "Ada Lovelace_101_assignsubmission_file_"
    with zipfile.ZipFile(kit / "moodle.zip", "w") as archive:
        for file in blank:
            archive.write(file, f"{folder}/{file.name}")
    (kit / "downloads").mkdir()
    for number, file in enumerate(blank):
        shutil.copy(file, kit / "downloads" / f"lovelaceada_11_90{number}_{file.name}")
    table = (ROOT / "docs" / "platforms.md").read_text("utf-8").partition("\nstudent,name")[2]
    (kit / "roster.csv").write_text("student,name" + table.partition("```")[0])
    rows = [(101, "Ada Lovelace", "ada@example.org")]
    (kit / "worksheet.csv").write_bytes(importers.worksheet(rows))
    title = bank.course().session("s1").title
    (kit / "gradebook.csv").write_bytes(
        importers.gradebook([("Lovelace, Ada", 11, "", "ada")], {f"{title} (501)": "100"})
    )
