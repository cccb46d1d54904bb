"""Other versions of the files that were graded are named, to the student and to the staff."""

from __future__ import annotations

from pathlib import Path

import pytest

from autograder.submissions import Submission, collect, read_submission
from tests.collect.downloads import (
    BOTH,
    CODING,
    LIMITS,
    METRICS,
    marked,
    put,
    session,
    session_of,
    under,
    zipped,
)

SESSION = session()
NEW = marked("new")
FIRST = "deep_compression.py"


def read(root: Path, files: dict[str, bytes], shape: str = "folder") -> Submission:
    if shape == "folder":
        return read_submission(put(root / "ada", files), SESSION, LIMITS)
    (root / "ada.zip").write_bytes(zipped(files))
    return read_submission(root / "ada.zip", SESSION, LIMITS)


SHAPES = pytest.mark.parametrize("shape", ["folder", "zip"])


@SHAPES
@pytest.mark.parametrize(
    ("files", "place", "names", "note"),
    [
        (
            {**BOTH, "ada_s3.zip": zipped(NEW)},
            "the top",
            "'ada_s3.zip'",
            "other complete files were not graded ('ada_s3.zip'), those of the top were",
        ),
        (
            {**BOTH, "a.zip": zipped({"b.zip": zipped(under("work", NEW))})},
            "the top",
            "'a.zip/b.zip/work'",
            "other complete files were not graded ('a.zip/b.zip/work'), those of the top were",
        ),
        (
            {"ada_s3.zip": zipped(BOTH), "coding.py": NEW["coding.py"]},
            "'ada_s3.zip'",
            "'coding.py'",
            "other versions were not graded ('coding.py'), those of 'ada_s3.zip' were",
        ),
        (
            {**under("old"), "coding.py": NEW["coding.py"]},
            "'old'",
            "'coding.py'",
            "other versions were not graded ('coding.py'), those of 'old' were",
        ),
        (
            {**BOTH, "newer/coding.py": NEW["coding.py"], f"newer/{FIRST}": METRICS},
            "the top",
            "'newer'",
            "other complete files were not graded ('newer'), those of the top were",
        ),
        (
            {FIRST: METRICS, "a.zip": zipped({FIRST: NEW[FIRST]})},
            "the top",
            f"'a.zip/{FIRST}'",
            f"other versions were not graded ('a.zip/{FIRST}'), those of the top were",
        ),
        (
            {**BOTH, "new.rar": b"Rar!"},
            "the top",
            "'new.rar'",
            "'new.rar' was not opened: is not a zip; pack it as .zip",
        ),
        (
            {**under("work"), "x/broken.zip": b"PK"},
            "'work'",
            "'x/broken.zip'",
            "'x/broken.zip' was not opened: not a zip archive, or cut off",
        ),
        (
            {**BOTH, **{f"{i}/coding.py": b"%d" % i for i in range(5)}},
            "the top",
            "'0/coding.py', '1/coding.py', '2/coding.py' and 2 more",
            "other versions were not graded ('0/coding.py', '1/coding.py', '2/coding.py' and 2 "
            "more), those of the top were",
        ),
    ],
)
def test_another_version_is_a_line_for_both(
    tmp_path: Path, shape: str, files: dict[str, bytes], place: str, names: str, note: str
) -> None:
    found = read(tmp_path, files, shape)
    line = f"graded: the files of {place}; not graded: {names}. If those count, submit them alone"
    assert (found.remarks, found.notes) == ((line,), (note,))
    missing = set(BOTH) - {name for name, _ in found.files}
    assert [problem.split(" is ")[0] for problem in found.problems] == sorted(missing)
    assert found.told == (*found.problems, line)
    assert found.incidents == ()


