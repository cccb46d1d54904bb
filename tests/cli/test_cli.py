"""The commands as a user types them: what they print, what they write, how they exit."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from autograder import cli
from autograder.engine.host import pool
from autograder.errors import ExitCode
from tests.support import ROOT, TEST_SECRET, kept_judges, small_course

pytestmark = pytest.mark.slow

COMMANDS = ("check", "submit", "grade", "report", "release", "doctor")
RIGHT = "def add(a, b):\n    return a + b\n"
WRONG = "def add(a, b):\n    return a - b\n"
GRADER = '''
from autograder.graders.toolkit import check, exercise

@exercise("s1.add")
def test_add(student, rng):
    """The sum of two numbers is returned."""
    a, b = rng.integer(1, 9), rng.integer(1, 9)
    check(student.add(a, b) == a + b, "use the operator +")
'''

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run one command in this process: exit code, standard output, standard error."""

    def invoke(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["autograder", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            cli.main()
        captured = capsys.readouterr()
        return int(end.value.code or 0), captured.out, captured.err

    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("AUTOGRADER_SECRET", TEST_SECRET.decode())
    monkeypatch.setattr(pool, "judge_source", kept_judges)
    return invoke


@pytest.fixture
def kit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A course of one exercise with a solution, a public test and a hidden grader."""
    root = tmp_path / "kit"
    folder = root / "solutions" / "s1_test"
    (folder / "tests").mkdir(parents=True)
    text = (ROOT / "course.yaml").read_text("utf-8")
    assert small_course(["add"]).sessions
    (root / "course.yaml").write_text(
        "kit_version: 1\nid: test\ntitle: Test course\nterm: now\nsessions:\n"
        "  - id: s1\n    folder: s1_test\n    title: Adding\n"
        "    due: 2027-01-01T00:00:00+01:00\n    modules:\n      - file: work.py\n"
        "        exercises:\n          - {id: s1.add, title: Add, points: 100}\n"
        + text[text.index("limits:") : text.index("final_project:")]
    )
    (folder / "work.py").write_text(
        '"""Adding."""\n\n\ndef add(a, b):\n    """Return a + b."""\n'
        "    # BEGIN SOLUTION s1.add\n    return a + b\n    # END SOLUTION\n"
    )
    (folder / "tests" / "test_public.py").write_text(GRADER)
    graders = root / "graders"
    graders.mkdir()
    (graders / "test_add.py").write_text(GRADER)
    monkeypatch.setattr("autograder.grading.kinds.graders_of", lambda _: graders)
    monkeypatch.chdir(root)
    return root


def submissions_of(folder: Path, **students: str) -> Path:
    """A folder of submissions, one module per student."""
    for name, text in students.items():
        (folder / name).mkdir(parents=True)
        (folder / name / "work.py").write_text(text)
    return folder


# ---- every command -------------------------------------------------------------------------


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(run: Run, command: str) -> None:
    code, out, _ = run(command, "--help")
    assert code == 0
    assert f"Example: autograder {command}" in " ".join(out.split())


def test_help_lists_the_commands_and_the_exit_codes(run: Run) -> None:
    code, out, _ = run("--help")
    assert code == 0
    assert all(command in out for command in COMMANDS)
    assert "Exit codes" in out


def test_the_module_runs_like_the_command() -> None:
    command = [sys.executable, "-m", "autograder", "grade", "s1", "/no/such/folder", "-o", "x"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == ExitCode.USAGE
    assert done.stderr.strip() == "error: cannot read /no/such/folder: No such file or directory"
    assert done.stdout == ""


@pytest.mark.parametrize(
    "environment",
    [
        {"PYTHONIOENCODING": "cp1252"},
        {"PYTHONIOENCODING": "ascii"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    ],
    ids=["cp1252", "ascii", "C locale"],
)
def test_output_degrades_where_the_terminal_has_another_encoding(
    environment: dict[str, str],
) -> None:
    """Glyphs become `?`; the exit code is that of the work."""
    done = subprocess.run(
        [sys.executable, "-m", "autograder", "doctor"],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert b"seccomp" in done.stdout
    assert b"Error" not in done.stderr


def test_the_command_line_does_not_import_torch() -> None:
    code = "import sys, autograder.cli; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["grade", "s7", "."], "unknown session 's7'"),
        (["grade", "s1", "none", "-o", "r"], "cannot read none"),
        (["grade", "s1", "course.yaml", "-o", "r"], "neither a folder nor an archive"),
        (["grade", "s1", "in", "-o", "r", "--only", "sub"], "unknown exercise 's1.sub'"),
        (["grade", "s1", "in", "-o", "r", "--require-isolation", "much"], "expected one of"),
        (["grade", "s1", "in", "-o", "course.yaml"], "cannot write to course.yaml"),
        (["check", "s1", "none"], "cannot be read (No such file"),
        (["check", "s1", "--course", "none.yaml"], "nothing at none.yaml"),
        (["submit", "s1", "empty"], "work.py is missing"),
        (["submit", "s1", "in/ada", "--student", ""], "name is empty"),
        (["report", "in"], "is not a results folder"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input_is_one_line(run: Run, kit: Path, arguments: list[str], words: str) -> None:
    submissions_of(kit / "in", ada=RIGHT)
    (kit / "empty").mkdir()
    if arguments[0] == "grade" and "-o" not in arguments:
        arguments = [*arguments, "-o", "r"]
    code, out, err = run(*arguments)
    assert (code, out) == (ExitCode.USAGE, "")
    assert err.startswith("error: ")
    assert words in err
    assert err.count("\n") == 1


def test_outside_a_course(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    code, _, err = run("check", "s1")
    assert (code, "no course.yaml" in err) == (ExitCode.USAGE, True)


# ---- grade and report --------------------------------------------------------------------------


def test_grade_writes_records_pages_and_a_table(run: Run, kit: Path) -> None:
    submissions_of(kit / "in", ada=RIGHT, bob=WRONG)
    with zipfile.ZipFile(kit / "in" / "cleo.zip", "w") as archive:
        archive.writestr("work.py", RIGHT)
    (kit / "in" / "dan.zip").write_bytes(b"")
    code, out, err = run("grade", "s1", "in", "-o", "results")
    assert (code, err) == (0, "")
    assert "results/index.html" in out
    rows = list(csv.DictReader(io.StringIO((kit / "results" / "grades.csv").read_text("utf-8"))))
    assert len(rows) == 4
    points = {}
    for path in (kit / "results" / "reports").glob("*.json"):
        record = json.loads(path.read_text("utf-8"))
        points[record["student"]] = sum(exercise["points"] for exercise in record["exercises"])
        slug = path.stem
        page = (kit / "results" / "feedback" / f"{slug}.html").read_text("utf-8")
        assert "<script" not in page
        assert (kit / "results" / "feedback" / f"{slug}.txt").is_file()
        assert (kit / "results" / "staff" / f"{slug}.html").is_file()
    assert points == {"ada": 100, "bob": 0, "cleo": 100, "dan": 0}


def test_the_class_page_links_to_pages_that_exist(run: Run, kit: Path) -> None:
    import re

    submissions_of(kit / "in", ada=RIGHT)
    run("grade", "s1", "in", "-o", "results")
    page = (kit / "results" / "index.html").read_text("utf-8")
    links = [link for link in re.findall(r'href="([^"#]+)"', page) if not link.startswith("data:")]
    assert len(links) >= 2
    assert all((kit / "results" / link).is_file() for link in links)


def test_results_are_never_overwritten_without_a_word(run: Run, kit: Path) -> None:
    submissions_of(kit / "in", ada=RIGHT)
    assert run("grade", "s1", "in", "-o", "results")[0] == 0
    code, _, err = run("grade", "s1", "in", "-o", "results")
    assert (code, "--resume" in err) == (ExitCode.USAGE, True)


def test_resume_grades_only_what_is_new_or_changed(run: Run, kit: Path) -> None:
    submissions_of(kit / "in", ada=RIGHT, bob=WRONG)
    run("grade", "s1", "in", "-o", "results")
    reports = kit / "results" / "reports"
    before = {path.name: path.read_bytes() for path in reports.glob("*.json")}
    submissions_of(kit / "in", cleo=RIGHT)
    (kit / "in" / "bob" / "work.py").write_text(RIGHT)
    code, out, _ = run("grade", "s1", "in", "-o", "results", "--resume")
    after = {path.name: path.read_bytes() for path in reports.glob("*.json")}
    assert code == 0
    assert len(after) == 3
    assert {name for name in before if before[name] == after[name]} == {
        name for name in before if name.startswith("ada")
    }
    assert out.count("100") >= 3


def test_a_broken_record_is_named(run: Run, kit: Path) -> None:
    submissions_of(kit / "in", ada=RIGHT)
    run("grade", "s1", "in", "-o", "results")
    (record,) = (kit / "results" / "reports").glob("*.json")
    record.write_text("{}")
    code, _, err = run("report", "results")
    assert code == ExitCode.USAGE
    assert record.name in err


def test_the_secret_is_made_once_and_only_ours(
    run: Run, kit: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AUTOGRADER_SECRET")
    submissions_of(kit / "in", ada=RIGHT)
    run("grade", "s1", "in", "-o", "results")
    path = kit / "results" / "secret.key"
    first = path.read_text()
    assert len(first) == 64
    assert path.stat().st_mode & 0o777 == 0o600
    run("grade", "s1", "in", "-o", "results", "--resume")
    assert path.read_text() == first
    run("grade", "s1", "in", "-o", "other")
    assert (kit / "other" / "secret.key").read_text() != first


def test_report_makes_the_pages_again(run: Run, kit: Path) -> None:
    submissions_of(kit / "in", ada=RIGHT)
    run("grade", "s1", "in", "-o", "results")
    page = kit / "results" / "index.html"
    before = page.read_text("utf-8")
    page.unlink()
    code, out, _ = run("report", "results")
    assert code == 0
    assert "ada" in out
    assert page.read_text("utf-8") == before


# ---- check, submit, release ----------------------------------------------------------------------


def test_check_runs_public_tests_and_says_so(run: Run, kit: Path) -> None:
    submissions_of(kit / "in", ada=RIGHT, bob=WRONG)
    run("release")
    code, out, _ = run("check", "s1", "in/ada")
    assert code == 0
    assert "1 of 1 exercises pass their public tests" in out
    assert "all tests" not in out
    code, out, _ = run("check", "s1", "in/bob")
    assert code == ExitCode.PROBLEMS
    assert "use the operator +" in " ".join(out.split())


@pytest.mark.usefixtures("kit")
def test_check_of_the_blank_says_what_is_to_be_written(run: Run) -> None:
    run("release")
    code, out, _ = run("check", "s1")
    assert code == ExitCode.PROBLEMS
    assert "blank" in out


def test_submit_makes_a_zip_that_grade_accepts(run: Run, kit: Path) -> None:
    submissions_of(kit / "in", ada=RIGHT)
    (kit / "zips").mkdir()
    code, out, _ = run("submit", "s1", "in/ada", "--student", "ada", "-o", "zips")
    assert code == 0
    assert "ada_s1.zip" in out
    code, _, _ = run("grade", "s1", "zips", "-o", "results")
    (record,) = (kit / "results" / "reports").glob("*.json")
    report = json.loads(record.read_text("utf-8"))
    assert (code, report["student"], report["problems"]) == (0, "ada", [])


@pytest.mark.usefixtures("kit")
def test_submit_warns_of_blanks(run: Run) -> None:
    run("release")
    code, _, err = run("submit", "s1", "--student", "ada", "-o", ".")
    assert code == 0
    assert "s1.add" in err


def test_the_final_project_is_packed_like_any_session(run: Run, tmp_path: Path) -> None:
    course = ("--course", str(ROOT / "course.yaml"))
    sample = ROOT / "tests" / "submissions" / "s7_final_project" / "samples" / "ada"
    code, out, _ = run("submit", "s7", sample, "--student", "ada", *course, "-o", tmp_path / "in")
    assert (code, "ada_s7.zip" in out) == (0, True)
    code, out, _ = run("grade", "s7", tmp_path / "in", *course, "-o", tmp_path / "results")
    assert code == 0
    (record,) = (tmp_path / "results" / "reports").glob("*.json")
    report = json.loads(record.read_text("utf-8"))
    assert (report["student"], report["problems"]) == ("ada", [])
    assert [e["outcome"] for e in report["exercises"]] == ["passed", "passed", "not marked"]
    assert report["score"]["answers"]["images"] == 360


@pytest.mark.parametrize(
    ("name", "content", "line"),
    [
        ("model.onnx", None, "model.onnx: there is no such file"),
        ("model.onnx", b"", "model.onnx: the file is empty"),
        ("model.onnx", bytes(50_000_001), "model.onnx: more than 50,000,000 bytes"),
        ("card.yaml", None, "card.yaml: there is no such file"),
        ("card.yaml", b"\xff\xfe", "card.yaml: not YAML in UTF-8"),
        ("card.yaml", b"team: Our Team!", "card.yaml: team: "),
        ("card.yaml", b"team: ada\nmembers: Ada", "card.yaml: members: "),
        ("card.yaml", b"team: ada\nnote: " + bytes(20_000), "card.yaml: more than 20,000 bytes"),
        ("card.yaml", b"team: ada\ndataset: imagenet", "card.yaml: dataset: "),
    ],
)
def test_submit_packs_no_entry_that_would_be_refused(
    run: Run, tmp_path: Path, name: str, content: bytes | None, line: str
) -> None:
    sample = ROOT / "tests" / "submissions" / "s7_final_project" / "samples" / "ada"
    shutil.copytree(sample, tmp_path / "own")
    if content is None:
        (tmp_path / "own" / name).unlink()
    else:
        (tmp_path / "own" / name).write_bytes(content)
    options = ("--student", "ada", "--course", ROOT / "course.yaml", "-o", tmp_path / "zips")
    code, out, err = run("submit", "s7", tmp_path / "own", *options)
    assert (code, out) == (ExitCode.USAGE, "")
    assert line in err
    assert not (tmp_path / "zips").exists()


def test_submit_says_that_a_data_set_is_not_graded(run: Run, tmp_path: Path) -> None:
    sample = ROOT / "tests" / "submissions" / "s7_final_project" / "samples" / "ada"
    shutil.copytree(sample, tmp_path / "own")
    course = tmp_path / "course.yaml"
    text = (ROOT / "course.yaml").read_text("utf-8")
    assert "\nfinal_project:\n" in text
    course.write_text(text.replace("\nfinal_project:\n", "\nfinal_project:\n  graded: [cifar10]\n"))
    options = ("--student", "ada", "--course", course, "-o", tmp_path)
    code, out, err = run("submit", "s7", tmp_path / "own", *options)
    assert (code, "ada_s7.zip" in out) == (0, True)
    assert "card.yaml: this course grades cifar10, not digits" in " ".join(err.split())


def test_a_tool_error_says_what_to_see_to(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Data that is not on this machine is not the student's fault, nor one of the engine."""
    monkeypatch.setenv("COURSE_DATA", str(tmp_path / "nowhere"))
    samples = ROOT / "tests" / "submissions" / "s7_final_project" / "samples" / "ada"
    shutil.copytree(samples, tmp_path / "in" / "ada")
    options = ("--dataset", "cifar10", "--course", ROOT / "course.yaml", "-o", tmp_path / "out")
    code, _, err = run("grade", "s7", tmp_path / "in", *options)
    assert code == ExitCode.PARTIAL
    assert "COURSE_DATA" in err
    assert "tool errors (ada): see to that, then grade again with --resume" in err


def test_release_and_its_check(run: Run, kit: Path) -> None:
    assert run("release", "--check")[0] == ExitCode.PROBLEMS
    assert run("release")[0] == 0
    assert run("release", "--check")[0] == 0
    stub = kit / "assignments" / "s1_test" / "work.py"
    assert 'NotImplementedError("s1.add")' in stub.read_text()
    stub.write_text(stub.read_text() + "# changed\n")
    code, out, err = run("release", "--check")
    assert code == ExitCode.PROBLEMS
    assert "-# changed" in out
    assert "autograder release" in err


def test_doctor_names_every_mechanism(run: Run) -> None:
    code, out, _ = run("doctor")
    assert code == 0
    assert all(word in out for word in ("torch", "landlock", "seccomp", "limits"))


def test_hostile_names_are_inert_in_the_terminal(run: Run, kit: Path) -> None:
    name = "eve\x1b[31m[red]=1+1"
    submissions_of(kit / "in", **{name: RIGHT})
    code, out, _ = run("grade", "s1", "in", "-o", "results")
    assert code == 0
    assert "\x1b" not in out
    assert "eve" in out
    assert os.listdir(kit / "results" / "reports")  # noqa: PTH208
