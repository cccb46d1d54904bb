"""What students' repositories on GitHub get, run step by step as GitHub's runner would."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from autograder.cli.app import app
from autograder.course import Course, load_course
from autograder.errors import AutograderError, ReleaseError
from autograder.integrations.github import checks
from autograder.integrations.github.commands import (
    MAX_ANNOTATIONS,
    Annotation,
    command,
    uninterpreted,
)
from autograder.integrations.github.template import template, workflow, write_template
from autograder.records import ExerciseResult, Outcome, Report, TestResult
from autograder.release.package import write_folder
from tests import hidden_text
from tests.integrations import small
from tests.integrations.actions import Runner, commands
from tests.support import ROOT

RULES = load_course(ROOT / "course.yaml")
BIN = Path(sys.executable).parent

HOSTILE = '''\
"""A module whose every text tries to be a command."""

import sys

EVIL = (
    "::error::forged\\n::stop-commands::x\\n  ::add-mask::a\\n##[set-env name=A]b"
    " `<b>` @all %0A::warning::c"
)
print(EVIL)


def double(n):
    print(EVIL, file=sys.stderr)
    raise ValueError(EVIL)


def half(n):
    raise type("::error::E", (Exception,), {})(EVIL)


def name(n):
    return EVIL


def more(n):
    raise NotImplementedError("s1.more")
'''


@pytest.fixture(scope="module")
def everything() -> dict[str, bytes]:
    return template(RULES, ROOT)


@pytest.fixture
def course(tmp_path: Path) -> tuple[Course, Path]:
    return small.course(tmp_path)


def pushed(course: tuple[Course, Path], folder: Path, text: str) -> Runner:
    """A student's repository with this module, and the job that the push starts."""
    rules, root = course
    write_template(rules, root, folder / "repository")
    (folder / "repository/assignments/s1_small/work.py").write_text(text)
    tools = folder / "tools"
    tools.mkdir()
    (tools / "pip").write_text('#!/bin/sh\necho "pip $* [$PIP_EXTRA_INDEX_URL]"\n')
    (tools / "pip").chmod(0o755)
    return Runner(
        folder / "repository/.github/workflows/check-s1.yml",
        folder / "repository",
        folder / "temp",
        contexts={"github.ref": "refs/heads/main", "vars.PIP_EXTRA_INDEX_URL": "https://x"},
        environment={"PATH": f"{tools}:{BIN}:{os.environ['PATH']}"},
    )


def run(runner: Runner, status: int) -> str:
    """All scripts of the job; what the last one printed."""
    *before, last = [step for step in runner.steps if "run" in step]
    for step in before:
        runner.run(step)
    return runner.run(last, status)


# ---- the workflow --------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_push_is_checked_step_by_step(course: tuple[Course, Path], tmp_path: Path) -> None:
    text = small.RIGHT.replace("n / 2", "n // 0").replace("str(n)", "n")
    runner = pushed(course, tmp_path, text)
    output = run(runner, 1)
    assert "pip install --disable-pip-version-check --constraint constraints.txt . [https://x]" in (
        runner.output
    )
    lines = text.splitlines()
    found = commands(output)
    assert [each.name for each in found] == ["error", "error"]
    crash, wrong = found
    assert crash.properties["file"] == wrong.properties["file"] == "assignments/s1_small/work.py"
    assert lines[int(crash.properties["line"]) - 1] == "    return n // 0"
    assert lines[int(wrong.properties["line"]) - 1] == "def name(n):"
    assert (crash.properties["title"], wrong.properties["title"]) == (
        *("half: crashed", "name: failed"),
    )
    assert "Of 4 it is 4." in wrong.message
    assert "gave 4" in wrong.message
    assert "2 of 4 exercises pass" in runner.summary
    assert "hidden checks" in runner.summary
    assert "<b>" not in runner.summary
    assert "@all" not in runner.summary


@pytest.mark.slow
def test_right_work_is_green_and_without_messages(
    course: tuple[Course, Path], tmp_path: Path
) -> None:
    runner = pushed(course, tmp_path, small.RIGHT)
    assert commands(run(runner, 0)) == []
    assert "4 of 4 exercises pass" in runner.summary