@SHAPES
@pytest.mark.parametrize(
    "files",
    [
        {**BOTH, "ada_s3.zip": zipped({**BOTH, "manifest.json": b"{}"}), "again/coding.py": CODING},
        {**BOTH, "windows/coding.py": CODING.replace(b"\n", b"\r\n")},
        {**BOTH, "README.md": b"", "CHANGELOG.md": b"", "notes.zip": zipped({"notes.txt": b""})},
        {**BOTH, "__MACOSX/coding.py": b"1", ".ipynb_checkpoints/coding.py": b"1"},
        {**BOTH, ".ipynb_checkpoints/coding-checkpoint.py": b"1", "__pycache__/coding.py": b"1"},
        {**under("s3_weight_clustering"), "s1_intro/coding.py": b"1", "s10/coding.py": b"1"},
        {**BOTH, "kit.zip": zipped({"assignments/s2_quantization_pruning/coding.py": b"1"})},
        {**under("s3"), "shared/__init__.py": b"", "shared/coding.py": b"ours = 1\n"},
        {
            **under("nn/assignments/s3_weight_clustering"),
            **dict.fromkeys(("nn/course.yaml", "nn/autograder/__init__.py"), b""),
            **dict.fromkeys(("nn/shared/coding.py", "nn/autograder/coding.py"), b"ours = 1\n"),
            "nn/build/lib/shared/__init__.py": b"",
            "nn/build/lib/shared/coding.py": b"ours = 1\n",
        },
        {**BOTH, "data/train-images-idx3-ubyte.gz": b"x", "weights.npy.xz": b"x"},
        {**BOTH, "tests/test_coding.py": b"1", "my_coding.py": b"1"},
    ],
)
def test_what_is_no_other_version_costs_no_word(
    tmp_path: Path, shape: str, files: dict[str, bytes]
) -> None:
    found = read(tmp_path, files, shape)
    assert dict(found.files) == BOTH
    assert (found.told, found.notes, found.incidents) == ((), (), ())


def test_what_cannot_be_compared_differs(tmp_path: Path) -> None:
    found = read(tmp_path, {**BOTH, "a/coding.py": b"\xff", "b/coding.py": bytes(2_000_000)})
    assert "'a/coding.py', 'b/coding.py'" in found.remarks[0]
    same = {"deep_compression.py": METRICS, "coding.py": b"\xff"}
    assert read(tmp_path / "b", {**same, "a/coding.py": b"\xff"}).remarks == ()


def test_two_places_without_a_choice_are_one_problem(tmp_path: Path) -> None:
    found = read(tmp_path, {**under("a"), **under("b", NEW), "c.rar": b""})
    assert (found.remarks, found.notes) == ((), ())


def test_what_a_problem_says_is_not_said_again(tmp_path: Path) -> None:
    found = read(tmp_path, {"coding.py": CODING, "new.rar": b"Rar!", f"x/{FIRST}": METRICS})
    assert found.problems == (
        "'new.rar': is not a zip; pack it as .zip",
        f"{FIRST} is missing; 'x/{FIRST}' was ignored",
    )
    assert (found.remarks, found.notes) == ((), ())


def test_an_archive_beside_all_files_is_compared_and_nothing_else(tmp_path: Path) -> None:
    """What lies in it is neither listed nor flagged, as it was when nothing was opened."""
    inside = {**BOTH, "conftest.py": b"", "../up.py": b""}
    found = read(tmp_path, {**BOTH, "unsafe.zip": zipped(inside)})
    assert (found.ignored, found.incidents, found.problems) == (("unsafe.zip",), (), ())
    assert "leaves the archive's folder" in found.notes[0]
    found = read(tmp_path / "b", {**BOTH, "kit.zip": zipped({**NEW, "conftest.py": b""})})
    assert (found.ignored, found.incidents) == (("kit.zip",), ())


def test_the_last_upload_beside_an_older_archive(tmp_path: Path) -> None:
    files = {
        "ada_11_901_ada_s3.zip": zipped(BOTH),
        "ada_11_950_coding.py": NEW["coding.py"],
        "bob_12_902_bob_s3.zip": zipped(BOTH),
    }
    ada, bob = collect(put(tmp_path / "in", files), SESSION, LIMITS).submissions
    assert dict(ada.files) == BOTH
    assert "not graded: 'coding.py'" in ada.remarks[0]
    assert (bob.remarks, bob.notes) == ((), ())


def test_of_one_module_each_file_is_a_whole_version(tmp_path: Path) -> None:
    one = session_of("s1_intro", {"metrics.py": "s1.sparsity"})
    put(tmp_path / "ada", {"metrics.py": b"1", "old/metrics.py": b"2"})
    found = read_submission(tmp_path / "ada", one, LIMITS)
    assert "not graded: 'old'." in found.remarks[0]
