"""What Gradescope gets: an archive that works in its harness, and results in its format."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import textwrap
import zipfile
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from autograder.course import Course, load_course, parse_course
from autograder.errors import AutograderError
from autograder.grading import kinds
from autograder.grading.results import ResultsFolder, read_secret
from autograder.integrations.gradescope import bundle as bundles
from autograder.integrations.gradescope.harness import read_metadata
from autograder.integrations.gradescope.results import MAX_OUTPUT, results_json
from autograder.records import Outcome, Report, TestResult, Visibility
from autograder.records.points import exercise_result
from autograder.release import package
from tests import fresh
from tests.project.reports import report_of
from tests.project.test_leaderboard import entry
from tests.reports import samples
from tests.support import ROOT

SCHEMA = json.loads(Path(__file__).with_name("gradescope_schema.json").read_text("utf-8"))
DUE = datetime.fromisoformat("2027-01-25T23:59:00+01:00")

COURSE = f"""\
kit_version: 1
id: test
title: Test course
term: now
sessions:
  - id: s1
    folder: s1_test
    title: Test
    due: {DUE.isoformat()}
    modules:
      - file: work.py
        exercises:
          - {{id: s1.double, title: Twice, points: 60}}
          - {{id: s1.half, title: A half, points: 40}}
late_policy: {{kind: percent_per_day, percent: 10}}
limits: {{test_seconds: 2, exercise_seconds: 3, submission_seconds: 6}}
"""

GRADERS = '''\
"""CANARY of the graders."""

from autograder.graders.toolkit import Exercise, agreements, case, check, exercise, visibility

double = Exercise("s1.double", reference=lambda n: 2 * n, agreement=agreements.whole_number)
half = Exercise("s1.half", reference=lambda n: n / 2, agreement=agreements.number())


@double.check(weight=2)
def test_twice(rng):
    """Twice the argument is returned."""
    yield case(rng.integer(1, 9))


@exercise("s1.double")
@visibility("after_due_date")
def test_negative(student, rng):
    """Negative arguments count too."""
    n = -rng.integer(1, 9)
    check(student.double(n) == 2 * n, "the sign counts")


@half.check()
def test_half(rng):
    """Half of the argument is returned."""
    yield case(float(rng.integer(1, 9)))
'''

SOLUTION = '''\
def double(n):
    """Twice."""
    # BEGIN SOLUTION s1.double
    return n + n
    # END SOLUTION


def half(n):
    """A half."""
    # BEGIN SOLUTION s1.half
    return n / 2
    # END SOLUTION
'''

RIGHT = "def double(n):\n    return 2 * n\n\n\ndef half(n):\n    return n / 2\n"
HOSTILE = """\
import os
from pathlib import Path

seen = [f"uid {os.getuid()}"]
for path in ("source/secret.key", "source/autograder/graders/s1_test/test_work.py",
             "source/solutions/s1_test/work.py", "submission_metadata.json"):
    try:
        seen.append((Path("/autograder") / path).read_text()[:60])
    except OSError as error:
        seen.append(type(error).__name__)
for path in ("results/results.json", "results/x", "source/x", "run_autograder"):
    try:
        (Path("/autograder") / path).write_text('{"score": 100, "output": "FORGED"}')
        seen.append("WRITTEN " + path)
    except OSError as error:
        seen.append(type(error).__name__)


def double(n):
    raise ArithmeticError("; ".join(seen))


def half(n):
    return n / 2
"""
SUBMISSIONS = {
    "right": {"work.py": RIGHT},
    "nested": {"s1_test/work.py": RIGHT, "__MACOSX/work.py": "", "notes.txt": "hello"},
    "wrong": {"work.py": RIGHT.replace("2 * n", "abs(2 * n)").replace("n / 2", "n")},
    "blank": {
        "work.py": SOLUTION.replace("return n + n", 'raise NotImplementedError("s1.double")')
    },
    "late": {"work.py": RIGHT},
    "hostile": {"work.py": HOSTILE},
    "over time": {"work.py": RIGHT.replace("return 2 * n", "while True:\n        pass")},
    "syntax": {"work.py": "def double(:\n"},
    "nothing": {"readme.md": "?"},
}


@pytest.fixture
def course(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Course, Path]:
    """A small course's folder, with graders that belong to no session of the real one."""
    return small_course(tmp_path, monkeypatch)


