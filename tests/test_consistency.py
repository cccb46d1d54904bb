"""course.yaml, solutions and graders speak of the same exercises."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import autograder
from autograder.course import Session
from autograder.course.graders import by_exercise
from autograder.release import exercise_ids_in
from tests import bank
from tests.support import ROOT

GRADERS = Path(autograder.__file__).parent / "graders"
SESSIONS = [session for session in bank.course().sessions if session.kind == "functions"]


def ids_in_tests(folder: Path) -> list[str]:
    """The ids of the exercises of all checks below a folder."""
    return [
        exercise
        for path in sorted(folder.rglob("test_*.py"))
        for exercise, node in by_exercise(ast.parse(path.read_text(encoding="utf-8")).body)
        if exercise and isinstance(node, ast.FunctionDef)
    ]


@pytest.mark.parametrize("session", SESSIONS, ids=lambda session: session.id)
def test_ids_agree(session: Session) -> None:
    ids = {e.id for e in session.exercises if e.graded == "automatically"}
    solutions = ROOT / "solutions" / session.folder
    for module in session.modules:
        expected = {exercise.id for exercise in module.exercises}
        assert set(exercise_ids_in(solutions / module.file)) == expected
    assert set(ids_in_tests(GRADERS / session.folder)) == ids
    assert set(ids_in_tests(solutions / "tests")) == ids


@pytest.mark.parametrize("session", SESSIONS, ids=lambda session: session.id)
def test_every_grader_has_a_sentence_for_the_student(session: Session) -> None:
    for folder in (
        GRADERS / session.folder,
        ROOT / "solutions" / session.folder / "tests",
    ):
        for path in folder.rglob("test_*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                    assert ast.get_docstring(node), f"{path.name}: {node.name}"


@pytest.mark.parametrize("session", bank.course().sessions, ids=lambda session: session.id)
def test_points_and_withheld_modules_exist(session: Session) -> None:
    assert sum(e.points for e in session.exercises if not e.extra_credit) == 100
    for name in session.withhold:
        assert (ROOT / "shared" / f"{name}.py").is_file()


@pytest.mark.parametrize("session", SESSIONS, ids=lambda session: session.id)
def test_graders_state_the_thresholds_that_they_read(session: Session) -> None:
    for path in sorted((GRADERS / session.folder).rglob("test_*.py")):
        for function in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(function, ast.FunctionDef):
                continue
            stated = {
                name
                for decorator in function.decorator_list
                if isinstance(decorator, ast.Call)
                and ast.unparse(decorator.func) == "reads_thresholds"
                for argument in decorator.args
                if isinstance(argument, ast.Constant)
                for name in str(argument.value).split(" < ")
            }
            read = {
                node.slice.value
                for node in ast.walk(function)
                if isinstance(node, ast.Subscript)
                and ast.unparse(node.value) == "thresholds"
                and isinstance(node.slice, ast.Constant)
            }
            assert stated == read, f"{path.name}: {function.name}"


def test_the_blank_sample_is_what_students_get() -> None:
    for sample in (bank.BANKS / "s1_intro" / "samples" / "dora").iterdir():
        assert sample.read_bytes() == (ROOT / "assignments" / "s1_intro" / sample.name).read_bytes()
