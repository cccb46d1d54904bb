"""Kinds of sessions, exercises graded by hand, and what a cost is worth."""

from __future__ import annotations

import pickle
import re

import pytest

from autograder.course import Course, CourseExercise, Module, Session, parse_course
from autograder.errors import CourseError
from tests.course.samples import FINAL_PROJECT
from tests.course.test_course import line_of

PROJECT = """\
kit_version: 1
id: demo
title: A course
term: spring
sessions:
  - id: s1
    folder: s1_intro
    title: First
    modules:
      - file: metrics.py
        exercises:
          - {id: s1.sparsity, title: Sparsity, points: 70}
    exercises:
      - {id: s1.essay, title: Essay, points: 30, graded: by hand}
  - id: s7
    folder: s7_project
    title: Project
    kind: project
    exercises:
      - {id: s7.valid, title: Valid, points: 30}
      - {id: s7.cost, title: Cost, points: 50}
      - {id: s7.report, title: Report, points: 20, graded: by hand}
"""
PROJECT += FINAL_PROJECT + "      credit: {full_cost: 0.1, zero_cost: 2}\n"


@pytest.fixture
def course() -> Course:
    return parse_course(PROJECT)


def changed(old: str, new: str) -> str:
    assert old in PROJECT
    return PROJECT.replace(old, new, 1)


def message(text: str) -> str:
    with pytest.raises(CourseError) as caught:
        parse_course(text)
    return str(caught.value)


def test_a_project_has_exercises_without_modules(course: Course) -> None:
    session = course.session("s7")
    assert session.kind == "project"
    assert [e.id for e in session.exercises] == ["s7.valid", "s7.cost", "s7.report"]
    assert {(e.file, e.module) for e in session.exercises} == {("", "")}
    assert [e.graded for e in session.exercises] == ["automatically", "automatically", "by hand"]
    assert session.required_files == ("model.onnx", "card.yaml")
    assert session.exercise("s7.cost").name == "cost"


def test_written_answers_follow_the_exercises_of_modules(course: Course) -> None:
    session = course.session("s1")
    assert session.kind == "functions"
    assert [(e.id, e.file) for e in session.exercises] == [
        ("s1.sparsity", "metrics.py"),
        ("s1.essay", ""),
    ]
    assert session.own_exercises == session.exercises[1:]
    assert session.required_files == ("metrics.py",)


def test_all_data_sets_are_graded_unless_some_are_named(course: Course) -> None:
    assert course.final_project is not None
    assert course.final_project.graded == ()
    named = parse_course(PROJECT + "  graded: [digits]\n").final_project
    assert named is not None
    assert named.graded == ("digits",)


def test_a_data_set_that_earns_no_points_needs_no_credit() -> None:
    start, end = PROJECT.index("    digits:"), PROJECT.index("      credit:")
    other = PROJECT[start:end].replace("digits", "cifar10")
    text = PROJECT + other
    assert "datasets.cifar10.credit: expected full_cost and zero_cost" in message(text)
    assert parse_course(text + "  graded: [digits]\n").final_project is not None


def test_exercises_know_their_module_in_another_process(course: Course) -> None:
    copy = pickle.loads(pickle.dumps(course))
    assert copy == course
    assert [e.module for e in copy.session("s1").exercises] == ["metrics", ""]


def test_sessions_can_be_built_in_code() -> None:
    answer = CourseExercise(id="s1.essay", title="Essay", points=100, graded="by hand")
    session = Session(id="s1", folder="s1_a", title="A", modules=(), exercises=(answer,))
    assert session.exercises == (answer,)
    module = Module(file="a.py", exercises=(CourseExercise(id="s1.f", title="F", points=1),))
    both = Session(id="s1", folder="s1_a", title="A", modules=(module,), exercises=(answer,))
    assert [e.file for e in both.exercises] == ["a.py", ""]


MISTAKES = [
    # old, new, key, expected, got
    ("kind: project", "kind: projekt", "sessions[1].kind", "'functions'", "mean 'project'?"),
    ("Essay, points: 30, graded: by hand", "Essay, points: 30", "[0].graded", "by hand", "'auto"),
    ("graded: by hand", "graded: hand", "sessions[0].exercises[0].graded", "'by hand'", "'hand'"),
    ("points: 20, graded: by hand", "points: 20", "[1].exercises[2].graded", "by hand", "'auto"),
    ("points: 50", "points: 50, graded: by hand", "[1].graded", "automatically", "'by hand'"),
    ("points: 50", "points: 40", "sessions[1].exercises", "points that add to 100", "90"),
    ("points: 70", "points: 60", "sessions[0].modules", "points that add to 100", "90"),
    ("s7.report", "s1.report", "sessions[1].exercises[2].id", "starts with s7.", "'s1.report'"),
    ("s1.essay", "s1.sparsity", "sessions[0].exercises[0].id", "used once", "'s1.sparsity' again"),
    ("s7.cost", "s7.costs", "sessions[1].exercises", "s7.valid and s7.cost", "no s7.cost; did you"),
    ("points: 50", "points: 50, thresholds: {a: 1}", "[1].thresholds", "credit", "a mapping"),
    ("t\n    kind", "t\n    modules: [{file: a.py}]\n    kind", "modules", "no modules", "a list"),
    ("      credit: {full_cost: 0.1, zero_cost: 2}\n", "", "digits.credit", "since s7", "nothing"),
    ("zero_cost: 2", "zero_cost: 0.1", "credit.zero_cost", "more than full_cost (0.1)", "0.1"),
    ("full_cost: 0.1", "full_cost: 0", "credit.full_cost", "above 0", "0"),
    ("full_cost: 0.1, ", "", "credit.full_cost", "a value", "nothing"),
    ("full_cost: 0.1", "ful_cost: 0.1", "credit.ful_cost", "full_cost", "mean 'full_cost'?"),
    ("costs:", "graded: [cifar10]\n  costs:", "graded[0]", "digits", "'cifar10'"),
    ("costs:", "graded: [digit]\n  costs:", "graded[0]", "'digits'", "mean 'digits'?"),
    ("term:", "late_policy: {kind: cut_off}\nterm:", "late_policy.kind", "due date", "'cut_off'"),
]


@pytest.mark.parametrize(("old", "new", "key", "expected", "got"), MISTAKES)
def test_a_mistake_is_one_line(old: str, new: str, key: str, expected: str, got: str) -> None:
    text = changed(old, new)
    parts = re.fullmatch(r"course\.yaml:(\d+): (\S+): expected (.*), got (.*)", message(text))
    assert parts, message(text)
    assert parts[2].endswith(key)
    assert expected in parts[3]
    assert got in parts[4]
    assert "more error" not in parts[4]


def test_a_project_needs_the_rules_of_one() -> None:
    text = PROJECT[: PROJECT.index("final_project")]
    actual = message(text)
    line = line_of(text, "    kind: project")
    assert actual.startswith(f"course.yaml:{line}: sessions[1].kind: expected functions: ")
    assert "no final_project" in actual


def test_a_project_needs_a_data_set() -> None:
    text = PROJECT[: PROJECT.index("    digits:")].replace("datasets:", "datasets: {}")
    assert "final_project.datasets: expected at least one data set, got an empty" in message(text)


def test_the_name_of_the_field_is_no_key() -> None:
    text = changed("    exercises:\n      - {id: s7", "    own_exercises:\n      - {id: s7")
    assert "sessions[1].own_exercises: expected one of the keys" in message(text)
