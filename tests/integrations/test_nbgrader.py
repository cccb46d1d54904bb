"""A course for nbgrader: run by its stock commands, and its gradebook in step with ours."""

from __future__ import annotations

import csv
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbgrader.api import Gradebook
from nbgrader.nbgraderformat import MetadataValidator
from typer.testing import CliRunner

from autograder.cli.app import app
from autograder.course import load_course
from autograder.errors import AutograderError
from autograder.grading.results import ResultsFolder, present_run
from autograder.grading.roster import Person, Roster
from autograder.grading.tables import StudentNames, read_marks, students_of
from autograder.integrations.nbgrader.cells import BRIDGE, bridge_notebook, by_grade_id, grade_id
from autograder.integrations.nbgrader.course import nbgrader_course, write_course
from autograder.integrations.nbgrader.sync import sync
from autograder.records import ExerciseResult, Identity, Lateness, Outcome, Report
from autograder.submissions.submission import content_hash
from tests import hidden_text
from tests.support import ROOT

COURSE = load_course(ROOT / "course.yaml")
SESSION = COURSE.sessions[0]
PROJECT = next(session for session in COURSE.sessions if session.kind == "project")
pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SAWarning")  # nbgrader's own


def activate(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in an activated environment: nbgrader calls a program of its own by name."""
    programs = str(Path(sys.executable).parent)
    monkeypatch.setenv("PATH", os.pathsep.join((programs, os.environ["PATH"])))


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    return nbgrader_course(COURSE, ROOT)


# ---- what is written -----------------------------------------------------------------------------


@pytest.mark.slow
def test_each_session_has_a_valid_bridge_cell_for_each_exercise(files: dict[str, bytes]) -> None:
    for session in COURSE.sessions:
        text = files[f"source/{session.folder}/{BRIDGE}.ipynb"].decode()
        notebook = nbformat.reads(text, as_version=4)
        nbformat.validate(notebook)
        MetadataValidator().validate_nb(notebook)
        about = [cell.metadata.nbgrader for cell in notebook.cells if cell.metadata]
        points = [exercise.points for exercise in session.exercises]  # extra credit as well
        assert [cell.points for cell in about] == pytest.approx(points)
        assert [by_grade_id(session)[cell.grade_id].id for cell in about] == [
            exercise.id for exercise in session.exercises
        ]
        by_hand = {e.id for e in session.exercises if e.graded == "by hand"}
        assert {by_grade_id(session)[c.grade_id].id for c in about if c.solution} == by_hand


@pytest.mark.slow
def test_only_lab_sheets_hold_answers(files: dict[str, bytes]) -> None:
    """nbgrader strips notebooks and copies everything else to its students."""
    sheets = {name for name in files if name.endswith("lab.ipynb")}
    assert sheets
    assert hidden_text.leaks({k: v for k, v in files.items() if k not in sheets}) == []
    for name in sheets:
        notebook = nbformat.reads(files[name].decode(), as_version=4)
        nbformat.validate(notebook)
        assert any(cell.metadata.get("nbgrader", {}).get("solution") for cell in notebook.cells)


@pytest.mark.slow
def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "gradebook.db").write_text("grades")
    with pytest.raises(AutograderError, match="already exists"):
        write_course(COURSE, ROOT, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["gradebook.db"]


# ---- the gradebook -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A gradebook without anything; nbgrader takes seconds to make one."""
    path = tmp_path_factory.mktemp("empty") / "gradebook.db"
    with pytest.MonkeyPatch.context() as monkeypatch:
        activate(monkeypatch)
        Gradebook(f"sqlite:///{path}").close()
    return path


def gradebook(
    folder: Path,
    empty: Path,
    session: Any = SESSION,
    worth: float = 0,
    students: Sequence[str] = ("ada", "bob"),
) -> Path:
    """A course's folder whose gradebook knows a session's cells, as generate_assignment does.

    `worth` is what each is worth there, if not what course.yaml says.
    """
    shutil.copy(empty, folder)
    with Gradebook(f"sqlite:///{folder / 'gradebook.db'}") as book:
        book.add_assignment(session.folder)
        for student in students:
            book.add_student(student)
        for name in (BRIDGE, "lab"):
            book.add_notebook(name, session.folder)
        for exercise in session.exercises:
            book.add_grade_cell(
                grade_id(exercise),
                BRIDGE,
                session.folder,
                max_score=worth or exercise.points,
                cell_type="code",
            )
        book.add_grade_cell("q1", "lab", session.folder, max_score=5, cell_type="markdown")
    return folder


def report(student: str, points: Mapping[str, float], session: Any = SESSION) -> Report:
    """A graded submission; other exercises earned nothing."""
    results = tuple(
        ExerciseResult(
            e.id,
            e.title,
            e.module,
            Outcome.PARTIAL,
            points.get(e.id, 0.0),
            e.points,
            by_hand=e.graded == "by hand",
        )
        for e in session.exercises
    )
    return Report("nn-compression", session.id, student, student, "0" * 64, results)


def cell_scores(folder: Path, student: str, session: Any = SESSION) -> dict[str, tuple[Any, bool]]:
    """Score and whether a person has to look, by exercise, as nbgrader has them."""
    with Gradebook(f"sqlite:///{folder / 'gradebook.db'}") as book:
        submission = book.find_submission(session.folder, student)
        notebook = next(each for each in submission.notebooks if each.name == BRIDGE)
        named = by_grade_id(session)
        return {named[g.name].id: (g.score, g.needs_manual_grade) for g in notebook.grades}


def mark(folder: Path, student: str, exercise: Any, points: float, session: Any = SESSION) -> None:
    """What the formgrader does."""
    with Gradebook(f"sqlite:///{folder / 'gradebook.db'}") as book:
        grade = book.find_grade(grade_id(exercise), BRIDGE, session.folder, student)
        grade.manual_score = points
        book.db.commit()


@pytest.mark.slow
def test_a_batch_run_fills_the_gradebook(tmp_path: Path, empty: Path) -> None:
    first, second = SESSION.exercises[:2]
    names = ("ada", "Zoë, =1+1", "Ада")
    folder = gradebook(tmp_path, empty, students=names)
    reports = [report(name, {first.id: 1.25, second.id: second.points}) for name in names]
    late = replace(reports[0], lateness=Lateness(submitted_at="2027-01-26T01:30:00+01:00"))
    done = sync(folder, SESSION, [late, *reports[1:]])
    assert (done.students, done.points) == (3, 3 * len(SESSION.exercises))
    assert (done.marked, done.answers, done.marks) == (0, 0, "")
    for name in names:
        scores = cell_scores(folder, name)
        assert scores[first.id] == (1.25, False)
        assert scores[second.id] == (second.points, False)
    with Gradebook(f"sqlite:///{folder / 'gradebook.db'}") as book:
        submission = book.find_submission(SESSION.folder, "ada")
        assert submission.timestamp.isoformat() == "2027-01-26T00:30:00"
        assert submission.score == 1.25 + second.points


def test_marks_by_hand_come_back_and_are_not_overwritten(tmp_path: Path, empty: Path) -> None:
    folder = gradebook(tmp_path, empty)
    first, second = SESSION.exercises[:2]
    sync(folder, SESSION, [report("ada", {first.id: 1}), report("bob", {})])
    mark(folder, "ada", first, first.points)
    mark(folder, "bob", second, 1e6)
    done = sync(folder, SESSION, [report("ada", {first.id: 2}), report("bob", {})])
    assert cell_scores(folder, "ada")[first.id] == (first.points, True)
    rows = list(csv.DictReader(done.marks.splitlines()))
    assert [(r["student"], r["exercise"], float(r["points"])) for r in rows] == [
        ("ada", first.id, first.points),
        ("bob", second.id, second.points),  # never more than the exercise is worth
    ]
    (tmp_path / "marks.csv").write_text(done.marks)
    students = [StudentNames(name, name) for name in ("ada", "bob")]
    marks = read_marks(tmp_path / "marks.csv", SESSION, students)
    assert marks["ada", first.id].points == first.points


def test_the_gradebook_keeps_its_own_ids_under_a_roster(tmp_path: Path, empty: Path) -> None:
    folder = gradebook(tmp_path, empty)
    first = SESSION.exercises[0]
    own = Identity(layout="nbgrader", platform_id="=1+1")
    elsewhere = Identity(layout="moodle", platform_id="101")
    reports = [
        replace(report("ada", {first.id: 1}), identity=own),
        replace(report("bob", {first.id: 1}), identity=elsewhere),
    ]
    sync(folder, SESSION, reports)
    for student in ("=1+1", "bob"):
        mark(folder, student, first, first.points)
    table = sync(folder, SESSION, reports).marks
    assert [row["student"] for row in csv.DictReader(table.splitlines())] == ["'=1+1", "bob"]
    (tmp_path / "marks.csv").write_text(table)
    marks = read_marks(tmp_path / "marks.csv", SESSION, students_of(reports))
    assert {slug for slug, _ in marks} == {"ada", "bob"}


def there(folder: Path) -> dict[str, float]:
    """The students of the gradebook and their points."""
    with Gradebook(f"sqlite:///{folder / 'gradebook.db'}") as book:
        return {each.id: sum(s.score for s in each.submissions) for each in book.students}


def test_students_are_those_of_the_gradebook(tmp_path: Path, empty: Path) -> None:
    """Results read from Moodle: the roster's column nbgrader says who they are there."""
    folder = gradebook(tmp_path, empty, students=("al01", "bob", "zoe", "kim"))
    first = SESSION.exercises[0]
    moodle = Identity(layout="moodle", platform_id="11")
    names = ("ada", "bob", "Ada Lovelace", "cleo", "zoe", "zoe2")
    reports = [replace(report(name, {first.id: 1}), identity=moodle) for name in names]
    reports.append(replace(report("new", {first.id: 1}), identity=Identity(layout="nbgrader")))
    own = Identity(layout="nbgrader", platform_id="new01")
    reports[-1] = replace(reports[-1], identity=own)
    people = [("ada", "al01"), ("cleo", "cl01"), ("zoe2", "zoe")]
    roster = Roster(tuple(Person(s, "", "", "", "", {"nbgrader": i}) for s, i in people))
    done = sync(folder, SESSION, reports, roster)
    assert there(folder) == {"al01": 1, "bob": 1, "zoe": 0, "kim": 0, "new01": 1}
    assert done.students == 3
    lost, both = done.lines
    assert lost.startswith("not in the gradebook, so not written: 'Ada Lovelace', 'cleo'; ")
    assert "--roster" in lost
    assert both == "'zoe' and 'zoe2' are both 'zoe' there; none was written"
    mark(folder, "al01", first, first.points)
    (row,) = csv.DictReader(sync(folder, SESSION, reports, roster).marks.splitlines())
    assert row["student"] == "ada", "as `report --marks` knows the student"


def test_what_is_skipped_is_said(tmp_path: Path, empty: Path) -> None:
    folder = gradebook(tmp_path, empty)
    problem = "'bob/' and 'bob.zip' may be the same student's; none was graded, keep one"
    one = report("ada", {})
    failed = replace(one.exercises[0], outcome=Outcome.TOOL_ERROR)
    broken = replace(one, exercises=(failed, *one.exercises[1:]))
    bob = replace(report("bob", {}), problems=(problem,), submission_sha256=content_hash({}))
    done = sync(folder, SESSION, [broken, bob])
    assert (done.students, there(folder)) == (0, {"ada": 0, "bob": 0})
    assert done.lines == (
        "not written, to be graded again (--resume): 'ada'",
        "not written, since none of several submissions counts: 'bob'",
    )


def test_the_command_reads_the_roster_that_the_results_keep(tmp_path: Path, empty: Path) -> None:
    folder = gradebook(tmp_path, empty, students=("al01",))
    results = ResultsFolder(tmp_path / "results")
    with results.locked():
        results.start(present_run(COURSE, SESSION, {}))
        results.keep(report("ada", {SESSION.exercises[0].id: 1}), COURSE, SESSION)
        results.keep(report("eve", {}), COURSE, SESSION)
    results.keep_roster(b"student,nbgrader\nada,al01\neve,\n")
    where = ("--course", ROOT / "course.yaml")
    done = CliRunner().invoke(
        app, [str(each) for each in ("nbgrader", "sync", results.path, folder, *where)]
    )
    assert done.exit_code == 0, done.output
    assert there(folder) == {"al01": 1}
    assert "not in the gradebook, so not written: 'eve'" in " ".join(done.output.split())


def test_what_a_person_grades_waits_for_one(tmp_path: Path, empty: Path) -> None:
    folder = gradebook(tmp_path, empty, PROJECT)
    by_hand = next(e for e in PROJECT.exercises if e.graded == "by hand")
    sync(folder, PROJECT, [report("ada", {}, PROJECT)])
    assert cell_scores(folder, "ada", PROJECT)[by_hand.id] == (0.0, True)
    mark(folder, "ada", by_hand, 7, PROJECT)
    assert f"ada,{by_hand.id},7" in sync(folder, PROJECT, []).marks


def test_tool_errors_are_not_written(tmp_path: Path, empty: Path) -> None:
    folder = gradebook(tmp_path, empty)
    one = report("ada", {})
    failed = replace(one.exercises[0], outcome=Outcome.TOOL_ERROR)
    broken = replace(one, exercises=(failed, *one.exercises[1:]))
    assert sync(folder, SESSION, [broken]).students == 0


def test_a_gradebook_of_another_course_is_one_line_and_left_alone(
    tmp_path: Path, empty: Path
) -> None:
    cases: Sequence[tuple[str, Any]] = (
        ("there is no gradebook", lambda _: None),
        ("is no gradebook: file", lambda f: (f / "gradebook.db").write_text("grades" * 99)),
        ("has no tables", lambda f: sqlite3.connect(f / "gradebook.db").close()),
        ("another course", lambda folder: gradebook(folder, empty, PROJECT)),
        ("export the course again", lambda folder: gradebook(folder, empty, worth=3.5)),
    )
    for name, make in cases:
        folder = tmp_path / name.replace(":", "")
        folder.mkdir()
        make(folder)
        before = {path.name: path.read_bytes() for path in folder.iterdir()}
        with pytest.raises(AutograderError, match=name) as caught:
            sync(folder, SESSION, [report("ada", {})])
        assert "\n" not in str(caught.value)
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_the_command_refuses_what_it_cannot_use(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "autograder", "nbgrader", "sync", tmp_path, tmp_path],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, "is not a results folder" in done.stderr) == (2, True)


