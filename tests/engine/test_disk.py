"""A small disk under the scratch folders: whoever fills it is stopped, nobody else is harmed.

The disk is a tmpfs that the test mounts for a child process alone, so it needs root.
"""

from __future__ import annotations

import json
import mmap
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from autograder.engine.host import pool
from autograder.engine.sandbox import WorkerLimits, scratch
from autograder.errors import EngineError
from tests.support import ROOT

MEBIBYTE = 1 << 20

# Mounts the disk where nobody else sees it, drops capabilities, grades. Arguments: root of the
# project, mount point, size, whether the rights over other processes are given up, source.
CHILD = """
import os, subprocess, sys, tempfile
from pathlib import Path
root, disk, size, container, source = sys.argv[1:]
sys.path.insert(0, root)
from autograder.engine.sandbox import kernel
kernel.unshare(0x20000)
subprocess.run(["mount", "--make-rprivate", "/"], check=True)
subprocess.run(["mount", "-t", "tmpfs", "-o", f"mode=1777,size={size}m", "tmpfs", disk], check=True)
if container == "yes":
    for capability in (19, 21):  # SYS_PTRACE and SYS_ADMIN, which containers withhold
        kernel.prctl(24, capability)
os.environ["TMPDIR"] = tempfile.tempdir = disk
from tests.engine.printing import print_graded
from tests.support import small_course, submission
grader = Path(disk, "graders")
grader.mkdir()
(grader / "test_add.py").write_text('''
from autograder.graders.toolkit import check, exercise
@exercise("s1.add")
def test_add(student):
    \"\"\"Adds.\"\"\"
    for number in range(20):
        check(student.add(number, 1) == number + 1, "add them")
''')
right = {"work.py": "def add(a, b):\\n    import time\\n    time.sleep(0.1)\\n    return a + b\\n"}
names = ["ada", "bob", "cleo", "dora"]
students = [submission(name, right) for name in names]
students.insert(1, submission("hoarder", {"work.py": source}))
print_graded(small_course(["add"]), students, grader)
"""

HOARD = """
import mmap, os, time

def keep(number, kept):
    {how}

def add(a, b):
    kept = []
    for number in range(400):
        try:
            keep(number, kept)
        except OSError:
            pass
    time.sleep(30)
    return a + b
"""
FILL = "    [file.write(bytes(1 << 20)) for _ in range(8)]\n    file.flush()\n"
OPEN = "file = open(f'f{number}', 'w+b')\n    kept.append(file)\n"
WAYS = {
    "deleted": OPEN + "    os.unlink(f'f{number}')\n" + FILL,
    "never named": "file = os.fdopen(os.open('.', os.O_TMPFILE | os.O_RDWR), 'w+b')\n"
    "    kept.append(file)\n" + FILL,
    "replaced": OPEN + FILL + "    open('empty', 'w').close()\n"
    "    os.replace('empty', f'f{number}')\n",
    "mapped": "file = open(f'f{number}', 'w+b')\n"
    + FILL
    + "    kept.append(mmap.mmap(file.fileno(), 4096, mmap.MAP_PRIVATE))\n"
    "    os.unlink(f'f{number}')\n    file.close()\n",
    "named": "file = open(f'f{number}', 'w+b')\n" + FILL + "    file.close()\n",
    "linked": "file = open(f'f{number}', 'w+b')\n"
    + FILL
    + "    file.close()\n    os.link(f'f{number}', f'g{number}')\n    os.unlink(f'f{number}')\n",
}

needs_root = pytest.mark.skipif(
    not pool.can_fork() or os.geteuid() != 0, reason="only root mounts a disk"
)


@pytest.fixture
def disk() -> Iterator[Path]:
    """A place to mount the disk at; pytest's own folders are closed to workers."""
    folder = scratch.make_base(Path("/tmp"))
    folder.chmod(0o755)
    yield folder
    folder.rmdir()