@pytest.mark.slow
def test_a_students_text_is_no_command_and_no_markup(
    course: tuple[Course, Path], tmp_path: Path
) -> None:
    runner = pushed(course, tmp_path, HOSTILE)
    found = commands(run(runner, 1))
    assert [each.name for each in found] == ["error"] * 3
    titles = [each.properties["title"] for each in found]
    assert titles == ["double: crashed", "half: crashed", "name: failed"]
    assert all(each.properties.keys() == {"file", "line", "title"} for each in found)
    assert "forged" in found[0].message
    assert "<b>" not in runner.summary
    assert "@all" not in runner.summary
    assert not any(line.lstrip().startswith("::") for line in runner.summary.splitlines())


@given(st.text(max_size=60), st.text(max_size=200))
def test_an_annotation_says_what_it_is_given_and_nothing_else(title: str, text: str) -> None:
    line = command(Annotation("error", title, text, "a,b:c.py", 7))
    assert "\n" not in line
    assert "\r" not in line
    (one,) = commands(line)
    assert one.name == "error"
    assert one.properties["file"] == "a,b:c.py"
    assert one.properties["line"] == "7"
    assert one.properties.keys() == {"file", "line", "title"}


@given(st.lists(st.text(max_size=40), max_size=8))
def test_what_is_not_to_be_interpreted_is_not(lines: list[str]) -> None:
    evil = [*lines, "::error::x", "  ::stop-commands::", "##[error]", "::pause-logging::"]
    assert commands("\n".join(uninterpreted(evil))) == []
    assert [each.name for each in commands("\n".join(evil))].count("error") >= 1


def many(outcome: Outcome, count: int) -> Report:
    test = TestResult("t", "It holds.", outcome, message="hint", detail='  File "work.py", line 9')
    results = tuple(
        ExerciseResult(f"s1.e{n}", "E", "work", outcome, 0.0, 1.0, tests=(test,))
        for n in range(count)
    )
    return Report("c", "s1", "you", "you", "0" * 64, results)


@pytest.mark.parametrize(
    ("outcome", "kind", "line"),
    [
        (Outcome.FAILED, "error", 1),
        (Outcome.CRASHED, "error", 2),  # a forged line beyond the file's end
        (Outcome.MISSING, "warning", 1),
        (Outcome.BLANK, None, 0),
        (Outcome.PASSED, None, 0),
    ],
)
def test_no_more_messages_than_are_shown(outcome: Outcome, kind: str | None, line: int) -> None:
    report = many(outcome, MAX_ANNOTATIONS + 5)
    made = checks.messages(report, {"work.py": b"a = 1\n"}, {"work.py": "x/work.py"})
    assert len(made) == (MAX_ANNOTATIONS if kind else 0)
    assert {(each.kind, each.file, each.line) for each in made} == (
        {(kind, "x/work.py", line)} if kind else set()
    )


def test_a_module_that_lies_elsewhere_gets_messages_without_a_place(tmp_path: Path) -> None:
    session = RULES.session("s1")
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "metrics.py").write_text("")
    assert checks.paths_of(session, tmp_path / "a", tmp_path) == {"metrics.py": "a/metrics.py"}
    assert checks.paths_of(session, tmp_path / "a", tmp_path / "b") == {}
    (made,) = checks.messages(many(Outcome.FAILED, 1), {"work.py": b"x"}, {})
    assert "file=" not in command(made)


def test_a_long_summary_is_cut_at_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    report = many(Outcome.FAILED, 30)
    whole = checks.summary(report, RULES.session("s1"))
    monkeypatch.setattr(checks, "MAX_SUMMARY", 1_500)
    text = checks.summary(report, RULES.session("s1"))
    assert 1_000 < len(text) <= 1_500 < len(whole)
    assert whole.startswith(text)
    assert text.endswith("|\n")


# ---- the files -----------------------------------------------------------------------------------


