"""What a fingerprint depends on: each thing that decides points, and nothing else."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType

import pytest

from autograder.course import Course, parse_course
from autograder.grading import fingerprints
from tests.course.samples import FINAL_PROJECT
from tests.grading.support import COURSE

GRADERS = """
import math
from autograder.graders.toolkit import exercise

def helper():
    return 1

@exercise("s1.add")
def test_add(student):
    \"\"\"It adds.\"\"\"

@exercise("s1.sub")
class TestSub:
    def test_one(self, student):
        assert helper()
"""
FILES = {
    "autograder/engine/judge/main.py": "x = 1\n",
    "autograder/engine/job.py": "x = 1\n",
    "autograder/graders/toolkit/markers.py": "x = 1\n",
    "autograder/graders/s1_test/test_work.py": GRADERS,
    "autograder/records/points.py": "x = 1\n",
    "autograder/records/measurement.py": "x = 1\n",
    "autograder/records/report.py": "x = 1\n",
    "autograder/graders/s1_test/table.npz": "1",
    "autograder/graders/s1_test/mistakes/sub__mirrored.py": "x = 1\n",
    "autograder/graders/s1_test/mistakes/expected.yaml": "sub__mirrored: {fails: [one]}\n",
    "autograder/project/rules.py": "x = 1\n",
    "autograder/grading/batch.py": "x = 1\n",
    "shared/checks.py": "x = 1\n",
}


class Kit:
    """A small kit in a folder."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root = root
        self.text = COURSE
        monkeypatch.setattr(fingerprints, "_KIT", root / "autograder")
        monkeypatch.setattr(fingerprints, "_LIBRARY", root / "shared")
        for name, text in FILES.items():
            self.write(name, text)

    def write(self, name: str, text: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def course(self) -> Course:
        return parse_course(self.text)

    def of_functions(self) -> dict[str, str]:
        fingerprints._tree.cache_clear()
        course = self.course()
        graders = self.root / "autograder" / "graders" / "s1_test"
        return fingerprints.of_functions(course, course.session("s1"), graders)

    def of_project(self, secret: bytes = b"s", dataset: str | None = None) -> dict[str, str]:
        fingerprints._tree.cache_clear()
        course = self.course()
        return fingerprints.of_project(course, course.session("s1"), secret, dataset)


@pytest.fixture
def kit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kit:
    return Kit(tmp_path, monkeypatch)


def changed(before: dict[str, str], after: dict[str, str]) -> set[str]:
    """Names of the exercises whose fingerprint is another."""
    assert before.keys() == after.keys() == {"s1.add", "s1.sub", "s1.essay"}
    return {name.partition(".")[2] for name in before if before[name] != after[name]}


ALL = {"add", "sub", "essay"}


def test_a_fingerprint_is_repeatable_and_each_exercise_s_own(kit: Kit) -> None:
    first = kit.of_functions()
    assert kit.of_functions() == first
    assert len(set(first.values())) == 3
    assert {len(value) for value in first.values()} == {32}


def edit(name: str, old: str, new: str) -> Callable[[Kit], None]:
    return lambda kit: kit.write(name, FILES[name].replace(old, new))


def course_edit(old: str, new: str) -> Callable[[Kit], None]:
    def change(kit: Kit) -> None:
        assert old in kit.text
        kit.text = kit.text.replace(old, new)

    return change


def move_points(kit: Kit) -> None:
    """A session's points are 100, so one exercise gets what another loses."""
    course_edit("Add, points: 40", "Add, points: 39")(kit)
    course_edit("Essay, points: 20", "Essay, points: 21")(kit)


WORK = "autograder/graders/s1_test/test_work.py"
CHANGES: dict[str, tuple[Callable[[Kit], None], set[str]]] = {
    "the engine": (edit("autograder/engine/job.py", "1", "2"), ALL),
    "a package of the engine": (edit("autograder/engine/judge/main.py", "1", "2"), ALL),
    "a new file of the engine": (lambda kit: kit.write("autograder/engine/new.py", ""), ALL),
    "the toolkit": (edit("autograder/graders/toolkit/markers.py", "1", "2"), ALL),
    "the library": (edit("shared/checks.py", "1", "2"), ALL),
    "the rule of points": (edit("autograder/records/points.py", "1", "2"), ALL),
    "another record": (edit("autograder/records/report.py", "1", "2"), set()),
    "how a file is measured": (edit("autograder/records/measurement.py", "1", "2"), ALL),
    "the scorer": (edit("autograder/project/rules.py", "1", "2"), ALL),
    "data of graders": (edit("autograder/graders/s1_test/table.npz", "1", "2"), ALL),
    "a known mistake": (
        edit("autograder/graders/s1_test/mistakes/sub__mirrored.py", "1", "2"),
        {"sub"},
    ),
    "what is stated of mistakes": (
        edit("autograder/graders/s1_test/mistakes/expected.yaml", "one", "two"),
        ALL,
    ),
    "how batches run": (edit("autograder/grading/batch.py", "1", "2"), set()),
    "a helper of graders": (edit(WORK, "return 1", "return 2"), ALL),
    "an import of graders": (edit(WORK, "import math", "import cmath"), ALL),
    "one grader": (edit(WORK, "It adds", "It sums"), {"add"}),
    "a class of graders": (edit(WORK, "assert helper()", "assert not helper()"), {"sub"}),
    "a comment": (edit(WORK, "import math", "import math  # and more"), set()),
    "graders that do not parse": (edit(WORK, "import math", "import"), ALL),
    "limits": (lambda kit: setattr(kit, "text", kit.text + "limits: {test_seconds: 3}\n"), ALL),
    "what is withheld": (course_edit("due: 2027", "withhold: [checks]\n    due: 2027"), ALL),
    "points": (move_points, {"add", "essay"}),
    "a threshold": (course_edit("title: Add,", "title: Add, thresholds: {most: 3},"), {"add"}),
    "a title": (course_edit("title: Add,", "title: Adding,"), set()),
    "the title of the course": (course_edit("title: Test course", "title: Course"), set()),
    "the due date": (course_edit("2027-01-25", "2027-01-26"), set()),
    "the late policy": (course_edit("percent: 10", "percent: 20"), set()),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_decides_changes_the_fingerprints_that_it_decides(kit: Kit, name: str) -> None:
    change, expected = CHANGES[name]
    before = kit.of_functions()
    change(kit)
    assert changed(before, kit.of_functions()) == expected


def test_a_definition_belongs_to_the_exercise_that_it_names(kit: Kit) -> None:
    folder = kit.root / "autograder" / "graders" / "s1_test"
    parts = fingerprints.grader_parts(folder)
    assert set(parts) == {"", "s1.add", "s1.sub"}
    assert len(set(parts.values())) == 3
    shutil.move(folder / "test_work.py", folder / "test_other.py")
    assert all(parts[name] != value for name, value in fingerprints.grader_parts(folder).items())


def test_graders_that_do_not_parse_are_told_apart_and_hide_no_others(kit: Kit) -> None:
    folder = "autograder/graders/s1_test/"
    prints = []
    for broken, later in (("import", "x = 1"), ("from", "x = 1"), ("from", "x = 2")):
        kit.write(folder + "a_broken.py", broken)
        kit.write(folder + "z_later.py", later)
        prints.append(kit.of_functions()["s1.add"])
    assert len(set(prints)) == 3


def test_the_order_in_which_files_are_found_does_not_matter(
    kit: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    kit.write("autograder/graders/s1_test/a_helper.py", "x = 1\n")
    before = kit.of_functions()
    found = Path.rglob
    for backwards in (True, False):
        monkeypatch.setattr(
            Path,
            "rglob",
            lambda path, pattern, turn=backwards: sorted(found(path, pattern), reverse=turn),
        )
        assert kit.of_functions() == before


def test_a_moved_file_changes_the_engine(kit: Kit) -> None:
    before = kit.of_functions()
    engine = kit.root / "autograder" / "engine"
    shutil.move(engine / "job.py", engine / "work.py")
    assert changed(before, kit.of_functions()) == ALL


# ---- the final project ---------------------------------------------------------------------------


def test_a_project_depends_on_rules_scorer_secret_and_data(kit: Kit) -> None:
    before = kit.of_project()
    assert kit.of_project() == before
    assert changed(before, kit.of_project(secret=b"t")) == ALL
    assert changed(before, kit.of_project(dataset="digits")) == ALL
    changes = [
        edit("autograder/project/rules.py", "1", "2"),
        edit("autograder/engine/job.py", "1", "2"),
        edit("autograder/records/points.py", "1", "2"),
        edit("autograder/records/measurement.py", "1", "2"),
        edit("shared/checks.py", "1", "2"),
        lambda kit: setattr(kit, "text", kit.text + FINAL_PROJECT),
        course_edit("gate_correct: 342", "gate_correct: 343"),
    ]
    for change in changes:
        before = kit.of_project()
        change(kit)
        assert changed(before, kit.of_project()) == ALL


def test_a_project_does_not_depend_on_titles_or_function_graders(kit: Kit) -> None:
    before = kit.of_project()
    edit(WORK, "It adds", "It sums")(kit)
    edit("autograder/graders/toolkit/markers.py", "1", "2")(kit)
    course_edit("title: Add,", "title: Adding,")(kit)
    assert changed(before, kit.of_project()) == set()
    course_edit("title: Adding,", "title: Adding, thresholds: {most: 3},")(kit)
    assert changed(before, kit.of_project()) == {"add"}


def test_the_secret_itself_is_not_among_what_is_hashed(
    kit: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor its plain hash, which something else may publish."""
    seen: list[object] = []

    def digest(*parts: object) -> str:
        seen.extend(parts)
        return ""

    monkeypatch.setattr(fingerprints, "_digest", digest)
    kit.of_project(secret=b"the secret")
    assert seen
    assert "the secret" not in str(seen)
    assert hashlib.sha256(b"the secret").hexdigest() not in str(seen)


# ---- results and digests -------------------------------------------------------------------------


def test_a_result_is_of_an_exercise_and_a_submission() -> None:
    prints = {
        fingerprints.of_result(exercise, sha256)
        for exercise in ("ab", "a")
        for sha256 in ("c", "bc")
    }
    assert len(prints) == 4
    assert fingerprints.of_result("a", "c") == fingerprints.of_result("a", "c")


def test_digests_see_values_and_not_the_order_of_keys() -> None:
    digest = fingerprints._digest
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    assert digest((1, 2)) != digest((2, 1))
    assert digest((1, 2)) == digest([1, 2])
    assert digest(MappingProxyType({"a": 1})) == digest({"a": 1})
    assert digest(MappingProxyType({"a": 1})) != digest(MappingProxyType({"a": 2}))
    assert digest(frozenset([1])) == digest([1]) != digest(frozenset([2]))
    assert digest("ab", "c") != digest("a", "bc")
    with pytest.raises(TypeError, match="a object has no hash"):
        digest(object())
