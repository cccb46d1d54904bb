"""course.yaml, solutions and graders speak of the same exercises."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import autograder
from autograder.course import Session
from autograder.release import exercise_ids_in
from tests import bank
from tests.support import ROOT

SESSIONS = [session for session in bank.course().sessions if session.kind == "functions"]


def ids_in_tests(folder: Path) -> list[str]:
    """The ids of all `@exercise(...)` decorators below a folder."""
    return [
        node.args[0].value
        for path in sorted(folder.rglob("test_*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "exercise"
        and isinstance(node.args[0], ast.Constant)
        and isinstance(node.args[0].value, str)
    ]


@pytest.mark.parametrize("session", SESSIONS, ids=lambda session: session.id)
def test_ids_agree(session: Session) -> None:
    ids = {exercise.id for exercise in session.exercises}
    solutions = ROOT / "solutions" / session.folder
    for module in session.modules:
        wanted = {exercise.id for exercise in module.exercises}
        assert set(exercise_ids_in(solutions / module.file)) == wanted
    graders = Path(autograder.__file__).parent / "graders" / session.folder
    assert set(ids_in_tests(graders)) == ids
    assert set(ids_in_tests(solutions / "tests")) == ids


@pytest.mark.parametrize("session", SESSIONS, ids=lambda session: session.id)
def test_every_grader_has_a_sentence_for_the_student(session: Session) -> None:
    for folder in (
        Path(autograder.__file__).parent / "graders" / session.folder,
        ROOT / "solutions" / session.folder / "tests",
    ):
        for path in folder.rglob("test_*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                    assert ast.get_docstring(node), f"{path.name}: {node.name}"


@pytest.mark.parametrize("session", SESSIONS, ids=lambda session: session.id)
def test_points_and_withheld_modules_exist(session: Session) -> None:
    assert sum(e.points for e in session.exercises if not e.extra_credit) == 100
    for name in session.withhold:
        assert (ROOT / "shared" / f"{name}.py").is_file()


def test_the_blank_sample_is_what_students_get() -> None:
    for sample in (bank.BANKS / "s1_intro" / "samples" / "dora").iterdir():
        assert sample.read_bytes() == (ROOT / "assignments" / "s1_intro" / sample.name).read_bytes()
