"""Files at any depth, near misses, junk, and a class that lacks everything."""

from __future__ import annotations

import io
import itertools
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autograder.errors import InputErrors
from autograder.submissions import Submission, collect, read_submission
from autograder.submissions.chosen_folder import choose
from autograder.submissions.junk import environments, is_junk
from autograder.submissions.members import Member
from tests.collect.downloads import (
    BOTH,
    CODING,
    LIMITS,
    METRICS,
    marked,
    put,
    session,
    under,
    zipped,
)

SESSION = session()


def read(root: Path, files: dict[str, bytes], shape: str = "folder") -> Submission:
    if shape == "folder":
        return read_submission(put(root / "ada", files), SESSION, LIMITS)
    (root / "ada.zip").write_bytes(zipped(files))
    return read_submission(root / "ada.zip", SESSION, LIMITS)


# ---- places --------------------------------------------------------------------------------------

SHAPES = pytest.mark.parametrize("shape", ["folder", "zip"])


@SHAPES
@pytest.mark.parametrize("above", ["", "nn-s3-ada/"])
def test_the_library_of_a_copy_of_the_kit_is_nobodys_work(
    tmp_path: Path, shape: str, above: str
) -> None:
    """A student's clone holds the course's own shared/, nearer to the top than the assignment."""
    name, other = BOTH
    kit = {"course.yaml": b"", "autograder/__init__.py": b"", f"shared/{name}": b"ours = 1\n"}
    own = {f"assignments/s3/{other}": BOTH[other]}
    files = {f"{above}{path}": data for path, data in {**kit, **own}.items()}
    assert dict(read(tmp_path, files, shape).files) == {other: BOTH[other]}


@SHAPES
@pytest.mark.parametrize("depth", [0, 1, 2, 5, 12])
def test_files_are_found_at_any_depth(tmp_path: Path, shape: str, depth: int) -> None:
    files = {"/".join(["d"] * depth + [name]): data for name, data in BOTH.items()}
    found = read(tmp_path, {**files, "notes.txt": b""}, shape)
    assert (dict(found.files), found.problems) == (BOTH, ())


