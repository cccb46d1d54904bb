"""Watching and removing folders whose contents are hostile."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import autograder
from autograder.engine.sandbox import paths, scratch
from autograder.errors import EngineError

ROOT = Path(autograder.__file__).resolve().parents[1]
KIB = 1024
MANY = 10**9


@pytest.fixture(params=["descriptors", "paths"])
def folder(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A scratch folder, walked by descriptors and, as on Windows, by paths."""
    if request.param == "paths":
        monkeypatch.setattr(scratch, "_WITH_DESCRIPTORS", False)
    elif not scratch._WITH_DESCRIPTORS:
        pytest.skip("this system cannot open folders")
    return scratch.make(scratch.make_base(tmp_path))


def test_a_scratch_folder_is_private(folder: Path) -> None:
    assert folder.stat().st_mode & 0o777 == 0o700
    assert folder.parent.stat().st_mode & 0o777 == 0o711
    assert scratch.make(folder.parent) != folder


def test_removing_leaves_nothing(folder: Path) -> None:
    for name in ("a/b/c", "a/d", "e"):
        (folder / name).mkdir(parents=True)
    for name in ("a/b/c/1", "a/2", "3", "a/line\nbreak", "-rf", "a/ä"):
        (folder / name).write_text("x", encoding="utf-8")
    (folder / os.fsdecode(b"\xff\xfe")).touch()
    scratch.remove(folder)
    assert list(folder.parent.iterdir()) == []


def test_removing_twice_is_fine(folder: Path) -> None:
    scratch.remove(folder)
    scratch.remove(folder)


def test_links_are_removed_and_not_followed(folder: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("kept", encoding="utf-8")
    mode = outside.stat().st_mode
    (folder / "deep").mkdir()
    for place in (folder, folder / "deep"):
        (place / "folder").symlink_to(outside)
        (place / "file").symlink_to(outside / "kept")
        (place / "dangling").symlink_to("nowhere")
        (place / "loop").symlink_to(".")
        (place / "hard").hardlink_to(outside / "kept")
        os.mkfifo(place / "pipe")
    assert not scratch.measure(folder, MANY, MANY).exceeded
    scratch.remove(folder)
    assert (outside / "kept").read_text(encoding="utf-8") == "kept"
    assert outside.stat().st_mode == mode


def test_a_link_in_place_of_the_folder_is_refused(folder: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").touch()
    folder.rmdir()
    folder.symlink_to(outside)
    with pytest.raises(EngineError, match="cannot remove the scratch folder"):
        scratch.remove(folder)
    assert (outside / "kept").exists()


def nest(folder: Path, depth: int) -> None:
    here = os.open(folder, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("deeper", dir_fd=here)
        inner = os.open("deeper", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    os.close(here)


@pytest.mark.parametrize("folder", ["descriptors"], indirect=True)
class TestByDescriptors:
    def test_any_nesting_is_removed(self, folder: Path) -> None:
        nest(folder, 1200)  # beyond the longest path and the recursion limit
        assert scratch.measure(folder, MANY, MANY).exceeded
        scratch.remove(folder)
        assert list(folder.parent.iterdir()) == []

    def test_ordinary_nesting_is_measured(self, folder: Path) -> None:
        nest(folder, 20)
        usage = scratch.measure(folder, MANY, MANY)
        assert (usage.entries, usage.exceeded) == (20, False)

    def test_what_cannot_be_removed_is_an_error(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (folder / "file").touch()

        def refuse(*_: object, **__: object) -> None:
            raise PermissionError(1, "Operation not permitted")

        with monkeypatch.context() as patch:
            patch.setattr(os, "unlink", refuse)
            with pytest.raises(EngineError, match="Operation not permitted"):
                scratch.remove(folder)


def test_bytes_and_entries_are_counted(folder: Path) -> None:
    before = scratch.measure(folder, MANY, MANY)
    assert (before.entries, before.exceeded) == (0, False)
    assert before.free_bytes > 0
    (folder / "sub").mkdir()
    (folder / "sub/data").write_bytes(os.urandom(64 * KIB))
    os.link(folder / "sub/data", folder / "again")
    usage = scratch.measure(folder, MANY, MANY)
    assert usage.entries == 3
    assert 64 * KIB <= usage.bytes < 128 * KIB
    assert not usage.exceeded


def test_holes_take_no_room(folder: Path) -> None:
    with (folder / "sparse").open("wb") as file:
        file.truncate(2**30)
    assert scratch.measure(folder, 2**20, MANY).exceeded is False


@pytest.mark.parametrize(("max_bytes", "max_entries"), [(8 * KIB, MANY), (MANY, 10)])
def test_counting_stops_at_a_limit(folder: Path, max_bytes: int, max_entries: int) -> None:
    for number in range(50):
        (folder / str(number)).write_bytes(os.urandom(KIB))
    usage = scratch.measure(folder, max_bytes, max_entries)
    assert usage.exceeded
    assert usage.entries < 50


def test_many_files(folder: Path) -> None:
    for number in range(1500):
        (folder / str(number)).touch()
    assert scratch.measure(folder, MANY, MANY).entries == 1500
    scratch.remove(folder)
    assert not folder.exists()


def test_a_missing_folder_cannot_be_measured(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="cannot look into the scratch folder"):
        scratch.measure(tmp_path / "nowhere", MANY, MANY)


CLOSED = """
import os, sys, tempfile
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from autograder.engine.sandbox import hide_memory, scratch
hide_memory()  # as the judge does
folder = scratch.make(scratch.make_base(Path(sys.argv[2])))
for mode in (0, 0o300, 0o400, 0o500):
    inner = folder / f"{mode:o}" / "in" / "ner"
    inner.mkdir(parents=True)
    (inner / "file").write_bytes(bytes(10))
    inner.chmod(mode); inner.parent.chmod(mode); inner.parent.parent.chmod(mode)
assert scratch.measure(folder, 10**9, 10**9).entries == 16
for mode in (0, 0o300, 0o400, 0o500):
    inner = folder / f"{mode:o}" / "in" / "ner"
    inner.chmod(mode); inner.parent.chmod(mode); inner.parent.parent.chmod(mode)
folder.chmod(0)
scratch.remove(folder)
assert not folder.exists()
folder.parent.rmdir()
"""


def test_closed_folders_are_measured_and_removed_by_an_ordinary_user() -> None:
    interpreter, change = sys.executable, {}
    if os.geteuid() == 0:
        interpreter, change = "/usr/bin/python3", {"user": 65534, "group": 65534}
        check = [interpreter, "-c", "import sys; sys.exit(sys.version_info < (3, 11))"]
        if not Path(interpreter).exists() or subprocess.run(check, check=False).returncode:
            pytest.skip("root ignores modes, and an ordinary user has no interpreter here")
        if closed := paths.closed_to_others([ROOT / "autograder"]):
            pytest.skip(f"{closed} is closed to ordinary users")
    done = subprocess.run(
        [interpreter, "-I", "-B", "-c", CLOSED, str(ROOT), "/tmp"],
        capture_output=True,
        text=True,
        check=False,
        **change,
    )
    assert done.returncode == 0, done.stderr
