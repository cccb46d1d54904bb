"""What course.yaml names must be there; the real file with one change at a time."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from autograder.course import load_course, parse_course, resolve
from autograder.course.names import COSTS
from autograder.course.resolution import stated_thresholds
from autograder.errors import CourseError
from autograder.project import costs
from shared import data
from shared.datasets import DATASETS
from tests.course.test_course import REAL, line_of

Change = Callable[[str, str], str]


@pytest.fixture
def kit(tmp_path: Path) -> Path:
    """The folders and files of solutions/ that course.yaml lists, and course.yaml."""
    for session in load_course(REAL).sessions:
        folder = tmp_path / "solutions" / session.folder
        folder.mkdir(parents=True)
        for module in session.modules:
            (folder / module.file).touch()
    shutil.copy(REAL, tmp_path / "course.yaml")
    return tmp_path


@pytest.fixture
def change(kit: Path) -> Change:
    """Change the file once, and return the message that it then gives; "" for none."""

    def apply(old: str, new: str) -> str:
        text = REAL.read_text(encoding="utf-8")
        assert old in text
        (kit / "course.yaml").write_text(text.replace(old, new, 1), encoding="utf-8")
        try:
            load_course(kit / "course.yaml")
        except CourseError as error:
            return str(error)
        return ""

    return apply


def test_the_real_course_resolves() -> None:
    resolve(load_course(REAL), REAL.parent)


MISTAKES = [
    # old, new, key, words
    (
        "withhold: [pro",
        "withhold: [proo",
        "sessions[0].withhold[0]",
        "a module of shared/ (checks, ",
    ),
    ("profiling,", "profilling,", "withhold[0]", "got 'profilling'; did you mean 'profiling'?"),
    ("profiling,", "__init__,", "withhold[0]", "got '__init__'"),
    ("folder: s1_intro", "folder: s1_intor", "sessions[0].folder", "did you mean 's1_intro'?"),
    ("metrics.py", "metric.py", "modules[0].file", "solutions/s1_intro/, got 'metric.py'; did you"),
    ("full_ratio", "full_ration", "exercises[0].thresholds.full_ration", "mean 'full_ratio'?"),
    ("full_ratio: 38", "full_ratio: 28", "full_ratio", "more than zero_ratio (28), got 28"),
    ("full_ratio: 38", "full_ratio: 2", "full_ratio", "more than zero_ratio (28), got 2"),
    ("Mixup, points: 4", "Mixup, points: 4, thresholds: {a: 1}", "thresholds.a", "no threshold"),
    ("pixel_max: 16", "pixel_max: 15", "digits.pixel_max", "16, as digits has, got 15"),
    ("[1, 8, 8]", "[3, 8, 8]", "digits.input_shape", "[1, 8, 8], as digits has, got [3, 8, 8]"),
    ("test_images: 10_000", "test_images: 9_999", "cifar10.test_images", "got 9999"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("old", "new", "key", "words"), MISTAKES)
def test_a_name_for_nothing_is_one_line(
    change: Change, old: str, new: str, key: str, words: str
) -> None:
    actual = change(old, new)
    line = line_of(REAL.read_text(encoding="utf-8").replace(old, new, 1), new)
    assert actual.startswith(f"course.yaml:{line}: "), actual
    assert f"{key}: expected " in actual
    assert words in actual
    assert "\n" not in actual
    assert "more error" not in actual


def test_a_threshold_that_is_missing_is_told_where_the_others_stand(change: Change) -> None:
    actual = change("              max_drop: 0.01\n", "")
    line = line_of(REAL.read_text(encoding="utf-8"), "            thresholds:")
    assert actual.startswith(f"course.yaml:{line}: ")
    assert actual.endswith("thresholds.max_drop: expected a number, got nothing")


def test_a_copy_without_solutions_lists_files_that_are_not_there(kit: Path) -> None:
    """There the missing file is a student's, and `check` says so."""
    shutil.rmtree(kit / "solutions")
    assert load_course(kit / "course.yaml") == load_course(REAL)


def test_a_copy_without_graders_reads_no_thresholds(
    change: Change, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("autograder.course.resolution.GRADERS", tmp_path / "nowhere")
    assert change("full_ratio: 38", "full_ration: 38") == ""


def test_the_text_alone_is_not_resolved() -> None:
    text = REAL.read_text(encoding="utf-8").replace("profiling", "profilling", 1)
    course = parse_course(text)
    with pytest.raises(CourseError, match=r"^course\.yaml:\d+: sessions\[0\]\.withhold\[0\]: "):
        resolve(course, REAL.parent)


def test_thresholds_are_read_from_source_without_running_it(tmp_path: Path) -> None:
    (tmp_path / "test_a.py").write_text(
        "raise SystemExit\n"
        '@exercise("s1.f")\n@weight(2)\n@reads_thresholds("low < high", "drop")\n'
        "def test_one(student): pass\n"
        '@exercise("s1.f")\n@reads_thresholds("size")\ndef test_two(student): pass\n'
        '@exercise("s1.g")\ndef test_three(student): pass\n'
    )
    (tmp_path / "test_b.py").write_text("reads_thresholds: not Python\n")
    stated = {"s1.f": ("low < high", "drop", "size"), "s1.g": ()}
    assert stated_thresholds(tmp_path) == stated


def test_names_stand_for_costs_and_data_sets() -> None:
    assert set(COSTS) == set(costs.COSTS)
    for info in DATASETS.values():
        assert callable(getattr(data, info.loader))


def test_the_registry_tells_the_truth_about_the_digits() -> None:
    info, digits = DATASETS["digits"], data.load("digits")
    assert tuple(digits.test.images.shape) == (info.test_images, *info.input_shape)
    assert (digits.peak, len(digits.classes)) == (info.max_value, info.classes)
    assert int(digits.train.images.max()) == info.max_value
