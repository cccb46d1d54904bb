"""The main road of docs/ta.md is walked with a small class, in a course of two exercises."""

from __future__ import annotations

import csv
import shlex
import sys
import zipfile
from pathlib import Path

import pytest

from tests.docs.guides import command, run, shell_lines
from tests.grading.small_kit import COURSE, MAIN, small_kit
from tests.integrations import importers
from tests.support import ROOT

ROAD = (ROOT / "docs" / "ta.md").read_text("utf-8").partition("\n## Final projects\n")[0]
ESSAY = """    exercises:
      - {id: s1.essay, title: Essay, points: 20, graded: by hand}
"""
RULES = """late_policy: {kind: percent_per_day, percent: 10, cut_off_days: 7}
"""
PEOPLE = {  # Moodle's number -> student, name, module
    101: ("ada", "Ada Lovelace", "def add(a, b):\n    return a + b\n"),
    102: ("bob", "Bob Noyce", "def add(a, b):\n    return a - b\n"),
}


def a_moodle_course(kit: Path) -> None:
    """A course with a late policy and an exercise marked by hand, and what the staff has."""
    small_kit(kit, "")
    text = COURSE.replace("points: 100}", "points: 80}").replace("limits:", f"{ESSAY}limits:")
    text = text.replace("    modules:", "    due: 2027-01-25T23:59:00+01:00\n    modules:", 1)
    (kit / "course.yaml").write_text(text + RULES)
    with zipfile.ZipFile(kit / "moodle.zip", "w") as archive:
        for number, (_, name, module) in PEOPLE.items():
            archive.writestr(f"{name}_{number}_assignsubmission_file_/work.py", module)
    rows = [f"{key},{name},{number}" for number, (key, name, _) in PEOPLE.items()]
    (kit / "roster.csv").write_text("\n".join(["student,name,moodle", *rows]) + "\n")
    (kit / "times.csv").write_text("student,time\nada,2027-01-26T10:00:00+01:00\n")
    (kit / "marks.csv").write_text("student,exercise,points,comment,by\nada,essay,15,fine,cy\n")
    people = [(number, name, f"{key}@example.org") for number, (key, name, _) in PEOPLE.items()]
    (kit / "worksheet.csv").write_bytes(importers.worksheet(people))


def row(kit: Path, student: str) -> dict[str, str]:
    """A student's line of the gradebook."""
    with (kit / "results" / "grades.csv").open(newline="", encoding="utf-8") as file:
        return next(each for each in csv.DictReader(file) if each["student"] == student)


@pytest.mark.slow
def test_the_road_of_the_guide(tmp_path: Path) -> None:
    a_moodle_course(tmp_path)
    main = MAIN.format(graders=str(tmp_path / "graders"))
    python = shlex.join([sys.executable, "-c", main])
    command(tmp_path / "bin", f"PYTHONPATH={shlex.quote(str(ROOT))} exec {python}")
    said = {line: run(line, tmp_path, tmp_path / "bin") for line in shell_lines(ROAD)}
    first, again = (text for line, text in said.items() if line.startswith("autograder grade"))
    assert "read as Moodle" in first
    assert "Kept 2 of 2, graded 0." in again
    ada = row(tmp_path, "ada")
    assert (float(ada["s1.add"]), float(ada["s1.essay"])) == (80, 15)
    assert float(ada["total"]) == pytest.approx(0.9 * 95)  # a day late
    assert float(row(tmp_path, "bob")["total"]) == 0
    written = {path.name for path in (tmp_path / "results" / "export").iterdir()}
    assert written == {"moodle-s1.csv", "moodle-s1-feedback.zip"}
    assert (tmp_path / "results" / "index.html").is_file()
    assert "0 pairs of 2 submissions" in said["autograder similar s1 moodle.zip -o similar.csv"]
