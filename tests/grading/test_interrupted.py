"""Batches that are broken off: real signals to a real process, and a disk that is really full."""

from __future__ import annotations

import contextlib
import os
import pty
import random
import shlex
import shutil
import signal
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest

from autograder.engine.host import pool
from autograder.errors import ExitCode
from benchmarks import kills
from benchmarks.common import descendants
from benchmarks.kills import Batch, gradebook, left_over, still_there
from tests.grading.small_kit import small_kit

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not pool.can_fork(), reason="looks at processes as Linux shows them"),
]

PRIVATE = ["unshare", "--mount", "sh", "-c"]
CLASS = "right wrong slow slow hostile slow right slow"


def into(batch: Batch, name: str) -> Batch:
    results = batch.results.parent / name
    return replace(batch, command=[*batch.command, "-o", str(results)], results=results)


@pytest.fixture(scope="module")
def batch(tmp_path_factory: pytest.TempPathFactory) -> Batch:
    root = tmp_path_factory.mktemp("interrupted")
    for folder in (root, *root.parents[:1]):
        folder.chmod(0o755)
    return small_kit(root, CLASS)


@pytest.fixture(scope="module")
def expected(batch: Batch) -> bytes:
    """The gradebook of an undisturbed run."""
    undisturbed = into(batch, "undisturbed")
    undisturbed.finish()
    assert left_over(undisturbed) == []
    return gradebook(undisturbed.results)


def wait_for_records(batch: Batch, count: int) -> None:
    deadline = time.monotonic() + 240
    while len(list((batch.results / "reports").glob("*.json"))) < count:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_ctrl_c_is_answered_before_anything_is_tidied_up(batch: Batch, expected: bytes) -> None:
    run = into(batch, "interrupted")
    process = run.start()
    wait_for_records(run, 2)
    below = descendants(process.pid)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=240)[0].decode()
    kept = len(list((run.results / "reports").glob("*.json")))
    assert process.returncode == ExitCode.INTERRUPTED
    assert f"interrupted: {kept} of 8 submissions are graded and kept in {run.results}" in said
    assert said.rstrip().endswith("--resume"), said
    assert "Traceback" not in said
    assert 2 <= kept < 8
    assert still_there(below) == []
    assert left_over(run) == []
    assert f"Kept {kept} of 8, graded {8 - kept}" in run.finish("--resume")
    assert gradebook(run.results) == expected


def test_kill_9_at_random_moments(batch: Batch, expected: bytes) -> None:
    run = into(batch, "killed")
    survival = kills.Survival()
    rng = random.Random(time.time_ns())
    for _ in range(2):  # benchmarks/kills.py does a hundred
        kills.kill_once(run, rng.uniform(0.5, 6), survival)
    run.finish("--resume")
    assert survival.faults == []
    assert left_over(run) == []
    assert gradebook(run.results) == expected


@pytest.fixture
def small_disk(tmp_path: Path) -> str:
    """Shell commands that make `tmp_path / "disk"` a file system of 64 KB, seen by them only."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = shlex.join(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)])
    if shutil.which("unshare") is None or os.geteuid() != 0:
        pytest.skip("a file system of its own needs root and unshare")
    tried = subprocess.run([*PRIVATE, mount], capture_output=True, check=False)
    if tried.returncode:
        pytest.skip(f"no file system can be mounted: {tried.stderr.decode()}")
    return mount


def test_a_disk_that_fills(batch: Batch, expected: bytes, tmp_path: Path, small_disk: str) -> None:
    """Eight submissions do not fit; what did is copied to a larger disk, where the rest follows."""
    results, kept = tmp_path / "disk" / "results", tmp_path / "kept"
    grade = shlex.join([*batch.command, "-o", str(results)])
    copy = shlex.join(["cp", "-r", str(results), str(kept)])
    full = replace(
        batch, command=[*PRIVATE, f"{small_disk} && {grade}; code=$?; {copy}; exit $code"]
    )
    process = full.start()
    said = process.communicate(timeout=240)[0].decode()
    assert process.returncode == ExitCode.USAGE, said
    assert "No space left on device" in said
    assert "what is graded is kept, continue with --resume" in " ".join(said.split())
    assert "Traceback" not in said
    assert kills.torn(kept, set()) == []
    assert not [path for path in kept.rglob(".*") if path.is_file()]
    graded = len(list((kept / "reports").glob("*.json")))
    assert graded < 8
    run = replace(batch, command=[*batch.command, "-o", str(kept)], results=kept)
    assert f"Kept {graded} of 8" in run.finish("--resume")
    assert left_over(run) == []
    assert gradebook(kept) == expected


def test_the_bar_shows_counts_by_outcome_and_begins_at_what_is_kept(
    batch: Batch, expected: bytes
) -> None:
    """On a terminal of 60 columns; the last frame but the erased ones is read."""
    results = batch.results.parent / "undisturbed"
    shown = batch.results.parent / "shown"
    shutil.copytree(results, shown)
    for path in sorted((shown / "reports").glob("0[0-2]*.json")):
        path.unlink()
    ours, theirs = pty.openpty()
    run = into(batch, "shown")
    with subprocess.Popen(
        [*run.command, "--resume"],
        env={**os.environ, **run.environment, "TERM": "xterm", "COLUMNS": "60"},
        stdout=subprocess.DEVNULL,
        stderr=theirs,
        start_new_session=True,
    ):
        os.close(theirs)
        text = b""
        with contextlib.suppress(OSError):  # EIO: the other end is closed
            while data := os.read(ours, 1 << 16):
                text += data
    os.close(ours)
    frames = text.decode("utf-8", "replace")
    assert "5/8" in frames
    assert "0/8" not in frames
    assert "exercises: 4 passed" in frames.replace("\x1b[0m", ""), frames[-3000:]
    assert gradebook(shown) == expected
