"""The folder of a release is made to hold what was built; what is not ours stays."""

from __future__ import annotations

from pathlib import Path

import pytest

from autograder.errors import ReleaseError
from autograder.release import MANIFEST, check_release, write_release


def snapshot(folder: Path) -> dict[str, bytes]:
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def test_what_is_written_is_in_sync(files: dict[str, bytes], tmp_path: Path) -> None:
    target = tmp_path / "deep" / "assignments"
    write_release(files, target)
    written = snapshot(target)
    listed = written.pop(MANIFEST).decode().split("\n")
    assert written == files
    assert set(files) < set(listed)
    assert check_release(files, target) == []


def test_writing_twice_changes_nothing(files: dict[str, bytes], tmp_path: Path) -> None:
    write_release(files, tmp_path / "a")
    before = snapshot(tmp_path / "a")
    write_release(files, tmp_path / "a")
    assert snapshot(tmp_path / "a") == before


def test_an_empty_folder_is_a_target(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    write_release({"x.py": b"x = 1\n"}, tmp_path / "a")
    assert check_release({"x.py": b"x = 1\n"}, tmp_path / "a") == []


def test_stale_generated_files_go_and_other_files_stay(tmp_path: Path) -> None:
    target = tmp_path / "a"
    write_release({"s1/tests/old.py": b"old\n", "s1/kept.py": b"1\n"}, target)
    (target / "s1" / "notes.txt").write_text("mine")
    (tmp_path / "beside.txt").write_text("mine too")
    write_release({"s1/kept.py": b"2\n", "s1/new.py": b"new\n"}, target)
    assert set(snapshot(target)) == {"s1/kept.py", "s1/new.py", "s1/notes.txt", MANIFEST}
    assert not (target / "s1" / "tests").exists()
    assert (tmp_path / "beside.txt").read_text() == "mine too"


def test_a_file_may_become_a_folder_and_back(tmp_path: Path) -> None:
    target = tmp_path / "a"
    for files in ({"x": b"1"}, {"x/y": b"2"}, {"x": b"3"}):
        write_release(files, target)
        assert check_release(files, target) == []


def test_a_folder_that_was_not_generated_is_refused(tmp_path: Path) -> None:
    target = tmp_path / "work"
    target.mkdir()
    (target / "thesis.tex").write_text("years")
    with pytest.raises(ReleaseError, match=rf"holds files but no {MANIFEST}"):
        write_release({"x.py": b""}, target)
    with pytest.raises(ReleaseError, match="not a folder"):
        write_release({"x.py": b""}, target / "thesis.tex")
    assert snapshot(target) == {"thesis.tex": b"years"}


def test_a_hand_written_file_in_the_way_is_refused(tmp_path: Path) -> None:
    target = tmp_path / "a"
    write_release({"x.py": b"x\n"}, target)
    (target / "y.py").write_text("mine")
    before = snapshot(target)
    with pytest.raises(ReleaseError, match=r"y\.py: in the way, and not generated"):
        write_release({"x.py": b"new\n", "y.py": b"y\n"}, target)
    assert snapshot(target) == before


@pytest.mark.parametrize(
    "name", ["../x.py", "/tmp/x.py", "s1/../../x.py", "", MANIFEST, "a\\..\\b"]
)
def test_no_path_leads_outside(name: str, tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match="is not a relative path in"):
        write_release({name: b""}, tmp_path / "a")
    assert not list(tmp_path.iterdir())


def test_a_tampered_list_removes_nothing_outside(tmp_path: Path) -> None:
    target = tmp_path / "a"
    write_release({"x.py": b"x\n"}, target)
    (tmp_path / "precious.txt").write_text("x")
    (target / MANIFEST).write_text("Generated\n\n../precious.txt\n")
    with pytest.raises(
        ReleaseError, match=rf"{MANIFEST}:3: '\.\./precious\.txt' is not a relative path"
    ):
        write_release({"x.py": b"x\n"}, target)
    assert (tmp_path / "precious.txt").exists()


@pytest.mark.parametrize("stale", [True, False])
def test_links_are_not_followed(stale: bool, tmp_path: Path) -> None:
    target, outside = tmp_path / "a", tmp_path / "outside"
    write_release({"s1/x.py": b"x\n"}, target)
    (target / "s1").rename(outside)
    (target / "s1").symlink_to(outside, target_is_directory=True)
    with pytest.raises(ReleaseError, match="s1: a link"):
        write_release({"y.py": b"y\n"} if stale else {"s1/x.py": b"new\n"}, target)
    assert snapshot(outside) == {"x.py": b"x\n"}


def test_a_failing_write_leaves_the_folder_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "a"
    write_release({"x.py": b"old\n", "z.py": b"old\n"}, target)
    before = snapshot(target)
    whole = Path.write_bytes

    def full_disk(path: Path, data: bytes) -> int:
        if path.name == "y.py":
            raise OSError(28, "No space left on device", str(path))
        return whole(path, data)

    monkeypatch.setattr(Path, "write_bytes", full_disk)
    with pytest.raises(ReleaseError, match=r"y\.py: No space left on device"):
        write_release({"x.py": b"new\n", "y.py": b"new\n"}, target)
    assert snapshot(target) == before


def test_an_interrupted_run_can_be_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "a"
    write_release({"old.py": b"old\n"}, target)
    new = {"x.py": b"x\n", "y.py": b"y\n"}
    move = Path.replace

    def killed(path: Path, to: Path) -> Path:
        if to.name == "y.py":
            raise KeyboardInterrupt
        return move(path, to)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            write_release(new, target)
    assert check_release(new, target) != []
    (target / ".release-left").mkdir()  # as after a kill that nothing can catch
    write_release(new, target)
    assert check_release(new, target) == []
    assert set(snapshot(target)) == {*new, MANIFEST}
    assert not list(target.glob(".release-*"))


def test_differences_are_unified_diffs(tmp_path: Path) -> None:
    target = tmp_path / "a"
    write_release({"s1/x.py": b"one\ntwo\n", "stale.py": b"old\n"}, target)
    diff = check_release({"s1/x.py": b"one\n2\n", "new.py": b"n\n"}, target)
    text = "\n".join(diff)
    name = target.as_posix()
    assert f"--- {name}/s1/x.py\n+++ {name}/s1/x.py\n@@ -1,3 +1,3 @@\n one\n-two\n+2\n" in text
    assert f"--- /dev/null\n+++ {name}/new.py\n" in text
    assert f"--- {name}/stale.py\n+++ /dev/null\n" in text
    assert "+new.py" in text


@pytest.mark.parametrize("other", [b"x = 1\r\n", b"x = 1", b"\xef\xbb\xbfx = 1\n", b"\xff\n", b""])
def test_every_difference_in_bytes_shows(other: bytes, tmp_path: Path) -> None:
    target = tmp_path / "a"
    write_release({"x.py": other}, target)
    assert check_release({"x.py": b"x = 1\n"}, target) != []


def test_an_absent_folder_misses_every_file(files: dict[str, bytes], tmp_path: Path) -> None:
    diff = check_release(files, tmp_path / "absent")
    assert {line for line in diff if line.startswith("+++ ")} >= {
        f"+++ {tmp_path.as_posix()}/absent/{name}" for name in files if not name.endswith(".png")
    }
    assert any("picture.png differ" in line for line in diff)
    assert not (tmp_path / "absent").exists()


def test_a_file_that_nobody_generated_is_told(tmp_path: Path) -> None:
    target = tmp_path / "a"
    write_release({"x.py": b"x\n"}, target)
    (target / "mine.py").write_text("x")
    (target / "__pycache__").mkdir()
    (target / "__pycache__" / "x.pyc").write_text("x")
    assert check_release({"x.py": b"x\n"}, target) == [
        f"{target.as_posix()}/mine.py: not generated; move it to solutions/ or delete it"
    ]