# ---- the stock commands --------------------------------------------------------------------------

CHEAT = "import autograder.integrations.nbgrader.bridge as b\nb.credit = lambda _: 4.0"


def nbgrader(folder: Path, *arguments: str) -> str:
    """The output of a stock command, which has to succeed."""
    variables = {k: v for k, v in os.environ.items() if not k.startswith("AUTOGRADER_")}
    # Half of a command's start are grammars of jsonschema, for formats that no notebook has.
    absent = folder.parent / "absent" / "rfc3987_syntax.py"
    absent.parent.mkdir(exist_ok=True)
    absent.write_text("raise ImportError\n", encoding="utf-8")
    variables["PYTHONPATH"] = str(absent.parent)
    done = subprocess.run(
        [sys.executable, "-m", "nbgrader", *arguments],
        cwd=folder,
        env=variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def only_questions(path: Path, answer: str) -> None:
    """Keep the questions of a lab sheet, and answer them if there is an answer."""
    notebook = nbformat.read(path, as_version=4)
    notebook.cells = [cell for cell in notebook.cells if cell.metadata.get("nbgrader")]
    for cell in notebook.cells if answer else ():
        cell.source = answer if cell.cell_type == "markdown" else f"{answer!r}"
    nbformat.write(notebook, path)


def tamper(folder: Path) -> None:
    """What a dishonest student may try: other cells, other names, a module in the way."""
    path = folder / f"{BRIDGE}.ipynb"
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.source = "4.0"
    notebook.cells.insert(0, nbformat.v4.new_code_cell(CHEAT))
    nbformat.write(notebook, path)
    (folder / "autograder.py").write_text("def credit(_):\n    return 4.0\n")


@pytest.mark.slow
def test_the_stock_commands_run_a_session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    activate(monkeypatch)
    folder = tmp_path / "course"
    write_course(COURSE, ROOT, folder)
    name = SESSION.folder
    nbgrader(folder, "generate_assignment", name)
    released = {
        path.relative_to(folder / "release").as_posix(): path.read_bytes()
        for path in (folder / "release").rglob("*")
        if path.is_file()
    }
    assert hidden_text.leaks(released) == []
    assert "Success" in nbgrader(folder, "validate", f"source/{name}/{BRIDGE}.ipynb")

    for student in ("ada", "mallory"):
        shutil.copytree(folder / "release" / name, folder / "submitted" / student / name)
        lab = folder / "submitted" / student / name / "lab.ipynb"
        only_questions(lab, "Because." if student == "ada" else "")
    for module in SESSION.modules:
        solution = ROOT / "solutions" / name / module.file
        shutil.copy(solution, folder / "submitted" / "ada" / name / module.file)
    tamper(folder / "submitted" / "mallory" / name)
    nbgrader(folder, "autograde", name)

    assert {p for p, _ in cell_scores(folder, "mallory").values()} == {0.0}
    expected = {exercise.id: (exercise.points, False) for exercise in SESSION.exercises}
    assert cell_scores(folder, "ada") == expected
    with Gradebook(f"sqlite:///{folder / 'gradebook.db'}") as book:
        submission = book.find_submission(name, "ada")
        waiting = {each.name: each.needs_manual_grade for each in submission.notebooks}
        assert waiting == {BRIDGE: False, "lab": True}
        assert submission.max_score > 100
        for each in submission.notebooks:
            for grade in each.grades if each.name == "lab" else ():
                grade.manual_score = 1.0
        book.db.commit()

    nbgrader(folder, "generate_feedback", name)
    page = (folder / "feedback" / "mallory" / name / f"{BRIDGE}.html").read_text("utf-8")
    assert "blank" in page
    nbgrader(folder, "export")
    table = (folder / "grades.csv").read_text("utf-8").splitlines()
    rows = {row["student_id"]: row for row in csv.DictReader(table)}
    assert float(rows["ada"]["score"]) > 100
    assert float(rows["mallory"]["score"]) == 0
    assert sync(folder, SESSION, [report("ada", {})]).answers > 0


@pytest.mark.slow
def test_the_stock_commands_run_all_other_sessions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Blank submissions, from the release to the table."""
    activate(monkeypatch)
    folder = tmp_path / "course"
    write_course(COURSE, ROOT, folder)
    for session in COURSE.sessions[1:]:
        name = session.folder
        nbgrader(folder, "generate_assignment", name)
        if session.kind != "functions":
            # A kit without CIFAR-10 has no entry of its own that would be valid.
            bridge = f"source/{name}/{BRIDGE}.ipynb"
            assert "A valid entry" in nbgrader(folder, "validate", bridge)
        submitted = folder / "submitted" / "ada" / name
        shutil.copytree(folder / "release" / name, submitted)
        if (lab := submitted / "lab.ipynb").exists():
            only_questions(lab, "Because.")
        nbgrader(folder, "autograde", name)
        nbgrader(folder, "generate_feedback", name)
        assert (folder / "feedback" / "ada" / name / f"{BRIDGE}.html").is_file()
        # An answer that is as it was released has no points and waits for nobody.
        assert cell_scores(folder, "ada", session) == {
            exercise.id: (0.0, False) for exercise in session.exercises
        }
    nbgrader(folder, "export")
    with (folder / "grades.csv").open(encoding="utf-8", newline="") as table:
        rows = [(row["assignment"], row["student_id"]) for row in csv.DictReader(table)]
    assert sorted(rows) == sorted((session.folder, "ada") for session in COURSE.sessions[1:])


def test_a_notebook_names_no_session_of_its_own() -> None:
    """Whatever sessions there are, the notebook is made of what course.yaml says."""
    text = json.loads(bridge_notebook(PROJECT))
    assert all(name in json.dumps(text) for name in PROJECT.required_files)
