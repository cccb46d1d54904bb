"""What assignments/ must hold follows from solutions/ and course.yaml alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from autograder.course import Course
from autograder.errors import ReleaseError
from autograder.release import build_release
from tests.release.samples import BLANK, END, assert_nothing_leaks, body


def test_a_build_holds_what_students_get(files: dict[str, bytes]) -> None:
    assert list(files) == [
        "README.md",
        "s1_intro/README.md",
        "s1_intro/lab.ipynb",
        "s1_intro/picture.png",
        "s1_intro/shapes.py",
        "s1_intro/tests/test_public.py",
    ]
    assert files["s1_intro/picture.png"] == b"\x89PNG\r\n\x00\xff"


def test_generated_files_say_so_in_their_first_line(files: dict[str, bytes]) -> None:
    told = "Generated from solutions/s1_intro/{} by `autograder release`: change it there."
    first = {
        name: data.split(b"\n")[0].decode(errors="replace")
        for name, data in files.items()
        if b"\n" in data
    }
    assert first["s1_intro/shapes.py"] == "# " + told.format("shapes.py")
    assert first["s1_intro/tests/test_public.py"] == "# " + told.format("tests/test_public.py")
    assert first["s1_intro/README.md"] == "<!-- " + told.format("README.md") + " -->"
    notebook = json.loads(files["s1_intro/lab.ipynb"])
    assert notebook["metadata"]["generated"] == told.format("lab.py")


def test_stripped_modules_and_texts_follow_their_first_line(files: dict[str, bytes]) -> None:
    assert files["s1_intro/shapes.py"].decode().partition("\n")[2] == BLANK
    text = files["s1_intro/README.md"].decode().partition("\n")[2]
    assert text == "# Shapes\n\n# BEGIN SOLUTION stays text\n"


def test_a_build_depends_on_the_sources_alone(
    course: Course, solutions: Path, files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = sorted(solutions.rglob("*"))
    moved = solutions.rename(solutions.with_name("elsewhere"))
    monkeypatch.chdir(moved)
    assert build_release(course, Path()) == files
    assert [path.relative_to(moved) for path in sorted(moved.rglob("*"))] == [
        path.relative_to(solutions) for path in before
    ]


def test_no_line_of_a_region_appears_unless_it_stands_outside_too(
    solutions: Path, files: dict[str, bytes]
) -> None:
    text = (solutions / "s1_intro" / "shapes.py").read_text()
    assert_nothing_leaks(text, files["s1_intro/shapes.py"].decode())


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def assert_refused(course: Course, solutions: Path, words: str) -> None:
    with pytest.raises(ReleaseError) as caught:
        build_release(course, solutions)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unknown_id_is_refused(course: Course, solutions: Path) -> None:
    edit(solutions / "s1_intro/shapes.py", "SOLUTION s1.area", "SOLUTION s1.aera")
    words = "shapes.py:15: unknown exercise id 's1.aera'; did you mean 's1.area'?"
    assert_refused(course, solutions, f"solutions/s1_intro/{words}")


def test_an_id_that_took_the_place_of_another_is_refused(course: Course, solutions: Path) -> None:
    edit(solutions / "s1_intro/shapes.py", "SOLUTION s1.grow", "SOLUTION s1.area")
    assert_refused(course, solutions, "shapes.py:1: no region for s1.grow")


def test_a_reference_folder_is_kept_back(course: Course, solutions: Path) -> None:
    (solutions / "s1_intro" / "reference").mkdir()
    (solutions / "s1_intro" / "reference" / "model.onnx").write_bytes(b"secret")
    assert not any("reference" in name for name in build_release(course, solutions))


def test_an_exercise_may_have_several_regions(course: Course, solutions: Path) -> None:
    extra = body("# BEGIN SOLUTION s1.area", "return 'the second half'", END)
    path = solutions / "s1_intro/shapes.py"
    path.write_text(f"{path.read_text()}\n\n{extra}")
    built = build_release(course, solutions)["s1_intro/shapes.py"].decode()
    assert "the second half" not in built
    assert built.count('NotImplementedError("s1.area")') == 2


def test_an_id_without_a_region_is_refused(course: Course, solutions: Path) -> None:
    edit(solutions / "s1_intro/shapes.py", "            # BEGIN SOLUTION s1.grow\n", "")
    edit(solutions / "s1_intro/shapes.py", "            # END SOLUTION\n", "")
    assert_refused(course, solutions, "shapes.py:1: no region for s1.grow")


@pytest.mark.parametrize("name", ["s1_intro/a_helper.py", "s1_intro/tests/test_a.py", "a.py"])
def test_a_region_outside_its_module_is_refused(course: Course, solutions: Path, name: str) -> None:
    (solutions / name).write_text(body("# BEGIN SOLUTION s1.area", "return 1", END))
    assert_refused(course, solutions, "course.yaml lists s1.area in s1_intro/shapes.py, not here")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"x = 1\ny = '\xe9'\n", "shapes.py:2: not UTF-8"),
        (b"# -*- coding: latin-1 -*-\nx = 1\n", "shapes.py:1: declares iso-8859-1"),
        (b"# coding: klingon\n", "shapes.py:1: not Python: unknown encoding"),
        (b"x = = 1\n", "shapes.py:1: not Python: invalid syntax"),
    ],
)
def test_a_file_in_another_encoding_or_language_is_refused(
    course: Course, solutions: Path, data: bytes, words: str
) -> None:
    (solutions / "s1_intro" / "shapes.py").write_bytes(data)
    assert_refused(course, solutions, words)


def test_folders_and_files_must_agree_with_the_course(course: Course, solutions: Path) -> None:
    (solutions / "s9_extra").mkdir()
    (solutions / "s9_extra" / "a.txt").write_text("x")
    assert_refused(course, solutions, "solutions/s9_extra: no session of course.yaml")
    (solutions / "s9_extra" / "a.txt").unlink()
    (solutions / "s1_intro" / "shapes.py").unlink()
    assert_refused(course, solutions, "shapes.py: missing; course.yaml lists it in s1")
    (solutions / "s1_intro").rename(solutions.with_name("aside"))
    assert_refused(course, solutions, "solutions/s1_intro: missing or empty")
    assert_refused(course, solutions / "absent", "no such folder")


def test_links_are_refused(course: Course, solutions: Path, tmp_path: Path) -> None:
    (tmp_path / "outside.md").write_text("x")
    (solutions / "s1_intro" / "more.md").symlink_to(tmp_path / "outside.md")
    assert_refused(course, solutions, "solutions/s1_intro/more.md:1: not a plain file")


def test_a_notebook_beside_its_source_is_refused(course: Course, solutions: Path) -> None:
    (solutions / "s1_intro" / "lab.ipynb").write_text("{}")
    assert_refused(course, solutions, "s1_intro/lab.ipynb would be written twice")
