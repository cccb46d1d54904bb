"""Which paths become readable, and the rights that each Landlock ABI can restrict."""

import errno
import os
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import autograder
from autograder.engine.sandbox import kernel, landlock, limits, paths

ROOT = Path(autograder.__file__).resolve().parents[1]
NAMES = st.sampled_from(["a", "b", "c", "d.py"])
FILES = st.sets(st.lists(NAMES, min_size=1, max_size=4).map(tuple), min_size=1, max_size=12)


def build(base: Path, files: set[tuple[str, ...]]) -> list[Path]:
    """Make the files whose path is no folder of another one."""
    made = []
    for parts in sorted(files, key=len, reverse=True):
        path = base.joinpath(*parts)
        if not path.exists() and not any(parent.is_file() for parent in path.parents):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
            made.append(path)
    return made


@given(FILES, st.data())
def test_all_that_is_not_hidden_is_readable_and_nothing_else(
    files: set[tuple[str, ...]], data: st.DataObject
) -> None:
    with tempfile.TemporaryDirectory() as name:
        base = Path(name).resolve()
        made = build(base, files)
        entries = sorted(base.rglob("*"))
        hidden = data.draw(st.lists(st.sampled_from(entries), max_size=3))
        carved = paths.carve([base], hidden)
        for file in made:
            is_hidden = any(file.is_relative_to(path) for path in hidden)
            is_covered = any(file.is_relative_to(path) for path in carved.whole)
            assert is_covered != is_hidden
        for folder in carved.listed:
            assert any(path.is_relative_to(folder) for path in hidden)


def test_nothing_hidden_leaves_the_outermost_folders(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    carved = paths.carve([tmp_path / "a/b", tmp_path / "a", tmp_path / "nowhere"], [])
    assert carved == ((tmp_path / "a",), ())


def test_a_hidden_module_takes_its_bytecode_along(tmp_path: Path) -> None:
    (tmp_path / "__pycache__").mkdir()
    for name in ("m.py", "n.py", "__pycache__/m.pyc"):
        (tmp_path / name).touch()
    carved = paths.carve([tmp_path], [tmp_path / "m.py"])
    assert carved == ((tmp_path / "n.py",), (tmp_path,))


def test_links_do_not_lead_to_what_is_hidden(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    open_folder = tmp_path / "open"
    open_folder.mkdir()
    (open_folder / "way").symlink_to(secret)
    (open_folder / "file").touch()
    assert paths.carve([open_folder / "way"], [secret]).whole == ()
    carved = paths.carve([tmp_path], [secret])
    assert carved.whole == (open_folder,)  # the link is there, its target has no rule


def test_hiding_all_of_a_readable_folder(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    assert paths.carve([tmp_path / "a"], [tmp_path]) == ((), ())


@pytest.mark.parametrize(
    ("closed", "mode"), [("", 0o700), ("folder", 0o750), ("folder", 0o744), ("folder/file", 0o640)]
)
def test_what_is_closed_to_others_is_found(closed: str, mode: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        base = Path(name).resolve()
        base.chmod(0o755)
        (base / "folder").mkdir(mode=0o755)
        (base / "folder").chmod(0o755)
        (base / "folder/file").touch()
        (base / "folder/file").chmod(0o644)
        (base / "folder/dangling").symlink_to("nowhere")
        assert paths.closed_to_others([base / "folder", base / "nowhere"]) is None
        (base / closed).chmod(mode)
        assert paths.closed_to_others([base / "folder"]) == base / closed


def test_the_interpreter_is_readable() -> None:
    carved = paths.carve((*paths.interpreter(), *paths.system()), [])
    for module in (os, tempfile, pytest):
        assert any(Path(module.__file__).resolve().is_relative_to(one) for one in carved.whole)
    for private in (Path("/etc/passwd"), Path("/proc/1"), Path("/home"), Path("/root/.ssh")):
        assert not any(private.is_relative_to(one) for one in carved.whole)


def test_rights_of_each_abi() -> None:
    counts = [bin(landlock.handled(abi).files).count("1") for abi in range(1, 8)]
    assert counts == [13, 14, 15, 15, 16, 16, 16]
    assert [landlock.handled(abi).tcp for abi in range(1, 8)] == [0, 0, 0, 3, 3, 3, 3]
    assert [landlock.handled(abi).scopes for abi in range(1, 8)] == [0, 0, 0, 0, 0, 3, 3]
    assert landlock.handled(7).files & landlock.SCRATCH == landlock.SCRATCH
    making_links_and_devices = 1 << 6 | 1 << 9 | 1 << 10 | 1 << 11 | 1 << 12
    assert not landlock.SCRATCH & making_links_and_devices
    assert not landlock.READ & (landlock.WRITE_FILE | 1)


CONFINED = """
import os, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from autograder.engine.sandbox import kernel, landlock
base = Path(sys.argv[2])
(base / "inside").mkdir()
(base / "outside").touch()
grants = [landlock.grant(base / "inside", landlock.SCRATCH)]
kernel.prctl(38, 1)  # PR_SET_NO_NEW_PRIVS
landlock.restrict(int(sys.argv[3]), grants)
(base / "inside/file").write_bytes(b"1")
try:
    (base / "outside").read_bytes()
except PermissionError:
    print("PermissionError")
"""


@pytest.mark.skipif(bool(landlock.available()), reason="this kernel has no Landlock")
@pytest.mark.parametrize("version", range(1, 8))
def test_every_abi_up_to_the_kernels_confines(version: int, tmp_path: Path) -> None:
    if version > landlock.abi():
        pytest.skip(f"the kernel has ABI {landlock.abi()}")
    arguments = [str(ROOT), str(tmp_path), str(version)]
    done = subprocess.run(
        [sys.executable, "-B", "-c", CONFINED, *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "PermissionError\n"), done.stderr
    assert (tmp_path / "inside/file").read_bytes() == b"1"


def test_rights_of_folders_are_not_asked_for_files(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path, rights in ((tmp_path, landlock.READ), (tmp_path / "file", landlock.READ_FILE)):
        grant = landlock.grant(path, landlock.READ)
        assert grant.rights == rights
        assert stat.S_ISDIR(os.fstat(grant.descriptor).st_mode) == path.is_dir()
        os.close(grant.descriptor)


def test_a_kernel_without_landlock_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str, *_: int) -> int:
        raise OSError(errno.EOPNOTSUPP, f"{name}: not supported")

    monkeypatch.setattr(kernel, "machine", lambda: "x86_64")
    monkeypatch.setattr(kernel, "call", refuse)
    assert "does not support it" in landlock.available()
    monkeypatch.setattr(kernel, "machine", lambda: None)
    assert "Linux" in landlock.available()


def test_the_environment_is_made_anew(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("GITHUB_TOKEN", "AUTOGRADER_SECRET", "PYTHONPATH", "LD_PRELOAD"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    settings = limits.environment(tmp_path)
    assert settings["OMP_NUM_THREADS"] == "3"
    assert settings["HOME"] == settings["TMPDIR"] == str(tmp_path)
    assert "x" not in settings.values()
