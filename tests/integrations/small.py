"""A course of four functions with public tests and no hidden graders: checks take seconds."""

from __future__ import annotations

import shutil
from pathlib import Path

from autograder.course import Course, load_course
from tests.support import ROOT

COURSE = """\
kit_version: 1
id: small
title: Small course
term: now
sessions:
  - id: s1
    folder: s1_small
    title: "Small | <b>@all</b>"
    due: 2027-01-25T23:59:00+01:00
    modules:
      - file: work.py
        exercises:
          - {id: s1.double, title: Twice, points: 60}
          - {id: s1.half, title: A half, points: 37.5}
          - {id: s1.name, title: A name, points: 2.5}
          - {id: s1.more, title: More, points: 9, extra_credit: true}
limits: {test_seconds: 5, exercise_seconds: 5, submission_seconds: 20}
"""

FUNCTIONS = {
    "double": "2 * n",
    "half": "n / 2",
    "name": "str(n)",
    "more": "n + 1",
}
SOLUTION = "\n\n".join(
    f"""\
def {name}(n):
    \"\"\"{name}.\"\"\"
    # BEGIN SOLUTION s1.{name}
    return {body}
    # END SOLUTION
"""
    for name, body in FUNCTIONS.items()
)
TESTS = """\
from autograder.graders.toolkit import Exercise, check

""" + "\n\n".join(
    f'''\
{name} = Exercise("s1.{name}")


@{name}.check()
def test_{name}(student):
    """Of 4 it is {value}."""
    got = student.{name}(4)
    check(got == {value!r}, f"gave {{got!r}}")


@{name}.check()
def test_{name}_again(student):
    """Of 10 as well."""
    n = 10
    check(student.{name}(10) == {body}, "not of 10")
'''
    for (name, body), value in zip(FUNCTIONS.items(), (8, 2.0, "4", 5))
)
RIGHT = "\n\n".join(f"def {name}(n):\n    return {body}\n" for name, body in FUNCTIONS.items())


def course(folder: Path) -> tuple[Course, Path]:
    """The course's rules and folder."""
    root = folder / "course"
    files = {
        "course.yaml": COURSE,
        "solutions/s1_small/work.py": SOLUTION,
        "solutions/s1_small/README.md": "# Small\n",
        "solutions/s1_small/tests/test_public_work.py": TESTS,
    }
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    for name in ("pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, root)
    return load_course(root / "course.yaml"), root