@SHAPES
@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"coding.py": b"x = 1\n", **under("deep/er")}, "complete over incomplete"),
        ({**under("work"), **under("old/work", marked("old"))}, "nearest over deeper"),
        ({**under("s3_weight_clustering"), **under("a", marked("a"))}, "own folder over others"),
        ({**under("a"), **under("b")}, "two places that agree"),
        ({**under("a"), "b.zip": zipped(BOTH)}, "a folder and an archive that agree"),
        ({"x/ada_s3.zip": zipped(under("in/side"))}, "in an archive"),
        ({"homework.zip": zipped({"ada_s3.zip": zipped(BOTH)})}, "in an archive in an archive"),
        ({**BOTH, "old.zip": zipped(marked("old"))}, "top over archives"),
        ({**BOTH, "broken.zip": b"PK"}, "a broken archive beside them costs nothing"),
        ({**under("a"), "broken.rar": b"Rar!"}, "nor does one of another kind"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_which_place_wins(
    tmp_path: Path, shape: str, files: dict[str, bytes], expected: str
) -> None:
    found = read(tmp_path, files, shape)
    assert (dict(found.files), found.problems) == (BOTH, ()), expected


@SHAPES
@pytest.mark.parametrize(
    ("files", "places"),
    [
        ({**under("a"), **under("b", marked("b"))}, "'a' and 'b'"),
        ({"a.zip": zipped(BOTH), "b.zip": zipped(marked("b"))}, "'a.zip' and 'b.zip'"),
        ({"a/coding.py": CODING, "b/deep_compression.py": METRICS}, "'a' and 'b'"),
    ],
)
def test_two_equally_good_places_are_a_line(
    tmp_path: Path, shape: str, files: dict[str, bytes], places: str
) -> None:
    found = read(tmp_path, files, shape)
    line = f"the session's files lie in more than one place ({places}); keep one"
    assert (found.files, found.problems) == ((), (line,))


def test_a_deeper_complete_place_is_named(tmp_path: Path) -> None:
    found = read(tmp_path, {**BOTH, **under("old", marked("old"))})
    assert found.notes == ("other complete files were not graded ('old'), those of the top were",)


def test_archives_are_not_opened_without_end(tmp_path: Path) -> None:
    inner = BOTH
    for _ in range(3):
        inner = {"a.zip": zipped(inner)}
    found = read(tmp_path, inner)
    assert found.files == ()
    assert "pack the files once" in found.problems[0]
    many = {f"{i}.zip": zipped({"x.txt": b"x"}) for i in range(9)}
    (line, *_) = [p for p in read(tmp_path / "b", many).problems if "after 4" in p]
    assert line == "'4.zip': was not opened after 4 other archives; keep one"


def test_an_unsafe_archive_inside_is_named(tmp_path: Path) -> None:
    found = read(tmp_path, {"eve.zip": zipped({"../up.py": b""})})
    line = "'eve.zip': the name '../up.py' leaves the archive's folder"
    assert found.incidents == (line,)
    assert found.problems[0] == line


names = st.sampled_from(["", "a", "b", "a/b", "s3_weight_clustering", "c/d/e"])
places = st.dictionaries(
    names,
    st.dictionaries(st.sampled_from(sorted(BOTH)), st.sampled_from([b"1", b"2"]), min_size=1),
    max_size=4,
)


@given(places)
def test_the_chosen_place_is_never_beaten(found: dict[str, dict[str, bytes]]) -> None:
    """By the rules read out one after the other, with a slow comparison of every pair."""
    members = [
        Member(f"{folder}/{name}".lstrip("/"), len(data), data)
        for folder, files in found.items()
        for name, data in files.items()
    ]
    chosen = choose(members, tuple(BOTH), SESSION.folder)

    def beats(one: str, other: str) -> bool:
        complete, also = len(found[one]) == len(BOTH), len(found[other]) == len(BOTH)
        if complete != also:
            return complete
        depth, below = len(one.split("/")) * (one != ""), len(other.split("/")) * (other != "")
        if depth != below:
            return depth < below
        if SESSION.folder in (one, other):
            return one == SESSION.folder
        return len(found[one]) > len(found[other])

    best = [one for one in found if not any(beats(o, one) for o in found if o != one)]
    if not found:
        assert (chosen.folder, chosen.problem) == (None, "")
    elif all(found[one] == found[other] for one, other in itertools.combinations(best, 2)):
        assert chosen.folder in best
        assert {name: m.data for name, m in chosen.files.items()} == found[best[0]]
    else:
        assert chosen.folder is None
        assert "more than one place" in chosen.problem


# ---- near misses ---------------------------------------------------------------------------------


@SHAPES
@pytest.mark.parametrize(
    "near",
    [
        *("coding (1).py", "coding(2).py", "coding-1.py", "coding_2.py", "coding copy.py"),
        *("Copy of coding.py", "coding - Kopie.py", "coding.py.txt", "coding.txt", "coding"),
        *("CODING.PY", "Coding.py.txt", "coding.ipynb", "coding (1).py.txt", "codnig.py"),
        *("sub/coding (1).py", "coding .py", "coding.py."),
    ],
)
def test_near_misses_are_named_and_not_graded(tmp_path: Path, shape: str, near: str) -> None:
    files = {"deep_compression.py": METRICS, near: CODING, "notes.txt": b"x"}
    found = read(tmp_path, files, shape)
    assert dict(found.files) == {"deep_compression.py": METRICS}
    (problem,) = found.problems
    assert problem.startswith(f"coding.py is missing; '{near}' was ignored")


@pytest.mark.parametrize(
    "near", ["deep-compression.py", "deep compression.py", "DeepCompression.ipynb"]
)
def test_separators_are_near_misses(tmp_path: Path, near: str) -> None:
    found = read(tmp_path, {"coding.py": CODING, near: METRICS})
    expected = "deep_compression.py is missing"
    assert found.problems[0].startswith(expected)
    assert (f"'{near}' was ignored" in found.problems[0]) == (near != "DeepCompression.ipynb")


@pytest.mark.parametrize("near", ["Coding.py", "CODING.PY", "coding.py ", " coding.py"])
def test_what_hardly_differs_is_told_how(tmp_path: Path, near: str) -> None:
    found = read(tmp_path, {"deep_compression.py": METRICS, near: CODING})
    blank = ", without blanks around it" if near != near.strip() else ""
    assert found.problems == (
        f"coding.py is missing; '{near.strip()}' was ignored: its name has to be coding.py{blank}",
    )


@pytest.mark.parametrize("far", ["encoding.py", "coder.py", "decoding_notes.txt", "lab.ipynb"])
def test_other_names_are_not_near(tmp_path: Path, far: str) -> None:
    found = read(tmp_path, {"deep_compression.py": METRICS, far: CODING})
    assert found.problems == ("coding.py is missing",)


@pytest.mark.parametrize(
    "unit", ["copy  ", " - copy _ ", "-1", " (1)", ".py", ".py.txt ", "copy of ", "_-_-", "v1 "]
)
def test_no_name_takes_long_to_compare(tmp_path: Path, unit: str) -> None:
    """Each would take years if marks of copies could be read in several ways."""
    long = (f"coding {unit * 200}"[:110] + "x.py").replace("\\", "")
    found = read(tmp_path, {"deep_compression.py": METRICS, long: CODING}, "zip")
    assert found.problems[0].startswith("coding.py is missing")


def test_a_notebook_is_told_what_to_do(tmp_path: Path) -> None:
    found = read(tmp_path, {"deep_compression.py": METRICS, "coding.ipynb": b"{}"})
    assert found.problems == (
        "coding.py is missing; 'coding.ipynb' was ignored: "
        "a notebook is not read, save its code as coding.py",
    )


# ---- Windows -------------------------------------------------------------------------------------


def with_backslashes(files: dict[str, bytes]) -> bytes:
    """A zip whose names have the separators of Windows, byte for byte."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in files.items():
            info = zipfile.ZipInfo("x")
            info.filename = name.replace("/", "\\")
            archive.writestr(info, data)
    assert b"\\" in buffer.getvalue()
    return buffer.getvalue()


def test_backslashes_of_windows_packers_are_separators(tmp_path: Path) -> None:
    (tmp_path / "ada.zip").write_bytes(with_backslashes(under("work/s3")))
    found = read_submission(tmp_path / "ada.zip", SESSION, LIMITS)
    assert (dict(found.files), found.problems, found.incidents) == (BOTH, (), ())


@pytest.mark.skipif(sys.platform == "win32", reason="no such names there")
def test_backslashes_in_names_on_disk_are_separators(tmp_path: Path) -> None:
    files = {name.replace("/", "\\"): data for name, data in under("work/s3").items()}
    found = read(tmp_path, files)
    assert (dict(found.files), found.problems) == (BOTH, ())
    both = read(tmp_path / "b", {**under("a"), "a\\coding.py": b"1"})
    assert dict(both.files) == BOTH
    assert read(tmp_path / "c", {**BOTH, "..\\coding.py": b"x"}).problems == ()


def test_a_whole_moodle_zip_with_backslashes(tmp_path: Path) -> None:
    files = under("Ada_1_assignsubmission_file_/work")
    (tmp_path / "class.zip").write_bytes(with_backslashes(files))
    (ada,) = collect(tmp_path / "class.zip", SESSION, LIMITS).submissions
    assert (ada.student, dict(ada.files)) == ("Ada", BOTH)


# ---- junk ----------------------------------------------------------------------------------------

JUNK = {
    **{f".git/objects/{i:02x}/{i}": b"x" * 100 for i in range(LIMITS.max_files)},
    **{f"env/lib/python3.11/site-packages/p{i}/coding.py": b"bad" for i in range(40)},
    **{f"myenv/lib/m{i}.py": b"bad" for i in range(40)},
    "myenv/pyvenv.cfg": b"home = /usr",
    "myenv/torch.py": b"bad",
    "__MACOSX/._coding.py": b"bad",
    "__pycache__/coding.cpython-311.pyc": b"bad",
    "node_modules/E/x": b"1",
    "node_modules/e/x": b"2",
    "node_modules/" + "d/" * 30 + "x": b"deep",
    ".venv/coding.py": b"bad",
    "Thumbs.db": b"bad",
    "Icon\r": b"",
    "x.egg-info/conftest.py": b"bad",
}


@SHAPES
@pytest.mark.parametrize("start", ["", "work/"])
def test_junk_costs_nothing(tmp_path: Path, shape: str, start: str) -> None:
    files = {start + name: data for name, data in {**BOTH, **JUNK}.items()}
    found = read(tmp_path, files, shape)
    assert dict(found.files) == BOTH
    assert (found.problems, found.incidents, found.notes) == ((), (), ())
    assert found.ignored == ()


def test_junk_counts_against_no_limit_of_archives(tmp_path: Path) -> None:
    large = os.urandom(2 * LIMITS.max_bytes)
    zeros = bytes(3 * LIMITS.max_bytes)
    junk = {".git/pack": large, "venv/pyvenv.cfg": b"", "venv/zeros": zeros}
    found = read(tmp_path, {**BOTH, **junk}, "zip")
    assert (dict(found.files), found.problems) == (BOTH, ())
    work = read(tmp_path, {**BOTH, "pack": large}, "zip")
    assert work.problems == (f"'ada.zip': is larger than {LIMITS.max_bytes:,} bytes",)


def test_junk_does_not_hide_a_bomb(tmp_path: Path) -> None:
    """The ratio is that of what is read: junk of random bytes makes no room."""
    junk = {".git/pack": os.urandom(100_000)}
    found = read(tmp_path, {**BOTH, **junk, "zeros": bytes(4_900_000)}, "zip")
    assert found.incidents
    assert "100 times its size" in found.problems[0]


def test_links_in_an_environment_cost_nothing(tmp_path: Path) -> None:
    put(tmp_path / "ada", {**BOTH, "env/pyvenv.cfg": b""})
    (tmp_path / "ada" / "env" / "python").symlink_to("/usr/bin/python3")
    found = read_submission(tmp_path / "ada", SESSION, LIMITS)
    assert (dict(found.files), found.incidents) == (BOTH, ())
    info = zipfile.ZipInfo("env/python")
    info.create_system, info.external_attr = 3, 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "ada.zip", "w") as archive:
        for name, data in {**BOTH, "env/pyvenv.cfg": b""}.items():
            archive.writestr(name, data)
        archive.writestr(info, "/usr/bin/python3")
    found = read_submission(tmp_path / "ada.zip", SESSION, LIMITS)
    assert (dict(found.files), found.incidents) == (BOTH, ())


@SHAPES
def test_an_environment_around_the_work_is_no_junk(tmp_path: Path, shape: str) -> None:
    files = {**under("work"), "work/pyvenv.cfg": b"", "work/lib/site-packages/x.py": b""}
    found = read(tmp_path, files, shape)
    assert (dict(found.files), found.problems) == (BOTH, ())


@pytest.mark.parametrize(
    "path", ["../.git/x", "/.git/x", ".git/../../x", "a//.git/x", "coding.py", "git/x"]
)
def test_what_is_never_junk(path: str) -> None:
    assert not is_junk(path)


def test_the_top_is_no_environment() -> None:
    assert environments(["pyvenv.cfg", "a/pyvenv.cfg", "b/conda-meta/history"], {"x.py"}) == {
        "a",
        "b",
    }


def test_a_real_environment_is_junk(tmp_path: Path) -> None:
    put(tmp_path / "ada", BOTH)
    subprocess.run(
        [sys.executable, "-m", "venv", "--without-pip", tmp_path / "ada" / "my env"], check=True
    )
    found = read_submission(tmp_path / "ada", SESSION, LIMITS)
    assert (dict(found.files), found.problems, found.ignored) == (BOTH, (), ())


# ---- a class that lacks everything ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("bad", "good", "stops"), [(2, 0, True), (3, 2, True), (2, 2, False), (1, 0, False)]
)
def test_a_class_without_files_is_not_graded(
    tmp_path: Path, bad: int, good: int, stops: bool
) -> None:
    for i in range(good):
        put(tmp_path / "in" / f"good{i}", BOTH)
    for i in range(bad):
        put(tmp_path / "in" / f"bad{i}", {"Coding (1).ipynb": b"{}", "x.txt": b""})
    if not stops:
        assert len(collect(tmp_path / "in", SESSION, LIMITS).submissions) == bad + good
        return
    with pytest.raises(InputErrors, match=f"{bad} of {bad + good} submissions") as caught:
        collect(tmp_path / "in", SESSION, LIMITS)
    assert "deep_compression.py, coding.py" in str(caught.value)
    assert "--accept-missing" in str(caught.value)
    assert all("'Coding (1).ipynb', 'x.txt'" in line for line in caught.value.lines)
    found = collect(tmp_path / "in", SESSION, LIMITS, accept_missing=True)
    assert len(found.submissions) == bad + good