@pytest.mark.slow
def test_workflows_follow_the_published_schema_and_pin_their_actions(
    everything: dict[str, bytes], tmp_path: Path
) -> None:
    made = {name: text.decode() for name, text in everything.items() if "/workflows/" in name}
    functions = [session for session in RULES.sessions if session.kind == "functions"]
    assert len(made) == len(functions) > 1
    for name, text in made.items():
        (tmp_path / Path(name).name).write_text(text)
        tree = yaml.safe_load(text)
        assert tree["permissions"] == {}
        (job,) = tree["jobs"].values()
        assert job["permissions"] == {"contents": "read"}
        used = [step["uses"] for step in job["steps"] if "uses" in step]
        assert used
        assert all(len(action.partition("@")[2]) == 40 for action in used)
        assert "persist-credentials: false" in text
        assert "secrets." not in text
        assert not any("${{" in step["run"] for step in job["steps"] if "run" in step)
    checker = [BIN / "check-jsonschema", "--builtin-schema", "vendor.github-workflows"]
    command_line = [*checker, *sorted(tmp_path.iterdir())]
    done = subprocess.run(command_line, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_workflow_runs_only_for_its_own_session() -> None:
    text = workflow(RULES.session("s2"))
    assert yaml.safe_load(text)[True]["push"]["paths"] == [
        "assignments/s2_quantization_pruning/**",
        ".github/workflows/check-s2.yml",
    ]
    assert "@session@" not in text
    assert "@folder@" not in text


@pytest.mark.slow
def test_one_session_or_all_and_nothing_hidden(
    everything: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    start = "assignments/"
    built = {n.removeprefix(start): c for n, c in everything.items() if n.startswith(start)}
    monkeypatch.setattr("autograder.release.student_kit.build_release", lambda *_: built)
    one = template(RULES, ROOT, RULES.session("s2"))
    assert hidden_text.leaks(everything) == []
    assert one.keys() < everything.keys()
    assert {n.split("/")[1] for n in one if n.startswith("assignments/") and n.count("/") > 1} == {
        "s2_quantization_pruning"
    }
    assert [name for name in one if "/workflows/" in name] == [".github/workflows/check-s2.yml"]
    assert b"s1_intro" not in one["course.yaml"]
    assert b"Checks on GitHub" in one["README.md"]


def test_what_cannot_be_exported_is_one_line(course: tuple[Course, Path], tmp_path: Path) -> None:
    with pytest.raises(AutograderError, match="s7 has no public checks"):
        template(RULES, ROOT, RULES.session("s7"))
    rules, root = course
    write_template(rules, root, tmp_path / "a.zip")
    with pytest.raises(ReleaseError, match="already exists"):
        write_template(rules, root, tmp_path / "a.zip")


# ---- hidden grading, on the teacher's side -------------------------------------------------------


@pytest.mark.slow
def test_clones_of_the_template_are_graded_with_classroom_50s_roster(
    everything: dict[str, bytes], tmp_path: Path
) -> None:
    module = "assignments/s1_intro/metrics.py"
    solved = (ROOT / "solutions/s1_intro/metrics.py").read_bytes()
    for user, text in (("ada-l", solved), ("bob", everything[module])):
        repository = tmp_path / "in" / f"nn-s1-{user}"
        write_folder({**everything, module: text}, repository)
        (repository / "result.json").write_text('{"score": 100}')  # nobody believes it
        subprocess.run(["git", "init", "-q", repository], check=True)
    (tmp_path / "in" / "scores.csv").write_text("username\n")
    header = "username,first_name,last_name,email,section,github_id,role\n"
    rows = "Ada-L,Ada,Lovelace,a@x.org,A,1,student\nbob,Bob,B,b@x.org,B,2,\ncarl,C,C,,,3,\n"
    (tmp_path / "roster.csv").write_text(f"{header}{rows}prof,P,P,,,4,teacher\n")
    arguments = ["grade", "s1", str(tmp_path / "in"), "-o", str(tmp_path / "out")]
    arguments += ["--roster", str(tmp_path / "roster.csv"), "--only", "sparsity"]
    done = CliRunner().invoke(app, [*arguments, "--course", str(ROOT / "course.yaml")])
    assert done.exit_code == 0, done.output
    with (tmp_path / "out" / "grades.csv").open(encoding="utf-8") as file:
        found = {row["student"]: (row["name"], row["s1.sparsity"]) for row in csv.DictReader(file)}
    assert found == {"Ada-L": ("Ada Lovelace", "4"), "bob": ("Bob B", "0")}
    assert "1 of 3 have not submitted: 'carl'" in done.output