def small_course(folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Course, Path]:
    root = folder / "course"
    files = {"solutions/s1_test/work.py": SOLUTION, "graders/s1_test/test_work.py": GRADERS}
    for name, text in {**files, "graders/s1_test/__init__.py": "", "course.yaml": COURSE}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    for name in ("pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, root)
    for module in (kinds, package):
        monkeypatch.setattr(module, "GRADERS", root / "graders")
    return load_course(root / "course.yaml"), root


# ---- the archive ---------------------------------------------------------------------------------


def test_the_archive_has_its_scripts_at_the_top_and_one_session(
    course: tuple[Course, Path], tmp_path: Path
) -> None:
    rules, root = course
    written = bundles.write_bundle(rules, root, rules.sessions[0], tmp_path / "out.zip", 10)
    with zipfile.ZipFile(written.path) as archive:
        modes = {info.filename: info.external_attr >> 16 for info in archive.infolist()}
        script = archive.read("run_autograder").decode()
    assert modes["setup.sh"] & modes["run_autograder"] & 0o111
    assert script.startswith("#!")
    assert "gradescope s1 --minutes 10" in script
    assert {"autograder/graders/s1_test/test_work.py", "solutions/s1_test/work.py"} <= modes.keys()


@pytest.mark.parametrize("session", load_course(ROOT / "course.yaml").sessions, ids=lambda s: s.id)
def test_every_session_has_one_that_holds_no_other_session(session: Any) -> None:
    rules = load_course(ROOT / "course.yaml")
    files = bundles.bundle(rules, ROOT, session, 10)
    only = parse_course(files["course.yaml"].decode())
    assert [each.id for each in only.sessions] == [session.id]
    others = {each.folder for each in rules.sessions} - {session.folder}
    assert [name for name in files if set(name.split("/")) & others] == []
    assert not any(name.startswith(("tests/", "assignments/")) for name in files)
    folder = ROOT / "autograder" / "graders" / session.folder
    own = (path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    assert {path.relative_to(ROOT).as_posix() for path in own} <= files.keys()


def test_the_secret_is_the_environments_or_a_new_one(
    course: tuple[Course, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    rules, root = course
    monkeypatch.delenv("AUTOGRADER_SECRET", raising=False)
    first, second = (bundles.bundle(rules, root, rules.sessions[0], 10) for _ in range(2))
    assert first["secret.key"] != second["secret.key"]
    monkeypatch.setenv("AUTOGRADER_SECRET", "of the course")
    assert bundles.bundle(rules, root, rules.sessions[0], 10)["secret.key"] == b"of the course"


def test_blanks_around_the_secret_draw_no_other_inputs(
    course: tuple[Course, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules, root = course
    for given in ("of the course", " of the course\n"):
        monkeypatch.setenv("AUTOGRADER_SECRET", given)
        (tmp_path / "secret.key").write_bytes(
            bundles.bundle(rules, root, rules.sessions[0], 10)["secret.key"]
        )
        keys = {read_secret(tmp_path / "secret.key"), ResultsFolder(tmp_path / "results").secret()}
        assert keys == {b"of the course"}


def test_what_cannot_be_exported_is_one_line(course: tuple[Course, Path], tmp_path: Path) -> None:
    rules, root = course
    part = rules.sessions[0]
    with pytest.raises(AutograderError, match=r"ends in \.zip"):
        bundles.write_bundle(rules, root, part, tmp_path / "folder", 10)
    with pytest.raises(AutograderError, match="allows up to 40"):
        bundles.write_bundle(rules, root, part, tmp_path / "a.zip", 41)
    (root / "graders" / "s1_test").rename(root / "elsewhere")
    with pytest.raises(AutograderError, match="no graders for s1"):
        bundles.write_bundle(rules, root, part, tmp_path / "a.zip", 10)


# ---- the metadata --------------------------------------------------------------------------------


def metadata(submitted: datetime | str | None, **fields: object) -> dict[str, object]:
    """What the platform writes beside a submission."""
    at = submitted.isoformat() if isinstance(submitted, datetime) else submitted
    return {
        "id": 123456,
        "created_at": at,
        "assignment": {"due_date": DUE.isoformat(), "group_submission": False},
        "users": [{"email": "ada@x.edu", "id": 1, "name": "Ada", "sid": "77"}],
        "previous_submissions": [],
        **fields,
    }


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", "[" * 100_000, '{"users": 3, "assignment": 4}', "\0"]
)
def test_malformed_metadata_is_a_line_and_no_time(tmp_path: Path, text: str) -> None:
    (tmp_path / "m.json").write_text(text)
    for path in (tmp_path / "m.json", tmp_path / "absent.json"):
        read = read_metadata(path)
        assert (read.submitted_at, read.due, len(read.problems)) == (None, None, 1)
        assert "\n" not in read.problems[0]


@pytest.mark.parametrize("created", [None, "yesterday", "2027-01-25T10:00:00", "2027-13-01T00:00Z"])
def test_a_time_without_its_offset_is_none(tmp_path: Path, created: str | None) -> None:
    (tmp_path / "m.json").write_text(json.dumps(metadata(created)))
    read = read_metadata(tmp_path / "m.json")
    assert (read.student, read.submitted_at) == ("Ada", None)
    assert "late policy" in read.problems[0]


def test_only_a_due_date_of_ones_own_counts(tmp_path: Path) -> None:
    later = DUE + timedelta(days=3)
    for own, expected in ((later, later), (DUE, None), (DUE - timedelta(days=1), None)):
        user = {"name": "Ada", "assignment": {"due_date": own.isoformat()}}
        (tmp_path / "m.json").write_text(json.dumps(metadata(DUE, users=[user])))
        assert read_metadata(tmp_path / "m.json").due == expected


# ---- the results ---------------------------------------------------------------------------------


def entries(report: Report, rules: Course) -> dict[str, Any]:
    """The validated tree of results.json."""
    tree: dict[str, Any] = json.loads(results_json(report, rules.session(report.session), 1.5))
    jsonschema.validate(tree, SCHEMA)
    return tree


def test_what_is_hidden_stays_hidden() -> None:
    rules = parse_course(COURSE)
    tests = [
        TestResult("a", "PLAIN", Outcome.FAILED, message="SAID", detail="TRACEBACK"),
        TestResult("b", "LATER", Outcome.FAILED, visibility=Visibility.AFTER_DUE_DATE),
        TestResult("c", "NEVER", Outcome.FAILED, visibility=Visibility.HIDDEN),
    ]
    alone = [TestResult("d", "WHOLE", Outcome.FAILED, visibility=Visibility.AFTER_DUE_DATE)]
    exercises = rules.sessions[0].exercises
    report = Report(
        *("test", "s1", "ada", "ada", "0" * 64),
        exercises=(exercise_result(exercises[0], tests), exercise_result(exercises[1], alone)),
        incidents=("touched /etc/passwd",),
    )
    tree = entries(report, rules)
    shown = {
        kind: json.dumps([t for t in tree["tests"] if t["visibility"] == kind])
        for kind in ("visible", "after_due_date", "hidden")
    }
    assert "PLAIN" in shown["visible"]
    assert "SAID" in shown["visible"]
    for word in ("LATER", "NEVER", "WHOLE", "TRACEBACK", "passwd"):
        assert word not in shown["visible"] + tree["output"], word
    assert "LATER" in shown["after_due_date"]
    assert "WHOLE" in shown["after_due_date"]
    assert "TRACEBACK" not in shown["after_due_date"]
    assert "TRACEBACK" in shown["hidden"]
    assert "passwd" in shown["hidden"]
    assert [t["number"] for t in tree["tests"] if "number" in t] == ["1.1", "1.1.1", "1.2"]


def test_endless_and_hostile_texts_fit_the_format() -> None:
    rules = parse_course(COURSE)
    for text in (*samples.NASTY, "x" * 200_000, "\ud800", "\x1b[2J"):
        tests = [TestResult("a", text, Outcome.CRASHED, message=text, detail=text)] * 30
        first, _ = rules.sessions[0].exercises
        report = Report(
            *("test", "s1", text, "a", "0" * 64),
            exercises=(exercise_result(first, tests),),
            problems=(text,),
        )
        tree = entries(report, rules)
        assert "\x1b" not in json.loads(json.dumps(tree))["output"]
        assert max(len(t["output"]) for t in tree["tests"]) <= MAX_OUTPUT + 10


def test_a_project_has_a_leaderboard_if_it_is_valid() -> None:
    rules = load_course(ROOT / "course.yaml")
    valid = entries(report_of(entry("ada", 0.5)), rules)
    assert valid["leaderboard"][0] == {"name": "cost imt-2025", "value": 0.5, "order": "asc"}
    assert {row["order"] for row in valid["leaderboard"]} == {"asc", "desc"}
    below = entries(report_of(entry("ada", 0.5, counted=1)), rules)
    assert "leaderboard" not in below


# ---- in the harness ------------------------------------------------------------------------------

# The harness's file system, seen by nobody else: the machine's own, with another /autograder.
ENTER = """\
set -e
new=$1
for entry in /*; do
    name=${entry#/}
    if [ "$name" = autograder ] || [ ! -d "$entry" ]; then continue; fi
    if [ -L "$entry" ]; then cp -P "$entry" "$new/$name" 2>/dev/null || true; continue; fi
    mkdir -p "$new/$name"
    mount --rbind "$entry" "$new/$name"
done
exec chroot "$new" /bin/bash -c "cd /autograder && $2"
"""


def no_namespace() -> str:
    """Why there is no private mount namespace here; empty if there is one."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "Gradescope's harness is Linux and starts as root"
    done = subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False)
    return "" if done.returncode == 0 else "no private mount namespace (unshare --mount) here"


class Container:
    """An `/autograder` as the platform lays it out."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "root"
        self.home = self.root / "autograder"
        for name in ("source", "submission", "results"):
            (self.home / name).mkdir(parents=True)
        (folder / "enter.sh").write_text(ENTER)
        self._enter = folder / "enter.sh"

    def run(self, command: str, seconds: float = 300) -> subprocess.CompletedProcess[str]:
        """Run a command as the harness does: root, in /autograder."""
        kept = {k: v for k, v in os.environ.items() if k.startswith(("PIP_", "SSL_"))}
        return subprocess.run(
            ["unshare", "--mount", "sh", str(self._enter), str(self.root), command],
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", **kept},
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )

    def submit(self, files: Mapping[str, str], about: object) -> dict[str, Any]:
        """The validated results of one submission."""
        for name in ("submission", "results"):
            shutil.rmtree(self.home / name)
            (self.home / name).mkdir()
        for name, text in files.items():
            path = self.home / "submission" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        (self.home / "submission_metadata.json").write_text(json.dumps(about))
        done = self.run("./run_autograder")
        assert done.returncode == 0, done.stdout + done.stderr
        assert [path.name for path in (self.home / "results").iterdir()] == ["results.json"]
        results: dict[str, Any] = json.loads((self.home / "results" / "results.json").read_text())
        jsonschema.validate(results, SCHEMA)
        return results


@pytest.fixture(scope="module")
def container(tmp_path_factory: pytest.TempPathFactory) -> Container:
    """The small course's autograder, built as an image is."""
    if reason := no_namespace():
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("gradescope")
    made = Container(folder)
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("AUTOGRADER_SECRET", "CANARY of the secret")
        rules, root = small_course(folder, monkeypatch)
        zipped = bundles.write_bundle(rules, root, rules.sessions[0], folder / "a.zip", 1).path
    with zipfile.ZipFile(zipped) as archive:
        archive.extractall(made.home / "source")
    shutil.copy(made.home / "source" / "run_autograder", made.home)
    (made.home / "run_autograder").chmod(0o755)
    fresh.environment(made.home / "environment")
    done = made.run("bash /autograder/source/setup.sh")
    if done.returncode and "setuptools" in done.stderr:
        pytest.skip("no package index: pip cannot get what builds a package")
    assert done.returncode == 0, done.stdout + done.stderr
    return made


@pytest.fixture(scope="module")
def results(container: Container) -> dict[str, dict[str, Any]]:
    """Of each submission; all but one are in time."""
    return {
        name: container.submit(files, metadata(DUE + timedelta(hours=30 if name == "late" else -1)))
        for name, files in SUBMISSIONS.items()
    }


def scores(tree: Mapping[str, Any]) -> dict[str, float]:
    """Points by exercise."""
    return {t["extra_data"]["exercise"]: t["score"] for t in tree["tests"] if "score" in t}


@pytest.mark.slow
def test_the_harness_gets_points_for_every_kind_of_submission(
    results: dict[str, dict[str, Any]],
) -> None:
    expected = {
        "right": (100, {"s1.double": 60, "s1.half": 40}),
        "nested": (100, {"s1.double": 60, "s1.half": 40}),
        "wrong": (40, {"s1.double": 40, "s1.half": 0}),
        "blank": (40, {"s1.double": 0, "s1.half": 40}),
        "late": (80, {"s1.double": 60, "s1.half": 40}),
        "hostile": (40, {"s1.double": 0, "s1.half": 40}),
        "over time": (40, {"s1.double": 0, "s1.half": 40}),
        "syntax": (0, {"s1.double": 0, "s1.half": 0}),
        "nothing": (0, {"s1.double": 0, "s1.half": 0}),
    }
    assert {name: (tree["score"], scores(tree)) for name, tree in results.items()} == expected


@pytest.mark.slow
def test_students_read_why(results: dict[str, dict[str, Any]]) -> None:
    outcomes = {name: tree["tests"][0]["extra_data"]["outcome"] for name, tree in results.items()}
    assert outcomes["blank"] == "blank"
    assert outcomes["over time"] == "timed out"
    assert outcomes["nothing"] == "missing"
    assert "work.py is missing" in results["nothing"]["output"]
    assert "20 %" in results["late"]["output"]
    later = [t for t in results["wrong"]["tests"] if t["visibility"] == "after_due_date"]
    assert ["Negative arguments count too" in t["output"] for t in later] == [True]


@pytest.mark.slow
def test_student_code_is_nobody_and_reaches_nothing(
    results: dict[str, dict[str, Any]], container: Container
) -> None:
    text = json.dumps(results["hostile"])
    assert "uid " in text
    assert "uid 0" not in text
    for word in ("CANARY", "FORGED", "WRITTEN", "BEGIN SOLUTION"):
        assert word not in text, word
    assert not (container.home / "source" / "x").exists()


@pytest.mark.slow
def test_without_landlock_the_files_are_closed_to_others(container: Container) -> None:
    """By their modes alone: a kernel may have no Landlock."""
    seen = textwrap.dedent(
        """\
        import os, sys
        os.setgroups([]); os.setgid(54321); os.setuid(54321)
        for path in ("secret.key", "course.yaml", "autograder/graders/s1_test/test_work.py",
                     "solutions/s1_test/work.py", "shared/checks.py"):
            print(path, os.access("/autograder/source/" + path, os.R_OK))
        print("results", os.access("/autograder/results", os.W_OK))
        """
    )
    (container.home / "see.py").write_text(seen)
    done = container.run("/autograder/environment/bin/python see.py")
    assert done.returncode == 0, done.stderr
    answers = dict(line.split() for line in done.stdout.splitlines())
    assert {name for name, answer in answers.items() if answer == "True"} == {"shared/checks.py"}
