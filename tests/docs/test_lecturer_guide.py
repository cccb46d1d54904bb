"""docs/lecturer.md is followed step by step in a copy of the kit."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest

from tests.docs.guides import COMMENT, blocks, copy_of_the_kit, run
from tests.support import ROOT

GUIDE = (ROOT / "docs" / "lecturer.md").read_text("utf-8")
FIRST_LINE = re.compile(r"(?:# |<!-- )(\S+)(?: -->)?\n")


def write(kit: Path, block: str) -> None:
    """Put a block where its first line says; one of course.yaml goes among the sessions."""
    first = FIRST_LINE.match(block)
    assert first, block
    target, text = kit / first[1], block[first.end() :]
    if target.name == "course.yaml":
        text = target.read_text("utf-8").replace("\nsessions:\n", f"\nsessions:\n{text}\n", 1)
    else:
        assert not target.exists(), target
        target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text, "utf-8")


@pytest.mark.slow
def test_the_guide_makes_a_session_that_grades(tmp_path: Path) -> None:
    python = copy_of_the_kit(tmp_path)
    said = {}
    for language, content in blocks(GUIDE):
        if language != "sh":
            write(tmp_path, content)
            continue
        for line in content.splitlines():
            expected = (1,) if "exit code 1" in line else (0,)
            plain = COMMENT.sub("", line)
            said[plain] = run(plain, tmp_path, python.parent, expected)
    assert "2 of 2 exercises pass" in said["autograder check s8 solutions/s8_ternary"]
    assert "5 passed" in next(text for line, text in said.items() if "test_banks" in line)
    with (tmp_path / "results-s8" / "grades.csv").open(newline="", encoding="utf-8") as file:
        points = {row["student"]: float(row["total"]) for row in csv.DictReader(file)}
    assert points["ada"] == 100
    assert 0 < points["bob"] <= 30
    (page,) = (tmp_path / "results-s8" / "feedback").glob("bob*.txt")
    read = " ".join(page.read_text("utf-8").replace("|", " ").split())
    assert "are compared with the threshold, not their magnitudes" in read
    blank = (tmp_path / "assignments" / "s8_ternary" / "ternary.py").read_text("utf-8")
    assert "raise NotImplementedError" in blank
    assert "torch.where" not in blank
