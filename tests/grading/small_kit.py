"""A course of one exercise, graded by real processes: a command that others can kill."""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks.kills import Batch
from tests.support import ROOT

GRADER = '''
from autograder.graders.toolkit import check, exercise

@exercise("s1.add")
def test_add(student, rng):
    """The sum of two numbers is returned."""
    a, b = rng.integer(1, 9), rng.integer(1, 9)
    check(student.add(a, b) == a + b, "use the operator +")
'''
MODULES = {
    "right": "def add(a, b):\n    return a + b\n",
    "wrong": "def add(a, b):\n    return a - b\n",
    "slow": "import time\n\n\ndef add(a, b):\n    time.sleep(0.3)\n    return a + b\n",
    "hostile": "import os\n\n\ndef add(a, b):\n    os._exit(0)\n",
    "endless": "def add(a, b):\n    while True:\n        pass\n",
}
COURSE = """kit_version: 1
id: test
title: Test course
term: now
sessions:
  - id: s1
    folder: s1_test
    title: Adding
    modules:
      - file: work.py
        exercises:
          - {id: s1.add, title: Add, points: 100}
limits: {test_seconds: 2, exercise_seconds: 10, submission_seconds: 30}
"""
MAIN = """
import sys
from pathlib import Path
from autograder.grading import kinds
kinds.graders_of = lambda _: Path({graders!r})
from autograder.cli import main
main()
"""


def small_kit(root: Path, kinds: str, **environment: str) -> Batch:
    """A course below `root`, one submission for each word of `kinds`, and how it is graded."""
    (root / "graders").mkdir(parents=True)
    (root / "graders" / "test_add.py").write_text(GRADER)
    (root / "course.yaml").write_text(COURSE)
    for number, kind in enumerate(kinds.split()):
        folder = root / "in" / f"{number:02}-{kind}"
        folder.mkdir(parents=True)
        (folder / "work.py").write_text(f"{MODULES[kind]}# {number}\n")
    main = MAIN.format(graders=str(root / "graders"))
    arguments = ["grade", "s1", str(root / "in"), "--course", str(root / "course.yaml")]
    return Batch(
        [sys.executable, "-c", main, *arguments, "--jobs", "2"],
        root / "results",
        root / "tmp",
        {"AUTOGRADER_SECRET": "secret", "PYTHONPATH": str(ROOT), **environment},
    )
