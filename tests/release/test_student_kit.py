"""What students get: everything that they need, and nothing that is hidden."""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import pytest

from autograder.course import Course, load_course, parse_course
from autograder.errors import ReleaseError
from autograder.release import find_regions
from autograder.release.package import write_zip
from autograder.release.student_kit import student_kit, students_course, write_student_kit
from tests import fresh, hidden_text
from tests.support import ROOT

COURSE = load_course(ROOT / "course.yaml")


@pytest.fixture(scope="module")
def kit() -> dict[str, bytes]:
    return student_kit(COURSE, ROOT)


@pytest.fixture
def here(tmp_path: Path, course: Course, solutions: Path) -> tuple[Course, Path]:
    """A small course's folder, with what lies around in one that is used."""
    for name in ("pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "course.yaml").write_text("# CANARY\n")
    for name in ("results/secret.key", ".env", "roster.csv", "assignments/left.py", "docs/x.md"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("CANARY")
    return course, solutions.parent


# ---- what is in it -------------------------------------------------------------------------------


@pytest.mark.slow
def test_no_hidden_text_is_in_it(kit: dict[str, bytes]) -> None:
    assert hidden_text.leaks(kit) == []


@pytest.mark.slow
def test_the_search_finds_every_hidden_text() -> None:
    """Each hidden file, and each solution's body, would be found."""
    secret = [path for path in hidden_text.hidden_graders() if path.stat().st_size > 200]
    for session in COURSE.sessions:
        folder = ROOT / "solutions" / session.folder
        secret += [folder / module.file for module in session.modules]
    secret += sorted((ROOT / "solutions").glob("*/lab.py"))
    assert len(secret) > 100
    planted = {f"{n}.py": path.read_bytes() for n, path in enumerate(secret)}
    found = {line.partition(":")[0] for line in hidden_text.leaks(planted)}
    assert [str(secret[n]) for n, name in enumerate(planted) if name not in found] == []


def test_it_holds_what_a_release_holds_and_the_public_tests(kit: dict[str, bytes]) -> None:
    for session in COURSE.sessions:
        own = [name for name in kit if name.startswith(f"assignments/{session.folder}/")]
        assert f"assignments/{session.folder}/README.md" in own
        for module in session.modules:
            assert f"assignments/{session.folder}/{module.file}" in own
        if session.kind == "functions":
            assert any("/tests/test_public" in name for name in own)
    assert not any(name.startswith(("solutions/", "tests/", "benchmarks/")) for name in kit)
    graders = {name.split("/")[2] for name in kit if name.startswith("autograder/graders/")}
    assert graders == {"__init__.py", "toolkit"}


def test_every_document_that_it_points_to_is_in_it(kit: dict[str, bytes]) -> None:
    """Links of its own files; of the kit's, `docs/NAME.md`, wherever a text names it."""
    missing = []
    for name, content in kit.items():
        if name.startswith("autograder/") or not name.endswith((".md", ".py", ".ipynb")):
            continue
        text = content.decode()
        named = set(re.findall(r"\bdocs/[\w-]+\.md\b", text))
        if name.endswith(".md"):
            here = PurePosixPath(name).parent
            targets = re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", text)
            named |= {os.path.normpath(here / target) for target in targets}
        missing += [(name, target) for target in sorted(named) if target not in kit]
    assert missing == []


def test_nothing_that_lies_around_goes_along(here: tuple[Course, Path]) -> None:
    files = student_kit(*here)
    assert [name for name, content in files.items() if b"CANARY" in content] == []
    assert "assignments/s1_intro/shapes.py" in files


def test_the_course_is_the_same_without_anybodys_extension() -> None:
    text = (ROOT / "course.yaml").read_text("utf-8")
    granted = "{student: Ada L, session: s1, due: 2027-02-01T23:59:00+01:00}"
    extended = parse_course(text.replace("extensions: []", f"extensions: [{granted}]"))
    assert extended.extensions
    written = students_course(extended)
    assert "Ada" not in written
    assert "#" not in written
    assert parse_course(written) == parse_course(text)


def unwanted() -> set[str]:
    """Whatever only an extra asks for: nbgrader, TensorRT, Dask and the like."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = itertools.chain(*project["optional-dependencies"].values())
    names = fresh.names(extras) - fresh.names(project["dependencies"])
    assert {"nbgrader", "tensorrt-rtx", "distributed", "copydetect", "notebook", "mypy"} <= names
    return names | {"dask"}


def test_it_installs_no_tool_of_developers_and_nothing_large_but_torch(
    kit: dict[str, bytes],
) -> None:
    project = tomllib.loads(kit["pyproject.toml"].decode())["project"]
    assert "dev" not in project["optional-dependencies"]
    needed = fresh.closure(project["dependencies"])
    assert needed.keys() & unwanted() == set()


# ---- writing -----------------------------------------------------------------------------------


def test_a_zip_keeps_what_may_be_executed(tmp_path: Path) -> None:
    files = {"b/c.py": b"1", "a.sh": b"2"}
    write_zip(files, tmp_path / "x" / "kit.zip", ["a.sh"])
    with zipfile.ZipFile(tmp_path / "x" / "kit.zip") as archive:
        modes = {info.filename: info.external_attr >> 16 & 0o111 for info in archive.infolist()}
    assert modes == {"a.sh": 0o111, "b/c.py": 0}


@pytest.mark.parametrize("name", ["kit.zip", "kit"])
def test_nothing_is_overwritten(here: tuple[Course, Path], tmp_path: Path, name: str) -> None:
    target = tmp_path / "out" / name
    written = write_student_kit(*here, target)
    assert written.files > 100
    assert f"{written.files} files" in str(written)
    with pytest.raises(ReleaseError, match="already exists; remove it, or choose another name"):
        write_student_kit(*here, target)


@pytest.mark.parametrize("missing", ["pyproject.toml", "constraints.txt", "solutions"])
def test_what_an_export_needs_is_named(here: tuple[Course, Path], missing: str) -> None:
    course, root = here
    (root / missing).rename(root / "elsewhere")
    with pytest.raises(ReleaseError, match=missing):
        write_student_kit(course, root, root / "out" / "kit.zip")
    assert not (root / "out").exists()


def test_a_broken_pyproject_is_one_line(here: tuple[Course, Path]) -> None:
    course, root = here
    for text, reason in (("[project", "not TOML"), ("[project]\nname = 'x'\n", "has no version")):
        (root / "pyproject.toml").write_text(text)
        with pytest.raises(ReleaseError, match=reason) as caught:
            student_kit(course, root)
        assert "\n" not in str(caught.value)


# ---- on a fresh machine --------------------------------------------------------------------------

SESSION = COURSE.sessions[0]

# Run by the kit's own interpreter: grades versions of a student's files one after the other.
CHECK_ALL = """
import json, sys
from dataclasses import replace
from pathlib import Path, PurePosixPath
from autograder.course import load_course
from autograder.grading import checking
from autograder.engine.host import pool
from autograder.submissions import Submission
from autograder.submissions.submission import content_hash

course = load_course(Path("course.yaml"))
session = course.sessions[0]
versions, without, only_for = json.loads(sys.stdin.read())
submissions = [
    Submission(f"v{n}", f"v{n}", content_hash(files), tuple(files.items()))
    for n, files in enumerate({k: v.encode() for k, v in each.items()} for each in versions)
]
reports, grade = [], pool.grade

def all_of_them(job, one, deliver, progress, **options):
    job = replace(job, disabled_mechanisms=tuple(without), only_for=only_for)
    grade(job, submissions, reports.append, progress)
    deliver(reports[0])

pool.grade = all_of_them  # `check` decides on the job, for one submission
checking.check(course, session, submissions[0], checking.public_tests(Path.cwd(), session), (),
               lambda *_: None)
print(json.dumps({r.student: {e.id: e.outcome for e in r.exercises} for r in reports}))
print(json.dumps([reports[0].isolation.level, list(reports[0].isolation.mechanisms)]))
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory, kit: dict[str, bytes]) -> Path:
    """A folder with the unpacked kit, installed by its own install.py."""
    folder = tmp_path_factory.mktemp("fresh")
    for parent in (folder, *folder.parents[:2]):
        parent.chmod(0o755)  # as root, workers are other users
    write_zip(kit, folder / "kit.zip", ["install.py"])
    with zipfile.ZipFile(folder / "kit.zip") as archive:
        archive.extractall(folder / "kit")
    python = fresh.environment(folder / "kit" / ".venv")
    code, printed, errors = fresh.run([python, "install.py"], folder / "kit")
    if code and "setuptools" in errors:
        pytest.skip("no package index: pip cannot get what builds a package")
    assert code == 0, printed + errors
    assert "Installed in" in printed
    return folder / "kit"


def autograder(kit: Path, *arguments: str) -> tuple[int, str, str]:
    return fresh.run([kit / ".venv" / "bin" / "autograder", *arguments], kit)


def shown(document: Path) -> list[str]:
    """The lines of its shell blocks, without comments."""
    blocks = re.findall(r"```sh\n(.*?)```", document.read_text("utf-8"), re.DOTALL)
    return [re.sub(r"\s+#.*", "", line) for block in blocks for line in block.splitlines()]


@pytest.mark.slow
def test_the_first_steps_work_as_printed(installed: Path) -> None:
    """Every line of the kit's README, one after the other in one shell; every exercise is blank."""
    lines = shown(installed / "README.md")
    assert [line.split()[0] for line in lines[:2]] == ["python3", "source"]
    programs = installed.parent / "programs"
    programs.mkdir()
    (programs / "python3").symlink_to(installed / ".venv" / "bin" / "python")
    blanks_are_problems = "|| test $? = 1"
    script = "\n".join(
        f"{line} {blanks_are_problems if ' check ' in line else ''}" for line in lines
    )
    path = f"{programs}:/usr/bin:/bin"
    code, printed, errors = fresh.run(["bash", "-ec", script], installed, PATH=path)
    assert code == 0, printed + errors
    assert "Installed in" in printed
    assert printed.count("○ blank") == len(SESSION.exercises)
    assert f"0 of {len(SESSION.exercises)} exercises pass" in " ".join(printed.split())
    assert (installed / f"ID_{SESSION.id}.zip").is_file()


@pytest.mark.slow
def test_the_install_is_small(installed: Path) -> None:
    present = set(fresh.distributions(installed / ".venv" / "bin" / "python"))
    assert "compression-course" in present
    assert present & unwanted() == set()


@pytest.mark.slow
def test_it_checks_by_spawn(installed: Path) -> None:
    name = SESSION.exercises[0].name
    code, printed, errors = autograder(installed, "check", SESSION.id, "--only", name, "--spawn")
    assert (code, "0 of 1 exercises pass" in " ".join(printed.split())) == (1, True), errors


@pytest.mark.slow
def test_it_grades_nobody(installed: Path) -> None:
    (installed / "class" / "ada").mkdir(parents=True)
    code, _, errors = autograder(installed, "grade", SESSION.id, "class", "-o", "results")
    assert (code, "no graders for" in errors) == (2, True)
    code, _, errors = autograder(installed, "export", "student-kit", "again.zip")
    assert (code, "solutions" in errors, "Traceback" in errors) == (2, True, False)


def filled(kit: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """A student's modules after each exercise, in the order in which the solution needs them."""
    files = {
        module.file: (kit / "assignments" / SESSION.folder / module.file).read_text("utf-8")
        for module in SESSION.modules
    }
    yield "", dict(files)
    for module in SESSION.modules:
        text = (ROOT / "solutions" / SESSION.folder / module.file).read_text("utf-8")
        lines = text.splitlines()
        bodies: dict[str, list[str]] = {}
        for region in find_regions(text):
            bodies.setdefault(region.id, []).append("\n".join(lines[region.begin : region.end - 1]))
        for exercise in module.exercises:
            for body in bodies[exercise.id]:
                files[module.file] = with_body(files[module.file], exercise.id, body)
            yield exercise.id, dict(files)


def with_body(text: str, exercise: str, body: str) -> str:
    """The text with the first blank of an exercise filled in."""
    lines = text.splitlines()
    at = next(n for n, line in enumerate(lines) if f"# TODO({exercise}):" in line)
    assert "NotImplementedError" in lines[at + 1]
    return "\n".join([*lines[:at], body, *lines[at + 2 :], ""])


@pytest.mark.slow
@pytest.mark.parametrize("without", [[], ["landlock"]], ids=["confined", "without Landlock"])
def test_after_each_blank_the_check_changes_for_that_exercise_only(
    installed: Path, tmp_path: Path, without: list[str]
) -> None:
    """What is asked of a version are the exercises of the file that was changed last.

    The last one is asked for all.
    """
    steps = list(filled(installed))
    if without:
        steps = steps[:3]  # the same, on a machine that confines less
    ids = {m.file: [exercise.id for exercise in m.exercises] for m in SESSION.modules}
    files = {exercise: file for file, names in ids.items() for exercise in names}
    asked = {f"v{n}": ids[files[name]] for n, (name, _) in enumerate(steps) if n}
    if not without:
        asked |= {name: list(files) for name in ("v0", f"v{len(steps) - 1}")}
    (tmp_path / "run.py").write_text(CHECK_ALL)
    given = tmp_path / "versions.json"
    given.write_text(json.dumps([[files for _, files in steps], without, asked]))
    python = installed / ".venv" / "bin" / "python"
    command = ["sh", "-c", f"'{python}' '{tmp_path}/run.py' < '{given}'"]
    code, printed, errors = fresh.run(command, installed)
    assert code == 0, errors
    results, isolation = map(json.loads, printed.splitlines())
    assert "landlock" not in isolation[1] or not without
    before = results["v0"]
    assert set(before.values()) == {"blank"}
    for number, (exercise, _) in enumerate(steps[1:], start=1):
        now = results[f"v{number}"]
        changed = {name for name in now if now[name] != before[name]}
        assert (changed, now[exercise]) == ({exercise}, "passed"), exercise
        before = before | now
    assert without or (len(now), set(now.values())) == (len(files), {"passed"})
