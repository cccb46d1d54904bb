"""A small course with solutions, and what a release makes of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from autograder.course import Course, parse_course
from autograder.release import build_release
from tests.release.samples import LAB, MODULE

COURSE = """\
kit_version: 1
id: demo
title: Demo
term: spring
sessions:
  - id: s1
    folder: s1_intro
    title: First
    modules:
      - file: shapes.py
        exercises:
          - {id: s1.area, title: Area, points: 60}
          - {id: s1.grow, title: Grow, points: 40}
"""


@pytest.fixture
def course() -> Course:
    return parse_course(COURSE)


@pytest.fixture
def solutions(tmp_path: Path) -> Path:
    session = tmp_path / "solutions" / "s1_intro"
    (session / "tests").mkdir(parents=True)
    (session / "shapes.py").write_text(MODULE)
    (session / "README.md").write_text("# Shapes\r\n\r\n# BEGIN SOLUTION stays text\r\n")
    (session / "lab.py").write_text(LAB)
    (session / "tests" / "test_public.py").write_text("def test_it():\n    assert True\n")
    (session / "picture.png").write_bytes(b"\x89PNG\r\n\x00\xff")
    (session / "__pycache__").mkdir()
    (session / "__pycache__" / "shapes.cpython-311.pyc").write_bytes(b"x")
    (session / ".hidden").write_text("x")
    (tmp_path / "solutions" / "README.md").write_text("All sessions\n")
    return tmp_path / "solutions"


@pytest.fixture
def files(course: Course, solutions: Path) -> dict[str, bytes]:
    return build_release(course, solutions)
