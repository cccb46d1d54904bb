"""Machines with few processes or little memory: who takes them all loses points, nobody else does.

A child process gives itself the limits (a user's `ulimit -u`, a pids or a memory cgroup) and grades
a class with bombs in it. That needs root, and cgroups that root may make.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from autograder.engine.host import pool
from tests.support import ROOT

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not pool.can_fork() or os.geteuid() != 0, reason="only root sets the limits"
    ),
]

# Arguments: root of the project, user or empty, its processes, cgroup or empty, graders, bomb.
CHILD = """
import os, resource, subprocess, sys, tempfile
from pathlib import Path
root, user, processes, cgroup, graders, bomb = sys.argv[1:]
sys.path.insert(0, root)
if cgroup:
    Path(cgroup, "cgroup.procs").write_text(str(os.getpid()))
if user:
    from autograder.engine.sandbox import kernel
    closed = {}  # the outermost folder that is closed to others -> what in it has to be reached
    for path in (Path(sys.base_prefix), Path(root)):
        for parent in reversed(path.parents):
            if parent.stat().st_mode & 0o005 != 0o005:
                closed.setdefault(parent, []).append(path)
                break
    if closed:
        kernel.unshare(0x20000)
        commands = [["mount", "--make-rprivate", "/"]]
        for parent, paths in closed.items():
            asides = [tempfile.mkdtemp(dir="/tmp") for _ in paths]
            commands += [["mount", "--bind", path, aside] for path, aside in zip(paths, asides)]
            commands.append(["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", parent])
            for path, aside in zip(paths, asides):
                commands.append(["mkdir", "-p", path])
                commands.append(["mount", "--bind", aside, path])
        for command in commands:
            subprocess.run(command, check=True)
    os.setgroups([])
    os.setresgid(int(user), int(user), int(user))
    os.setresuid(int(user), int(user), int(user))
    resource.setrlimit(resource.RLIMIT_NPROC, (int(processes), int(processes)))
    os.environ["HOME"] = "/nonexistent"
from tests.engine.printing import print_graded
from tests.support import small_course, submission
right = {"work.py": "def add(a, b):\\n    import time\\n    time.sleep(0.1)\\n    return a + b\\n"}
students = [submission(name, right) for name in ("ada", "bob", "cleo", "dora")]
for place, name in ((1, "bomber"), (3, "copycat")):
    students.insert(place, submission(name, {"work.py": bomb}))
course = small_course(["add"], memory_mb=1024)
print_graded(course, students, Path(graders))
"""
GRADER = '''
from autograder.graders.toolkit import check, exercise

@exercise("s1.add")
def test_add(student):
    """Adds."""
    for number in range(10):
        check(student.add(number, 1) == number + 1, "add them")
'''
THREADS = """
import threading, time

def add(a, b):
    end = time.monotonic() + 30
    while time.monotonic() < end:
        try:
            threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
        except RuntimeError:
            time.sleep(0.01)
    return a + b
"""
MEMORY = """
def add(a, b):
    kept = []
    while True:
        kept.append(bytearray(b"x") * (32 << 20))
"""
USER = 54321


@pytest.fixture
def graders() -> Iterator[Path]:
    """A folder with the grader that everybody may read."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        Path(folder, "test_add.py").write_text(GRADER)
        yield Path(folder)


@pytest.fixture
def cgroup(request: pytest.FixtureRequest) -> Iterator[str]:
    """A cgroup with one limit, of the first or the second kind; the parameters are its files."""
    controller, first, second, value = request.param
    own = f"autograder-{os.getpid()}"
    for folder, name in (
        (Path("/sys/fs/cgroup", controller, own), first),
        (Path("/sys/fs/cgroup", own), second),
    ):
        try:
            folder.mkdir()
            (folder / name).write_text(str(value))
        except OSError:
            if folder.is_dir():
                folder.rmdir()
            continue
        yield str(folder)
        folder.rmdir()
        return
    pytest.skip(f"no cgroup with a limit of {controller} can be made here")


def graded(graders: Path, bomb: str, user: str = "", processes: int = 0, cgroup: str = "") -> Any:
    """What comes of a class with two bombs, by student, or the line of an error."""
    arguments = (str(ROOT), user, str(processes), cgroup, str(graders), bomb)
    done = subprocess.run(
        [sys.executable, "-c", CHILD, *arguments],
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    if "mount" in done.stderr and "denied" in done.stderr:
        pytest.skip("this root may not mount")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def assert_only_bombers_lose(reports: Any) -> None:
    assert isinstance(reports, dict), reports
    points = {name: report[0] for name, report in reports.items()}
    right = dict.fromkeys(("ada", "bob", "cleo", "dora"), 100.0)
    assert points == right | {"bomber": 0.0, "copycat": 0.0}, reports
    assert "tool error" not in {report[1] for report in reports.values()}, reports


def test_threads_of_an_ordinary_user(graders: Path) -> None:
    assert_only_bombers_lose(graded(graders, THREADS, user=str(USER), processes=200))


@pytest.mark.parametrize("cgroup", [("pids", "pids.max", "pids.max", 150)], indirect=True)
def test_threads_in_a_pids_cgroup(graders: Path, cgroup: str) -> None:
    assert_only_bombers_lose(graded(graders, THREADS, cgroup=cgroup))


@pytest.mark.parametrize(
    "cgroup",
    [("memory", "memory.limit_in_bytes", "memory.max", 2 << 30)],
    indirect=True,
)
def test_memory_in_a_memory_cgroup(graders: Path, cgroup: str) -> None:
    assert_only_bombers_lose(graded(graders, MEMORY, cgroup=cgroup))