def graded(disk: Path, megabytes: int, container: bool, source: str) -> Any:
    """What comes of a class with one hoarder, by student, or the line of an error."""
    arguments = (str(ROOT), str(disk), str(megabytes), "yes" if container else "no", source)
    done = subprocess.run(
        [sys.executable, "-c", CHILD, *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    if "permission denied" in done.stderr.lower() or "not permitted" in done.stderr:
        pytest.skip("this root may not mount")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@needs_root
@pytest.mark.slow
@pytest.mark.parametrize("container", [False, True], ids=["root", "container"])
@pytest.mark.parametrize("way", WAYS)
def test_a_hoarder_harms_nobody(disk: Path, way: str, container: bool) -> None:
    reports = graded(disk, 600, container, HOARD.format(how=WAYS[way]))
    neighbors = {name: report[0] for name, report in reports.items() if name != "hoarder"}
    assert neighbors == dict.fromkeys(("ada", "bob", "cleo", "dora"), 100.0), reports
    assert reports["hoarder"][0] == 0
    assert reports["hoarder"][1] in ("refused", "timed out", "out of memory", "crashed"), reports


@needs_root
@pytest.mark.slow
def test_a_small_disk_is_found_before_the_batch(disk: Path) -> None:
    line = graded(disk, 200, False, "def add(a, b):\n    return a + b\n")
    assert isinstance(line, str)
    assert str(disk) in line
    assert "MB free" in line
    assert "576 MB are needed" in line
    assert "TMPDIR" in line
    assert "\n" not in line


def test_room_is_needed_for_every_judge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scratch, "free_bytes", lambda _: 1000 * MEBIBYTE)
    scratch.check_room(tmp_path, 3, 256 * MEBIBYTE)
    with pytest.raises(EngineError, match="1000 MB free and 1088 MB are needed"):
        scratch.check_room(tmp_path, 4, 256 * MEBIBYTE)


def test_open_files_fit_the_scratch_folder() -> None:
    limits = WorkerLimits(1)
    assert limits.open_files * limits.file_bytes <= limits.scratch_bytes
    for changes in ({"open_files": 33}, {"file_bytes": 9 * MEBIBYTE}, {"scratch_bytes": MEBIBYTE}):
        with pytest.raises(ValueError, match="more than scratch_bytes"):
            replace(limits, **changes)


@pytest.mark.skipif(sys.platform != "linux", reason="deleted files are found through /proc")
def test_files_without_a_name_are_measured(tmp_path: Path) -> None:
    kept = []
    for number in range(3):
        path = tmp_path / str(number)
        kept.append(path.open("wb"))
        kept[-1].write(os.urandom(MEBIBYTE))
        kept[-1].flush()
        os.fsync(kept[-1].fileno())
    assert scratch.unnamed_bytes(os.getpid(), tmp_path) == 0
    (tmp_path / "0").unlink()
    (tmp_path / "1").unlink()
    again = os.dup(kept[0].fileno())
    found = scratch.unnamed_bytes(os.getpid(), tmp_path)
    assert found is not None
    assert 2 * MEBIBYTE <= found < 2.2 * MEBIBYTE
    os.close(again)
    for file in kept:
        file.close()
    assert scratch.unnamed_bytes(os.getpid(), tmp_path) == 0


@pytest.mark.skipif(sys.platform != "linux", reason="deleted files are found through /proc")
@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() != 0, reason="root alone may look")
@pytest.mark.parametrize("name", ["plain", "a name (deleted)", "two\nlines", "two\rlines", "\x85"])
def test_mapped_files_without_a_name_are_measured(tmp_path: Path, name: str) -> None:
    path = tmp_path / "before"
    path.write_bytes(os.urandom(MEBIBYTE))
    with path.open("r+b") as file:
        mapped = mmap.mmap(file.fileno(), 0)
    assert scratch.unnamed_bytes(os.getpid(), tmp_path) == 0
    path.rename(tmp_path / name)
    assert scratch.unnamed_bytes(os.getpid(), tmp_path) == 0
    (tmp_path / name).unlink()
    found = scratch.unnamed_bytes(os.getpid(), tmp_path)
    assert found is not None
    assert MEBIBYTE <= found < 1.1 * MEBIBYTE
    mapped.close()
    assert scratch.unnamed_bytes(os.getpid(), tmp_path) == 0


def test_what_cannot_be_seen_is_unknown(tmp_path: Path) -> None:
    assert scratch.unnamed_bytes(2**22 + 1, tmp_path) is None


def test_only_one_at_a_time_measures(tmp_path: Path) -> None:
    if sys.platform == "win32":
        pytest.skip("Windows has no such lock")
    with scratch.only_one(tmp_path) as first, scratch.only_one(tmp_path) as second:
        assert (first, second) == (True, False)
    with scratch.only_one(tmp_path) as third:
        assert third


def test_folders_in_memory_are_told_from_others(monkeypatch: pytest.MonkeyPatch) -> None:
    if not Path("/dev/shm").is_dir() or not Path("/proc/self/mountinfo").exists():
        pytest.skip("no tmpfs is known here")
    assert scratch.is_memory(Path("/dev/shm"))
    assert not scratch.is_memory(Path("/proc"))
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: "")
    assert not scratch.is_memory(Path("/dev/shm"))


def test_a_new_folder_waits_for_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tries = iter([OSError(28, "No space left on device"), None])
    make = scratch.tempfile.mkdtemp

    def full_at_first(**arguments: Any) -> str:
        if error := next(tries, None):
            raise error
        return make(**arguments)

    monkeypatch.setattr(scratch.tempfile, "mkdtemp", full_at_first)
    assert scratch.make(tmp_path).is_dir()
    monkeypatch.setattr(scratch, "FULL_SECONDS", 0.0)
    tries = iter([OSError(28, "No space left on device")] * 9)
    with pytest.raises(EngineError, match=r"cannot make .*No space left"):
        scratch.make(tmp_path)
